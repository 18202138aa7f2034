"""Contour, Envoy Gateway, istiod and Flagger, from the cache or built from the Go modules that `programs` pins."""

import json
import subprocess
from pathlib import Path

from tidegate_demo.cluster import programs
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import cache_folder
from tidegate_demo.cluster.locks import alone
from tidegate_demo.cluster.programs import Program

MODULES = Path(__file__).parent / "programs"
GATEWAY_API = "sigs.k8s.io/gateway-api"
CONTOUR = "github.com/projectcontour/contour"
ENVOY_GATEWAY = "github.com/envoyproxy/gateway"
FLAGGER = "github.com/fluxcd/flagger"
ISTIO = "istio.io/istio"
ISTIO_API = "istio.io/api"
_VERSIONS = {
    "contour": ("v1.33.8", f"{CONTOUR}/cmd/contour"),
    "envoy-gateway": ("v1.9.1", f"{ENVOY_GATEWAY}/cmd/envoy-gateway"),
    "istiod": ("1.31.0", f"{ISTIO}/pilot/cmd/pilot-discovery"),
    "flagger": ("v1.44.0", f"{FLAGGER}/cmd/flagger"),
}


def version(name: str) -> str:
    """As its maker writes it."""
    return _VERSIONS[name][0]


def program(name: str) -> Path:
    """The program; builds for minutes the first time. Raises ClusterError."""
    number, package = _VERSIONS[name]
    wanted = Program(name, number, "", "", "", str(MODULES / name), package)
    if (there := programs.in_cache(wanted)) is not None:
        return there
    with alone(cache_folder() / "programs" / ".lock", "getting programs"):
        return programs.find(wanted, (programs.in_cache, programs.built))


def sources(name: str, module: str) -> Path:
    """The folder with a module's files, of the version that `name` is built with. Raises ClusterError."""
    command = [str(programs.go()), "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=MODULES / name, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{module} can't be downloaded: {done.stdout.strip() or done.stderr.strip()}")
    return Path(json.loads(done.stdout)["Dir"])
