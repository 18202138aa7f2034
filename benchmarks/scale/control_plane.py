"""A real etcd and kube-apiserver with our CRDs, on loopback. Nothing runs pods, and no controller manager is there.

Every client has a user of its own, so that the API server's audit log says who asked for what.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import urllib3
import yaml

from benchmarks.crds import until_established
from benchmarks.errors import BenchmarkError
from benchmarks.programs import end_of, free_ports, running, wait_until
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.programs import ETCD, KUBERNETES, obtain

BENCHMARK, OPERATOR, ROUTER = "benchmark", "operator", "router"
"""Users, each of which is its own token."""
SYSTEM = ("system:apiserver", BENCHMARK)
"""Of whom the audit log says nothing."""
STARTS_WITHIN = 90.0
LARGE_HEAP = {"GOGC": "400"}
"""Go collects garbage whenever the heap has doubled: these heaps are small, those of a large cluster aren't."""


@dataclass(frozen=True)
class ControlPlane:
    """`audit` is the API server's log of who asked for what; `etcd` is etcd's URL."""

    folder: Path
    url: str
    etcd: str
    certificate: Path
    pid: int

    @property
    def audit(self) -> Path:
        return self.folder / "audit.log"

    def kubeconfig(self, user: str) -> Path:
        """A file by which that user reaches the API server."""
        place = self.folder / f"{user}.kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self.certificate)}
        context = {"cluster": "benchmark", "user": user, "namespace": "default"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "benchmark", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": user}}],
            "contexts": [{"name": "benchmark", "context": context}],
            "current-context": "benchmark",
        }
        place.write_text(yaml.safe_dump(document))
        return place


@contextmanager
def control_plane(folder: Path, crds: Path) -> Iterator[ControlPlane]:
    """Up inside the block, and empty. Raises BenchmarkError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    clients, peers, port = free_ports(3)
    etcd_url, url = f"http://127.0.0.1:{clients}", f"https://127.0.0.1:{port}"
    try:
        programs = {program.name: program for program in KUBERNETES}
        etcd, api_server = obtain(ETCD), obtain(programs["kube-apiserver"])
    except ClusterError as error:
        raise BenchmarkError(f"no API server: {error}") from error
    with (
        running(_etcd(etcd, folder, clients, peers), folder, "etcd", LARGE_HEAP) as store,
        running(_api_server(api_server, folder, clients, port), folder, "kube-apiserver", LARGE_HEAP) as server,
    ):
        certificate = folder / "certificates" / "apiserver.crt"
        found = ControlPlane(folder, url, etcd_url, certificate, server.pid)
        log = folder / "kube-apiserver.log"
        wait_until(lambda: _answers(found), "the API server is ready", STARTS_WITHIN, server, log)
        if store.poll() is not None:
            raise BenchmarkError(f"etcd has ended:\n{end_of(folder / 'etcd.log')}")
        _kubectl(found, "apply", "--server-side", "-f", str(crds))
        until_established(partial(_run_kubectl, found))
        yield found


def _answers(plane: ControlPlane) -> bool:
    if not plane.certificate.exists():
        return False
    try:
        pool = urllib3.PoolManager(ca_certs=str(plane.certificate), retries=False)
        headers = {"Authorization": f"Bearer {BENCHMARK}"}
        return pool.request("GET", f"{plane.url}/readyz", headers=headers, timeout=2.0).status == 200
    except (urllib3.exceptions.HTTPError, OSError):
        return False


def _run_kubectl(plane: ControlPlane, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).parent / "kubectl"), "--kubeconfig", str(plane.kubeconfig(BENCHMARK))]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def _kubectl(plane: ControlPlane, *arguments: str) -> None:
    done = _run_kubectl(plane, *arguments)
    if done.returncode != 0:
        raise BenchmarkError(f"kubectl {arguments[0]} failed: {done.stderr.strip()[-500:]}")


def _etcd(program: Path, folder: Path, clients: int, peers: int) -> list[str]:
    client, peer = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
    return [
        str(program),
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server(program: Path, folder: Path, etcd_port: int, port: int) -> list[str]:
    tokens = [f"{user},{user},{user},system:masters" for user in (BENCHMARK, OPERATOR, ROUTER)]
    (folder / "tokens.csv").write_text("\n".join(tokens) + "\n")
    rules = [{"level": "None", "users": list(SYSTEM)}, {"level": "Metadata"}]
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
    (folder / "audit-policy.yaml").write_text(yaml.safe_dump(policy))
    key, public = folder / "service-accounts.key", folder / "service-accounts.pub"
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
    _openssl("ec", "-in", str(key), "-pubout", "-out", str(public))
    return [
        str(program),
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        f"--cert-dir={folder}/certificates",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=AlwaysAllow",
        "--service-cluster-ip-range=198.19.0.0/16",
        "--endpoint-reconciler-type=none",
        "--disable-admission-plugins=ServiceAccount",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={public}",
        f"--service-account-signing-key-file={key}",
        f"--audit-policy-file={folder}/audit-policy.yaml",
        f"--audit-log-path={folder}/audit.log",
        "--profiling=false",
    ]


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
