"""Failures of a run that the client's own values caused, in the runtime's words. Pure.

A run can fail for many reasons, and most are the model's: a release must not pass for good because its failures are
called its clients' mistakes. So only what can be shown is: the value that the runtime names is in the request.
"""

import re
from collections.abc import Collection, Mapping

from tidegate_server.protocol.tensors import Array

_INDEX_WORDS = (
    re.compile(r"indices element out of data bounds, idx=(-?\d+) must be within the inclusive range \[-?\d+, ?-?\d+\]"),
    re.compile(r"invalid index found, index = (-?\d+)"),
)
SOUND_DECODER = "AudioDecoder"
"""The operator that makes numbers of a sound file's bytes."""
_DECODER_WORDS = re.compile(rf"while running {SOUND_DECODER} node\..*?Status Message: *(.*)")


def undecodable_sound(words: str, sound_inputs: Collection[str]) -> str | None:
    """A sentence about bytes that the model's decoder doesn't read; None for any other failure.

    `sound_inputs` are those that a decoder takes as they come: what it was given is then what the client sent.
    """
    found = _DECODER_WORDS.search(words)
    if found is None or not sound_inputs:
        return None
    names = " or ".join(sorted(sound_inputs))
    return f"input {names} isn't a sound file that the model's decoder reads, or is cut off: {found[1]}"


def value_beyond_table(words: str, arrays: Mapping[str, Array]) -> str | None:
    """A sentence about an index that the client gave and no table of the model has; None for any other failure."""
    for pattern in _INDEX_WORDS:
        found = pattern.search(words)
        if found is None:
            continue
        index = int(found[1])
        for name, array in arrays.items():
            if array.dtype.kind in "iu" and bool((array == index).any()):
                return f"input {name} holds {index}, which is in no table of the model: {found[0]}"
    return None
