"""The client that is called and waited for."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import Any

import yaml

from tidegate.cli.common.cluster import CONFLICT, open_cluster, refused
from tidegate.cli.common.errors import NotDone
from tidegate.cli.common.where import Where
from tidegate.cli.control.answer import Listening, Make, Told, ask, username
from tidegate.cli.control.requests import Person, of_control, of_pause, of_undo
from tidegate.cli.status.command import look, settled, still
from tidegate.cli.status.following import Following
from tidegate.client.errors import NotAnswered, NotSettled, Refused
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import MODEL_DEPLOYMENTS, Manifest
from tidegate.model.control import Control
from tidegate.view.rollout_view import RolloutView, Settled

MANAGER = "tidegate-client"
"""Who owns the fields that are applied, unless the caller says who it is."""
HOUR, ANSWER = timedelta(hours=1), timedelta(seconds=15)
TICK = 1.0
"""Seconds after which somebody who watches is asked whether to go on."""
Given = Mapping[str, Any] | str | PathLike[str]
"""A manifest, or where there is a YAML file of one."""


@dataclass(frozen=True)
class Done:
    """What the operator did: in words what was to follow, what it said, and the model as it is now."""

    will: str
    events: tuple[Told, ...]
    view: RolloutView


class Client:
    """One namespace of one cluster, by kubectl's configuration, or in a pod the pod's own.

    Every method raises NotDone with one sentence where the cluster refuses or what is asked for makes no sense, and
    ClusterUnavailable where nobody answers. A client may be used from several threads.
    """

    def __init__(
        self, namespace: str | None = None, *, kubeconfig: str | PathLike[str] | None = None, context: str | None = None
    ) -> None:
        """None is what the kubeconfig says. Raises ClusterUnavailable where nothing says which cluster is meant."""
        self._cluster = open_cluster(Where(namespace, str(kubeconfig) if kubeconfig else None, context))

    @property
    def namespace(self) -> str:
        """Where the models are that are meant."""
        return self._cluster.namespace

    def apply(self, given: Given, *, manager: str = MANAGER, force: bool = False) -> RolloutView:
        """Server-side apply of a ModelDeployment: a manifest, or the path of a YAML file with one.

        A field that another manager owns is left to it, and that is NotDone; `force` takes it over.
        """
        manifest = _completed(_read(given), self.namespace)
        name = manifest["metadata"]["name"]
        try:
            written = self._cluster.api.apply(MODEL_DEPLOYMENTS, manifest, manager=manager, force=force)
        except ClusterUnavailable as error:
            if error.status == CONFLICT:
                raise NotDone(
                    f"{self.namespace}/{name} isn't changed: {error.said}; "
                    "leave those fields to whoever set them, or take them over with force=True"
                ) from error
            raise refused(f"{self.namespace}/{name} can't be applied", error) from error
        return RolloutView.of(written)

    def get(self, name: str) -> RolloutView:
        """A model as it is, with its pods where they may be read."""
        return look(self._cluster, name)[0]

    def models(self) -> list[RolloutView]:
        """All models of the namespace, without their pods."""
        return list(self._cluster.models(RolloutView.of))

    def watch(self, name: str, *, timeout: timedelta | None = None) -> Iterator[RolloutView]:
        """The model as it is, and anew whenever it or one of its pods changes, until `timeout` or for ever.

        A connection that breaks is begun anew. Raises NotDone where there is no such model, or it is deleted.
        """
        return (view for view in self.ticks(name, timeout=timeout) if view)

    def ticks(self, name: str, *, timeout: timedelta | None = None) -> Iterator[RolloutView | None]:
        """As `watch`, with a None for each second without a change: for whoever has to look after something else."""
        self._cluster.model(name)
        end = None if timeout is None else monotonic() + timeout.total_seconds()
        shown: RolloutView | None = None
        with Following(self._cluster, name) as following:
            while end is None or monotonic() < end:
                seen = following.next(TICK if end is None else min(TICK, max(0.0, end - monotonic())))
                if seen.deleted:
                    raise NotDone(f"{self.namespace}/{name} has been deleted")
                view = RolloutView.of(seen.model, seen.pods.values()) if seen.model else None
                yield view if view != shown else None
                shown = view or shown

    def wait(
        self,
        name: str,
        *,
        timeout: timedelta = HOUR,
        seen: Callable[[RolloutView], None] = lambda view: None,
        version: str = "",
    ) -> RolloutView:
        """Waits until the newest spec is live or has failed: `view.settled` says which, `view.message` why.

        With `version` (a URI, or the version, digest or commit at its end) first until the spec means that, as the name
        of a model that is followed does some time after it was moved. `seen` is called with each change. Raises
        NotSettled where it is still under way after `timeout`.
        """
        self._cluster.model(name)
        view = settled(self._cluster, name, monotonic() + timeout.total_seconds(), seen, version)
        if view.settled_at(version) is Settled.UNDER_WAY:
            told = f"{still(view, version)} after {timeout.total_seconds():.0f} s"
            raise NotSettled(f"{self.namespace}/{name} {told}: {view.message}", view)
        return view

    def approve(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        """The step that waits for somebody's approval is approved."""
        return self._control(name, Control.APPROVE, reason, timeout)

    def promote(self, name: str, reason: str = "", *, full: bool = False, timeout: timedelta = ANSWER) -> Done:
        """The next step without a verdict; with `full` all requests, and the end of the rollout."""
        return self._control(name, Control.PROMOTE_FULL if full else Control.PROMOTE, reason, timeout)

    def skip(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        """Skips what is left of the time that the present step takes at least."""
        return self._control(name, Control.SKIP, reason, timeout)

    def abort(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        """All requests go to stable, now."""
        return self._control(name, Control.ABORT, reason, timeout)

    def retry(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        """Another try for what was rolled back or aborted."""
        return self._control(name, Control.RETRY, reason, timeout)

    def restart(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        """Stable's pods are replaced, a few at a time."""
        return self._control(name, Control.RESTART, reason, timeout)

    def pause(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        """No further step until `resume`; a candidate that is worse still goes back."""
        return self._asked(name, reason, timeout, lambda person: lambda view, _: of_pause(view, True, person))

    def resume(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        """The rollout goes on."""
        return self._asked(name, reason, timeout, lambda person: lambda view, _: of_pause(view, False, person))

    def undo(self, name: str, to: str | None = None, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        """The spec of the revision before, or of `to`: a revision's name or its number."""
        revisions = self._cluster.revisions(name)

        def make(person: Person) -> Make:
            return lambda view, manifest: of_undo(view, manifest["spec"], revisions, to, person)

        return self._asked(name, reason, timeout, make)

    def _control(self, name: str, control: Control, reason: str, timeout: timedelta) -> Done:
        return self._asked(name, reason, timeout, lambda person: lambda view, _: of_control(view, control, person))

    def _asked(self, name: str, reason: str, timeout: timedelta, make: Callable[[Person], Make]) -> Done:
        """Asks, and waits for what the operator says to it. Raises NotDone, Refused or NotAnswered."""
        manifest = self._cluster.model(name)
        person = Person(username(self._cluster.api), reason)
        with Listening(self._cluster, name, manifest["metadata"]["uid"]) as listening:
            request, written = ask(self._cluster, name, make(person))
            answer = listening.answer(written, request, timeout.total_seconds())
        case = f"{self.namespace}/{name}"
        if answer.refusal is not None:
            raise Refused(f"{case}: {answer.refusal}")
        if not answer.heard:
            raise NotAnswered(
                f"{case}: the operator hasn't answered within {timeout.total_seconds():.0f} s; what was asked for "
                "stands, and is acted on as soon as it runs"
            )
        return Done(request.will, answer.events, answer.view)


def _read(given: Given) -> Manifest:
    """Raises NotDone on what is no single ModelDeployment."""
    if isinstance(given, Mapping):
        return dict(given)
    try:
        documents = [each for each in yaml.safe_load_all(Path(given).read_text()) if each]
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise NotDone(f"{given} can't be read: {error}") from error
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise NotDone(f"{given} has {len(documents)} documents; it has to be one ModelDeployment")
    return documents[0]


def _completed(manifest: Manifest, namespace: str) -> Manifest:
    """With what may be left out. Raises NotDone on another kind, another namespace, or without a name."""
    metadata = {"namespace": namespace, **(manifest.get("metadata") or {})}
    kind = manifest.get("kind", MODEL_DEPLOYMENTS.kind)
    if kind != MODEL_DEPLOYMENTS.kind:
        raise NotDone(f"a {kind} is no ModelDeployment, and nothing else is applied here")
    if not metadata.get("name"):
        raise NotDone("metadata.name is missing; it is what the model is called")
    if metadata["namespace"] != namespace:
        raise NotDone(
            f"{metadata['name']} is to be in {metadata['namespace']}, and this client is about {namespace}; "
            f"make one with Client({metadata['namespace']!r})"
        )
    return {"apiVersion": MODEL_DEPLOYMENTS.api_version, "kind": kind, **manifest, "metadata": metadata}
