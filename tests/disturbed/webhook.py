"""An admission webhook that refuses patches of Deployments in one namespace, as a policy engine may."""

import base64
import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.disturbed.servers import Call, Reply, listening
from tidegate_demo.kubectl import Kubectl

SENTENCE = "Deployments are frozen by the trial"


@contextmanager
def refusing_deployment_patches(kubectl: Kubectl, namespace: str, host: str, folder: Path) -> Iterator[list[str]]:
    """Refuses while inside. Yields the names of the Deployments whose patches were refused, as they come."""
    refused: list[str] = []

    def handle(call: Call) -> Reply:
        asked = json.loads(call.body)["request"]
        refused.append(asked["name"])
        response = {"uid": asked["uid"], "allowed": False, "status": {"code": 403, "message": SENTENCE}}
        return 200, json.dumps(
            {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        ).encode()

    certificate, key = _certificate(host, folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with listening(host, handle, tls) as address:
        configuration = _configuration(namespace, address, certificate.read_bytes())
        kubectl.apply(json.dumps(configuration))
        try:
            yield refused
        finally:
            kubectl.run("delete", "validatingwebhookconfiguration", configuration["metadata"]["name"])


def _configuration(namespace: str, address: str, authority: bytes) -> dict[str, Any]:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
    webhook = {
        "name": "frozen.trials.tidegate.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": f"https://{address}/", "caBundle": base64.b64encode(authority).decode()},
        "failurePolicy": "Fail",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [rule],
        "sideEffects": "None",
        "timeoutSeconds": 5,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"frozen-{namespace}"},
        "webhooks": [webhook],
    }


def _certificate(host: str, folder: Path) -> tuple[Path, Path]:
    """A certificate that is its own authority, and its key."""
    certificate, key = folder / "webhook.crt", folder / "webhook.key"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "1", "-subj", "/CN=trial")
    names = ("-addext", f"subjectAltName=IP:{host}")
    subprocess.run(
        ["openssl", "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(certificate)],
        capture_output=True,
        check=True,
    )
    return certificate, key
