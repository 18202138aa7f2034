"""What is written is read back, line by line, whatever happens to the file."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tidegate.model.matching import read_rules
from tidegate.model.traffic import Matched, Mirror, Sticky
from tidegate.resources.model_route import Backend, Route
from tidegate.router.disk_copy import FILE, OUTDATED_LINES, DiskCopy, Recalled, longest_timeout
from tidegate.router.objects import Answering, Endpoint, Service

SENTIMENT = Route("shop", "sentiment", "x-h", 60, (Backend("a", 75), Backend("b", 25)))
MIRRORED = replace(SENTIMENT, mirror=Mirror("b", 20))
RULES = read_rules([{"headers": [{"name": "x-team", "exact": "beta"}]}], "match")
CHOSEN = replace(SENTIMENT, grpc=True, matched=Matched("b", RULES))
STAYING = replace(SENTIMENT, sticky=Sticky(cookie="tidegate", ttl=timedelta(days=30)))
DIGITS = Route("lab", "digits", "", 600, (Backend("c", 100),))
SERVICE = Service("shop", "a")
PODS = Answering((Endpoint("10.0.0.1", 8080), Endpoint("fd00::1", 8080)), leaving=True)
NAME = ("shop", "sentiment")


def test_nothing_is_recalled_where_nothing_was_kept(tmp_path: Path) -> None:
    assert DiskCopy(tmp_path / "xds").read() == Recalled()
    assert longest_timeout(tmp_path / "xds") is None


def test_what_was_kept_last_is_recalled(tmp_path: Path) -> None:
    kept = DiskCopy(tmp_path)
    kept.write({NAME: SENTIMENT, ("lab", "digits"): DIGITS}, {SERVICE: Answering((Endpoint("10.0.0.9", 80),))})
    kept.write({("lab", "digits"): None}, {SERVICE: PODS})
    assert DiskCopy(tmp_path).read() == Recalled({NAME: SENTIMENT}, {SERVICE: PODS})

    kept.write({NAME: MIRRORED}, {SERVICE: Answering()})
    assert DiskCopy(tmp_path).read() == Recalled({NAME: MIRRORED}, {})

    kept.write({NAME: CHOSEN}, {SERVICE: Answering()})
    assert DiskCopy(tmp_path).read() == Recalled({NAME: CHOSEN}, {})

    kept.write({NAME: STAYING}, {SERVICE: Answering()})
    assert DiskCopy(tmp_path).read() == Recalled({NAME: STAYING}, {})


@pytest.mark.parametrize(
    "rest", ["", '["route","shop"', '["route","shop","sentiment",1]\n', "[]\n", "\x00\xff", "{}\n"]
)
def test_a_line_that_makes_no_sense_is_skipped(tmp_path: Path, rest: str) -> None:
    DiskCopy(tmp_path).write({NAME: SENTIMENT}, {SERVICE: PODS})
    with (tmp_path / FILE).open("a") as file:
        file.write(rest)

    assert DiskCopy(tmp_path).read() == Recalled({NAME: SENTIMENT}, {SERVICE: PODS})


def test_another_agent_goes_on_with_the_copy(tmp_path: Path) -> None:
    DiskCopy(tmp_path).write({NAME: SENTIMENT}, {SERVICE: PODS})
    second = DiskCopy(tmp_path)
    second.read()
    second.write({("lab", "digits"): DIGITS}, {})

    assert DiskCopy(tmp_path).read() == Recalled({NAME: SENTIMENT, ("lab", "digits"): DIGITS}, {SERVICE: PODS})


def test_the_file_does_not_grow_with_the_number_of_changes(tmp_path: Path) -> None:
    kept = DiskCopy(tmp_path)
    for turn in range(3 * OUTDATED_LINES):
        kept.write({}, {SERVICE: Answering((Endpoint("10.0.0.1", turn),))})

    assert len((tmp_path / FILE).read_text().splitlines()) <= OUTDATED_LINES + 1
    assert DiskCopy(tmp_path).read().services == {SERVICE: Answering((Endpoint("10.0.0.1", turn),))}


def test_a_disk_that_refuses_is_said_and_written_when_it_takes_again(tmp_path: Path) -> None:
    kept = DiskCopy(tmp_path / "xds")
    (tmp_path / "xds").rmdir()
    with pytest.raises(OSError, match="No such file"):
        kept.write({NAME: SENTIMENT}, {})
    (tmp_path / "xds").mkdir()
    kept.write({}, {SERVICE: PODS})

    assert DiskCopy(tmp_path / "xds").read() == Recalled({NAME: SENTIMENT}, {SERVICE: PODS})


def test_the_longest_timeout_is_that_of_all_routes(tmp_path: Path) -> None:
    DiskCopy(tmp_path).write({NAME: SENTIMENT, ("lab", "digits"): DIGITS}, {})

    assert longest_timeout(tmp_path) == 600.0
