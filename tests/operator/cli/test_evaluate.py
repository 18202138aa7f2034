"""`tidegate evaluate` beside small HTTP servers: exit codes, what is told, and labelled requests that make no sense."""

import json
from pathlib import Path

import pytest

from tests.operator.cli.test_compare import Model, serving
from tidegate.cli.evaluate.command import main

LABELLED = "".join(f'{{"text": "{number}", "expected": "{number}"}}\n' for number in range(100))
"""What the model answers that answers nothing otherwise."""
THREE, SEVEN = frozenset({"1", "2", "3"}), frozenset(map(str, range(7)))


@pytest.fixture
def labelled(tmp_path: Path) -> str:
    path = tmp_path / "golden.jsonl"
    path.write_text(LABELLED)
    return str(path)


@pytest.mark.parametrize(
    ("wrong", "options", "code"),
    [
        pytest.param(frozenset(), ["--least", "100%"], 0, id="all right"),
        pytest.param(SEVEN, ["--least", "93%"], 0, id="just right often enough"),
        pytest.param(SEVEN, ["--least", "94%"], 3, id="not often enough"),
        pytest.param(SEVEN, [], 0, id="nothing is wanted"),
    ],
)
def test_of_a_candidate_alone(labelled: str, wrong: frozenset[str], options: list[str], code: int) -> None:
    with serving(Model(wrong)) as candidate:
        assert main([candidate.url, "--labelled", labelled, *options]) == code


@pytest.mark.parametrize(
    ("tolerate", "code"), [pytest.param("4%", 0, id="so many fewer are tolerated"), pytest.param("3%", 3, id="fewer")]
)
def test_beside_stable(labelled: str, tolerate: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Model(THREE)) as stable, serving(Model(SEVEN)) as candidate:
        options = ["--labelled", labelled, "--tolerate", tolerate, "--stable", stable.url]
        assert main([candidate.url, *options]) == code
    said = (
        "the candidate is right on 93 of 100 rows (93%), stable on 97 (97%): 4 that only stable has right, 0 that only "
        f"the candidate has; {tolerate} fewer are tolerated"
    )
    assert capsys.readouterr().out == f"{'Inaccurate' if code else 'Accurate'}: {said}\n"


def test_in_a_job_that_is_a_gate(
    labelled: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Model(key="secret")) as stable, serving(Model(SEVEN, key="secret")) as candidate:
        monkeypatch.setenv("TIDEGATE_STABLE_URL", stable.url)
        monkeypatch.setenv("TIDEGATE_CANDIDATE_URL", candidate.url)
        monkeypatch.setenv("TIDEGATE_TOKEN", "secret")
        code = main(["--labelled", labelled, "--output", "json"])
    told = json.loads(capsys.readouterr().out)
    assert (code, told["accurate"], told["lost"], told["won"]) == (3, False, 7, 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param('{"text": "1"}', 'it must be a request as JSON with "expected", the class', id="nothing expected"),
        pytest.param("no JSON", 'it must be a request as JSON with "expected", the class that is', id="no JSON"),
        pytest.param('{"text": "1", "expected": 0.5}', '"expected" must be a label or a whole number', id="no class"),
        pytest.param(
            '{"text": "1", "expected": ["1", "2"]}', '"expected" has 2, and the answer 1 classes', id="another shape"
        ),
        pytest.param('{"texts": 5, "expected": "1"}', "nobody can be reached", id="no answer"),
    ],
)
def test_requests_that_make_no_sense_are_told_by_their_line(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text(f'{{"text": "1", "expected": "1"}}\n{line}\n')
    with serving(Model()) as candidate:
        code = main([candidate.url, "--labelled", str(path)])
    found = capsys.readouterr().err
    assert (code, f"{path}, line 2: " in found, said in found) == (2, True, True)


def test_a_model_that_refuses_what_stable_answers_has_it_wrong(labelled: str) -> None:
    with serving(Model()) as stable, serving(Model(key="another")) as candidate:
        assert main([candidate.url, "--labelled", labelled, "--stable", stable.url]) == 3
