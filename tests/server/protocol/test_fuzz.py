"""A short run of the fuzzer, so that it stays in working order; long ones are started by hand."""

from random import Random

import pytest

from tests.server.protocol.fuzz import packed, run, unpacked
from tests.server.protocol.mutations import mutated, valid_case


def test_mutated_requests_are_answered_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(seconds=1, seed=7) == 0
    assert "none else" in capsys.readouterr().out


def test_the_cases_of_a_seed_are_the_same_again_and_fit_a_corpus() -> None:
    cases = [[mutated(valid_case(random), random) for _ in range(50)] for random in (Random(3), Random(3))]
    assert cases[0] == cases[1]
    assert [unpacked(packed(case)) for case in cases[0] if (case.json_bytes or 0) >= 0] == [
        case for case in cases[0] if (case.json_bytes or 0) >= 0
    ]
