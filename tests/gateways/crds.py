"""The CRDs of the Gateway API, of both implementations and of Flagger, out of their modules."""

import subprocess
from functools import partial
from pathlib import Path

from benchmarks.crds import until_established
from tests.gateways.go_modules import CONTOUR, ENVOY_GATEWAY, FLAGGER, GATEWAY_API, sources
from tidegate_demo.kubectl import Kubectl


def apply(kubectl: Kubectl) -> None:
    """Takes what is there over; returns when the API server serves all of it."""
    manifests = "\n---\n".join(map(_manifests, _files()))
    kubectl.run("apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=manifests)
    until_established(partial(_run, kubectl))


def _run(kubectl: Kubectl, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(kubectl.command(*arguments), capture_output=True, text=True, check=False)


def _files() -> list[Path]:
    gateway_api = sources("envoy-gateway", GATEWAY_API) / "config" / "crd" / "experimental"
    envoy_gateway = sources("envoy-gateway", ENVOY_GATEWAY) / "charts" / "gateway-crds-helm" / "templates" / "generated"
    return [
        *sorted(gateway_api.glob("gateway*.yaml")),
        *sorted(envoy_gateway.glob("*.yaml")),
        sources("contour", CONTOUR) / "examples" / "contour" / "01-crds.yaml",
        sources("flagger", FLAGGER) / "artifacts" / "flagger" / "crd.yaml",
    ]


def _manifests(file: Path) -> str:
    """What is in the file, without the lines that are Helm's."""
    return "\n".join(line for line in file.read_text().splitlines() if not line.lstrip().startswith("{{"))
