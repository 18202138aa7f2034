"""Which classes a model has: what labels.json, config.json or the graph itself says, where an output fits it."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tidegate_server.errors import ModelRefused
from tidegate_server.predict.classes import Classes, find_classes
from tidegate_server.predict.labels import CONFIG_FILE, LABELS_FILE, Labels, parse_config, parse_labels
from tidegate_server.predict.package_files import PackageFolder
from tidegate_server.predict.ultralytics import parse_metadata
from tidegate_server.protocol.json_codec import dump_json
from tidegate_server.protocol.signature import Signature

log = logging.getLogger(__name__)

LOGITS = "logits"
"""What transformers' exporters call the output with the classes."""
LONGEST_PROPERTY = 2**16
"""Bytes of all names together; more aren't told with the model's metadata."""


def read_labels(files: PackageFolder, signature: Signature, metadata: Mapping[str, str]) -> Labels:
    """What somebody wrote for this server, then what came along with the model, then what the graph says itself.

    Raises ModelRefused for a file that is broken.
    """
    own = files.json(LABELS_FILE)
    given = Labels() if own is None else parse_labels(own)
    if given.names:
        return given
    found = parse_config(files.json(CONFIG_FILE)) or parse_metadata(metadata)
    if found is None:
        return given
    output = given.output or found.output or (LOGITS if signature.output(LOGITS) else None)
    return replace(found, output=output, scores=given.scores or found.scores, max_length=given.max_length)


def fitting_classes(labels: Labels, signature: Signature) -> Classes | None:
    """None where nothing is named, or what came along with the model fits none of its outputs.

    Raises ModelRefused where labels were written for this model and don't fit it.
    """
    if not labels.names and labels.scores != "raw":
        return None
    try:
        return find_classes(labels, signature)
    except ModelRefused as error:
        if labels.file == LABELS_FILE or labels.output == LOGITS:
            raise
        log.warning("%s. Answers have no labels", error)
        return None


def class_names(folder: Path, signature: Signature, metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """In the order of the classes; empty where nobody named them, None where their file is broken or doesn't fit.

    Where no file names them, the graph's own names of its outputs' columns are meant.
    """
    try:
        classes = fitting_classes(read_labels(PackageFolder(folder), signature, metadata), signature)
    except ModelRefused:
        return None
    if classes and classes.names:
        return classes.names
    return tuple(name for output in sorted(signature.output_classes) for name in signature.output_classes[output])


def names_digest(names: Sequence[str]) -> str:
    """The sha256 of a list of names, each of which ends with a zero byte."""
    return hashlib.sha256(b"".join(name.encode("utf-8", "replace") + b"\0" for name in names)).hexdigest()


def names_property(names: Sequence[str]) -> dict[str, str]:
    """`labels`, a JSON list, for the model's metadata; nothing where there are none, or too many."""
    written = dump_json(list(names)).decode()
    return {"labels": written} if names and len(written) <= LONGEST_PROPERTY else {}
