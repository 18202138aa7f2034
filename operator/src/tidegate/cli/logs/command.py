"""`tidegate logs`: reads the pods' logs, each line with whose it is."""

import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from tidegate.cli.common.cluster import Cluster, open_cluster, refused
from tidegate.cli.common.errors import NotDone
from tidegate.cli.common.output import write_line
from tidegate.cli.common.where import Where
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import PODS, KubernetesApi
from tidegate.resources.names import SERVE
from tidegate.view.pod_view import PodView
from tidegate.view.rollout_view import Role, RolloutView

MOST_PODS = 10
"""Whose logs are read at once, as kubectl has it for --max-log-requests, twice over."""
SILENCE_SECONDS = 3600
WAITING = 1000
"""Lines that may wait to be written; whoever reads slowly holds up the reading."""


@dataclass(frozen=True)
class Reading:
    """What is asked for. `role` is None for stable and candidate; `tail` and `since_seconds` are None for all."""

    where: Where
    name: str
    role: Role | None
    follow: bool
    tail: int | None
    since_seconds: int | None
    previous: bool
    container: str = SERVE

    @property
    def query(self) -> str:
        """Of the API."""
        asked = {
            "container": self.container,
            "follow": "true" if self.follow else None,
            "tailLines": self.tail,
            "sinceSeconds": self.since_seconds,
            "previous": "true" if self.previous else None,
        }
        return urlencode({name: value for name, value in asked.items() if value is not None})


@dataclass(frozen=True)
class _Pod:
    role: Role
    name: str


@dataclass(frozen=True)
class _Line:
    """A pod's line; `text` is None once there are no more, and `trouble` says why where that is no end."""

    pod: _Pod
    text: str | None
    trouble: ClusterUnavailable | None = None


def logs(reading: Reading) -> int:
    """Writes them; the exit code is 1 where one of the logs couldn't be read."""
    cluster = open_cluster(reading.where)
    view = RolloutView.of(cluster.model(reading.name), cluster.pods(reading.name))
    pods = [_Pod(each.role, pod.name) for each in view.revisions for pod in _of(each.pods, each.role, reading)]
    if not pods:
        raise NotDone(f"{cluster.namespace}/{reading.name} has no {reading.role or 'stable or candidate'} pod")
    if len(pods) > MOST_PODS:
        write_line(sys.stderr, f"the logs of {MOST_PODS} of {len(pods)} pods; --stable or --candidate has fewer")
    failed = 0
    for line in _lines(cluster, pods[:MOST_PODS], reading):
        if line.text is not None:
            write_line(sys.stdout, f"{line.pod.role.value:9} {line.pod.name}  {line.text}")
        elif line.trouble is not None:
            failed = 1
            write_line(sys.stderr, f"tidegate logs: {refused(f'the log of {line.pod.name} ends here', line.trouble)}")
    return failed


def _of(pods: Sequence[PodView], role: Role, reading: Reading) -> Sequence[PodView]:
    if reading.role is None:
        return pods if role is not Role.OLD else ()
    return pods if role is reading.role else ()


def _lines(cluster: Cluster, pods: Sequence[_Pod], reading: Reading) -> Iterator[_Line]:
    """Those of all pods as they come; without --follow pod after pod."""
    if not reading.follow:
        for pod in pods:
            yield from _of_pod(cluster.api, cluster.namespace, pod, reading)
        return
    lines: queue.Queue[_Line] = queue.Queue(WAITING)
    for pod in pods:
        threading.Thread(target=_copy, args=(cluster, pod, reading, lines), daemon=True).start()
    left = len(pods)
    while left:
        line = lines.get()
        left -= line.text is None
        yield line


def _copy(cluster: Cluster, pod: _Pod, reading: Reading, lines: "queue.Queue[_Line]") -> None:
    for line in _of_pod(cluster.api, cluster.namespace, pod, reading):
        lines.put(line)


def _of_pod(api: KubernetesApi, namespace: str, pod: _Pod, reading: Reading) -> Iterator[_Line]:
    try:
        for text in api.text_lines(f"{PODS.path(namespace, pod.name, 'log')}?{reading.query}", seconds=SILENCE_SECONDS):
            yield _Line(pod, text)
    except ClusterUnavailable as error:
        yield _Line(pod, None, error)
    else:
        yield _Line(pod, None)
