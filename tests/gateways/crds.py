"""The CRDs of the Gateway API, of both implementations and of Flagger, out of their modules."""

import time
from pathlib import Path

from tests.gateways.go_modules import CONTOUR, ENVOY_GATEWAY, FLAGGER, GATEWAY_API, sources
from tidegate_demo.kubectl import Kubectl, KubectlError

WITHIN_SECONDS = 60.0
UNREAD = "conditions accessor error"
"""What kubectl 1.37 says of a CRD whose first condition the API server hasn't written yet; it doesn't wait for it."""


def apply(kubectl: Kubectl) -> None:
    """Takes what is there over; returns when the API server serves all of it."""
    manifests = "\n---\n".join(map(_manifests, _files()))
    kubectl.run("apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=manifests)
    _until_established(kubectl)


def _until_established(kubectl: Kubectl) -> None:
    ends = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            kubectl.run("wait", "--for=condition=Established", "crd", "--all", f"--timeout={WITHIN_SECONDS:.0f}s")
            return
        except KubectlError as error:
            if UNREAD not in str(error) or time.monotonic() > ends:
                raise
        time.sleep(0.2)


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
