"""Understands what Ultralytics writes into a graph's own metadata: names, task and image size. Pure."""

import ast
import re
from collections.abc import Mapping

import numpy as np

from tidegate_server.predict.labels import Labels
from tidegate_server.protocol.json_codec import dump_json
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature
from tidegate_server.protocol.tensors import Array

METADATA = "the graph's metadata"
MAX_METADATA_CHARACTERS = 2**20
MAX_IMAGE_SIZE = 4096
_AUTHOR = "Ultralytics"
_STRING = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_NAME = re.compile(rf"\s*(\d+)\s*:\s*({_STRING})\s*,?")
_SIZE = re.compile(r"\[\s*(\d{1,4})\s*,\s*(\d{1,4})\s*\]")


def parse_metadata(metadata: Mapping[str, str]) -> Labels | None:
    """The classes of a classifier, whose numbers are probabilities. None for any other graph.

    A detector's names are for its boxes, which nobody has looked for in its numbers yet: they go out as metadata.
    """
    if metadata.get("author") != _AUTHOR or metadata.get("task") != "classify":
        return None
    names = parse_names(metadata.get("names", ""))
    return Labels(names, scores="none", file=METADATA) if names else None


def parse_names(written: str) -> tuple[str, ...]:
    """`{0: 'person', 1: 'bicycle'}`, as Python writes it; none for anything else."""
    if len(written) > MAX_METADATA_CHARACTERS or not (written.startswith("{") and written.endswith("}")):
        return ()
    inner, at, names = written[1:-1], 0, {}
    while found := _NAME.match(inner, at):
        names[int(found[1])] = str(ast.literal_eval(found[2]))
        at = found.end()
    is_whole = not inner[at:].strip() and sorted(names) == list(range(len(names)))
    return tuple(names[position] for position in range(len(names))) if is_whole else ()


def image_properties(metadata: Mapping[str, str]) -> dict[str, str]:
    """Task, image size, and names as a JSON list, as they go out with the model's metadata."""
    if metadata.get("author") != _AUTHOR:
        return {}
    names = parse_names(metadata.get("names", ""))
    said = {field: metadata[field] for field in ("task", "imgsz") if field in metadata}
    return {**said, **({"names": dump_json(names).decode()} if names else {})}


def image_example(metadata: Mapping[str, str], signature: Signature) -> dict[str, Array] | None:
    """An empty image of the size that the graph was exported for; None where it has no sizes to choose."""
    size = _SIZE.fullmatch(metadata.get("imgsz", "").strip())
    if metadata.get("author") != _AUTHOR or size is None or len(signature.inputs) != 1:
        return None
    (only,) = signature.inputs
    height, width = int(size[1]), int(size[2])
    if len(only.shape) != 4 or only.datatype == "BYTES" or not 1 <= max(height, width) <= MAX_IMAGE_SIZE:
        return None
    wanted = (1, 3, height, width)
    shape = tuple(free if fixed == -1 else fixed for free, fixed in zip(wanted, only.shape, strict=True))
    return {only.name: np.zeros(shape, NUMPY_TYPES[only.datatype])}
