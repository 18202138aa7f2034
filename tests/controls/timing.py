"""How soon users meet what somebody asked for, from the load's own records."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.e2e.stage import Stage
from tidegate.model.control import Control, Intent
from tidegate_demo.load import RunningLoad
from tidegate_demo.records import Request

SEEN, MOST = 20, 14
"""With 20 % of the requests a revision never gives so many of so few answers; with 90 % it does in 99.7 % of all."""
WAIT_SECONDS = 30.0
QUIET_SECONDS = 3.0
"""So long nobody must have been answered by a revision to say that its traffic has gone."""


@dataclass(frozen=True)
class Asked:
    """A control that was asked for. `at` is Unix time before kubectl was started, so that its own start counts, too."""

    control: Control
    revision: str
    at: float


def ask(stage: Stage, control: Control, revision: str, step: int | None = None) -> Asked:
    """Annotates the ModelDeployment as a person would."""
    intent = Intent(control, revision, step if control.concerns_a_step else None, by="a trial", why="to see it")
    at = time.time()  # noqa: TID251 - beside the load's records, which have Unix time
    stage.run("annotate", "--overwrite", "modeldeployment/digits", f"{intent.annotation}={intent.text}")
    return Asked(control, revision, at)


def until_most(load: RunningLoad, asked: Asked) -> float:
    """Seconds until the first answers of a number had come of which most are the revision's; returns then."""
    ends = list[float]()

    def have_come() -> bool:
        load.read_more()
        since = sorted((each.answered, each.revision) for each in load.requests if each.answered >= asked.at)
        own = [revision == asked.revision for _, revision in since]
        ends.extend(since[end - 1][0] for end in range(SEEN, len(own) + 1) if sum(own[end - SEEN : end]) >= MOST)
        return bool(ends)

    _until(have_come, f"{asked.revision} doesn't answer most requests")
    return ends[0] - asked.at


def until_last(load: RunningLoad, asked: Asked) -> float:
    """Seconds until the revision's last answer, 0.0 without any; returns when there has been none for a while."""
    time.sleep(QUIET_SECONDS)
    _until(lambda: _quiet_for(load, asked) >= QUIET_SECONDS, f"{asked.revision} still answers")
    answers = _answers(load, asked)
    return answers[-1].answered - asked.at if answers else 0.0


def _quiet_for(load: RunningLoad, asked: Asked) -> float:
    answers = _answers(load, asked)
    return load.requests[-1].answered - (answers[-1].answered if answers else asked.at)


def told(name: str, seconds: Sequence[float]) -> str:
    """One line for whoever waits."""
    listed = ", ".join(f"{each:.2f}" for each in seconds)
    return f"{name}: median {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s ({listed})"


def _answers(load: RunningLoad, asked: Asked) -> list[Request]:
    """The revision's since then, as they ended."""
    load.read_more()
    since = (each for each in load.requests if each.revision == asked.revision and each.answered >= asked.at)
    return sorted(since, key=lambda request: request.answered)


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)
