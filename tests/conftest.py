"""Real programs for the tests that need them: a kube-apiserver with its etcd, and a Prometheus, on loopback ports.

Each is started once per run of the tests, on first use, and ended by its process id. Where a program can't be had, its
tests are skipped with the reason.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TypeVar

import pytest
import requests
import yaml
from hypothesis import HealthCheck, settings

from benchmarks.crds import until_established
from benchmarks.programs import free_ports
from tests.small_http import listening, say

CRDS = Path(__file__).parents[1] / "crds"
TOKEN = "tests-only"  # noqa: S105 - of a server that listens on loopback while the tests run
# Counting branches makes the generation of examples slow, which would fail as if the strategies were bad.
settings.register_profile("coverage", suppress_health_check=[HealthCheck.too_slow])
Seen = TypeVar("Seen")


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, which the programs of tests would inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def until(look: Callable[[], Seen], *, within: float = 20.0) -> Seen:
    """Looks until there is something to see, and gives it back. Fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"not seen within {within} s: {look}")
        time.sleep(0.05)
    return seen


@pytest.fixture(scope="session")
def program() -> Callable[[str], Path]:
    """A program of the demo's node by its name; may download or build it. Skips the test where it can't be had."""
    programs = pytest.importorskip("tidegate_demo.cluster.programs")
    errors = pytest.importorskip("tidegate_demo.cluster.errors")
    single = (programs.ETCD, programs.HELM, programs.PROMETHEUS, programs.PROMTOOL)
    known = {each.name: each for each in (*single, *programs.KUBERNETES)} | {"helm4": programs.HELM4}

    def find(name: str) -> Path:
        try:
            place: Path = programs.obtain(known[name])
        except errors.ClusterError as error:
            pytest.skip(str(error))
        return place

    return find


@contextmanager
def running(folder: Path, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs inside the block and writes a log to `folder`."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(3)  # it keeps nothing that anybody will want
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str, process: subprocess.Popen[bytes], within: float = 300.0, **how: str | Mapping[str, str]) -> None:
    """Waits until a program answers a GET with 200: some seconds, and more where the machine has other work."""

    def ready() -> bool:
        if process.poll() is not None:
            pytest.fail(f"{process.args!r} ended with {process.returncode} before it answered")
        try:
            verify, headers = how.get("verify", True), how.get("headers")
            return requests.get(url, timeout=2, verify=verify, headers=headers).ok  # type: ignore[arg-type]
        except (requests.RequestException, OSError):  # also while its certificate isn't written yet
            return False

    until(ready, within=within)


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="session")
def kubectl() -> Callable[..., subprocess.CompletedProcess[str]]:
    """kubectl of this Python environment: `kubectl(kubeconfig, *arguments, given=text)`."""
    place = Path(sys.executable).parent / "kubectl"
    if not place.exists():
        pytest.skip("kubectl isn't in this Python environment")

    def run(kubeconfig: Path, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent)}
        command = [str(place), *arguments]
        return subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def api_server(
    program: Callable[[str], Path],
    kubectl: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """The kubeconfig of a kube-apiserver that allows everything, with our CRDs; nothing runs pods."""
    with bare_api_server(program, tmp_path_factory.mktemp("api-server")) as kubeconfig:
        done = kubectl(kubeconfig, "apply", "-f", str(CRDS))
        assert done.returncode == 0, done.stderr
        until_established(partial(kubectl, kubeconfig))
        yield kubeconfig


@contextmanager
def bare_api_server(
    program: Callable[[str], Path], folder: Path, rights: str = "AlwaysAllow", flags: Sequence[str] = ()
) -> Iterator[Path]:
    """The kubeconfig of a kube-apiserver of one's own, which has no CRDs; it lets its owner do everything."""
    etcd_port, port = free_port(), free_port()
    with running(folder, _etcd(program("etcd"), folder, etcd_port)) as etcd:
        answers(f"http://127.0.0.1:{etcd_port}/health", etcd)
        with running(
            folder,
            [
                *_api_server(program("kube-apiserver"), folder, etcd_port, port),
                f"--authorization-mode={rights}",
                *flags,
            ],
        ) as server:
            certificate = folder / "certificates" / "apiserver.crt"
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            answers(f"https://127.0.0.1:{port}/readyz", server, verify=str(certificate), headers=bearer)
            yield _kubeconfig(folder, certificate, port)


def _etcd(place: Path, folder: Path, port: int) -> list[str]:
    clients, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    return [
        str(place),
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server(place: Path, folder: Path, etcd_port: int, port: int) -> list[str]:
    (folder / "tokens.csv").write_text(f"{TOKEN},tester,tester,system:masters\n")
    key, public = folder / "service-accounts.key", folder / "service-accounts.pub"
    made: dict[str, bool] = {"check": True, "capture_output": True}
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)], **made)  # type: ignore[call-overload]
    subprocess.run(["openssl", "ec", "-in", str(key), "-pubout", "-out", str(public)], **made)  # type: ignore[call-overload]
    return [
        str(place),
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        f"--cert-dir={folder}/certificates",
        f"--token-auth-file={folder}/tokens.csv",
        "--service-cluster-ip-range=198.19.0.0/24",
        "--endpoint-reconciler-type=none",
        "--disable-admission-plugins=ServiceAccount",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={public}",
        f"--service-account-signing-key-file={key}",
        "--profiling=false",
    ]


def _kubeconfig(folder: Path, certificate: Path, port: int) -> Path:
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(certificate)}
    place = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "tester", "user": {"token": TOKEN}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tester", "namespace": "default"}}],
        "current-context": "tests",
    }
    place.write_text(yaml.safe_dump(document))
    return place


class Scraped:
    """A Prometheus at `url` that scrapes, every second, what the test says."""

    def __init__(self) -> None:
        self.url = ""
        self.says = ""
        """The exposition text of the one target, whose job is `tests`."""
        self.target = ""
        """The target's address, which is its `instance`."""
        self.taken: list[str] = []
        """What it said at each scrape so far."""


@pytest.fixture(scope="session")
def prometheus_server(program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """A real Prometheus and its one target."""
    folder, scraped, port = tmp_path_factory.mktemp("prometheus"), Scraped(), free_port()
    scraped.url = f"http://127.0.0.1:{port}"
    place = program("prometheus")
    with _target(scraped):
        job = {"job_name": "tests", "static_configs": [{"targets": [scraped.target]}]}
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        flags = [
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/samples",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with running(folder, [str(place), *flags]) as process:
            answers(f"{scraped.url}/-/ready", process)
            yield scraped


@contextmanager
def _target(scraped: Scraped) -> Iterator[None]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scraped.taken.append(scraped.says)
            say(self, 200, scraped.says.encode(), **{"Content-Type": "text/plain; version=0.0.4"})

    with listening(Answer) as port:
        scraped.target = f"127.0.0.1:{port}"
        yield
