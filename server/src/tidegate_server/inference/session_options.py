"""What a setting may change of how the runtime opens a model. Pure.

An allow-list: what isn't here counts threads, which the warm-up does, or names files that would be read or written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson

from tidegate_server.errors import BadSetting

VARIABLE = "TIDEGATE_SESSION_OPTIONS"
LEVELS = {
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
LEVEL = "graph_optimization_level"
SWITCHES = ("enable_cpu_mem_arena", "enable_mem_pattern", "enable_mem_reuse", "use_deterministic_compute")
_SWITCH, _NUMBER = re.compile("[01]"), re.compile("[0-9]{1,12}")
_NAMES = re.compile("[A-Za-z0-9_]{1,64}(;[A-Za-z0-9_]{1,64}){0,63}")
ENTRIES = {
    "mlas.disable_kleidiai": _SWITCH,
    "mlas.use_lut_gemm": _SWITCH,
    "optimization.constant_folding_max_output_size_in_bytes": _NUMBER,
    "optimization.disable_specified_optimizers": _NAMES,
    "optimization.enable_cast_chain_elimination": _SWITCH,
    "optimization.enable_gelu_approximation": _SWITCH,
    "session.disable_aot_function_inlining": _SWITCH,
    "session.disable_double_qdq_remover": _SWITCH,
    "session.disable_prepacking": _SWITCH,
    "session.disable_qdq_constant_folding": _SWITCH,
    "session.disable_quant_qdq": _SWITCH,
    "session.dynamic_block_base": _NUMBER,
    "session.enable_dq_matmulnbits_fusion": _SWITCH,
    "session.enable_quant_qdq_cleanup": _SWITCH,
    "session.force_spinning_stop": _SWITCH,
    "session.graph_optimizations_loop_level": _NUMBER,
    "session.inter_op.allow_spinning": _SWITCH,
    "session.intra_op.allow_spinning": _SWITCH,
    "session.intra_op.spin_duration_us": _NUMBER,
    "session.qdq_matmulnbits_accuracy_level": _NUMBER,
    "session.set_denormal_as_zero": _SWITCH,
    "session.strict_shape_type_inference": _SWITCH,
    "session.use_device_allocator_for_initializers": _SWITCH,
}
"""The runtime's session config entries, and what each may be."""
_ELSEWHERE = {
    "intra_op_num_threads": "TIDEGATE_THREADS_PER_RUN says how many threads a run has",
    "inter_op_num_threads": "runs beside one another make better use of CPUs, and the warm-up finds out how many",
    "enable_profiling": "its files would fill the container",
}
_KNOWN = (LEVEL, *SWITCHES, *ENTRIES)


@dataclass(frozen=True)
class SessionOptions:
    """What differs from what this server sets."""

    level: str | None = None
    """A name of the runtime's GraphOptimizationLevel."""
    switches: tuple[tuple[str, bool], ...] = ()
    """Of the runtime's SessionOptions."""
    entries: tuple[tuple[str, str], ...] = ()
    """Session config entries."""


AS_USUAL = SessionOptions()


def session_options(environ: Mapping[str, str]) -> SessionOptions:
    """From a JSON object in TIDEGATE_SESSION_OPTIONS. Raises BadSetting for what isn't on the list."""
    text = environ.get(VARIABLE, "")
    given = _object(text) if text else {}
    for name in given:
        if name not in _KNOWN:
            raise BadSetting(f"{VARIABLE} has {name!r}; {_hint(name)}")
    return SessionOptions(
        level=_level(given[LEVEL]) if LEVEL in given else None,
        switches=tuple((name, _switch(name, given[name])) for name in SWITCHES if name in given),
        entries=tuple((name, _entry(name, given[name])) for name in ENTRIES if name in given),
    )


def _object(text: str) -> dict[str, Any]:
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise BadSetting(f'{VARIABLE} must be a JSON object, such as {{"enable_cpu_mem_arena": false}}')
    return given


def _hint(name: str) -> str:
    if reason := _ELSEWHERE.get(name):
        return f"it can't be set there: {reason}"
    close = get_close_matches(name, _KNOWN, 1)
    return f"did you mean {close[0]!r}?" if close else f"it may have {', '.join(_KNOWN)}"


def _level(value: Any) -> str:
    if not isinstance(value, str) or value not in LEVELS:
        raise BadSetting(f"{VARIABLE}: {LEVEL} is {_shown(value)}; it must be one of {', '.join(LEVELS)}")
    return LEVELS[value]


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadSetting(f"{VARIABLE}: {name} is {_shown(value)}; it must be true or false")
    return value


def _entry(name: str, value: Any) -> str:
    """As the runtime wants it: a text."""
    text = str(int(value)) if isinstance(value, bool) else str(value)
    pattern = ENTRIES[name]
    if not isinstance(value, bool | int | str) or not pattern.fullmatch(text):
        wanted = {_SWITCH: "true or false", _NUMBER: "a whole number from 0 on"}.get(pattern, "names with ';' between")
        raise BadSetting(f"{VARIABLE}: {name} is {_shown(value)}; it must be {wanted}")
    return text


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()[:100]
