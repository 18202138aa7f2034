"""A few seconds of the soak. Whether memory is flat takes minutes; whether every answer is right doesn't."""

from pathlib import Path
from time import perf_counter

import numpy as np
import orjson
import uvloop

from benchmarks.http_client import Response
from benchmarks.progress import Progress
from benchmarks.server_trials.models import readings
from benchmarks.server_trials.requests import GOOD_KINDS, Message, ResponseChecker
from benchmarks.server_trials.soak import Load, soak
from benchmarks.server_trials.soak_report import soak_report
from tests.conftest import free_port


def test_mixed_and_bad_requests_are_answered_as_they_should_be(tmp_path: Path) -> None:
    soaked = soak(tmp_path, 3 / 60, {}, Progress(1))
    assert (soaked.counts.wrong, soaked.calls.wrong, soaked.faults, soaked.server_errors) == ([], [], (), 0)
    assert soaked.counts.answers[200] > 100
    assert soaked.counts.answers[400] > 0
    assert soaked.counts.scrapes > 0
    assert soaked.calls.statuses["OK"] > 0
    assert len(soaked.samples) == 60
    assert "5xx: 0. **met**" in soak_report(soaked)


def test_wrong_numbers_are_noticed(tmp_path: Path) -> None:
    checker, rows = ResponseChecker(str(readings(tmp_path))), np.zeros((1, 2), np.float32)
    right = {"outputs": {"waves": [[0.5, 0.5]], "mean": [0.5]}}
    wrong = {"outputs": {"waves": [[0.5, 0.6]], "mean": [0.5]}}
    answers = [Response(200, {}, orjson.dumps(document)) for document in (right, wrong, {})]
    assert [checker.objection(Message(b"", rows), answer) for answer in answers] == [
        None,
        "wrong numbers in waves",
        "an unreadable answer: KeyError: 'outputs'",
    ]


def test_a_server_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    load = Load(readings(tmp_path), seed=1, kinds=GOOD_KINDS[:1])
    uvloop.run(load.ask(free_port(), perf_counter() + 0.05))
    assert load.counts.wrong
