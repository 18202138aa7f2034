"""How soon paired agreement finds a model that answers otherwise, and how often it is wrong of one that doesn't.

`python -m` this module, with `--runs N`. Answers are drawn by chance; the test is `tidegate.judge.agreement`.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from statistics import median

from benchmarks.command import MISSED, SUCCEEDED, Report, run_command, runs_options
from benchmarks.goals import Goals
from benchmarks.markdown import UNKNOWN, table
from benchmarks.report_page import DOCS, ReportSection
from tidegate.judge.agreement import Agreement, AgreementRules, Pairs, answer_of, log_evidence_of_difference
from tidegate.model.units import format_percent

SECTION = ReportSection("agreement", DOCS / "agreement.md")
MOST_PAIRS = 1000
SEED = 20260101
RULES = AgreementRules()
ALARM = -math.log(RULES.false_alarm)
GOALS = Goals(wrong=RULES.false_alarm, found=0.99)
"""Found: of the models that are different on 2 % of the requests, within MOST_PAIRS."""


@dataclass(frozen=True)
class Case:
    """A candidate and a stable. Shares of the requests."""

    name: str
    different: float
    """On which the candidate always answers otherwise."""
    noise: float = 0.0
    """On which an answer of either is another one than usual, each time by chance."""
    near_ties: float = 0.0
    """On which each answer of either is one of two, by the toss of a coin."""
    is_within: bool = False
    """Whether calling it different would be wrong."""
    is_goal: bool = False


CASES = (
    Case("the same model", 0.0, is_within=True),
    Case("the same, noise on 0.5% of the answers", 0.0, noise=0.005, is_within=True),
    Case("the same, noise on 2% of the answers", 0.0, noise=0.02, is_within=True),
    Case("the same, 4% of the requests are near ties", 0.0, near_ties=0.04, is_within=True),
    Case("different on 0.1% (tolerated)", RULES.tolerate, is_within=True),
    Case("different on 1%", 0.01),
    Case("different on 2%", 0.02, is_goal=True),
    Case("different on 2%, noise on 0.5%", 0.02, noise=0.005),
    Case("different on 2%, noise on 2%", 0.02, noise=0.02),
    Case("different on 5%", 0.05),
)


@dataclass(frozen=True)
class Figures:
    """What came of a case. `ever_different` goes on after an answer, as somebody may who doesn't stop at it."""

    runs: int
    different: int
    pairs_until_different: float | None
    same: int
    pairs_until_same: float | None
    ever_different: int


def measure(options: argparse.Namespace) -> Report:
    """All cases."""
    found = {case.name: figures_of(case, options.runs, Random(f"{SEED} {case.name}")) for case in CASES}
    goals = [_is_met(case, found[case.name]) for case in CASES]
    document = {name: asdict(figures) for name, figures in found.items()}
    return Report(f"{text_of(found, options.runs)}\n", document, SUCCEEDED if all(goals) else MISSED)


def figures_of(case: Case, runs: int, random: Random) -> Figures:
    """So many runs of up to MOST_PAIRS requests."""
    ended = [one_run(case, random) for _ in range(runs)]
    different = [pairs for answer, pairs, _ in ended if answer is Agreement.DIFFERS]
    same = [pairs for answer, pairs, _ in ended if answer is Agreement.AGREES]
    return Figures(
        runs,
        len(different),
        median(different) if different else None,
        len(same),
        median(same) if same else None,
        sum(ever for _, _, ever in ended),
    )


def one_run(case: Case, random: Random) -> tuple[Agreement, int, bool]:
    """The first answer, after how many requests it came, and whether a difference was ever called."""
    pairs, first, after, ever = Pairs(), Agreement.UNDECIDED, MOST_PAIRS, False
    for number in range(1, MOST_PAIRS + 1):
        one = one_pair(case, random)
        pairs += one
        if first is Agreement.UNDECIDED:
            first, after = answer_of(pairs, RULES), number
            ever |= first is Agreement.DIFFERS
        elif one.differed and not ever:  # this evidence rises with differences alone
            ever = log_evidence_of_difference(pairs, RULES.tolerate) >= ALARM
    return first, after, ever


def one_pair(case: Case, random: Random) -> Pairs:
    """One request and its three answers: 0 as usual, 1 otherwise, and a number of its own for what noise makes."""
    tie = random.random() < case.near_ties
    stable, again, candidate = (_answer(case, random, tie) for _ in range(3))
    if random.random() < case.different:
        candidate += 2
    return Pairs.of(differed=candidate != stable, noisy=again != stable)


def _answer(case: Case, random: Random, tie: bool) -> float:
    if case.noise and random.random() < case.noise:
        return random.random() / 2
    return float(tie and random.random() < 0.5)


def text_of(found: dict[str, Figures], runs: int) -> str:
    """A row for each case, and the goals."""
    head = ("candidate", "called different", "requests until then", "called the same", "requests until then", "goal")
    rows = [head, *(_row(case, found[case.name]) for case in CASES)]
    rules = (
        f"tolerate {format_percent(RULES.tolerate)}, accept {format_percent(RULES.accept)}, at most "
        f"{format_percent(RULES.false_alarm)} false alarms and {format_percent(RULES.false_agreement)} false agreements"
    )
    return f"{runs:,} runs of each candidate, up to {MOST_PAIRS:,} requests; {rules}.\n\n{table(rows, labels=1)}"


def _row(case: Case, figures: Figures) -> Sequence[str]:
    share = figures.ever_different / figures.runs
    return (
        case.name,
        format_percent(share),
        _told(figures.pairs_until_different),
        format_percent(figures.same / figures.runs),
        _told(figures.pairs_until_same),
        GOALS.told(case, are_met=_is_met(case, figures)),
    )


def _is_met(case: Case, figures: Figures) -> bool:
    return GOALS.are_met(case, figures.ever_different, figures.different, figures.runs)


def _told(requests: float | None) -> str:
    return UNKNOWN if requests is None else f"{requests:,.0f}"


if __name__ == "__main__":
    given = runs_options("benchmarks.agreement", __doc__, SECTION)
    sys.exit(run_command(given, SECTION, lambda: measure(given)))
