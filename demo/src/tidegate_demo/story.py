"""Tells the story: applies one YAML after another, watches what becomes of it, and keeps the load going meanwhile.

A chapter that doesn't keep its promise ends the story, with what was seen. Ctrl-C ends it too, and leaves the cluster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tidegate_demo import load, place
from tidegate_demo.chapters import CHAPTERS, Broken, Chapter, Kept, Promise, State, Waiting, kills_now, state_of
from tidegate_demo.kubectl import Kubectl
from tidegate_demo.load import RunningLoad
from tidegate_demo.models import Models
from tidegate_demo.panel import View
from tidegate_demo.records import Request, Tally, shares, tally
from tidegate_demo.seen import Seen
from tidegate_demo.teller import Teller
from tidegate_demo.traffic import Orders
from tidegate_demo.watch import Sight

LOOK_SECONDS = 0.25
RECENT_SECONDS = 5.0
REST_SECONDS = 6.0  # between chapters, so that each is seen to end in quiet
GONE_SECONDS = 90.0


@dataclass(frozen=True)
class Told:
    """One chapter as it was told. Times are Unix seconds; `revision` is the one the chapter brought."""

    chapter: Chapter
    kept: bool
    sentence: str
    began: float
    ended: float
    revision: str = ""


@dataclass
class Telling:
    """The story so far. It can be read at any time, also after Ctrl-C."""

    began: float
    told: list[Told] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    interrupted: bool = False


def manifest(version: str, models: str, sha256: str) -> str:
    """The YAML of examples/digits with its two blanks filled in."""
    text = (place.EXAMPLES / f"{version}.yaml").read_text()
    return text.replace("MODELS", models).replace(f"SHA256-OF-{version}", sha256)


class Story:
    """`files` is `address:port` of the file server, as pods reach it; `router` the router's URL, as we reach it."""

    def __init__(
        self,
        kubectl: Kubectl,
        sight: Sight,
        models: Models,
        teller: Teller,
        *,
        files: str,
        router: str,
        folder: Path,
        chapters: Sequence[Chapter] = CHAPTERS,
        unix_time: Callable[[], float] = time.time,  # noqa: TID251 - the story's one clock
    ) -> None:
        self._kubectl, self._sight, self._models, self._teller = kubectl, sight, models, teller
        self._files, self._router, self._folder, self._chapters = files, router, folder, tuple(chapters)
        self._unix_time = unix_time
        self._load: RunningLoad | None = None
        self._fresh: list[Request] = []
        self._total = Tally()
        self.telling = Telling(unix_time())

    def tell(self) -> Telling:
        try:
            self._begin_anew()
            for chapter in self._chapters:
                told = self._tell_chapter(chapter)
                self.telling.told.append(told)
                self._teller.line(f"{'✔' if told.kept else '✘'} {chapter.title}: {told.sentence}\n")
                if not told.kept:
                    break
                self._rest(chapter)
        except KeyboardInterrupt:
            self.telling.interrupted = True
        finally:
            self._stop_load()
        return self.telling

    # --- chapters -----------------------------------------------------------------------------------------------------

    def _begin_anew(self) -> None:
        """Takes the ModelDeployment of an earlier telling away, with everything it owns."""
        self._kubectl.apply(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {place.NAMESPACE}}}\n")
        ours = ("modeldeployment", place.NAME, "--namespace", place.NAMESPACE)
        self._kubectl.run("delete", *ours, "--ignore-not-found", f"--timeout={GONE_SECONDS:.0f}s")
        deadline = time.monotonic() + GONE_SECONDS
        while self._sight.seen.generation and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)

    def _tell_chapter(self, chapter: Chapter) -> Told:
        model = self._models.versions[chapter.version]
        text = manifest(chapter.version, self._files, model.sha256)
        before, began = self._sight.seen, self._unix_time()
        self._teller.line(f"--- {chapter.title} ---")
        self._teller.yaml(text)
        generation = self._apply(text)
        state = self._follow(chapter, before, began, generation)
        kept = isinstance(state, Kept)
        if kept and chapter.promise is Promise.LIVE:
            self._start_load()
        revision = next((name for name, version in self.telling.versions.items() if version == chapter.version), "")
        sentence = "" if isinstance(state, Waiting) else state.sentence
        return Told(chapter, kept, sentence, began, self._unix_time(), revision)

    def _apply(self, text: str) -> int:
        """Returns the generation that the spec has now: a status of an older one says nothing about it."""
        self._teller.line(f"$ kubectl apply -f examples/digits/…\n{self._kubectl.apply(text)}")
        ours = ("modeldeployment", place.NAME, "--namespace", place.NAMESPACE)
        return int(self._kubectl.run("get", *ours, "-o", "jsonpath={.metadata.generation}"))

    def _follow(self, chapter: Chapter, before: Seen, began: float, generation: int) -> State:
        killed = False
        while True:
            elapsed = self._unix_time() - began
            seen = self._sight.seen
            self.telling.versions |= seen.versions()
            known = seen if seen.generation >= generation else Seen()
            state = state_of(chapter, known, before, elapsed, killed=killed)
            if not isinstance(state, Waiting):
                if ended := known.ended_since(before):  # a rollout may end between two looks
                    self.telling.versions.setdefault(ended.revision, chapter.version)
                self._show(chapter, state, elapsed)
                return state
            if self._load is not None and not self._load.alive:
                return Broken("the load has ended by itself")
            if not killed and kills_now(chapter, known):
                self._kill_operator(seen)
                killed = True
            note = "the operator has been killed; Kubernetes starts another" if killed else ""
            self._show(chapter, state, elapsed, note)
            time.sleep(LOOK_SECONDS)

    def _kill_operator(self, seen: Seen) -> None:
        self._teller.line(f"killing the operator while the candidate has {seen.weight} %")
        chosen = ("--namespace", place.RELEASE_NAMESPACE, "--selector", place.OPERATOR_PODS)
        said = self._kubectl.run("delete", "pod", *chosen, "--grace-period=0", "--force", "--wait=false")
        self._teller.line(said.strip())

    def _rest(self, chapter: Chapter) -> None:
        began = self._unix_time()
        while (elapsed := self._unix_time() - began) < REST_SECONDS:
            self.telling.versions |= self._sight.seen.versions()
            self._show(chapter, Kept(""), elapsed)
            time.sleep(LOOK_SECONDS)

    # --- the load -----------------------------------------------------------------------------------------------------

    def _start_load(self) -> None:
        """At once: a ModelDeployment that says it is ready has to answer the very first request."""
        images = self._folder / "held-out.json"
        load.write_images(images, self._models.images)
        router = urlsplit(self._router)
        self._load = load.start(
            Orders(
                address=router.hostname or "",
                port=router.port or 80,
                host=place.HOST,
                path="/predict",
                images_file=str(images),
                records_file=str(self._folder / "requests.jsonl"),
            )
        )

    def _stop_load(self) -> None:
        if self._load is not None:
            self._load.stop()
            self.telling.requests = self._load.requests

    def _show(self, chapter: Chapter, state: State, elapsed: float, note: str = "") -> None:
        now = self._unix_time()
        answers = answers_by_revision(self._models, self.telling.versions)
        fresh = self._load.read_more() if self._load is not None else []
        self._total = sum_of(self._total, tally(fresh, answers, self._models.labels))
        self._fresh = [request for request in (*self._fresh, *fresh) if request.answered > now - RECENT_SECONDS]
        view = View(
            chapters=self._states(chapter, state),
            elapsed=elapsed,
            seen=self._sight.seen,
            versions=self.telling.versions,
            observed=shares(self._fresh),
            recent=tally(self._fresh, answers, self._models.labels),
            recent_seconds=RECENT_SECONDS,
            total=self._total,
            events=self._sight.events,
            note=note,
        )
        self._teller.show(view, now)

    def _states(self, running: Chapter, state: State) -> tuple[tuple[Chapter, State | None], ...]:
        ended: dict[str, State] = {told.chapter.version: Kept(told.sentence) for told in self.telling.told}
        ended[running.version] = state
        return tuple((chapter, ended.get(chapter.version)) for chapter in self._chapters)


def answers_by_revision(models: Models, versions: Mapping[str, str]) -> dict[str, tuple[int | None, ...]]:
    return {
        revision: models.versions[version].answers
        for revision, version in versions.items()
        if version in models.versions
    }


def sum_of(total: Tally, fresh: Tally) -> Tally:
    """Counts added up; latencies don't add up, and are left out."""
    return Tally(
        sent=total.sent + fresh.sent,
        ok=total.ok + fresh.ok,
        wrong=total.wrong + fresh.wrong,
        model_errors=total.model_errors + fresh.model_errors,
        lost=total.lost + fresh.lost,
        right_digits=total.right_digits + fresh.right_digits,
    )
