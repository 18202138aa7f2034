"""Asks each live router for the counters of all rollouts, about once a second, all routers at once.

One that doesn't answer keeps nobody waiting for long: after a few such answers nobody waits for it any more. What comes
late, is cut, isn't signed or tells of something else is no evidence, and what the others tell is.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from random import uniform
from time import monotonic
from typing import Protocol

from tidegate.errors import MetricsUnavailable, NotEvidence
from tidegate.judge.sampling import READ_SOON
from tidegate.metrics.providers.router_samples import Model, RouterPod, RouterSamples
from tidegate.resources.names import MATCH_SUFFIX, MIRROR_SUFFIX, PREVIEW_SUFFIX, router_cluster
from tidegate.resources.sampling import MOST_CLUSTERS, SamplesAnswer

TICK = READ_SOON.total_seconds()
"""Seconds between two rounds; those in between are about models for which it is urgent."""
LIMIT = 0.8
"""Seconds after which an answer is too late to say when it was."""
FAILURES = 3
"""In a row, after which nobody waits for a router."""
PAUSE = (3.0, 6.0)
"""Seconds until such a one is asked again, by chance."""
THREADS = 16

log = logging.getLogger(__name__)


class RouterClient(Protocol):
    """Whoever carries a question to a router."""

    def ask(self, pod: RouterPod, clusters: Sequence[str]) -> SamplesAnswer:
        """Raises NotEvidence where the answer can't be trusted, MetricsUnavailable where there is none."""


@dataclass(frozen=True)
class _Watched:
    clusters: tuple[str, ...]
    quick: bool


@dataclass
class _Patience:
    """With one router."""

    failures: int = 0
    asked_again_at: float = 0.0
    said: str = ""
    busy: bool = field(default=False)


class RouterPoller:
    """`read` is called with each model of which there may be something new. `refused` is told whose answer is none.

    Nobody is asked while `may_ask` says so: by an operator that doesn't lead any more.
    """

    def __init__(
        self,
        samples: RouterSamples,
        routers: Callable[[], Iterable[RouterPod]],
        client: RouterClient,
        read: Callable[[str, str], None],
        refused: Callable[[str], None] = lambda router: None,
        *,
        may_ask: Callable[[], bool] = lambda: True,
        steady: Callable[[], float] = monotonic,
    ) -> None:
        self._samples, self._routers, self._client = samples, routers, client
        self._read, self._refused, self._may_ask, self._steady = read, refused, may_ask, steady
        self._watched: dict[Model, _Watched] = {}
        self._patience: dict[str, _Patience] = {}
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._executor = ThreadPoolExecutor(THREADS, "router")

    def watch(self, namespace: str, name: str, revisions: Collection[str], *, quick: bool) -> None:
        """Asks for the counters of these revisions from the next round on; of copies and groups where they're named."""
        named = [router_cluster(namespace, name, revision) for revision in sorted(revisions)]
        live = [cluster for cluster in named if not cluster.endswith((MIRROR_SUFFIX, MATCH_SUFFIX))]
        clusters = (*named, *(cluster + PREVIEW_SUFFIX for cluster in live))
        with self._lock:
            before = self._watched.get((namespace, name))
            self._watched[namespace, name] = _Watched(clusters, quick)
        if before is None:
            self._wanted.set()

    def forget(self, namespace: str, name: str) -> None:
        """Asks no more."""
        with self._lock:
            was_watched = self._watched.pop((namespace, name), None)
        if was_watched:
            self._samples.forget((namespace, name))

    @property
    def is_asking(self) -> bool:
        """Whether anybody is watched."""
        with self._lock:
            return bool(self._watched)

    def start(self) -> None:
        """Begins to ask, in a thread."""
        threading.Thread(target=self._run, name="routers", daemon=True).start()

    def stop(self) -> None:
        """Asks no more."""
        self._stopped.set()
        self._wanted.set()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        due, tick = monotonic(), 0
        while not self._stopped.is_set():
            try:
                self.round(quick_only=tick % 2 == 1)
            except Exception:
                log.exception("a round of the routers failed")
            tick += 1
            due = max(due + TICK, monotonic())
            self._pause(due - monotonic())

    def _pause(self, seconds: float) -> None:
        """Until the next round is due; where nobody is watched, until somebody is."""
        self._wanted.clear()
        if self.is_asking:
            self._stopped.wait(seconds)
        else:
            self._wanted.wait()

    def round(self, *, quick_only: bool = False) -> None:
        """Asks all routers once, and waits until all have answered or were given up."""
        with self._lock:
            due = {model: each for model, each in self._watched.items() if each.quick or not quick_only}
        if not due or not self._may_ask():
            return
        pods = list(self._routers())
        self._samples.live(pods)
        clusters = sorted({cluster for each in due.values() for cluster in each.clusters})
        wait(list(self._asked(pods, clusters)), LIMIT)
        self._samples.round_over(due)
        for model in due:
            self._read(*model)

    def _asked(self, pods: Sequence[RouterPod], clusters: Sequence[str]) -> Iterator[Future[None]]:
        """A question under way to each router that has an address; those that are waited for."""
        for gone in self._patience.keys() - {pod.full_name for pod in pods}:
            del self._patience[gone]
        for pod in pods:
            patience = self._patience.setdefault(pod.full_name, _Patience())
            if not pod.address or patience.busy:
                continue
            trusted = patience.failures < FAILURES
            if not trusted and self._steady() < patience.asked_again_at:
                continue
            patience.busy = True
            future = self._executor.submit(self._ask, pod, clusters, patience)
            if trusted:
                yield future

    def _ask(self, pod: RouterPod, clusters: Sequence[str], patience: _Patience) -> None:
        try:
            parts = range(0, len(clusters), MOST_CLUSTERS)
            answers = [self._ask_for(pod, clusters[first : first + MOST_CLUSTERS]) for first in parts]
            for take in answers:  # only where all have come: a model may be in two
                take()
        except (NotEvidence, MetricsUnavailable) as error:
            self._failed(pod, patience, str(error), counts=isinstance(error, NotEvidence))
        except Exception as error:
            log.exception("%s: asking for its counters failed", pod.full_name)
            self._failed(pod, patience, f"asking it failed: {error!r}", counts=True)
        else:
            if patience.said:
                log.info("%s tells its counters again", pod.full_name)
            patience.failures, patience.said = 0, ""
        finally:
            patience.busy = False

    def _ask_for(self, pod: RouterPod, clusters: Sequence[str]) -> Callable[[], None]:
        """Takes the answer in, once it is called."""
        before, began = self._samples.clock(), self._steady()
        answer = self._client.ask(pod, clusters)
        took, after = self._steady() - began, self._samples.clock()
        if took > LIMIT:
            raise NotEvidence(f"its answer took {took:.1f} s, and {LIMIT} s is the most after which it says when")
        if not 0 <= after - before <= 2 * LIMIT:
            raise NotEvidence("the operator's clock was set while it answered")
        uptime = answer.time - answer.started
        at, text = (before + after) / 2, answer.metrics
        return lambda: self._samples.take(pod, set(clusters), at, uptime, answer.started, text)

    def _failed(self, pod: RouterPod, patience: _Patience, why: str, *, counts: bool) -> None:
        why = why.removeprefix(f"router {pod.full_name}: ")
        patience.failures += 1
        patience.asked_again_at = self._steady() + uniform(*PAUSE)
        self._samples.failed(pod, why)
        if counts:
            self._refused(pod.full_name)
        if not patience.said:
            log.warning("%s isn't read directly: %s", pod.full_name, why)
        patience.said = why
