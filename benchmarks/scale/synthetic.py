"""A made-up Prometheus and made-up routers, a process of their own: `python -m` this module KUBECONFIG PORT PORT KEY.

The first port is Prometheus', the second the routers'. Their counters go by the ModelRoutes that they follow.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import kubernetes

from benchmarks.scale.kubelet import Follower
from benchmarks.scale.promql import RangeQuery, parse
from benchmarks.scale.traffic import (
    ROUTER_SHARES,
    ROUTERS,
    Counter,
    Traffic,
    router_series,
    server_series,
)
from tidegate.kube.api import DEPLOYMENTS, MODEL_ROUTES, KubernetesApi
from tidegate.resources.sampling import SIGNATURE, SamplesAnswer, answer_body, read_request, sign_answer
from tidegate_demo.files import running

SCRAPE_SECONDS = 15
ROUTER_LABELS = "envoy_cluster_name"
SERVER_LABELS = "model_deployment"
PREVIEW = "/preview"


class World:
    """What is routed, and how many pods each revision has."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.lock = threading.Lock()
        self._pods: dict[tuple[str, str], int] = {}
        self.started = time.time()  # noqa: TID251 - the clock that Prometheus has

    def take_route(self, kind: str, route: Mapping[str, Any]) -> None:
        """A ModelRoute has changed."""
        metadata, backends = route["metadata"], route["spec"]["backends"]
        weights = {} if kind == "DELETED" else {each["revision"]: each["weight"] for each in backends}
        with self.lock:
            self.traffic.routed(metadata["namespace"], metadata["name"], weights, time.time())  # noqa: TID251

    def take_deployment(self, kind: str, deployment: Mapping[str, Any]) -> None:
        """A Deployment has changed."""
        metadata = deployment["metadata"]
        with self.lock:
            self._pods[(metadata["namespace"], metadata["name"])] = int(deployment["spec"].get("replicas", 1))

    def pods(self, namespace: str, revision: str) -> int:
        """How many a revision has, at least one."""
        with self.lock:
            return max(1, self._pods.get((namespace, revision), 1))

    def revisions(self, namespace: str, name: str) -> dict[str, Counter]:
        """A ModelDeployment's revisions and what they have answered."""
        with self.lock:
            return dict(self.traffic.revisions(namespace, name))


class Prometheus:
    """Answers the operator's queries of raw samples."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, promql: str, at: float) -> str:
        """The body of an answer to /api/v1/query."""
        query = parse(promql)
        series = self._series(query, at) if query else iter(())
        return '{"status":"success","data":{"resultType":"matrix","result":[' + ",".join(series) + "]}}"

    def _series(self, query: RangeQuery, at: float) -> Iterator[str]:
        times = scrapes(at, query.seconds)
        if cluster := query.value_of(ROUTER_LABELS):
            namespace, name = cluster.split("/")[:2]
            yield from self._of_routers(query, namespace, name, times)
        elif owner := query.value_of(SERVER_LABELS):
            namespace, _, name = owner.partition("/")
            yield from self._of_servers(query, namespace, name, times)

    def _of_routers(self, query: RangeQuery, namespace: str, name: str, times: Sequence[float]) -> Iterator[str]:
        for revision, counter in self._world.revisions(namespace, name).items():
            cluster = {ROUTER_LABELS: f"{namespace}/{name}/{revision}"}
            if not query.wants(cluster, (ROUTER_LABELS,)):
                continue
            columns = [router_series(counter.at(at)) for at in times]
            for index, (series, labels, _) in enumerate(columns[0] if columns else ()):
                told = {"__name__": series, **cluster, **labels}
                if query.wants(told):
                    values = _values(times, [column[index][2] for column in columns])
                    for router in ROUTERS:
                        yield _line({**told, "job": "pods", "namespace": "tidegate", "pod": router}, values)

    def _of_servers(self, query: RangeQuery, namespace: str, name: str, times: Sequence[float]) -> Iterator[str]:
        for revision, counter in self._world.revisions(namespace, name).items():
            owner = {SERVER_LABELS: f"{namespace}/{name}", "revision": revision}
            if not query.wants(owner, (SERVER_LABELS, "revision")):
                continue
            pods = self._world.pods(namespace, revision)
            columns = [server_series(counter.at(at), pods) for at in times]
            for index, (series, labels, _) in enumerate(columns[0] if columns else ()):
                told = {"__name__": series, **owner, **labels}
                if query.wants(told):
                    values = _values(times, [column[index][2] for column in columns])
                    for number in range(pods):
                        pod = f"{revision}-{number}"
                        yield _line({**told, "job": "pods", "namespace": namespace, "pod": pod}, values)


def scrapes(at: float, seconds: int) -> list[float]:
    """When it was scraped within so many seconds up to a time."""
    last = int(at // SCRAPE_SECONDS)
    first = int((at - seconds) // SCRAPE_SECONDS) + 1
    return [float(number * SCRAPE_SECONDS) for number in range(first, last + 1)]


def _values(times: Sequence[float], counts: Sequence[int]) -> str:
    return ",".join(f'[{at:.0f},"{count}"]' for at, count in zip(times, counts, strict=True))


def _line(labels: Mapping[str, str], values: str) -> str:
    return f'{{"metric":{json.dumps(labels)},"values":[{values}]}}'


class Routers:
    """Answers the operator's requests for the counters of some clusters: every router says the same."""

    def __init__(self, world: World, key: bytes) -> None:
        self._world, self._key = world, key

    def answer(self, router: str, body: bytes) -> tuple[bytes, str]:
        """The body and its signature."""
        request = read_request(body)
        now = time.time()  # noqa: TID251 - the router's clock
        lines = "".join(self._told(cluster, now) for cluster in request.clusters)
        answer = answer_body(SamplesAnswer(request.nonce, router, self._world.started, now, lines))
        return answer, sign_answer(self._key, answer)

    def _told(self, cluster: str, now: float) -> str:
        namespace, name, revision = cluster.removesuffix(PREVIEW).split("/")
        counter = self._world.revisions(namespace, name).get(revision)
        if counter is None:
            return ""
        answered = 0.0 if cluster.endswith(PREVIEW) else counter.at(now)
        return "".join(_exposed(cluster, answered))


def _exposed(cluster: str, answered: float) -> Iterator[str]:
    for series, labels, value in router_series(answered):
        more = "".join(f',{label}="{text}"' for label, text in labels.items())
        yield f'{series}{{envoy_cluster_name="{cluster}"{more}}} {value}\n'
    done = int(answered / len(ROUTERS))
    for bound, share in ROUTER_SHARES:
        labelled = f'envoy_cluster_name="{cluster}",le="{bound}"'
        yield f"envoy_cluster_upstream_rq_time_bucket{{{labelled}}} {int(done * share)}\n"
    yield f'envoy_cluster_upstream_rq_time_count{{envoy_cluster_name="{cluster}"}} {done}\n'


def _prometheus_handler(prometheus: Prometheus) -> type[BaseHTTPRequestHandler]:
    class Handler(_Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            form = parse_qs(f"{self.path.partition('?')[2]}&{body.decode()}")
            answer = prometheus.answer(form["query"][0], float(form["time"][0]))
            self.say(answer.encode(), {"Content-Type": "application/json"})

    return Handler


def _router_handler(routers: Routers, router: str) -> type[BaseHTTPRequestHandler]:
    class Handler(_Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer, signature = routers.answer(router, body)
            self.say(answer, {"Content-Type": "application/json", SIGNATURE: signature})

    return Handler


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def say(self, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Quiet."""


def main(kubeconfig: str, prometheus_port: str, router_port: str, key: str) -> None:
    """Runs until it is ended. Router number n listens on 127.0.1.n+1."""
    kubernetes.config.load_kube_config(kubeconfig)  # type: ignore[no-untyped-call]
    api, world = KubernetesApi(), World()
    with ExitStack() as stack:
        prometheus = ThreadingHTTPServer(("127.0.0.1", int(prometheus_port)), _prometheus_handler(Prometheus(world)))
        stack.enter_context(running(prometheus))
        routers = Routers(world, bytes.fromhex(key))
        for number, router in enumerate(ROUTERS):
            handler = _router_handler(routers, f"tidegate/{router}")
            stack.enter_context(running(ThreadingHTTPServer((router_address(number), int(router_port)), handler)))
        for resource, seen in ((MODEL_ROUTES, world.take_route), (DEPLOYMENTS, world.take_deployment)):
            stack.enter_context(Follower(api, resource, seen).running())
        threading.Event().wait()


def router_address(number: int) -> str:
    """Where a made-up router listens."""
    return f"127.0.1.{number + 1}"


if __name__ == "__main__":
    main(*sys.argv[1:])
