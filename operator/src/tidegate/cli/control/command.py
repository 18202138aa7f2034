"""`tidegate pause`, `approve`, `abort` and their like: says what will happen, asks for it, says what happened."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

import orjson

from tidegate.cli.common.cluster import Cluster, name_of, open_cluster
from tidegate.cli.common.documents import Output, document
from tidegate.cli.common.output import write_line
from tidegate.cli.common.where import Where
from tidegate.cli.control.answer import Answer, Listening, Make, ask, username
from tidegate.cli.control.requests import Person, Request, of_control, of_pause, of_undo
from tidegate.model.control import Control
from tidegate.view.rollout_view import RolloutView

DONE, REFUSED, NOT_ANSWERED = 0, 1, 124
"""Exit codes: it was done; the operator refused; it has been asked for, and the operator hasn't answered."""
ANSWER_SECONDS = 15.0


@dataclass(frozen=True)
class Asking:
    """How a control is asked for."""

    where: Where
    name: str
    reason: str = ""
    wait: bool = True
    dry_run: bool = False
    output: Output = Output.TABLE


def control(asking: Asking, which: Control) -> int:
    """An annotation that the operator acts on once."""
    return _asked(asking, lambda cluster, person: lambda view, _: of_control(view, which, person))


def pause(asking: Asking, paused: bool) -> int:
    """`spec.paused`."""
    return _asked(asking, lambda cluster, person: lambda view, _: of_pause(view, paused, person))


def undo(asking: Asking, to: str | None) -> int:
    """The spec of an older revision."""

    def make(cluster: Cluster, person: Person) -> Make:
        revisions = cluster.revisions(asking.name)
        return lambda view, manifest: of_undo(view, manifest["spec"], revisions, to, person)

    return _asked(asking, make)


def _asked(asking: Asking, maker: Callable[[Cluster, Person], Make]) -> int:
    cluster = open_cluster(asking.where)
    manifest = cluster.model(asking.name)
    make: Make = maker(cluster, Person(username(cluster.api), asking.reason))
    if asking.dry_run:
        return _dry(asking, cluster, make(RolloutView.of(manifest), manifest))
    with Listening(cluster, asking.name, manifest["metadata"]["uid"]) as listening:
        request, written = ask(cluster, asking.name, make)
        if asking.output is Output.TABLE:
            write_line(sys.stdout, f"{cluster.namespace}/{asking.name}: {request.will}")
        if not asking.wait:
            return _told(asking, cluster, request, None, sys.stdout)
        return _told(asking, cluster, request, listening.answer(written, request, ANSWER_SECONDS), sys.stdout)


def _dry(asking: Asking, cluster: Cluster, request: Request) -> int:
    write_line(sys.stdout, f"{cluster.namespace}/{asking.name}: {request.will}")
    write_line(sys.stdout, f"nothing was asked for; it would be: {by_kubectl(cluster.namespace, asking.name, request)}")
    return DONE


def by_kubectl(namespace: str, name: str, request: Request) -> str:
    """The kubectl line that does the same."""
    if request.intent is not None:
        return request.intent.command(namespace, name)
    patch = shlex.quote(orjson.dumps(request.patch).decode())
    return f"kubectl -n {namespace} patch mdep/{name} --type merge -p {patch}"


def _told(asking: Asking, cluster: Cluster, request: Request, answer: Answer | None, out: TextIO) -> int:
    code = _code(answer)
    if asking.output in (Output.JSON, Output.YAML):
        write_line(out, document(_document(asking, cluster, request, answer), asking.output))
    elif asking.output is Output.NAME:
        write_line(out, name_of({"metadata": {"name": asking.name}}))
    elif answer is not None and code == DONE:
        for event in answer.events:
            write_line(out, f"{event.reason}: {event.message}")
        write_line(out, f"{answer.view.phase}: {answer.view.message}")
    if answer is not None and code != DONE:
        write_line(sys.stderr, f"tidegate: {cluster.namespace}/{asking.name}: {_refusal(answer)}")
    return code


def _code(answer: Answer | None) -> int:
    if answer is None:
        return DONE
    if answer.refusal is not None:
        return REFUSED
    return DONE if answer.heard else NOT_ANSWERED


def _refusal(answer: Answer) -> str:
    return answer.refusal or (
        f"the operator hasn't answered within {ANSWER_SECONDS:.0f} s; what was asked for stands, and is acted on as "
        "soon as it runs"
    )


def _document(asking: Asking, cluster: Cluster, request: Request, answer: Answer | None) -> Mapping[str, Any]:
    events = [{"reason": event.reason, "message": event.message} for event in answer.events] if answer else []
    return {
        "namespace": cluster.namespace,
        "name": asking.name,
        "will": request.will,
        "answered": answer is not None and answer.heard,
        "refused": _code(answer) == REFUSED,
        "events": events,
        "phase": answer.view.phase if answer else None,
        "message": answer.view.message if answer else None,
    }
