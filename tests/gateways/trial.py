"""One event under load through a Gateway, and the line that tells what came of it."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.stage import Stage
from tests.gateways.gateway import Gateway
from tidegate_demo.load import RunningLoad
from tidegate_demo.records import Outcome, Request

RATE = 150.0
FRESH_EVERY = 3
"""Every third request has a connection of its own: 100 a second on kept ones, 50 on new ones."""
WARM_UP_SECONDS = 3.0
AWAY_SECONDS = 5.0
"""How long a Gateway's controller is away after it was killed."""
TIDEGATE, BARE = "Tidegate", "bare HTTPRoute"


@dataclass(frozen=True)
class Row:
    """What came of one event. `lost` counts by why; `errors` are the model's own, which a bad release brings."""

    gateway: str
    by: str
    event: str
    sent: int
    errors: int
    lost: dict[str, int]
    notes: str
    ended: str

    @property
    def lost_told(self) -> str:
        """For the table."""
        total = sum(self.lost.values())
        return f"{total} ({listed(self.lost)})" if total else "0"

    def line(self) -> str:
        """For whoever waits."""
        notes = f"; {self.notes}" if self.notes else ""
        return f"{self.gateway}, {self.by}, {self.event}: {self.sent:,} requests, {self.lost_told} lost{notes}"


def listed(lost: Mapping[str, int]) -> str:
    """Each reason of a loss with its count, such as `3 timeout, 1 status 503`."""
    return ", ".join(f"{count} {reason}" for reason, count in lost.items())


def lost_of(stage: Stage, requests: Iterable[Request]) -> dict[str, int]:
    """How many requests the machinery failed, by why: those without an answer, or with one that no model gave."""
    outcomes = stage.outcomes(requests)
    lost = [*outcomes[Outcome.LOST], *outcomes[Outcome.WRONG]]
    return dict(Counter(request.fault or f"status {request.status}" for request in lost))


def write(row: Row, folder: Path) -> None:
    """For the page, under what it is about."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{row.gateway} {row.by} {row.event}".lower().replace(" ", "-").replace("/", "-")
    (folder / f"row-{name}.json").write_text(json.dumps(asdict(row), indent=1))


@dataclass
class Trial:
    """A stage behind a Gateway. `notes` are told beside what was counted."""

    gateway: Gateway
    by: str
    event: str
    stage: Stage
    notes: list[str] = field(default_factory=list)
    load: RunningLoad | None = None
    over: bool = False
    """Whether the event came to its end, whatever was lost on the way."""

    @contextmanager
    def loaded(self) -> Iterator[None]:
        """The load while inside, and for a while before, so that every connection is warm."""
        with self.stage.loaded(RATE, fresh_every=FRESH_EVERY) as self.load:
            time.sleep(WARM_UP_SECONDS)
            yield

    @property
    def requests(self) -> list[Request]:
        """What has been read of them."""
        return self.load.requests if self.load else []

    def met(self) -> list[Request]:
        """Every request that has ended by now."""
        if self.load:
            self.load.read_more()
        return self.requests

    def answers(self, *, seconds: float = 30.0) -> None:
        """Waits until the Gateway hands requests on: its status is often ahead of that."""
        deadline = time.monotonic() + seconds
        while True:
            with self.stage.loaded(20.0) as load:
                time.sleep(0.5)
            if load.requests and all(request.status == 200 for request in load.requests):
                return
            assert time.monotonic() < deadline, f"no answers; the last: {load.requests[-1:]}"

    def row(self) -> Row:
        """What has been seen by now."""
        errors = self.stage.outcomes(self.requests)[Outcome.MODEL_ERROR]
        return Row(
            self.gateway.implementation,
            self.by,
            self.event,
            len(self.requests),
            len(errors),
            lost_of(self.stage, self.requests),
            "; ".join(self.notes if self.over else [*self.notes, "it did not come to its end"]),
            datetime.now(UTC).isoformat(timespec="minutes"),  # noqa: TID251 - told to people
        )

    def nothing_lost(self) -> None:
        """Asserts that every request was answered by a model, and as that model answers."""
        assert len(self.requests) > 500
        assert self.row().lost == {}
