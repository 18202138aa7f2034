"""JUnit's XML and Markdown's tables, as CI systems and pull requests read them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from xml.etree import ElementTree


class Ended(StrEnum):
    """How a test case ended; the value is its element in the XML."""

    PASSED = ""
    FAILED = "failure"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Case:
    """One test case. `message` is the sentence of one that didn't pass, `text` what was seen."""

    suite: str
    name: str
    ended: Ended
    seconds: float
    message: str = ""
    kind: str = ""
    text: str = ""


def junit(name: str, cases: Sequence[Case]) -> str:
    """A suite of cases as XML."""
    count = {ended: str(sum(case.ended is ended for case in cases)) for ended in Ended}
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=count[Ended.FAILED],
        errors=count[Ended.ERROR],
        skipped=count[Ended.SKIPPED],
        time=f"{sum(case.seconds for case in cases):.1f}",
    )
    for case in cases:
        _add(suite, case)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _add(suite: ElementTree.Element, case: Case) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", classname=case.suite, name=case.name, time=f"{case.seconds:.1f}"
    )
    if case.ended is not Ended.PASSED:
        attributes = {"type": case.kind, "message": case.message} if case.kind else {"message": case.message}
        ElementTree.SubElement(element, case.ended.value, attributes).text = case.text
    if case.text:
        ElementTree.SubElement(element, "system-out").text = case.text


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Without a line end behind it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
