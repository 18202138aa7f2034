"""The ONNX model in memory; the only place that knows onnxruntime.

A session is shared by all threads: the runtime allows it and lets go of Python's lock while it computes.
"""

import hashlib
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The runtime reads it while it is imported. A model server sends nothing to anybody unasked.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from tidegate_server.cpu_quota import cpu_quota
from tidegate_server.errors import ModelFailed, ModelRefused
from tidegate_server.onnx_file import check_file
from tidegate_server.signature import Signature, TensorSpec, blank_inputs
from tidegate_server.tensors import Array

log = logging.getLogger(__name__)

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_ERROR_SEVERITY = 4  # "fatal" only: what the runtime would print, this module says in one line


@dataclass(frozen=True)
class CpuPlan:
    """How the runtime may use the CPUs."""

    threads_per_run: int
    runs_at_once: int


def plan_cpus(quota: float | None, cores: int) -> CpuPlan:
    """With a quota, a run may use all of it and the next one gets ready meanwhile; without, each run has one core.

    Several threads per run shorten big models; several runs at once suit small ones, whose operators are too short
    to share. A quota is a pod's own, so the first is safe; a machine without one is shared with others.
    """
    if quota is None:
        return CpuPlan(threads_per_run=1, runs_at_once=max(1, cores))
    return CpuPlan(threads_per_run=max(1, int(quota)), runs_at_once=2)


class Model:
    """An open model. Raises ModelRefused when it can't be served."""

    def __init__(self, path: Path, plan: CpuPlan) -> None:
        check_file(path)
        self._session = _session(path, plan)
        self._slots = threading.BoundedSemaphore(plan.runs_at_once)
        self.signature = _signature(self._session)

    @classmethod
    def open(cls, path: Path, cpus: int | None = None) -> "Model":
        """`cpus` overrules the container's quota. Raises ModelRefused."""
        if not path.is_file():
            raise ModelRefused("NotFound", f"there is no model file at {path}")
        return cls(path, plan_cpus(cpus or cpu_quota(), os.cpu_count() or 1))

    def run(self, arrays: dict[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        """The named outputs, in order. Raises ModelFailed with the runtime's own words."""
        with self._slots:
            try:
                results = self._session.run(list(outputs), arrays)
            except Exception as error:  # noqa: BLE001 - the runtime's errors share no base but Exception
                raise ModelFailed(one_line(error)) from None
        return dict(zip(outputs, results, strict=True))

    def warm_up(self) -> None:
        """A first run on blank inputs. They may be illegal to a legal model: that is logged, and no failure."""
        try:
            self.run(blank_inputs(self.signature), tuple(spec.name for spec in self.signature.outputs))
        except ModelFailed as error:
            log.warning("the model refuses blank inputs, so it starts without a warm-up: %s", error)


def sha256_of(path: Path) -> str:
    """Lower case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def one_line(error: Exception) -> str:
    """An exception's words on one line of bounded length."""
    return " ".join(str(error).split())[:500]


def _session(path: Path, plan: CpuPlan) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = plan.threads_per_run
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR_SEVERITY
    # A spinning thread burns the quota that the next request needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
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
