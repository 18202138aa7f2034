"""docs/faults.md says what happens when things go wrong; each row names a test that there is."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROW = re.compile(r"^\| (?!What goes wrong)([^|]+) \| ([^|]+) \| ([^|]*)\|$", re.MULTILINE)
TESTS = {
    name
    for path in (REPOSITORY / "tests").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)", path.read_text())
}


def rows() -> list[tuple[str, str, str]]:
    found = ROW.findall((REPOSITORY / "docs" / "faults.md").read_text())
    return [(fault.strip(), answer.strip(), tests.strip()) for fault, answer, tests in found]


@pytest.mark.parametrize(("fault", "answer", "tests"), [pytest.param(*row, id=row[0][:60]) for row in rows()])
def test_a_row_names_tests_that_there_are(fault: str, answer: str, tests: str) -> None:
    if answer.startswith("open"):
        assert answer.startswith("open: "), f"{fault}: a row that is open says why"
        return
    named = set(re.findall(r"test_\w+", tests))
    assert named
    assert named <= TESTS
