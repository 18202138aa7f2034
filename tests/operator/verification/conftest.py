"""The command as a person runs it, in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tidegate.cli.verify.command import main


@dataclass(frozen=True)
class Verified:
    """What came of one run."""

    code: int
    states: dict[str, str]
    """By check."""
    said: dict[str, str]
    error: str


Verify = Callable[..., Verified]


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Verify:
    """`verify(URL, *arguments)`; without traffic at a rate unless that is asked for."""

    def run(url: str, *arguments: str, key: str = "") -> Verified:
        rate = () if "--rate" in arguments else ("--rate", "0")
        code = main([url, *rate, *arguments, "--output", "json"], {"TIDEGATE_VERIFY_KEY": key})
        out, error = capsys.readouterr()
        checks = json.loads(out)["checks"] if out else []
        states = {each["check"]: each["state"] for each in checks}
        return Verified(code, states, {each["check"]: each["what"] for each in checks}, error)

    return run
