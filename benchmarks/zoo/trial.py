"""Asks one served model by every door, and holds each answer against the runtime's own."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tritonclient.grpc
import tritonclient.http

Array = np.ndarray[Any, Any]

SIZES = (1, 16, 64, 320, 512, 576, 2048, 43844, 80, 4)
"""Of free dimensions, tried one after the other until the runtime takes one."""
AT_ONCE = 8
ROUNDING = 1e-5
"""The runtime's kernels round another way for several rows than for one."""
_NUMPY = {"float": np.float32, "double": np.float64, "float16": np.float16, "int64": np.int64, "int32": np.int32}
_OTHERS = {"int16": np.int16, "int8": np.int8, "uint8": np.uint8, "bool": np.bool_, "string": np.object_}
_DATATYPES = {"float32": "FP32", "float64": "FP64", "float16": "FP16", "bool": "BOOL", "object": "BYTES"}


@dataclass(frozen=True)
class Case:
    """Inputs that the runtime takes, and what it answers to them, by name."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Any]


def cases(model: Path) -> list[Case]:
    """As many different ones as are asked at once; none where the runtime takes nothing that is made up here."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    names = [output.name for output in session.get_outputs()]
    for size, inner in ((last, between) for last in SIZES for between in (last, 1)):
        found = []
        for seed in range(AT_ONCE):
            inputs = {
                node.name: _made_up(node, size, inner, np.random.default_rng(seed)) for node in session.get_inputs()
            }
            try:
                case = Case(inputs, dict(zip(names, session.run(names, inputs), strict=True)))
            except Exception:  # noqa: BLE001 - the runtime's errors share no base but Exception
                break
            if any(map(_says_nothing, case.outputs.values())):
                break
            found.append(case)
        if len(found) == AT_ONCE:
            return found
    return []


def _says_nothing(output: Any) -> bool:
    """It is NaN throughout, which the server refuses to pass on as an answer."""
    return isinstance(output, np.ndarray) and output.dtype.kind == "f" and bool(np.isnan(output).all())


def _made_up(node: Any, size: int, inner: int, random: np.random.Generator) -> Array:
    """One row; that size in the last dimension where it is free, and `inner` between: a state has its rows there."""
    last = len(node.shape) - 1
    shape = [
        fixed if isinstance(fixed, int) and fixed > 0 else (1 if not axis else inner if axis < last else size)
        for axis, fixed in enumerate(node.shape)
    ]
    kind = (_NUMPY | _OTHERS)[node.type.removeprefix("tensor(").removesuffix(")")]
    if kind is np.object_:
        words = random.choice(["good", "bad", "food", "day"], size=(*shape, 3))
        return np.apply_along_axis(" ".join, -1, words).astype(object)
    if kind is np.bool_:
        return np.ones(shape, np.bool_)
    if np.issubdtype(kind, np.integer):
        # Rates and lengths, such as that of sound, are scalars; a mask has ones, as a token's type; ids are small.
        if not shape:
            return np.full(shape, 16000, kind)
        return random.integers(1, 2 if "mask" in node.name or "type" in node.name else 20, size=shape).astype(kind)
    return random.normal(size=shape).astype(kind)


@dataclass(frozen=True)
class Door:
    """A way to ask; `ask` gives the outputs by name, as arrays or as nested lists."""

    name: str
    ask: Callable[[Mapping[str, Array]], Mapping[str, Any]]


def doors(port: int, grpc_port: int, model: str) -> list[Door]:
    """Of a server on this machine."""
    http, grpc = f"127.0.0.1:{port}", f"127.0.0.1:{grpc_port}"
    return [
        Door("v2 JSON", lambda inputs: _by_client(tritonclient.http, http, model, inputs, binary=False)),
        Door("v2 binary", lambda inputs: _by_client(tritonclient.http, http, model, inputs, binary=True)),
        Door("gRPC", lambda inputs: _by_client(tritonclient.grpc, grpc, model, inputs, binary=None)),
        Door("/predict", lambda inputs: _predict(port, inputs)),
    ]


def differences(door: Door, found: list[Case]) -> Iterator[str]:
    """What isn't the runtime's own answer, asked one after the other."""
    for case in found[:2]:
        yield from _differences(case, door)


def differences_at_once(door: Door, found: list[Case]) -> Iterator[str]:
    """What isn't, with all cases asked at the same time: they may share runs, and so differ by a rounding."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for told in threads.map(lambda case: list(_differences(case, door, ROUNDING)), found):
            yield from told


def example_fails(port: int) -> str:
    """Why the example of the page isn't answered; empty where it is, or where there is none."""
    document = json.loads(_http(port, "GET", "/openapi.json"))
    for path, body in document["x-model"]["examples"].items():
        if body is not None:
            try:
                post(port, f"/{path}", body)
            except ValueError as error:
                return f"{path}: {error}"
    return ""


def _differences(case: Case, door: Door, rounding: float = 0.0) -> Iterator[str]:
    try:
        answer = door.ask(case.inputs)
    except Exception as error:  # noqa: BLE001 - whatever it is, it's no answer
        yield str(error)[:200]
        return
    for name, expected in case.outputs.items():
        if isinstance(expected, list) and f"{name}.0" in answer:
            answer = {**answer, name: np.stack([answer[f"{name}.{position}"] for position in range(len(expected))])}
        if not _same(answer.get(name), expected, rounding):
            yield f"output {name} is {str(answer.get(name))[:80]}, the runtime's is {str(expected)[:80]}"


def _same(found: Any, expected: Any, rounding: float) -> bool:
    if isinstance(expected, list):
        return _same_sequence(found, expected, rounding)
    array = np.asarray(expected)
    if array.dtype.kind == "O":
        texts = [one.decode() if isinstance(one, bytes) else one for one in np.asarray(found, object).ravel()]
        return bool(texts == array.ravel().tolist())
    given = np.asarray([[np.nan if one is None else one for one in np.asarray(found, object).ravel()]], array.dtype)
    wanted = array.reshape(1, -1)
    if array.dtype.kind == "f" and isinstance(found, list):  # JSON has null for both
        wanted = np.where(np.isfinite(wanted), wanted, np.nan)
    if np.shape(found) != array.shape:
        return False
    if array.dtype.kind == "f" and rounding:
        return np.allclose(given, wanted, rtol=rounding, atol=rounding, equal_nan=True)
    return np.array_equal(given, wanted, equal_nan=array.dtype.kind == "f")


def _same_sequence(found: Any, expected: list[Any], rounding: float) -> bool:
    if not expected or not isinstance(expected[0], dict):
        return _same(found, np.stack(expected), rounding)
    if isinstance(found, list) and isinstance(found[0], dict):
        return [list(row.values()) for row in found] == [
            [float(str(np.float32(value))) for value in row.values()] for row in expected
        ] and [list(row) for row in found] == [list(map(str, row)) for row in expected]
    return _same(found, np.array([list(row.values()) for row in expected], np.float32), rounding)


def _by_client(module: Any, url: str, model: str, inputs: Mapping[str, Array], *, binary: bool | None) -> Any:
    choice = {} if binary is None else {"binary_data": binary}
    asked = []
    for name, array in inputs.items():
        datatype = _DATATYPES.get(array.dtype.name) or array.dtype.name.upper()
        one = module.InferInput(name, list(array.shape), datatype)
        one.set_data_from_numpy(array, **choice)
        asked.append(one)
    with module.InferenceServerClient(url) as client:
        wanted = [
            module.InferRequestedOutput(each["name"] if isinstance(each, dict) else each.name, **choice)
            for each in _outputs(client.get_model_metadata(model))
        ]
        answer = client.infer(model, asked, outputs=wanted)
        return {one.name(): answer.as_numpy(one.name()) for one in wanted}


def _outputs(metadata: Any) -> Any:
    return metadata["outputs"] if isinstance(metadata, dict) else metadata.outputs


def _predict(port: int, inputs: Mapping[str, Array]) -> Mapping[str, Any]:
    body = {"inputs": {name: array.tolist() for name, array in inputs.items()}}
    outputs: Mapping[str, Any] = json.loads(post(port, "/predict", body))["outputs"]
    return outputs


def post(port: int, path: str, document: Any) -> bytes:
    """Raises OSError, and ValueError with the server's own sentence."""
    return _http(port, "POST", path, json.dumps(document).encode())


def get(port: int, path: str) -> bytes:
    """Raises OSError, and ValueError with the server's own sentence."""
    return _http(port, "GET", path)


def _http(port: int, method: str, path: str, body: bytes | None = None) -> bytes:
    """Raises ValueError with the server's own sentence for anything but 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"{response.status} {content.decode(errors='replace')[:200]}")
    return content
