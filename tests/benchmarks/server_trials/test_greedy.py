"""The trial of greedy clients, for some seconds."""

from collections import Counter
from pathlib import Path

from benchmarks.progress import Progress
from benchmarks.server_trials.amount import Amount
from benchmarks.server_trials.greedy import MOST_GROWTH, GreedyResult, greedy_report, try_greed
from benchmarks.server_trials.prober import Probes


def test_greedy_clients_cost_nobody_anything(tmp_path: Path) -> None:
    plain, few = try_greed(tmp_path, Amount(1_000), 1, Progress(1))
    report = greedy_report(plain, few)
    assert (plain.failures, few.failures, plain.wrong, few.wrong) == (0, 0, [], []), report
    assert max(plain.growth, few.growth) <= MOST_GROWTH, report
    assert plain.answers.total() >= 1_000


def test_whatever_goes_wrong_is_seen() -> None:
    quick = Probes([0.01, 0.9], [0.0, 0.7])  # the second waited for a CPU
    good = GreedyResult(probes=quick, answers=Counter({200: 1, 503: 1}))
    assert good.is_good
    for bad in (
        GreedyResult(probes=Probes([0.3], [0.01])),
        GreedyResult(probes=quick, answers=Counter({500: 1})),
        GreedyResult(probes=quick, growth=MOST_GROWTH + 1),
        GreedyResult(probes=quick, wrong=["a probe got 500"]),
        GreedyResult(),
    ):
        assert not bad.is_good
