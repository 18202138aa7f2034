"""What is written, what never is, and that nobody waits for it."""

import io
import json
import os
from collections.abc import Callable
from threading import Event
from time import monotonic, sleep
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate_server.access_log import ERRORS_PER_SECOND, MAX_QUEUED_LINES, AccessLine, AccessLog, Level
from tidegate_server.errors import BadSetting
from tidegate_server.settings import Settings


def lines_of(out: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline
        sleep(0.01)


def test_a_line_says_who_asked_for_what_and_how_it_ended() -> None:
    out = io.BytesIO()
    log = AccessLog("all", "digits-1", out, lambda: 1_700_000_000.25)
    log.write(
        AccessLine(
            "POST",
            "/v2/models/digits/infer?key=hush#hush",
            200,
            0.0123456789,
            bytes_in=120,
            bytes_out=80,
            rows=3,
            trace_id="0af7651916cd43dd8448eb211c80319c",
            caller="shop",
        )
    )
    log.close()
    assert lines_of(out) == [
        {
            "time": "2023-11-14T22:13:20.250+00:00",
            "method": "POST",
            "path": "/v2/models/digits/infer",
            "status": 200,
            "seconds": 0.012346,
            "bytes_in": 120,
            "bytes_out": 80,
            "rows": 3,
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "caller": "shop",
            "revision": "digits-1",
        }
    ]


@pytest.mark.parametrize(
    ("level", "statuses"),
    [("off", []), ("errors", [400, 429, 500]), ("all", [200, 400, 429, 500])],
)
def test_the_level_chooses(level: Level, statuses: list[int]) -> None:
    out = io.BytesIO()
    log = AccessLog(level, "r", out)
    for status in (200, 400, 429, 500):
        assert log.wants(status) == (status in statuses)
        log.write(AccessLine("POST", "/predict", status, 0.1))
    log.close()
    assert [line["status"] for line in lines_of(out)] == statuses


def test_errors_are_written_at_a_bounded_rate_and_the_rest_is_counted() -> None:
    now = 0.0
    out = io.BytesIO()
    log = AccessLog("errors", "r", out, lambda: now)
    for _ in range(ERRORS_PER_SECOND + 7):
        log.write(AccessLine("POST", "/predict", 500, 0.1))
    now = 1.0
    log.write(AccessLine("POST", "/predict", 400, 0.1))
    log.close()
    lines = lines_of(out)
    assert len(lines) == ERRORS_PER_SECOND + 1
    assert [line.get("suppressed_before") for line in lines[-2:]] == [None, 7]


class _Stuck(io.BytesIO):
    """A pipe that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.free = Event(), Event()

    def write(self, text: Any) -> int:
        self.entered.set()
        self.free.wait(10)
        return super().write(text)


def test_nobody_waits_for_a_reader_that_does_not_read() -> None:
    out = _Stuck()
    log = AccessLog("all", "r", out)
    log.write(AccessLine("POST", "/predict", 200, 0.1))
    assert out.entered.wait(5)
    for _ in range(MAX_QUEUED_LINES + 5):
        log.write(AccessLine("POST", "/predict", 200, 0.1))
    assert log.dropped() == 5
    out.free.set()
    log.close()
    assert len(lines_of(out)) == MAX_QUEUED_LINES + 1


def test_a_closed_output_ends_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as out:
        log = AccessLog("all", "r", out)
        for expected in (1, 2):
            log.write(AccessLine("POST", "/predict", 200, 0.1))
            until(lambda expected=expected: log.dropped() == expected)  # type: ignore[misc]
        log.close()


@given(st.text(), st.text(st.characters()), st.integers(100, 599), st.floats(), st.text(st.characters()))
@settings(max_examples=50, deadline=None)
def test_whatever_comes_is_one_line_without_a_query(
    method: str, target: str, status: int, seconds: float, caller: str
) -> None:
    out = io.BytesIO()
    log = AccessLog("all", "r", out)
    log.write(AccessLine(method, f"{target}?secret=hush", status, seconds, caller=caller))
    log.close()
    assert len(out.getvalue().splitlines()) == len(lines_of(out)) == 1
    assert b"hush" not in out.getvalue()


@pytest.mark.parametrize(("text", "level"), [("", "errors"), ("errors", "errors"), ("all", "all"), ("off", "off")])
def test_the_setting_is_read(text: str, level: Level) -> None:
    assert Settings.from_env({"TIDEGATE_ACCESS_LOG": text}).access_log == level


def test_another_word_is_refused() -> None:
    with pytest.raises(BadSetting, match="TIDEGATE_ACCESS_LOG is 'some'; it must be one of errors, all, off"):
        Settings.from_env({"TIDEGATE_ACCESS_LOG": "some"})
