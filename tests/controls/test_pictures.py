"""The documents' pictures: the dashboard, and `tidegate status --watch` in a terminal, during a real canary.

They come to build/pictures; `make pictures` puts them into the documents. Skipped where there is no Chromium.
"""

import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ
from typing import Any

import pytest

from tests.browser.__main__ import BROWSERS, install
from tests.controls.readers import someone_who_releases
from tests.controls.scene import NO_SUCH_IMAGE
from tests.e2e.stage import ANALYSIS, Stage
from tests.readers import PROGRAM
from tidegate_demo import place
from tidegate_demo.cluster import prometheus
from tidegate_demo.cluster.contexts import DemoCluster

pytestmark = pytest.mark.controls

PICTURES = place.REPOSITORY / "build" / "pictures"
PROGRAMS = place.REPOSITORY / "tests" / "browser"
PYTE = "pyte==0.8.2"
NAMESPACE = "shop"
COLUMNS, ROWS = 118, 40
STEPS = {"canary": {"steps": [{"weight": 5}, {"weight": 25}, {"weight": 50}]}}
SPEC: Mapping[str, Any] = {"analysis": {**ANALYSIS, "bake": "20s"}, "strategy": STEPS, "replicas": 2}
SECONDS = 120


@pytest.fixture
def shop(stage: Stage) -> Iterator[Stage]:
    """A namespace with a name for a picture."""
    with stage.kubectl.namespace(NAMESPACE):
        yield replace(stage, namespace=NAMESPACE)


def test_pictures(further: DemoCluster, shop: Stage) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    python = install(PYTE)
    PICTURES.mkdir(parents=True, exist_ok=True)
    _others(shop)
    shop.go_live("v1", **SPEC)
    with ExitStack() as running:
        start = running.enter_context(_dashboard(further))
        load = running.enter_context(shop.loaded(rate=100.0, seconds=600))
        recording = running.enter_context(_recording(shop))
        shop.apply("v3", **SPEC)  # it fails on one image in five
        shop.until_ended("RolledBack")
        shop.apply("v2", **SPEC)
        shop.until("it has a quarter", lambda s: s.get("rollout", {}).get("step") == 2)
        time.sleep(5)
        _photograph(python, browser, _of_the_command(start))
        _photograph(python, browser, _of_the_chart(further, shop))
        shop.until_ended("Promoted", rollouts=2)
    shop.nothing_lost(load)
    _draw(python, recording)


def _others(stage: Stage) -> None:
    """Models beside it: one that is live, one that can't start, and one that is paused."""
    uri = f"http://{stage.files}/digits-v1.onnx"
    others: Mapping[str, Mapping[str, Any]] = {
        "letters": {},
        "sentiment": {"server": NO_SUCH_IMAGE},
        "ranking": {"paused": True},
    }
    for name, spec in others.items():
        manifest = {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": stage.namespace},
            "spec": {"replicas": 1, "model": {"uri": uri}, **spec},
        }
        stage.kubectl.apply(json.dumps(manifest))
    for name in ("letters", "ranking"):
        stage.run("wait", "--for=condition=Ready", "--timeout=120s", f"modeldeployment/{name}")
    change = {"spec": {"model": {"uri": f"http://{stage.files}/digits-v2.onnx"}}}
    stage.run("patch", "modeldeployment", "ranking", "--type=merge", "--patch", json.dumps(change))


@contextmanager
def _dashboard(cluster: DemoCluster) -> Iterator[str]:
    """`tidegate dashboard` on this machine; the address that it prints."""
    metrics = cluster.reach(prometheus.NAMESPACE, prometheus.NAME, prometheus.PORT)
    command = [str(PROGRAM), "dashboard", "--no-open", "--port", "0", "--prometheus", metrics]
    context = ["--context", cluster.context] if cluster.context else []
    with subprocess.Popen(
        [*command, "--kubeconfig", str(cluster.kubeconfig), *context], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = next(filter(None, (re.search(r"http://\S+", line) for line in process.stdout)))
            yield found[0]
        finally:
            process.terminate()


def _of_the_command(start: str) -> dict[str, Any]:
    pictures = [
        {"path": path, "size": size, "file": f"{PICTURES}/dashboard-{name}-{size}.png"}
        for size in ("desktop", "dark", "phone")
        for name, path in (("rollouts", "/"), ("rollout", f"/rollouts/{NAMESPACE}/digits"))
    ]
    confirm = {"size": "desktop", "path": f"/rollouts/{NAMESPACE}/digits", "press": "abort"}
    pictures.append({**confirm, "file": f"{PICTURES}/dashboard-confirm-desktop.png"})
    return {"start": start, "address": re.sub(r"(http://[^/]+).*", r"\1", start), "pictures": pictures}


def _of_the_chart(cluster: DemoCluster, stage: Stage) -> dict[str, Any]:
    address = cluster.reach(place.RELEASE_NAMESPACE, f"{place.RELEASE}-dashboard", 80)
    file = f"{PICTURES}/dashboard-in-the-cluster-desktop.png"
    picture = {"path": f"/rollouts/{NAMESPACE}/digits", "size": "desktop", "file": file}
    return {"token": someone_who_releases(stage), "address": address, "pictures": [picture]}


def _photograph(python: Path, browser: str, wanted: Mapping[str, Any]) -> None:
    told = json.dumps({**wanted, "browser": browser})
    subprocess.run([str(python), str(PROGRAMS / "real_run.py"), told], timeout=SECONDS, check=True)


@dataclass
class _Cast:
    """What a terminal was sent, and when, as asciinema keeps it."""

    began: float = field(default_factory=time.monotonic)
    events: list[tuple[float, str, str]] = field(default_factory=list)


@contextmanager
def _recording(stage: Stage) -> Iterator[_Cast]:
    """`tidegate status digits --watch` in a terminal of its own, while inside."""
    ours, its = pty.openpty()
    ioctl(its, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
    where = ("-n", stage.namespace, "--kubeconfig", str(stage.kubectl.kubeconfig))
    cast, ended = _Cast(), threading.Event()
    process = subprocess.Popen(
        [str(PROGRAM), "status", "digits", "--watch", *where], stdin=its, stdout=its, stderr=its, env=environment
    )
    os.close(its)
    reader = threading.Thread(target=_read, args=(ours, cast, ended), daemon=True)
    reader.start()
    try:
        yield cast
    finally:
        ended.set()
        reader.join()
        process.terminate()
        process.wait()
        os.close(ours)


def _read(terminal: int, cast: _Cast, ended: threading.Event) -> None:
    left = b""
    while not ended.is_set():
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        left += os.read(terminal, 65536)
        text = left.decode(errors="ignore")
        left = b"" if text.encode() == left else left[len(text.encode()) :]
        cast.events.append((time.monotonic() - cast.began, "o", text))


def _draw(python: Path, cast: _Cast) -> None:
    title = "tidegate status digits --watch: a bad model goes back, a good one is promoted"
    head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": title}
    file = PICTURES / "status-watch.cast"
    lines: Sequence[Any] = [head, *cast.events]
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    subprocess.run(
        [str(python), str(PROGRAMS / "terminal.py"), str(file), str(PICTURES / "status-watch.svg")],
        timeout=SECONDS,
        check=True,
    )
