"""One object is never looked at twice at once, and a failed look is repeated after a growing pause."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Queue
from time import monotonic
from typing import Any

import pytest

from tests.conftest import until
from tidegate.controller import workqueue
from tidegate.controller.workqueue import Result, WorkQueue
from tidegate.errors import ClusterUnavailable, LeadershipLost, ObjectChanged

Reconcile = Callable[[str], timedelta | None]


class Looks:
    """Records every look, and holds each up until the test lets it go on."""

    def __init__(self) -> None:
        self.began: Queue[str] = Queue()
        self.may_end = threading.Semaphore(0)
        self.now: set[str] = set()
        self.overlapped = False
        self._lock = threading.Lock()

    def __call__(self, name: str) -> timedelta | None:
        with self._lock:
            self.overlapped |= name in self.now
            self.now.add(name)
        self.began.put(name)
        assert self.may_end.acquire(timeout=10)
        with self._lock:
            self.now.discard(name)
        return None


Drive = Callable[..., WorkQueue]


@dataclass
class Heard:
    """A QueueListener that writes down what it hears."""

    beginnings: "Queue[tuple[bool, float]]" = field(default_factory=Queue)
    results: "Queue[Result]" = field(default_factory=Queue)
    adds: int = 0

    def added(self) -> None:
        self.adds += 1

    def began(self, urgent: bool, late: float) -> None:
        self.beginnings.put((urgent, late))

    def ended(self, result: Result, seconds: float) -> None:
        assert seconds >= 0
        self.results.put(result)


@pytest.fixture
def drive() -> Iterator[Drive]:
    """Starts a driver; it is stopped in the end."""
    with ExitStack() as stack:
        yield lambda reconcile, **how: stack.enter_context(driving(reconcile, **how))


@contextmanager
def driving(
    reconcile: Reconcile, *, workers: int = 4, may_work: Callable[[], bool] = lambda: True, **how: Any
) -> Iterator[WorkQueue]:
    def named(namespace: str, name: str, now: datetime) -> timedelta | None:
        assert (namespace, now.tzinfo is not None) == ("shop", True)
        return reconcile(name)

    workqueue = WorkQueue(named, workers=workers, may_work=may_work, **how)
    workqueue.start()
    try:
        yield workqueue
    finally:
        workqueue.stop(10)


def test_an_object_that_was_named_is_looked_at(drive: Drive) -> None:
    seen: Queue[str] = Queue()
    drive(seen.put).enqueue("shop", "digits")

    assert seen.get(timeout=5) == "digits"


def test_looks_that_come_during_a_look_are_folded_into_one_afterwards(drive: Drive) -> None:
    looks = Looks()
    drives = drive(looks)
    drives.enqueue("shop", "digits")
    looks.began.get(timeout=5)
    for _ in range(10):
        drives.enqueue("shop", "digits")
    looks.may_end.release()
    looks.began.get(timeout=5)
    looks.may_end.release()
    drives.stop(10)

    assert looks.began.empty()
    assert not looks.overlapped


def test_two_objects_are_looked_at_at_the_same_time(drive: Drive) -> None:
    looks = Looks()
    drives = drive(looks)
    for name in ("digits", "letters"):
        drives.enqueue("shop", name)

    assert {looks.began.get(timeout=5) for _ in range(2)} == {"digits", "letters"}
    looks.may_end.release(2)


def test_no_object_is_ever_looked_at_twice_at_once(drive: Drive) -> None:
    looks = Looks()
    looks.may_end.release(10_000)
    drives = drive(looks, workers=8)
    for index in range(400):
        drives.enqueue("shop", f"digits-{index % 3}")
    until(lambda: drives.overdue_seconds() == 0)

    assert not looks.overlapped
    assert looks.began.qsize() >= 3


def test_it_looks_again_when_the_look_asked_for_it(drive: Drive) -> None:
    at: Queue[float] = Queue()

    def reconcile(_: str) -> timedelta:
        at.put(monotonic())
        return timedelta(seconds=0.2)

    drive(reconcile).enqueue("shop", "digits")
    first, second = at.get(timeout=5), at.get(timeout=5)

    assert 0.2 <= second - first < 2


def test_an_event_comes_before_a_later_plan(drive: Drive) -> None:
    seen: Queue[str] = Queue()
    drives = drive(seen.put)
    drives.enqueue("shop", "digits", after=600)
    drives.enqueue("shop", "digits")

    assert seen.get(timeout=5) == "digits"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ClusterUnavailable("no answer"), id="an API server that is away"),
        pytest.param(KeyError("x"), id="a bug"),
    ],
)
def test_after_a_failure_it_looks_again_with_growing_pauses(
    error: Exception, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workqueue, "FIRST_PAUSE", 0.1)
    at: Queue[float] = Queue()

    def reconcile(_: str) -> None:
        at.put(monotonic())
        raise error

    drive(reconcile).enqueue("shop", "digits")
    first, second, third = (at.get(timeout=5) for _ in range(3))

    assert second - first >= 0.08
    assert third - second >= 0.16


def test_after_a_write_that_came_second_it_looks_again_within_the_same_second(drive: Drive) -> None:
    at: Queue[float] = Queue()

    def reconcile(_: str) -> None:
        at.put(monotonic())
        raise ObjectChanged("ModelRoute shop/digits was written by somebody else meanwhile")

    drive(reconcile).enqueue("shop", "digits")
    first, *_, fourth = (at.get(timeout=5) for _ in range(4))

    assert fourth - first < 1


def test_a_success_ends_the_back_off(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workqueue, "FIRST_PAUSE", 0.01)
    script, done = [True, True, False, True], threading.Event()

    def reconcile(_: str) -> timedelta | None:
        if not script:
            done.set()
            raise ClusterUnavailable("no answer")
        if script.pop(0):
            raise ClusterUnavailable("no answer")
        return timedelta(seconds=0.01)

    drives = drive(reconcile)
    drives.enqueue("shop", "digits")
    assert done.wait(5)
    drives.stop(10)

    assert 1 <= drives._failures["shop", "digits"] <= 3


def test_new_counters_cut_a_pause_short_but_do_not_end_it(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workqueue, "FIRST_PAUSE", 20.0)
    monkeypatch.setattr(workqueue, "NUDGED_PAUSE", 0.3)
    at: Queue[float] = Queue()

    def reconcile(_: str) -> None:
        at.put(monotonic())
        raise ClusterUnavailable("no answer")

    drives = drive(reconcile)
    drives.enqueue("shop", "digits")
    first = at.get(timeout=5)
    until(lambda: drives.overdue_seconds() == 0 and bool(drives._failures))
    for _ in range(5):
        drives.nudge("shop", "digits")

    assert 0.3 <= at.get(timeout=5) - first < 5


def test_no_counters_come_before_what_the_api_server_asked_for(drive: Drive) -> None:
    at: Queue[float] = Queue()

    def reconcile(_: str) -> None:
        at.put(monotonic())
        raise ClusterUnavailable("too many requests", 429, retry_after=60.0)

    drives = drive(reconcile)
    drives.enqueue("shop", "digits")
    at.get(timeout=5)
    until(lambda: bool(drives._failures))
    drives.nudge("shop", "digits")

    assert drives._planned["shop", "digits"] - monotonic() > 50


def test_new_counters_are_looked_at_at_once(drive: Drive) -> None:
    seen: Queue[str] = Queue()
    drives = drive(seen.put)
    drives.nudge("shop", "digits")

    assert seen.get(timeout=5) == "digits"


def test_nothing_is_looked_at_while_it_may_not_work(drive: Drive) -> None:
    asked, may_work, seen = threading.Event(), threading.Event(), Queue[str]()

    def allowed() -> bool:
        asked.set()
        return may_work.is_set()

    drives = drive(seen.put, may_work=allowed)
    drives.enqueue("shop", "digits")
    asked.clear()
    assert asked.wait(5)
    assert seen.empty()

    may_work.set()
    assert seen.get(timeout=5) == "digits"


def test_when_stopped_it_finishes_what_is_under_way_and_nothing_more(drive: Drive) -> None:
    looks = Looks()
    drives = drive(looks, workers=1)
    drives.enqueue("shop", "digits")
    looks.began.get(timeout=5)
    drives.enqueue("shop", "letters")
    stopping = threading.Thread(target=drives.stop, args=(10,))
    stopping.start()
    looks.may_end.release()
    stopping.join(10)

    assert looks.now == set()
    assert looks.began.empty()


def test_it_is_overdue_by_as_long_as_an_object_waits() -> None:
    waiting = WorkQueue(lambda *_: None, workers=0, may_work=lambda: True)
    assert waiting.overdue_seconds() == 0
    waiting.enqueue("shop", "digits", after=-30)

    assert 30 <= waiting.overdue_seconds() < 40


def test_the_pause_is_no_shorter_than_the_server_asks_for() -> None:
    def busy(namespace: str, name: str, now: datetime) -> None:
        raise ClusterUnavailable("POST deployments: too many requests", 429, retry_after=7.0)

    queue = WorkQueue(busy, workers=1, may_work=lambda: True)

    assert queue._reconcile_one(("shop", "digits")) == (Result.ERROR, 7.0)


def test_what_fails_each_second_for_hours_is_still_looked_at_again() -> None:
    def refuses(namespace: str, name: str, now: datetime) -> None:
        raise ClusterUnavailable("PATCH modelroutes: an admission webhook doesn't answer", 500)

    queue = WorkQueue(refuses, workers=1, may_work=lambda: True)
    queue._failures["shop", "digits"] = 2000

    _, pause = queue._reconcile_one(("shop", "digits"))

    assert pause is not None
    assert pause <= 1.2 * workqueue.LONGEST_PAUSE


def is_rollout(namespace: str, name: str) -> bool:
    return name.startswith("rollout")


def test_a_rollout_goes_before_all_others_that_wait(drive: Drive) -> None:
    looks = Looks()
    drives = drive(looks, workers=1, urgent=is_rollout)
    drives.enqueue("shop", "first")
    looks.began.get(timeout=5)
    for index in range(100):
        drives.enqueue("shop", f"live-{index}")
    drives.enqueue("shop", "rollout")
    looks.may_end.release(200)

    assert looks.began.get(timeout=5) == "rollout"


def test_a_rollout_is_looked_at_while_others_keep_all_their_threads_busy(drive: Drive) -> None:
    looks = Looks()
    drives = drive(looks, workers=4, urgent=is_rollout)
    for index in range(10):
        drives.enqueue("shop", f"live-{index}")
    for _ in range(3):
        looks.began.get(timeout=5)
    drives.enqueue("shop", "rollout")

    assert looks.began.get(timeout=5) == "rollout"
    looks.may_end.release(20)


def test_a_look_that_was_asked_for_meanwhile_follows_at_once(drive: Drive) -> None:
    looks, heard = Looks(), Heard()
    drives = drive(looks, listener=heard)
    drives.enqueue("shop", "digits")
    looks.began.get(timeout=5)
    drives.enqueue("shop", "digits")
    until(lambda: drives.overdue_seconds() == 0)
    looks.may_end.release(2)
    looks.began.get(timeout=5)

    assert [heard.beginnings.get(timeout=5)[0] for _ in range(2)] == [False, False]


def test_it_is_told_how_late_a_look_began(drive: Drive) -> None:
    heard = Heard()
    drive(lambda _: None, urgent=is_rollout, listener=heard).enqueue("shop", "rollout", after=-2.0)
    urgent, late = heard.beginnings.get(timeout=5)

    assert urgent
    assert 2.0 <= late < 7.0


@pytest.mark.parametrize(
    ("ends", "result"),
    [
        pytest.param(None, Result.SUCCESS, id="and nothing is planned"),
        pytest.param(timedelta(hours=1), Result.REQUEUE_AFTER, id="and the next time is planned"),
        pytest.param(ObjectChanged("another wrote first"), Result.REQUEUE, id="overtaken"),
        pytest.param(ClusterUnavailable("nobody answers"), Result.ERROR, id="without the API server"),
        pytest.param(LeadershipLost("another leads"), Result.ERROR, id="without the Lease"),
        pytest.param(ZeroDivisionError("a bug"), Result.PANIC, id="by a bug"),
    ],
)
def test_it_is_told_how_a_look_ended(
    ends: timedelta | Exception | None, result: Result, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(_: str) -> timedelta | None:
        if isinstance(ends, Exception):
            raise ends
        return ends

    heard = Heard()
    for pause in ("FIRST_PAUSE", "OVERTAKEN_PAUSE"):
        monkeypatch.setattr(workqueue, pause, 60.0)
    drive(look, listener=heard).enqueue("shop", "digits")

    assert heard.results.get(timeout=5) is result
    until(lambda: heard.adds == (1 if result is Result.SUCCESS else 2))


def test_what_is_due_and_what_is_under_way_can_be_seen(drive: Drive) -> None:
    looks = Looks()
    drives = drive(looks, workers=1, urgent=is_rollout)
    drives.enqueue("shop", "first")
    looks.began.get(timeout=5)
    for name in ("second", "rollout"):
        drives.enqueue("shop", name)
    drives.enqueue("shop", "later", after=60.0)
    drives.enqueue("shop", "first", after=60.0)

    assert drives.waiting() == (1, 1)
    assert [0 <= seconds < 5 for seconds in drives.busy_seconds()] == [True]
    looks.may_end.release(3)
    until(lambda: drives.waiting() == (0, 0) and drives.busy_seconds() == [])
