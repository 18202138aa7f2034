"""The benchmark's report: what wrk says, goals, tables, the page."""

from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.markdown import table
from benchmarks.server.goals import Goal, judge
from benchmarks.server.report import beside_before, figures, notes, tried
from benchmarks.server.results import Load, RawRow, Results, Row, ratios
from benchmarks.server.wrk import MARK, read_output, script

RAW = (
    RawRow("S", "two threads", per_second=100_000, p50_ms=0.01, p99_ms=0.02, cores=2, rows=1),
    RawRow("S", "one thread", per_second=120_000, p50_ms=0.008, p99_ms=0.02, cores=1, rows=1),
    RawRow("S", "eight rows", per_second=700_000, p50_ms=0.02, p99_ms=0.03, cores=2, rows=8),
)
PEER = Row("S", "KServe", "2 workers", "binary", 4_000, 3.0, 5.0)
SLOWER_PEER = Row("S", "MLServer", "in process", "JSON", 3_000, 4.0, 9.0)


def tidegate(**changed: object) -> Row:
    given = {"per_second": 30_000.0, "p50_ms": 0.5, "p99_ms": 1.2, "paced": Load(21_000, 0.2, 1.508, 0), **changed}
    return Row("S", "tidegate", "as it starts", "JSON", **given)  # type: ignore[arg-type]


def results(*rows: Row, raw: tuple[RawRow, ...] = RAW) -> Results:
    return Results(raw, rows, (), {})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(
            '{"requests":3000,"microseconds":1500000,"p50":800,"p99":4200,"status":0,"broken":0}',
            Load(per_second=2000.0, p50_ms=0.8, p99_ms=4.2, failed=0),
            id="all answered",
        ),
        pytest.param(
            '{"requests":3000,"microseconds":1000000,"p50":800,"p99":4200,"status":1000,"broken":7}',
            Load(per_second=2000.0, p50_ms=0.8, p99_ms=4.2, failed=1007),
            id="a refusal is no answer",
        ),
    ],
)
def test_wrk_is_read_from_the_line_that_its_script_writes(said: str, expected: Load) -> None:
    assert read_output(f"Running 2s test\nRequests/sec: 12.00\n\n{MARK}{said}\n") == expected


def test_wrk_without_a_result_says_what_it_complained_about() -> None:
    with pytest.raises(BenchmarkError, match="without a result: unable to connect"):
        read_output("", "unable to connect\n")


def test_the_script_sends_the_body_from_its_file_under_the_given_headers() -> None:
    said = script([Path("bodies/row")], {"Content-Type": "application/json"})
    assert 'wrk.body = read("bodies/row")' in said
    assert 'wrk.headers["Content-Type"] = "application/json"' in said
    assert "function request()" not in said


def test_several_bodies_are_sent_in_turn() -> None:
    said = script([Path("bodies/0"), Path("bodies/1")], {"Content-Type": "application/json"})
    assert 'ipairs({"bodies/0", "bodies/1"})' in said
    assert "last % #requests + 1" in said


def test_every_goal_is_judged_against_the_best_peer_the_best_raw_setting_and_a_lone_run() -> None:
    assert judge(results(tidegate(), PEER, SLOWER_PEER)) == [
        Goal("S", "JSON", "at least 12× the best peer", "7.5× KServe (binary)", 7.5 / 12),
        Goal("S", "JSON", "at least 35% of raw", "25%", 0.25 / 0.35),
        Goal("S", "JSON", "p99 at 70 % of its saturation at most 3.02 ms", "1.51 ms", 3.016 / 1.508),
    ]


def test_a_server_that_fails_requests_meets_no_goal_of_throughput() -> None:
    found = judge(results(tidegate(per_second=90_000.0, failed=1), PEER))
    assert [(goal.words, goal.met) for goal in found] == [
        ("at least 12× the best peer", False),
        ("at least 35% of raw", False),
        ("p99 at 70 % of its saturation at most 3.02 ms", True),
    ]


def test_a_failure_at_a_fixed_rate_misses_the_tail() -> None:
    (tail,) = (goal for goal in judge(results(tidegate(paced=Load(21_000, 0.1, 0.2, 3)))) if "p99" in goal.words)
    assert (tail.met, tail.seen) == (False, "3 failed")


BEFORE = Row("S", "before", "commit fc44d44", "JSON", 20_000.0, 0.8, 2.0, rounds=(20_000.0, 10_000.0, 21_000.0))
NOW = tidegate(rounds=(30_000.0, 20_000.0, 31_500.0), floor_ms=0.4, paced_floor_ms=0.25)


def test_an_earlier_commit_is_compared_round_by_round() -> None:
    assert ratios(NOW, BEFORE) == [1.5, 2.0, 1.5]
    assert judge(results(NOW, BEFORE, raw=())) == [
        Goal("S", "JSON", "at least 1.6× commit fc44d44", "1.50×", 1.5 / 1.6)
    ]
    assert beside_before(results(NOW, BEFORE)).splitlines() == [
        "| model | protocol | before: requests/s |    now |         now / before | p99 ms before |  now | floor |",
        "|-------|----------|-------------------:|-------:|---------------------:|--------------:|-----:|------:|",
        "| S     | JSON     |             20,000 | 30,000 | 1.50× (1.50 to 2.00) |          2.00 | 1.20 |  0.40 |",
    ]


def test_an_earlier_commit_is_no_peer() -> None:
    words = [goal.words for goal in judge(results(NOW, BEFORE))]
    assert not [each for each in words if "peer" in each]


def test_nothing_is_beside_a_commit_that_failed_requests() -> None:
    failing = Row("S", "before", "commit fc44d44", "JSON", 20_000.0, failed=1, rounds=(20_000.0,))
    assert (ratios(NOW, failing), beside_before(results(NOW, failing))) == ([], "")


def test_the_machines_own_jitter_stands_beside_each_p99() -> None:
    assert figures(results(NOW, raw=())).splitlines()[2:] == [
        "| tidegate, JSON |        30,000 |        |   0.50 | 1.20 (0.40) | 1.51 (0.25) |",
    ]


def test_the_tail_of_m_is_counted_in_runs() -> None:
    lone = RawRow("M", "one thread", per_second=500, p50_ms=2.0, p99_ms=2.1, cores=1, rows=1)
    row = Row("M", "tidegate", "as it starts", "JSON", 900.0, 10.0, 20.0, paced=Load(630, 3.0, 5.0, 0))
    (tail,) = (goal for goal in judge(results(row, raw=(lone,))) if "p99" in goal.words)
    assert tail == Goal("M", "JSON", "p99 at 70 % of its saturation at most 6.00 ms", "5.00 ms", 6.0 / 5.0)


def test_without_peers_and_raw_there_is_nothing_to_judge() -> None:
    assert judge(results(tidegate(), raw=())) == []


@pytest.mark.parametrize(
    ("reached", "verdict"),
    [
        pytest.param(1.25, "met, 25% to spare", id="above"),
        pytest.param(1.0, "met, 0% to spare", id="exactly"),
        pytest.param(0.6, "not met, 40% short", id="below"),
    ],
)
def test_a_goal_says_by_how_much(reached: float, verdict: str) -> None:
    assert Goal("S", "JSON", "", "", reached).verdict == verdict


def test_figures_have_a_row_per_server_and_protocol_and_mark_failures() -> None:
    assert figures(results(tidegate(failed=2), PEER)).splitlines() == [
        "|                         | S: requests/s | of raw | p50 ms | p99 ms | p99 at 70 % |",
        "|-------------------------|--------------:|-------:|-------:|-------:|------------:|",
        "| raw, one row a run      |       120,000 |   100% |  0.008 |  0.020 |             |",
        "| raw, several rows a run |       700,000 |   583% |  0.020 |  0.030 |             |",
        "| tidegate, JSON          |      30,000 ! |    25% |   0.50 |   1.20 |        1.51 |",
        "| KServe, binary          |         4,000 |   3.3% |   3.00 |   5.00 |             |",
    ]


def test_notes_name_settings_reasons_and_failures() -> None:
    absent = [Row.without(size, "tidegate", "as it starts", "binary", "not offered (400)") for size in ("S", "M")]
    assert notes(results(tidegate(failed=2), *absent, PEER)).splitlines() == [
        "- KServe's setting: S: 2 workers",
        "- tidegate, S binary, M binary: not offered (400)",
        "- tidegate, JSON, S: 2 requests FAILED, marked with !",
    ]


def test_a_busy_machine_is_told_from_the_bare_runtimes_own_rounds() -> None:
    restless = RawRow("S", "two threads", per_second=100_000, p50_ms=0.01, p99_ms=0.02, cores=2, rows=1, spread=0.4)
    assert notes(results(raw=(restless,))) == (
        "- S: the bare runtime's own rounds differ by 40%, so the machine had other work to do: measure again"
    )


def test_every_setting_that_was_tried_is_listed() -> None:
    trials = (
        PEER,
        Row("S", "KServe", "1 worker", "JSON", 2_000),
        Row.without("M", "KServe", "1 worker", "JSON", "died"),
    )
    assert tried(Results((), (), trials, {})).splitlines() == [
        "| setting tried     | S: requests/s | M: requests/s |",
        "|-------------------|--------------:|--------------:|",
        "| KServe, 2 workers |         4,000 |               |",
        "| KServe, 1 worker  |         2,000 |             – |",
    ]


def test_a_column_of_words_stands_to_the_left() -> None:
    assert table([["a", "goal"], ["1", "at least 8×"]]) == (
        "| a | goal        |\n|--:|-------------|\n| 1 | at least 8× |"
    )
