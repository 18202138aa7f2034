"""A rehearsal: the operator's observe → judge → decide → act, twice a second, on processes in the place of pods.

What isn't rehearsed: Kubernetes. A process is a pod, a route is told to the router directly, and nobody restarts a
server that dies.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from time import monotonic

from tidegate.controller.checkpoints import record_header
from tidegate.controller.judging import RolloutJudge
from tidegate.decide.rollout import decide
from tidegate.errors import TidegateError
from tidegate.judge.verdict import NOTHING_TO_JUDGE
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.direct import DirectRouters, no_samples
from tidegate.metrics.providers.routers import RouterPoller
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation
from tidegate.model.revision import ModelFacts, RevisionState, Snapshot
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import HistoryEntry, Status
from tidegate.model.traffic import RouteState
from tidegate.model.units import format_duration
from tidegate.rehearsal.agreement import AgreementGate, AgreementPlan, AgreementResult
from tidegate.rehearsal.load import ANSWER_SECONDS, Tally, Users
from tidegate.rehearsal.model_server import ModelServer, ServedModel, stopped_at_the_end
from tidegate.rehearsal.payloads import Payload, made_up_requests
from tidegate.rehearsal.processes import LOOPBACK
from tidegate.rehearsal.router import NAMESPACE, POLL_SECONDS, LocalRouter
from tidegate.rehearsal.scraper import SECONDS, Scraper, Target
from tidegate.rehearsal.series_store import SeriesStore
from tidegate.simulation.deployment import SimulatedDeployment

STABLE, CANDIDATE = "stable", "candidate"
"""The revisions' names."""
LOOK_SECONDS = 0.5
START_SECONDS = 120.0
"""Within which stable has to be ready: a large model takes its time."""
SCRAPE_INTERVAL = timedelta(seconds=SECONDS)


@dataclass(frozen=True)
class Plan:
    """What is to be rehearsed."""

    name: str
    spec: ModelDeploymentSpec
    stable: Path
    candidate: Path
    payloads: Sequence[Payload]
    """Empty where requests are to be made up of stable's signature."""
    rate: float
    warm_up: timedelta
    """How long stable serves alone, and is learned from."""
    limit: timedelta
    """From the candidate's start, after which a release that is undecided ends."""
    agreement: AgreementPlan | None = None
    """Whether the candidate has to answer as stable does before it has any traffic; its gate is one of the spec's."""

    def model(self, revision: str) -> Path:
        """What a revision serves."""
        return self.stable if revision == STABLE else self.candidate


@dataclass(frozen=True)
class Scene:
    """A rehearsal at a moment."""

    now: datetime
    status: Status
    spec: ModelDeploymentSpec
    note: str = ""
    """What comes before the release: servers start, stable is learned from."""


@dataclass(frozen=True)
class Ending:
    """How a rehearsal ended. `entry` is None where it was undecided when its time was over."""

    at: datetime
    entry: HistoryEntry | None
    status: Status
    users: Tally
    lasted: timedelta
    """From the candidate's start."""
    record: str | None
    """What the verdicts were made from, as `tidegate replay --record` reads it."""
    agreement: AgreementResult | None = None
    """None where nobody asked for it, or it wasn't come to."""


Show = Callable[[Scene], None]


@dataclass
class _Servers:
    """All model servers, as they come and go."""

    plan: Plan
    folder: Path
    started: list[ModelServer] = field(default_factory=list)
    """All there ever were: each is stopped at the end."""
    by_revision: dict[str, list[ModelServer]] = field(default_factory=dict)
    facts: dict[str, ModelFacts] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def scale(self, revision: str, count: int) -> None:
        """So many are to be there: more are started, and those that are too many end when they are drained."""
        with self.lock:
            running = self.by_revision.setdefault(revision, [])
            while len(running) < count:
                served = ServedModel(
                    NAMESPACE, self.plan.name, revision, self.plan.model(revision), self.plan.spec.server
                )
                server = ModelServer(served, len(self.started) + 1, self.folder)
                self.started.append(server)
                running.append(server)
            for surplus in running[count:]:
                surplus.stop()
            del running[count:]

    def of(self, revision: str) -> list[ModelServer]:
        """Those that are to be there."""
        with self.lock:
            return list(self.by_revision.get(revision, ()))

    def all(self) -> list[ModelServer]:
        """Of all revisions."""
        with self.lock:
            return [server for servers in self.by_revision.values() for server in servers]


class Rehearsal:
    """One release, from stable's start to the end. `folder` takes logs and sockets."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan, self._digests = plan, {STABLE: _sha256(plan.stable), CANDIDATE: _sha256(plan.candidate)}
        self._servers, self._router = _Servers(plan, folder), LocalRouter(folder)
        self._deployment = SimulatedDeployment.released(plan.spec, STABLE, STABLE)
        self._store = SeriesStore()
        self._scraper = Scraper(self._store, self._targets)
        self._samples = no_samples(lambda: _now().timestamp())
        self._poller = RouterPoller(self._samples, lambda: [self._router.pod], self._router, lambda ns, name: None)
        collector = MetricsCollector(self._store, direct=DirectRouters(self._samples, self._poller))
        self._judge = RolloutJudge(collector)
        self._agreement = AgreementGate(plan.agreement) if plan.agreement else None
        self._payloads = plan.payloads
        self._wake = threading.Event()
        self._ready: dict[str, list[ModelServer]] = {}
        """The servers that take requests, by revision, as each was asked once at the last look."""

    def run(self, show: Show) -> Ending:
        """Raises TidegateError where stable or the router doesn't start. `show` is called at every look."""
        with ExitStack() as inside:
            inside.enter_context(stopped_at_the_end(self._servers.started))
            inside.enter_context(self._router.running())
            self._start_stable(show)
            inside.enter_context(self._scraper.running())
            inside.enter_context(self._asked_directly())
            inside.callback(self._stop_comparing)
            users = self._users()
            inside.enter_context(users.asking())
            self._learn(show, users)
            began = monotonic()
            seen, decision = self._release(show, began + self._plan.limit.total_seconds())
            lasted = timedelta(seconds=monotonic() - began)
            entry = next(iter(decision.status.history), None)
            header = record_header(seen, decision)
            record = self._judge.record(header) if header else None
        result = self._agreement.result if self._agreement else None
        return Ending(_now(), entry, decision.status, users.tally, lasted, record, result)

    def _stop_comparing(self) -> None:
        if self._agreement:
            self._agreement.stop()

    @contextmanager
    def _asked_directly(self) -> Iterator[None]:
        self._poller.start()
        try:
            yield
        finally:
            self._poller.stop()

    def _targets(self) -> list[tuple[Mapping[str, str], Target]]:
        servers = [
            ({"job": "model-servers", "namespace": NAMESPACE, "pod": server.pod}, server)
            for server in self._servers.all()
        ]
        router = {"job": "routers", "namespace": NAMESPACE, "pod": self._router.pod.name}
        return [(router, self._router), *servers]

    def _start_stable(self, show: Show) -> None:
        self._servers.scale(STABLE, self._plan.spec.replicas)
        deadline = monotonic() + START_SECONDS
        while len(self._look()[STABLE]) < self._plan.spec.replicas:
            failure = next((each for server in self._servers.of(STABLE) if (each := server.failure())), None)
            if failure:
                raise TidegateError(f"stable, {self._plan.stable}, can't be served: {failure.message}")
            if monotonic() > deadline:
                raise TidegateError(f"stable, {self._plan.stable}, isn't ready after {START_SECONDS:.0f} s")
            show(self._scene("stable starts"))
            self._wake.wait(LOOK_SECONDS)
        self._tell_router()
        while not self._router.is_applied:
            if monotonic() > deadline:
                raise TidegateError(f"the router doesn't take the route: {self._router.refusal or 'it says nothing'}")
            self._wake.wait(POLL_SECONDS)

    def _users(self) -> Users:
        plan = self._plan
        if not self._payloads:
            facts = self._facts(STABLE)
            if facts is None:
                raise TidegateError("stable doesn't say what it takes; give requests by --requests FILE")
            self._payloads = made_up_requests(facts, plan.name, Random(1))
        connect = partial(HTTPConnection, LOOPBACK, self._router.port, timeout=ANSWER_SECONDS)
        return Users(connect, {"Host": f"{plan.name}.{NAMESPACE}"}, self._payloads, plan.rate)

    def _learn(self, show: Show, users: Users) -> None:
        """Stable serves alone for a while. Raises TidegateError where it takes none of the requests."""
        deadline = monotonic() + self._plan.warm_up.total_seconds()
        show(self._scene(f"stable serves alone for {format_duration(self._plan.warm_up)}, and is learned from"))
        while (left := deadline - monotonic()) > 0:
            self._wake.wait(min(LOOK_SECONDS, left))
        tally = users.tally
        if tally.requests and tally.refused == tally.requests:
            raise TidegateError(
                f"stable refuses all {tally.requests:,} requests; give some that it takes by --requests FILE"
            )
        if not tally.requests:
            raise TidegateError("nothing was sent while stable served alone; give it longer by --warm-up")

    def _release(self, show: Show, deadline: float) -> tuple[Observation, Decision]:
        """Looks until the rollout has ended, or time is over."""
        self._deployment = replace(self._deployment, candidate=CANDIDATE)
        while True:
            judged = self._judge.judge(self._observed())
            if judged is not None:
                decision = decide(judged)
                self._act(decision)
                show(self._scene())
                if decision.status.history or monotonic() > deadline:
                    return judged, decision
            self._wake.wait(LOOK_SECONDS)

    def _observed(self) -> Observation:
        plan, router = self._plan, self._router
        delay = max(plan.spec.analysis.interval, SCRAPE_INTERVAL)
        blank = self._deployment.observed(_now(), NOTHING_TO_JUDGE, None, delay)
        self._look()
        revisions = {name: self._state(state) for name, state in blank.revisions.items()}
        self._tell_router()
        is_applied, refusal, pod = router.is_applied, router.refusal, router.pod.full_name
        route = RouteState(
            self._deployment.split,
            applied_by=frozenset([pod]) if is_applied else frozenset(),
            awaited=frozenset() if is_applied else frozenset([pod]),
            refused_by={pod: refusal} if refusal else {},
        )
        answers = self._agreement.answers() if self._agreement else {}
        return replace(
            blank, namespace=NAMESPACE, name=plan.name, revisions=revisions, route=route, gate_answers=answers
        )

    def _state(self, state: RevisionState) -> RevisionState:
        """A revision as its processes are."""
        servers, ready = self._servers.of(state.name), self._ready.get(state.name, [])
        failure = next((each for server in servers if (each := server.failure())), None)
        model = replace(self._plan.spec.model, uri=self._plan.model(state.name).as_uri(), sha256=None)
        return replace(
            state,
            snapshot=Snapshot(model, self._plan.spec.server, "", None),
            ready=len(ready),
            nodes={server.pod: "this machine" for server in ready},
            failure=failure,
            facts=self._facts(state.name),
            crashes=(_now(),) if failure and failure.crashed else (),
        )

    def _facts(self, revision: str) -> ModelFacts | None:
        """What its first ready server says of the model; it is asked once."""
        known = self._servers.facts
        if revision not in known:
            for server in self._servers.of(revision):
                if facts := server.facts(self._digests[revision]):
                    known[revision] = facts
                    break
        return known.get(revision)

    def _act(self, decision: Decision) -> None:
        self._deployment = self._deployment.after(decision)
        for revision in (STABLE, CANDIDATE):
            self._servers.scale(revision, self._deployment.pods.get(revision, 0))
        self._tell_router()
        if self._agreement:
            self._agreement.follow(decision.status.rollout, self._urls(), self._payloads)

    def _urls(self) -> tuple[str, str] | None:
        """Of one ready server of each revision."""
        stable, candidate = (self._ready.get(revision) for revision in (STABLE, CANDIDATE))
        return (stable[0].url, candidate[0].url) if stable and candidate else None

    def _look(self) -> dict[str, list[ModelServer]]:
        """Asks each server whether it is ready."""
        self._ready = {
            revision: [server for server in self._servers.of(revision) if server.is_ready()]
            for revision in self._deployment.pods
        }
        return self._ready

    def _tell_router(self) -> None:
        """Of those that were ready at the last look, the ones that are still to be there."""
        endpoints = {
            revision: [
                server.endpoint for server in self._servers.of(revision) if server in self._ready.get(revision, ())
            ]
            for revision in self._deployment.pods
        }
        split = self._deployment.split
        self._router.put(self._plan.name, split, self._plan.spec.route_settings, endpoints)

    def _scene(self, note: str = "") -> Scene:
        return Scene(_now(), self._deployment.recorded, self._plan.spec, note)


def _sha256(path: Path) -> str:
    """Of the ONNX file; of a folder, of all its files. Raises TidegateError where it can't be read."""
    digest = hashlib.sha256()
    try:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                with file.open("rb") as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
    except OSError as error:
        raise TidegateError(f"{path} can't be read: {error.strerror}") from error
    return digest.hexdigest()


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a rehearsal's one clock
