"""The model configuration extension: what load generators such as perf_analyzer ask before they begin. Pure."""

from typing import Any

from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.v2 import PLATFORM

MAX_BATCH_SIZE = 4096
"""Clients want a number. Requests are bounded by their bytes and values, not by their rows."""


def model_config(name: str, signature: Signature) -> dict[str, Any]:
    """The document over HTTP, and over gRPC the message's fields."""
    batchable = signature.is_batchable
    return {
        "name": name,
        "platform": PLATFORM,
        "max_batch_size": MAX_BATCH_SIZE if batchable else 0,
        "input": [_tensor(spec, batchable) for spec in signature.inputs],
        "output": [_tensor(spec, batchable) for spec in signature.outputs],
    }


def _tensor(spec: TensorSpec, batchable: bool) -> dict[str, Any]:
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": list(spec.shape[1:] if batchable else spec.shape)}
