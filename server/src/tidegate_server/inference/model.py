"""The ONNX model in memory; the only place that knows onnxruntime.

A session is shared by all threads: the runtime allows it and lets go of Python's lock while it computes.
"""

import hashlib
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

# The runtime reads it while it is imported. A model server sends nothing to anybody unasked.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from tidegate_server.errors import BadSetting, ModelFailed, ModelRefused, one_line
from tidegate_server.inference.extensions import extensions_library, require_safe, sound_inputs, uses_extensions
from tidegate_server.inference.model_file import ModelFile, read_model_file
from tidegate_server.inference.onnx_graph import takes_missing_values
from tidegate_server.inference.other_outputs import with_tensors_instead
from tidegate_server.inference.providers import (
    CPU,
    NEED_CUDA,
    Provider,
    require_computing,
    require_loaded,
    resolved,
    who_computes,
    why_not_opened,
    with_threads,
)
from tidegate_server.inference.session_options import AS_USUAL, SessionOptions
from tidegate_server.inference.values import array_of, given_value, run_with_bfloat16, value_kind
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

log = logging.getLogger(__name__)

MAX_INITIALIZERS = 16
"""Initializers that a request may override, where the graph offers them as inputs too."""

_LOCALE = re.compile(r"locale with name:([\w.-]+)")
_OPSET = re.compile(r"Opset (\d+) is under development.*support for domain (\S+) is till opset (\d+)")
_IR_VERSION = re.compile(r"IR version: (\d+), max supported IR version: (\d+)")
_SHORT_WEIGHTS = re.compile(r"External initializer: (\S+) offset.*file_length: (\d+) are out of bounds", re.DOTALL)
_RUNTIME = f"onnxruntime {onnxruntime.__version__}"
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

    def __init__(
        self,
        file: ModelFile,
        session: Any,
        providers: Sequence[Provider] = (),
        options: SessionOptions = AS_USUAL,
    ) -> None:
        """`session` has been opened from `file`, with tensors in place of its other outputs, and with `options`.

        `providers` compute it before the CPU does.
        """
        self.file, self._session, self.providers, self._options = file, session, providers, options
        self.signature = _signature(
            session, {tensor.name: tensor.classes for other in file.others for tensor in other.tensors}
        )
        nodes = (*session.get_inputs(), *session.get_overridable_initializers(), *session.get_outputs())
        self._kinds = {node.name: kind for node in nodes if (kind := value_kind(node.type)) is not None}
        self._all_plain = all(kind.is_plain for kind in self._kinds.values())
        self._has_bfloat16 = any(kind.datatype == "BF16" for kind in self._kinds.values())
        if self._has_bfloat16:
            _require_no_text(self.signature)
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        """What whoever exported the model has written into it."""

    @classmethod
    def open(
        cls,
        path: Path,
        threads_per_run: int = 1,
        providers: Sequence[Provider] = (),
        options: SessionOptions = AS_USUAL,
    ) -> "Model":
        """`providers`: what computes it before the CPU does.

        Raises ModelRefused when it can't be served, and BadSetting when the first of the providers doesn't compute it.
        """
        if not path.is_file():
            raise ModelRefused("NotFound", f"there is no model file at {path}")
        return cls._opened(read_model_file(path), threads_per_run, _resolved(providers), options)

    @classmethod
    def _opened(
        cls, file: ModelFile, threads_per_run: int, providers: Sequence[Provider], options: SessionOptions
    ) -> "Model":
        require_safe(file.operators)
        with _servable_name(file) as name:
            return cls(file, _session(file, name, threads_per_run, providers, options), providers, options)

    @property
    def path(self) -> Path:
        """Of the model's file."""
        return self.file.path

    def run(
        self, arrays: dict[str, Array], outputs: Sequence[str], cancel_token: CancelToken | None = None
    ) -> list[Array]:
        """The named outputs, in order. Raises ModelFailed with the runtime's own words."""
        options = cancel_token and cancel_token.options
        try:
            if self._all_plain:
                results: list[Array] = self._session.run(outputs, arrays, options)
                return results
            return self._run_other_kinds(arrays, outputs, options)
        except ModelFailed:
            raise
        except Exception as error:  # noqa: BLE001 - the runtime's errors share no base but Exception
            raise ModelFailed(one_line(error)) from None

    def _run_other_kinds(self, arrays: dict[str, Array], outputs: Sequence[str], options: Any) -> list[Array]:
        kinds = self._kinds
        if self._has_bfloat16:
            return run_with_bfloat16(self._session, arrays, kinds, outputs, options)
        given = {name: given_value(kinds[name], array) for name, array in arrays.items()}
        results = self._session.run(outputs, given, options)
        return [array_of(name, kinds[name], value) for name, value in zip(outputs, results, strict=True)]

    @property
    def takes_missing_values(self) -> bool:
        """It has an operator that does something sensible with NaN."""
        return takes_missing_values(self.file.operators)

    @property
    def sound_inputs(self) -> frozenset[str]:
        """Those whose bytes the graph decodes as they come."""
        return sound_inputs(self.path) if uses_extensions(self.file.operators) else frozenset()

    def give_memory_back(self, arrays: dict[str, Array]) -> None:
        """Runs once more, and then frees what the runtime keeps for larger runs than its first one."""
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        with suppress(Exception):  # it has run before; and if it doesn't now, a request will say so
            self._session.run(None, arrays, options)

    def with_threads(self, threads_per_run: int) -> "Model":
        """The same model opened again, with another number of threads in each run."""
        return Model._opened(self.file, threads_per_run, self.providers, self._options)

    def on_cpu(self) -> "Model":
        """The same model opened again, without providers."""
        return Model._opened(self.file, 1, (), self._options)

    @property
    def runtime(self) -> str:
        """For people: the runtime's version, and what computes the model."""
        if not self.providers:
            return f"{_RUNTIME}: {CPU}"
        return f"{_RUNTIME}: {who_computes(_nodes_by_provider(self._session))}"


def sha256_of(path: Path) -> str:
    """Lower case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _servable_name(model: ModelFile) -> Iterator[str]:
    """What the runtime opens: the file itself, or a copy with tensors for outputs, in memory while it is being read."""
    if not model.others:
        yield str(model.path)
        return
    descriptor = os.memfd_create(model.path.name)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.writelines(with_tensors_instead(model.path, model.others))
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _session(
    model: ModelFile, name: str, threads_per_run: int, providers: Sequence[Provider], wanted: SessionOptions
) -> Any:
    """`name` is opened; the model's weights lie beside its own file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads_per_run
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR_SEVERITY
    # A spinning thread burns the quota that the next request needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if name != str(model.path):
        folder = str(model.path.parent)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    # The runtime would keep a plan of the memory for every combination of shapes that it has ever met.
    options.enable_mem_pattern = False
    _apply(wanted, options)
    if uses_extensions(model.operators):
        options.register_custom_ops_library(extensions_library())
    if providers:
        try:
            return _session_by(providers, name, options, threads_per_run)
        except BadSetting:
            raise
        except Exception as error:  # noqa: BLE001 - the runtime's errors share no base but Exception
            _session(model, name, threads_per_run, (), wanted)  # whether it is the model, and what is wrong with it
            raise why_not_opened(providers, str(error)) from None
    try:
        return onnxruntime.InferenceSession(name, options, providers=[CPU])
    except Exception as error:  # noqa: BLE001 - the runtime's errors share no base but Exception
        raise _why_refused(type(error).__name__, str(error)) from None


def _resolved(providers: Sequence[Provider]) -> tuple[Provider, ...]:
    if not providers:
        return ()
    return resolved(providers, onnxruntime.get_all_providers(), onnxruntime.get_available_providers(), _RUNTIME)


def _session_by(providers: Sequence[Provider], name: str, options: Any, threads_per_run: int) -> Any:
    """Computed by the first of the providers at least in part. Raises BadSetting where it isn't."""
    if any(provider.name in NEED_CUDA for provider in providers):
        with redirect_stdout(sys.stderr):  # what it doesn't find it prints
            onnxruntime.preload_dlls()  # CUDA's libraries, where they are Python packages beside the runtime's
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    named = [(each.name, dict(with_threads(each, threads_per_run).options)) for each in providers]
    # Without its fallback the runtime also says what is wrong with an option, and never changes over in a run.
    session = onnxruntime.InferenceSession(name, options, providers=[*named, CPU], enable_fallback=0)
    require_loaded(providers, session.get_providers())
    require_computing(providers, _nodes_by_provider(session))
    return session


def _nodes_by_provider(session: Any) -> Mapping[str, int]:
    """How many nodes of the graph each computes. That a provider is in the session's list says nothing of it."""
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    return counts


def _apply(wanted: SessionOptions, options: Any) -> None:
    """Over what this server sets itself."""
    if wanted.level is not None:
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, wanted.level)
    for name, switch in wanted.switches:
        setattr(options, name, switch)
    for name, value in wanted.entries:
        options.add_session_config_entry(name, value)


def _why_refused(kind: str, words: str) -> ModelRefused:
    """The runtime's reason in a sentence that says what helps."""
    if kind == "InvalidProtobuf":
        return ModelRefused("NotOnnx", "the file isn't an ONNX model; check what the URI points to")
    ours = _RUNTIME
    if found := _LOCALE.search(words):
        return ModelRefused(
            "UnsupportedModel",
            f"the model's text operators need the locale {found[1]}, which this system doesn't have; install it, "
            "or serve from Tidegate's own image, which has en_US.UTF-8",
        )
    if found := _OPSET.search(words):
        return ModelRefused(
            "UnsupportedModel",
            f"the model uses opset {found[1]} of {found[2]}, and {ours} knows up to {found[3]}; "
            f"export it with opset {found[3]} or lower",
        )
    if found := _SHORT_WEIGHTS.search(words):
        return ModelRefused(
            "UnsupportedModel",
            f"the file that has the weights {found[1]} ends after {found[2]} bytes, before they do; bring it again",
        )
    if found := _IR_VERSION.search(words):
        return ModelRefused(
            "UnsupportedModel",
            f"the model's IR version is {found[1]}, and {ours} knows up to {found[2]}; export it with an older onnx",
        )
    return ModelRefused("UnsupportedModel", f"{ours} can't open the model; export it for this version: {_short(words)}")


def _short(words: str) -> str:
    return one_line(Exception(words))


def _signature(session: Any, classes: Mapping[str, tuple[str, ...]]) -> Signature:
    initializers = session.get_overridable_initializers()
    # A graph that lists all its weights as inputs, as old exporters do, isn't meant to get them with each request.
    offered = initializers if len(initializers) <= MAX_INITIALIZERS else ()
    outputs = (_spec(node, "output") for node in session.get_outputs())
    return Signature(
        inputs=(
            *(_spec(node, "input") for node in session.get_inputs()),
            *(replace(_spec(node, "input"), optional=True) for node in offered if value_kind(node.type) is not None),
        ),
        outputs=tuple(replace(spec, classes=classes.get(spec.name, ())) for spec in outputs),
    )


def _require_no_text(signature: Signature) -> None:
    """The runtime takes bfloat16 only as values of its own, and makes none of those of strings."""
    for spec in signature.inputs:
        if spec.datatype == "BYTES":
            raise ModelRefused(
                "UnsupportedModel",
                f"input {spec.name} is text beside bfloat16, and the runtime doesn't take both in one run; "
                "export the model with float32 in place of bfloat16",
            )


def _spec(node: Any, role: str) -> TensorSpec:
    kind = value_kind(node.type)
    if kind is None:
        raise ModelRefused(
            "UnsupportedModel",
            f"{role} {node.name} is a {node.type}, and neither JSON nor the protocol's tensors carry one; "
            "export the model with a tensor in its place",
        )
    return TensorSpec(
        node.name, kind.datatype, () if kind.sequence else tuple(node.shape or ()), optional=kind.optional
    )
