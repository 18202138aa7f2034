"""The ONNX model in memory; the only place that knows onnxruntime.

A session is shared by all threads: the runtime allows it and lets go of Python's lock while it computes.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The runtime reads it while it is imported. A model server sends nothing to anybody unasked.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from tidegate_server.errors import ModelFailed, ModelRefused, one_line
from tidegate_server.inference.extensions import extensions_library, uses_extensions
from tidegate_server.onnx_file import check_file
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

log = logging.getLogger(__name__)

_DATATYPES = {f"tensor({datatype.lower()})": datatype for datatype in NUMPY_TYPES} | {
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_ERROR_SEVERITY = 4  # "fatal" only: what the runtime would print, this module says in one line


class CancelToken:
    """Ends a run of the model from another thread."""

    def __init__(self) -> None:
        """For one run."""
        self.options = onnxruntime.RunOptions()
        self.is_cancelled = False

    def cancel(self) -> None:
        """The run raises ModelFailed."""
        self.is_cancelled = True
        self.options.terminate = True


class Model:
    """An open model."""

    def __init__(self, path: Path, session: Any) -> None:
        """`session` has been opened from `path`."""
        self.path, self._session = path, session
        self.signature = _signature(session)
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        """What whoever exported the model has written into it."""

    @classmethod
    def open(cls, path: Path, threads_per_run: int = 1) -> "Model":
        """Raises ModelRefused when it can't be served."""
        if not path.is_file():
            raise ModelRefused("NotFound", f"there is no model file at {path}")
        check_file(path)
        return cls(path, _session(path, threads_per_run))

    def run(
        self, arrays: dict[str, Array], outputs: Sequence[str], cancel_token: CancelToken | None = None
    ) -> list[Array]:
        """The named outputs, in order. Raises ModelFailed with the runtime's own words."""
        try:
            results: list[Array] = self._session.run(outputs, arrays, cancel_token and cancel_token.options)
        except Exception as error:  # noqa: BLE001 - the runtime's errors share no base but Exception
            raise ModelFailed(one_line(error)) from None
        return results

    def with_threads(self, threads_per_run: int) -> "Model":
        """The same model opened again, with another number of threads in each run."""
        return Model.open(self.path, threads_per_run)


def sha256_of(path: Path) -> str:
    """Lower case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _session(path: Path, threads_per_run: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads_per_run
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR_SEVERITY
    # A spinning thread burns the quota that the next request needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # The runtime would keep a plan of the memory for every combination of shapes that it has ever met.
    options.enable_mem_pattern = False
    if uses_extensions(path):
        options.register_custom_ops_library(extensions_library())
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the runtime's errors share no base but Exception
        if type(error).__name__ == "InvalidProtobuf":
            raise ModelRefused("NotOnnx", "the file isn't an ONNX model; check what the URI points to") from None
        raise ModelRefused(
            "UnsupportedModel",
            f"onnxruntime {onnxruntime.__version__} can't open the model; export it for this version: "
            + one_line(error),
        ) from None


def _signature(session: Any) -> Signature:
    return Signature(
        inputs=tuple(_spec(node, "input") for node in session.get_inputs()),
        outputs=tuple(_spec(node, "output") for node in session.get_outputs()),
    )


def _spec(node: Any, role: str) -> TensorSpec:
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        hint = "; export it with zipmap=False" if node.type.startswith(("seq", "map")) else "; export it as a tensor"
        raise ModelRefused("UnsupportedModel", f"{role} {node.name} is a {node.type}, which JSON can't carry{hint}")
    return TensorSpec(node.name, datatype, tuple(node.shape or ()))
