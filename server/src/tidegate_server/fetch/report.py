"""The report of `fetch` to Kubernetes: one JSON object in the termination log, which the operator reads.

The kubelet keeps at most 4096 bytes; this stays within 4000.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidegate_server.errors import FetchFailed
from tidegate_server.predict.class_names import names_digest
from tidegate_server.protocol.signature import Signature

log = logging.getLogger(__name__)

MAX_BYTES = 4000
MAX_MESSAGE = 700  # characters, each at most 4 bytes
MAX_LABELS = 32
"""Names of classes that are told; all of them are in the digest."""

WRONG_DIGEST = "WrongDigest"
NOT_ONNX = "NotOnnx"
UNSUPPORTED_MODEL = "UnsupportedModel"
UNSUPPORTED_URI = "UnsupportedUri"
NOT_FOUND = "NotFound"
UNREACHABLE = "Unreachable"
TOO_LARGE = "TooLarge"
UNVERIFIED = "Unverified"
UNSAFE_CONTENT = "UnsafeContent"

PERMANENT = frozenset(
    {WRONG_DIGEST, NOT_ONNX, UNSUPPORTED_MODEL, UNSUPPORTED_URI, TOO_LARGE, UNVERIFIED, UNSAFE_CONTENT}
)
"""Reasons that trying again can't help; the other two may pass."""


def success_report(
    sha256: str,
    size: int,
    signature: Signature,
    files_sha256: str | None = None,
    resolved: str | None = None,
    labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """`sha256`: of the ONNX file; `files_sha256`: of the list of a folder's files; `size`: of them all.

    `resolved`: the URI that will always lead to this content, where the one that was given may lead to another.

    `labels`: names of the classes in their order; None where nobody knows them.

    Labels that don't fit into the termination log are left out from the end, and then tensors; the object stays whole.
    """
    report: dict[str, Any] = {
        "sha256": sha256,
        "bytes": size,
        "inputs": [spec.as_json() for spec in signature.inputs],
        "outputs": [spec.as_json() for spec in signature.outputs],
    }
    if files_sha256 is not None:
        report["files_sha256"] = files_sha256
    if resolved is not None:
        report["resolved"] = resolved
    first = list((labels or ())[:MAX_LABELS])
    if labels is not None:
        named = {"sha256": names_digest(labels), "first": first} if labels else {}
        report["labels"] = {"count": len(labels), **named}
    while len(_encoded(report)) > MAX_BYTES and (first or report["outputs"] or report["inputs"]):
        (first or report["outputs"] or report["inputs"]).pop()
    return report


def failure_report(failure: FetchFailed) -> dict[str, Any]:
    """Reason, sentence, and whether trying again can't help."""
    message = str(failure)
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]}..."
    return {"reason": failure.reason, "message": message, "permanent": failure.reason in PERMANENT}


def write_report(report: dict[str, Any], path: Path) -> None:
    """Writes the report. Without a termination log, on a laptop say, that is no failure."""
    # Kubernetes mounts the file. Made by us it would only be a stray file, in /dev of all places.
    if path.parent == Path("/dev") and not path.exists():
        return
    try:
        path.write_bytes(_encoded(report))
    except OSError as error:
        log.warning("can't write the termination log %s: %s", path, error.strerror)


def _encoded(report: dict[str, Any]) -> bytes:
    return json.dumps(report, ensure_ascii=False).encode("utf-8", "replace")
