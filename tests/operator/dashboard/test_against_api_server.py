"""What open pages cost a real API server, by its own count."""

import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.conftest import until
from tidegate.cli.common.kubeconfig import connect
from tidegate.dashboard.access import LocalAccess
from tidegate.dashboard.serving import Dashboard, Wanted
from tidegate.kube.api import MODEL_DEPLOYMENTS, KubernetesApi

pytestmark = pytest.mark.apiserver

PAGES = 50
PLACE, NAME = "default", "pages"
LONGRUNNING = re.compile(r'^apiserver_longrunning_requests\{.*resource="(\w+)".*verb="WATCH".*\} (\d+)$')


@pytest.fixture
def api(api_server: Path) -> Iterator[KubernetesApi]:
    """With a ModelDeployment of its own."""
    api = connect(str(api_server), None)
    kind = {"apiVersion": MODEL_DEPLOYMENTS.api_version, "kind": MODEL_DEPLOYMENTS.kind}
    metadata = {"namespace": PLACE, "name": NAME}
    api.create(MODEL_DEPLOYMENTS, {**kind, "metadata": metadata, "spec": {"model": {"uri": "http://models/1"}}})
    yield api
    api.delete(MODEL_DEPLOYMENTS, PLACE, NAME)


def test_fifty_open_pages_cost_the_api_server_one_watch_of_each_kind(api_server: Path, api: KubernetesApi) -> None:
    before = watches(api)
    dashboard = Dashboard(connect(str(api_server), None), Wanted(port=0))
    dashboard.start()
    try:
        one = {kind: before.get(kind, 0) + 1 for kind in ("modeldeployments", "pods")}
        until(lambda: of_ours(watches(api)) == one)
        with ExitStack() as opened:
            streams = [opened.enter_context(stream) for stream in open_pages(dashboard)]
            assert all(NAME in next_event(stream) for stream in streams)
            api.merge(MODEL_DEPLOYMENTS, PLACE, NAME, {"spec": {"paused": True}})
            assert all("Resume" in next_event(stream) for stream in streams)
            assert of_ours(watches(api)) == one
    finally:
        dashboard.stop()


def open_pages(dashboard: Dashboard) -> Iterator[HTTPResponse]:
    """The streams of as many pages about one rollout, for one person."""
    assert isinstance(dashboard.access, LocalAccess)
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    browser.open(f"{dashboard.address}/sign-in?ticket={dashboard.access.secret}", timeout=20).close()
    for _ in range(PAGES):
        yield browser.open(f"{dashboard.address}/rollouts/{PLACE}/{NAME}/events", timeout=20)


def next_event(stream: HTTPResponse) -> str:
    """What a page is told next."""
    return next(line.decode() for line in stream if line.startswith(b"data:"))


def watches(api: KubernetesApi) -> dict[str, int]:
    """Those that are open, of each kind."""
    found: dict[str, int] = {}
    for line in api.text_lines("/metrics", seconds=20):
        if match := LONGRUNNING.match(line):
            found[match[1]] = found.get(match[1], 0) + int(match[2])
    return found


def of_ours(found: dict[str, int]) -> dict[str, int]:
    return {kind: found.get(kind, 0) for kind in ("modeldeployments", "pods")}
