"""What the router costs is told by figures of both ways at the same moments."""

import struct
from dataclasses import replace

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.router.open_loop import SO_TIMESTAMPNS, OpenLoop, Plan, arrived, is_complete
from benchmarks.router.report import BARE, Goal, Phase, Results, goals, quantile, report, too_busy
from tests.router.conftest import ModelServer

DIRECT = [100.0] * 98 + [200.0, 300.0]
SLOWER = [350.0] * 98 + [1250.0, 1300.0]


def a_phase(name: str, routed: list[float], *, failed: int = 0) -> Phase:
    return Phase(name, DIRECT, routed, [10.0], failed, 3.0, 12.0)


def test_goals_are_judged_by_the_difference() -> None:
    results = Results(1000, 10, 5, [a_phase("alone", SLOWER), a_phase("read", [450.0] * 100, failed=2)], [], 0)

    assert goals(results) == [
        Goal("alone: median at most 0.3 ms", "0.25 ms", met=True),
        Goal("alone: p99 at most 1 ms", "1.00 ms", met=True),
        Goal("read: median at most 0.3 ms", "0.35 ms", met=False),
        Goal("read: p99 at most 1 ms", "0.15 ms", met=True),
        Goal("no request fails", "2", met=False),
    ]


def test_the_report_has_both_ways_and_the_machines_own_jitter() -> None:
    text = report(Results(1000, 10, 5, [a_phase("alone", SLOWER)], [4.0, 5.0, 9.0], 12_345))

    assert "| alone | direct             | 0.10 | 0.10 | 0.30 |  0.30 |" in text
    assert "| alone | through the router | 0.35 | 0.35 | 1.30 |  1.30 |" in text
    assert "| alone | late in sending    | 0.01 |" in text
    assert "25% (alone) of a core. A reading of 5 rollouts took 5 ms (p99 9 ms) and had 12 kB." in text


def test_what_envoy_costs_by_itself_is_told_and_judged_by_nothing() -> None:
    results = Results(1000, 10, 5, [a_phase(BARE, SLOWER), a_phase("alone", [450.0] * 100)], [], 0)
    text = report(results)

    assert [goal.words for goal in goals(results)] == [
        "alone: median at most 0.3 ms",
        "alone: p99 at most 1 ms",
        "no request fails",
    ]
    assert "A bare Envoy, with one route and one cluster, costs 0.25 ms in the median and 1.00 ms at p99 here" in text


@pytest.mark.parametrize(
    ("late", "says"),
    [
        ([10.0] * 9 + [9000.0], ""),
        (
            [100.0] * 4 + [2500.0] * 6,
            "the client sent 2.5 ms late in the median, so this machine has too much else to do: try again later",
        ),
    ],
)
def test_a_machine_that_is_too_busy_tells_nothing(late: list[float], says: str) -> None:
    quiet, phase = a_phase("alone", SLOWER), replace(a_phase("read", SLOWER), late=late)

    assert too_busy(Results(1000, 10, 5, [quiet, phase], [], 0)) == says


def test_quantiles_of_few_values_are_values() -> None:
    assert (quantile([1.0], 99), quantile([1.0, 2.0], 50), quantile([1.0, 2.0, 3.0], 99.9)) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"", False),
    ],
)
def test_an_answer_is_complete_when(answer: bytes, expected: bool) -> None:
    assert is_complete(answer) is expected


def test_the_kernel_says_when_an_answer_arrived() -> None:
    assert arrived([(1, SO_TIMESTAMPNS, struct.pack("qq", 3, 5))]) == 3_000_000_005
    with pytest.raises(BenchmarkError, match="SO_TIMESTAMPNS"):
        arrived([])


def test_the_client_counts_what_it_sent_after_the_warm_up() -> None:
    servers = [ModelServer("sentiment-aaaaaaaa", "127.0.0.1"), ModelServer("x", "127.0.0.1", behaviour="fail")]
    try:
        plan = Plan(tuple(server.endpoint.port for server in servers), 2, 50, 0.1, 0.4)
        outcome = OpenLoop(plan).run()
    finally:
        for server in servers:
            server.close()

    assert len(outcome.took[0]) > 0
    assert outcome.took[1] == []
    assert outcome.failed > 0
    assert all(value > 0 for value in outcome.took[0])
