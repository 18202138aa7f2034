"""Execution providers: what computes a model instead of the runtime's own code for CPUs.

The runtime falls back to that code in silence: a provider that isn't in its wheel, can't be loaded or takes no node of
the graph is no error to it. Here each of these ends the start with a sentence. Pure: the runtime's facts are arguments.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate_server.errors import BadSetting

VARIABLE = "TIDEGATE_PROVIDERS"
CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
NEED_CUDA = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
SUFFIX = "ExecutionProvider"
_NAME = re.compile(r"[A-Za-z0-9]+")
_EXAMPLE = 'write names with commas between them (Tensorrt,CUDA), or [["OpenVINO", {"device_type": "CPU"}]]'
_SOURCE_PLACE = re.compile(r"^\S+\.(?:cc|h):\d+ .*\) (?=\S)", re.DOTALL)


@dataclass(frozen=True)
class Provider:
    """`name` ends in ExecutionProvider; `options` are those that this provider knows."""

    name: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """With its options, for people."""
        words = ", ".join(f"{option} {value}" for option, value in self.options)
        return f"{self.name} ({words})" if words else self.name


def parse_providers(text: str) -> tuple[Provider, ...]:
    """Of `Tensorrt,CUDA`, or of the JSON that onnxruntime takes in Python; empty for the CPU alone. Raises BadSetting.

    The CPU always comes last, whether it is named or not: it takes what the others leave.
    """
    if not text.strip():
        return ()
    named = _from_json(text) if text.lstrip().startswith("[") else [(name, {}) for name in text.split(",")]
    if not named:
        raise BadSetting(f"{VARIABLE} names no provider; {_EXAMPLE}")
    providers = tuple(_provider(name, options) for name, options in named)
    names = [provider.name.lower() for provider in providers]
    if CPU.lower() in names[:-1]:
        raise BadSetting(f"{VARIABLE} has CPU before {providers[-1].name}, which then computes nothing; name CPU last")
    if len({*names}) < len(names):
        raise BadSetting(f"{VARIABLE} names a provider twice; name each once, with all its options")
    if names[-1] != CPU.lower():
        return providers
    if providers[-1].options:
        raise BadSetting(f"{VARIABLE} has options for CPU, which takes none; leave them out")
    return providers[:-1]


def _from_json(text: str) -> list[tuple[Any, Any]]:
    try:
        given = json.loads(text)
    except ValueError:
        raise BadSetting(f"{VARIABLE} begins as JSON and isn't any; {_EXAMPLE}") from None
    pairs = [each if isinstance(each, list) else [each, {}] for each in given]
    if any(len(pair) != 2 for pair in pairs):
        raise BadSetting(f"{VARIABLE} has a list that isn't a name and its options; {_EXAMPLE}")
    return [(name, options) for name, options in pairs]


def _provider(name: Any, options: Any) -> Provider:
    if not isinstance(name, str) or not _NAME.fullmatch(name.strip()):
        raise BadSetting(f"{VARIABLE} has {name!r} where a provider's name should be; {_EXAMPLE}")
    if not isinstance(options, dict) or not all(isinstance(value, str | int | float) for value in options.values()):
        raise BadSetting(f"{VARIABLE} has options of {name} that aren't names with texts or numbers; {_EXAMPLE}")
    full = name.strip()
    full = full if full.lower().endswith(SUFFIX.lower()) else full + SUFFIX
    return Provider(full, tuple((option, str(value)) for option, value in options.items()))


def resolved(
    asked: Sequence[Provider], known: Iterable[str], available: Sequence[str], runtime: str
) -> tuple[Provider, ...]:
    """With names as the runtime writes them. Raises BadSetting for one that it doesn't have."""
    by_lower = {name.lower(): name for name in known}
    found = []
    for provider in asked:
        name = by_lower.get(provider.name.lower(), provider.name)
        if name not in available:
            raise BadSetting(
                f"{VARIABLE} asks for {name}, which {runtime} as it is installed here doesn't have; it has "
                f"{', '.join(available)}; take an image that was built with it, or leave it out"
            )
        found.append(Provider(name, provider.options))
    return tuple(found)


def with_threads(provider: Provider, threads: int) -> Provider:
    """OpenVINO doesn't go by the session's number of threads: without its own option it takes all of the machine."""
    if provider.name != OPENVINO or "num_of_threads" in dict(provider.options):
        return provider
    return Provider(provider.name, (*provider.options, ("num_of_threads", str(threads))))


def require_loaded(asked: Sequence[Provider], loaded: Sequence[str]) -> None:
    """`loaded`: those of the open session. Raises BadSetting, not for good: another machine may have the device."""
    for provider in asked:
        if provider.name not in loaded:
            raise BadSetting(
                f"{VARIABLE} asks for {provider}, which can't be loaded on this machine: its own words are above; "
                "check the device, the driver and the options, or leave it out",
                permanent=False,
            )


def require_computing(asked: Sequence[Provider], nodes: Mapping[str, int]) -> None:
    """`nodes` that each provider of the open session computes. Raises BadSetting where the first takes none."""
    if asked and not nodes.get(asked[0].name):
        raise BadSetting(
            f"{VARIABLE} asks for {asked[0]}, which computes none of the model's {sum(nodes.values())} nodes; "
            "check its options, or leave it out"
        )


def why_not_opened(asked: Sequence[Provider], words: str) -> BadSetting:
    """A session that didn't open with them; `words` are the runtime's, and its reason is their last line."""
    names = ", ".join(provider.name for provider in asked)
    reason = _SOURCE_PLACE.sub("", words.strip().splitlines()[-1])[:300] if words.strip() else "no reason is given"
    return BadSetting(
        f"{VARIABLE} asks for {names}, which can't open the model: {reason}; check the options, or leave it out"
    )


def who_computes(nodes: Mapping[str, int]) -> str:
    """For people: `12 nodes on OpenVINOExecutionProvider, 3 on CPUExecutionProvider`."""
    by_count = sorted(nodes.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} on {name}" for name, count in by_count).replace(" on", " nodes on", 1)
