"""Writes what a person asks for, in that person's name, if the rollout is as it was when they asked, and hears what the
operator says to it. The command line does the same by the same means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.cli.common.cluster import Cluster
from tidegate.cli.control.answer import Answer, Listening
from tidegate.cli.control.answer import ask as write
from tidegate.cli.control.requests import Request
from tidegate.dashboard.access import Viewer
from tidegate.dashboard.controls import Action, Asked, request
from tidegate.kube.api import Manifest
from tidegate.kube.informer import Key
from tidegate.view.rollout_view import RolloutView

ANSWER_SECONDS = 5.0
"""How long a page waits for the operator's answer. What was asked for stands also without one."""


@dataclass(frozen=True)
class Heard:
    """What came of it, for people."""

    said: str
    refused: bool


def foresee(viewer: Viewer, key: Key, action: Action) -> tuple[Asked, RolloutView, Request]:
    """What would be asked for now, and what would follow. Raises NotDone where it makes no sense."""
    cluster = Cluster(viewer.api, key[0])
    manifest = cluster.model(key[1])
    view = RolloutView.of(manifest)
    asked = Asked.now(action, view)
    return asked, view, _request(cluster, viewer, asked, view, manifest)


def ask(viewer: Viewer, key: Key, asked: Asked) -> Heard:
    """Raises NotDone where nothing was changed, with one sentence that says why."""
    cluster, name = Cluster(viewer.api, key[0]), key[1]
    uid = cluster.model(name)["metadata"]["uid"]

    def make(view: RolloutView, manifest: Manifest) -> Request:
        return _request(cluster, viewer, asked, view, manifest)

    with Listening(cluster, name, uid) as listening:
        made, written = write(cluster, name, make)
        return _heard(made, listening.answer(written, made, ANSWER_SECONDS))


def _request(cluster: Cluster, viewer: Viewer, asked: Asked, view: RolloutView, manifest: Mapping[str, Any]) -> Request:
    revisions = cluster.revisions(view.name) if asked.action is Action.UNDO else []
    return request(asked, view, manifest.get("spec") or {}, revisions, viewer.name)


def _heard(made: Request, answer: Answer) -> Heard:
    if answer.refusal is not None:
        return Heard(answer.refusal, refused=True)
    if not answer.heard:
        return Heard(f"Asked for: {made.will}. The operator hasn't answered yet; it acts as soon as it runs.", False)
    return Heard("; ".join(event.message for event in answer.events) or f"Done: {made.will}.", False)
