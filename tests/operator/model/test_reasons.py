"""Every word that machines read is explained to people."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from tidegate.model.reasons import ConditionType, Outcome, Phase, Policy, Reason

DOCS = (Path(__file__).parents[3] / "docs" / "modeldeployment.md").read_text()
FIRST_CELLS = {
    word
    for line in DOCS.splitlines()
    if line.startswith("| ")
    for word in re.findall(r"\w+", line.split("|")[1].split(":")[0])
}
"""What the docs' tables have rows for."""


@pytest.mark.parametrize("reason", Reason)
def test_there_is_a_row_for(reason: Reason) -> None:
    assert reason in FIRST_CELLS


@pytest.mark.parametrize("word", [*Phase, *Outcome, *Policy, *ConditionType])
def test_the_docs_tell_of(word: StrEnum) -> None:
    assert re.search(rf"\b{word}\b", DOCS)


def test_no_two_reasons_are_the_same() -> None:
    assert len({reason.value for reason in Reason}) == len(Reason)
