"""When a struck release went wrong, and what the page says of it."""

from collections import Counter

import pytest

from benchmarks.chaos.plan import Component, Fault, Kind, Phase, Release
from benchmarks.chaos.report import report
from benchmarks.chaos.trial import OWN, Trial
from benchmarks.traffic.counts import THEN, Counts

KILLED_ENVOY = Fault(Component.ENVOY, Kind.KILLED, Phase.FIRST_STEP)
KILLED_CANDIDATE = Fault(Component.CANDIDATE, Kind.KILLED, Phase.FIRST_STEP)
FROZEN_OPERATOR = Fault(Component.OPERATOR, Kind.FROZEN, Phase.FIRST_STEP)
FAILING = Release(False, (Fault(Component.AGENT, Kind.SLOW, Phase.GOING_BACK),))


def resets(number: int) -> Counter[str]:
    return Counter({"reset": number}) if number else Counter()


def trial(fault: Fault, outcome: str = "Promoted", lost: int = 0, again: int = 0) -> Trial:
    counts = Counts(1000, lost, again, resets(lost), resets(again))
    return Trial(1, Release(True, (fault,)), [f"{fault.phase}: struck"], outcome, 30.0, counts)


@pytest.mark.parametrize(
    ("tried", "wrong"),
    [
        pytest.param(trial(FROZEN_OPERATOR), (), id="promoted with nothing lost"),
        pytest.param(trial(KILLED_ENVOY, lost=3), (), id="what was under way in a killed Envoy"),
        pytest.param(
            trial(FROZEN_OPERATOR, lost=3),
            ("3 requests were lost, and nothing was killed that carried any",),
            id="a loss that nothing explains",
        ),
        pytest.param(
            trial(KILLED_ENVOY, lost=3, again=1),
            ("1 requests were lost with their second try too",),
            id="a loss that a second try didn't mend",
        ),
        pytest.param(
            trial(KILLED_CANDIDATE, "RolledBack", lost=9, again=2),
            (),
            id="a share of the requests that went to a candidate without a pod",
        ),
        pytest.param(
            trial(FROZEN_OPERATOR, "RolledBack"),
            ("it ended RolledBack, and should have ended Promoted",),
            id="a good model that went back",
        ),
    ],
)
def test_what_is_wrong_with_a_release(tried: Trial, wrong: tuple[str, ...]) -> None:
    assert tried.wrong == wrong


def test_what_a_failing_model_answers_itself_is_no_loss() -> None:
    again = Counter({f"{OWN}{THEN}{OWN}": 6, f"{OWN}{THEN}reset": 1, f"reset{THEN}{OWN}": 1})
    counts = Counts(1000, 42, 8, Counter({OWN: 41, "reset": 1}), again)
    tried = Trial(2, FAILING, ["as a failing one goes back: struck"], "RolledBack", 20.0, counts)

    assert (tried.lost, tried.lost_again) == (1, 0)
    assert tried.wrong == ("1 requests were lost, and nothing was killed that carried any",)


def test_the_page_counts_what_was_struck_and_names_what_went_wrong() -> None:
    trials = [
        trial(KILLED_ENVOY, lost=3),
        trial(FROZEN_OPERATOR, "RolledBack"),
        trial(KILLED_CANDIDATE, lost=9, again=2),
    ]
    text = report(trials, 7, "two cores")

    assert "Seed 7, two cores: 3 faults in 3 releases, 3 of good models and 0 of a failing one, 3,000 requests" in text
    assert (
        "**2 of 3 went as they should**; 12 requests were lost, 2 of them with their second try too, 2 of these where "
        "a candidate's only pod was killed."
    ) in text
    assert "- Release 1: it ended RolledBack, and should have ended Promoted." in text
    (row,) = [line for line in text.splitlines() if line.startswith("| router's Envoy")]
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["router's Envoy", "1", "", "", "", "3", "0"]
