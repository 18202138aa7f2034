"""`tidegate-server profile`: how training data is distributed, written beside the model that was trained with it."""

import csv
import logging
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import orjson

from tidegate_server.errors import InvalidRequest, ModelRefused
from tidegate_server.inference.model import Model
from tidegate_server.predict.package import Package, open_package
from tidegate_server.predict.profile_file import PROFILE_FILE, parse_profile
from tidegate_server.predict.profile_recording import record_profile
from tidegate_server.predict.text_predictor import TextPredictor
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec
from tidegate_server.protocol.tensors import Array
from tidegate_server.settings import Settings

log = logging.getLogger(__name__)

KINDS = (".csv", ".jsonl", ".npy", ".npz")


def profile(settings: Settings, data: str, *, bins: int) -> int:
    """The exit code: 0 when the profile is written, 1 where the data isn't the model's. Raises ModelRefused."""
    model = Model.open(settings.model_path, providers=settings.providers, options=settings.session_options)
    package = open_package(settings.model_path.parent, model.signature, model.metadata)
    path = model.path.with_name(PROFILE_FILE)
    limits = settings.limits(takes_missing_values=True)
    try:
        samples, names = _read(Path(data), model.signature, package, limits)
        content = record_profile(samples, names, bins)
        features = parse_profile(orjson.loads(content), model.signature).features
    except (InvalidRequest, ModelRefused, OSError, ValueError) as error:
        log.error("can't write a profile of %s: %s", data, error)
        return 1
    path.write_bytes(content)
    rows = len(next(iter(samples.values())))
    sys.stdout.write(f"wrote {path}: {len(features)} features of {rows:,} rows\n")
    return 0


def _read(
    path: Path, signature: Signature, package: Package, limits: Limits
) -> tuple[Mapping[str, Array], Mapping[str, Sequence[str]]]:
    """Rows by input, and what the columns are called. Raises InvalidRequest, OSError and ValueError."""
    if path.suffix == ".csv":
        return _table(path, signature)
    if path.suffix == ".jsonl":
        return _bodies(path, signature, package, limits), {}
    if path.suffix in (".npz", ".npy"):
        return _fitting(_arrays(path, signature), signature), {}
    raise InvalidRequest(f"its name must end in one of {', '.join(KINDS)}")


def _arrays(path: Path, signature: Signature) -> Mapping[str, Array]:
    """By input, of either kind of numpy's files, whatever its name says. Raises as _read does."""
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {_only_input(signature).name: loaded}
            found = {name: loaded[name] for name in loaded.files}
    except (BadZipFile, EOFError, zlib.error) as error:
        raise InvalidRequest("it is no file of numpy's, or ends in its middle") from error
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise InvalidRequest(f"{name!r} in it is no array")
    return found


def _only_input(signature: Signature) -> TensorSpec:
    if len(signature.inputs) != 1:
        raise InvalidRequest(f"the model has {len(signature.inputs)} inputs; give an .npz file with an array for each")
    return signature.inputs[0]


def _fitting(arrays: Mapping[str, Array], signature: Signature) -> Mapping[str, Array]:
    for name, array in arrays.items():
        spec = signature.input(name)
        if spec is None:
            names = ", ".join(sorted(each.name for each in signature.inputs))
            raise InvalidRequest(f"the model has no input {name!r}; it has {names}")
        sizes = zip(array.shape[1:], spec.shape[1:], strict=False)
        if array.ndim != len(spec.shape) or any(want not in (-1, size) for size, want in sizes):
            raise InvalidRequest(f"{name} has the shape {list(array.shape)}; the model takes {list(spec.shape)}")
    if not arrays:
        raise InvalidRequest("there is no array in it")
    kinds = {spec.name: spec.datatype for spec in signature.inputs}
    return {name: _cast(array, name, kinds[name]) for name, array in arrays.items()}


def _cast(array: Array, name: str, datatype: str) -> Array:
    """As requests have it. Raises InvalidRequest for values that no request could have, and ValueError."""
    wanted = np.dtype(NUMPY_TYPES[datatype])
    if wanted.kind == "O":
        if array.dtype.kind not in "OSU":
            raise InvalidRequest(f"{name} has no strings; the model takes {datatype}")
        return (np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array).astype(wanted)
    if array.dtype.kind not in "fiub":
        raise InvalidRequest(f"{name} has no numbers; the model takes {datatype}")
    if wanted.kind not in "iub":
        return array.astype(wanted)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidRequest(f"{name} has values that are missing; the model takes {datatype}")
    with np.errstate(invalid="ignore"):
        cast = array.astype(wanted)
    changed = array[cast != array]
    if changed.size:
        raise InvalidRequest(f"{name} has {changed.flat[0]:.12g}, which is no {datatype}, as the model takes it")
    return cast


def _table(path: Path, signature: Signature) -> tuple[Mapping[str, Array], Mapping[str, Sequence[str]]]:
    """A line of names, and one for each row. Of a model with one input, its columns; else a column for each input."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            table = list(csv.reader(file))
        except csv.Error as error:
            raise InvalidRequest(f"it can't be read as a table: {error}") from error
    if not table:
        raise InvalidRequest("it is empty; its first line has to have the names of the columns")
    header, *lines = table
    if any(len(line) != len(header) for line in lines):
        raise InvalidRequest(f"each line must have {len(header)} values, as the first has names")
    if len(signature.inputs) > 1 or header == [signature.inputs[0].name]:
        columns = {name: [line[place] for line in lines] for place, name in enumerate(header)}
        arrays = {name: _typed(values, name, signature) for name, values in columns.items()}
        wide = {
            name: array.reshape(-1, *([1] * (len(_spec(name, signature).shape) - 1))) for name, array in arrays.items()
        }
        return _fitting(wide, signature), {}
    name = signature.inputs[0].name
    rows = _typed([value for line in lines for value in line], name, signature).reshape(len(lines), len(header))
    return _fitting({name: rows}, signature), {name: header}


def _spec(name: str, signature: Signature) -> TensorSpec:
    spec = signature.input(name)
    if spec is None:
        names = ", ".join(sorted(each.name for each in signature.inputs))
        raise InvalidRequest(f"column {name!r} is no input of the model; it has {names}")
    return spec


def _typed(values: Sequence[str], name: str, signature: Signature) -> Array:
    """An empty value is missing."""
    if _spec(name, signature).datatype == "BYTES":
        return np.array(values, np.object_)
    return np.array([float(value) if value else np.nan for value in values], np.float64)


def _bodies(path: Path, signature: Signature, package: Package, limits: Limits) -> Mapping[str, Array]:
    if isinstance(package.predictor, TextPredictor) and not any(s.datatype == "BYTES" for s in signature.inputs):
        raise InvalidRequest("a profile is of numbers and categories, and this model takes text")
    parts: dict[str, list[Any]] = {}
    for number, line in enumerate(filter(None, path.read_bytes().splitlines()), 1):
        try:
            requests = package.predictor.read(orjson.loads(line), signature, limits).requests
        except (InvalidRequest, orjson.JSONDecodeError) as error:
            raise InvalidRequest(f"line {number}: {error}") from None
        for request in requests:
            for name, array in request.arrays.items():
                parts.setdefault(name, []).append(array)
    return _fitting({name: np.concatenate(arrays) for name, arrays in parts.items()}, signature)
