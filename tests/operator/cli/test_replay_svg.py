"""The picture is XML that holds what the table holds."""

import re
from xml.etree import ElementTree

import pytest

from tests.operator.cli.conftest import BLUE_GREEN, Released, Replayed
from tidegate.cli.replay.svg import svg_of

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in parsed(svg).iter(f"{SVG}text")]


def test_it_holds_both_thresholds_and_both_lines(released: Released, replayed: Replayed) -> None:
    report = replayed(released("2"))
    svg = svg_of(report)
    paths = {path.get("class"): path for path in parsed(svg).iter(f"{SVG}path")}

    assert paths["worse needed"].get("data-needed") == "100"
    assert paths["acceptable needed"].get("data-needed") == "20"
    assert {"100: roll back", "20: promote"} <= set(texts(svg))
    assert paths["worse"].get("d", "").count("L") == len(report.replay.rows)
    assert paths["acceptable"].get("d", "").count("L") > 5


def test_it_has_a_band_for_each_weight(released: Released, replayed: Replayed) -> None:
    svg = svg_of(replayed(released("2")))
    bands = [rect for rect in parsed(svg).iter(f"{SVG}rect") if rect.get("class") == "band"]

    assert len(bands) == 4
    assert [text for text in texts(svg) if re.fullmatch(r"\d+%", text)] == ["10%", "25%", "50%", "100%"]


def test_failures_are_ticks_and_the_rollback_is_marked(released: Released, replayed: Replayed) -> None:
    svg = svg_of(replayed(released("failing")))

    assert len([path for path in parsed(svg).iter(f"{SVG}path") if path.get("class") == "worse failed"]) == 1
    assert "10 of 50 failed" in texts(svg)
    assert [circle.findtext(f"{SVG}title") for circle in parsed(svg).iter(f"{SVG}circle")] == ["rolled back at 6s"]


def test_it_names_itself_and_knows_the_dark(released: Released, replayed: Replayed) -> None:
    report = replayed(released("failing"))
    svg = svg_of(report)

    assert parsed(svg).findtext(f"{SVG}title") == texts(svg)[0]
    assert "prefers-color-scheme: dark" in svg


@pytest.mark.parametrize("name", ["2", "failing"])
def test_a_switch_has_a_picture_too(released: Released, replayed: Replayed, name: str) -> None:
    assert parsed(svg_of(replayed(released(name, strategy=BLUE_GREEN)))).tag == f"{SVG}svg"
