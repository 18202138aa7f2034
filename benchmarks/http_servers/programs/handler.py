"""What every server runs for a request: JSON in, the model, JSON out, and nothing else that would take time."""

import os
from typing import Any

import numpy as np
import onnxruntime
import orjson

JSON = "application/json"
_OUTPUTS = ("class", "scores")
_DATATYPES = {"int64": "INT64", "float32": "FP32"}


def _open() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, ["CPUExecutionProvider"])


_session = _open()
_name = os.environ["BENCH_NAME"]


def answer(body: bytes) -> bytes:
    """The answer's body. Whatever is wrong with the request raises what it raises."""
    (tensor,) = orjson.loads(body)["inputs"]
    rows = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
    results = _session.run(_OUTPUTS, {tensor["name"]: rows})
    outputs = [
        {"name": name, "datatype": _DATATYPES[array.dtype.name], "shape": array.shape, "data": array.ravel()}
        for name, array in zip(_OUTPUTS, results, strict=True)
    ]
    return orjson.dumps({"model_name": _name, "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
