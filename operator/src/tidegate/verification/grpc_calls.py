"""The protocol over gRPC: the same questions as over HTTP, held against HTTP's answer."""

from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import Any

import grpc

from tidegate.model.revision import Tensor
from tidegate.verification import binary
from tidegate.verification import open_inference_pb2 as pb
from tidegate.verification.protocol import Document, NotOfTheProtocol, values_of
from tidegate.verification.rest import Subject, same_tensors
from tidegate.verification.row import Row, failed, lacks, not_asked, ok

SERVICE = "/inference.GRPCInferenceService/"
HEALTH = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"
"""A HealthCheckResponse whose status is SERVING."""
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
MISTAKES = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
REFUSALS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


def _as_bytes(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())


class Caller:
    """Calls of one server inside of `with`. `target` is HOST:PORT; `grpcs://` before it stands for TLS."""

    def __init__(self, target: str, metadata: Mapping[str, str], timeout: float, ca: bytes | None = None) -> None:
        scheme, _, address = target.rpartition("://")
        if scheme == "grpcs":
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(ca))
        else:
            self._channel = grpc.insecure_channel(address)
        self._metadata = tuple((name.lower(), value) for name, value in metadata.items() if name.lower() != "host")
        self._timeout = timeout

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._channel.close()

    def call(self, method: str, request: Any, answer: Any) -> Any:
        """One call, answered by a message of the type of `answer`. Raises grpc.RpcError."""
        path = method if method.startswith("/") else SERVICE + method
        ask = self._channel.unary_unary(
            path,
            request_serializer=_as_bytes,
            response_deserializer=answer if answer is bytes else answer.FromString,
        )
        return ask(request, timeout=self._timeout, metadata=self._metadata)


def calls(caller: Caller, subject: Subject) -> Iterator[Row]:
    """All of it; where nobody answers, one row."""
    first = _plain(caller, "gRPC live", "ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse, "live")
    yield first
    if "UNAVAILABLE" in first.what:
        yield not_asked("all else of gRPC", "nobody answers there")
        return
    yield _plain(caller, "gRPC ready", "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse, "ready")
    model_ready = pb.ModelReadyRequest(name=subject.model)
    yield _plain(caller, "gRPC model ready", "ModelReady", model_ready, pb.ModelReadyResponse, "ready")
    yield _health(caller)
    yield _metadata(caller, subject)
    yield from _inference(caller, subject)


def _failure(check: str, error: Any, seconds: float) -> Row:
    said = f"{error.code().name}: {' '.join(str(error.details()).split())[:160]}"
    absent = error.code() is grpc.StatusCode.UNIMPLEMENTED
    return (lacks if absent else failed)(check, said, seconds)


def _plain(caller: Caller, check: str, method: str, request: Any, kind: Any, field: str) -> Row:
    began = monotonic()
    try:
        answer = caller.call(method, request, kind)
    except grpc.RpcError as error:
        return _failure(check, error, monotonic() - began)
    is_so = bool(getattr(answer, field))
    return (ok if is_so else failed)(check, f"{method}: {field} is {str(is_so).lower()}", monotonic() - began)


def _health(caller: Caller) -> Row:
    check, began = "gRPC health", monotonic()
    try:
        answer = caller.call(HEALTH, b"", bytes)
    except grpc.RpcError as error:
        return _failure(check, error, monotonic() - began)
    right = answer == SERVING
    return (ok if right else failed)(check, "grpc.health.v1: SERVING" if right else "it isn't SERVING")


def _metadata(caller: Caller, subject: Subject) -> Row:
    check, began = "gRPC metadata", monotonic()
    try:
        answer = caller.call("ModelMetadata", pb.ModelMetadataRequest(name=subject.model), pb.ModelMetadataResponse)
    except grpc.RpcError as error:
        return _failure(check, error, monotonic() - began)
    found = [Tensor(each.name, each.datatype, tuple(each.shape)) for each in (*answer.inputs, *answer.outputs)]
    said = [*subject.signature.inputs, *subject.signature.outputs]
    if subject.signature.outputs and found != said:
        return failed(check, f"it says {', '.join(map(str, found)) or 'nothing'}, and HTTP {', '.join(map(str, said))}")
    return (ok if found else lacks)(check, f"{len(found)} inputs and outputs", monotonic() - began)


def _inference(caller: Caller, subject: Subject) -> Iterator[Row]:
    if subject.request is None or subject.answer is None:
        yield not_asked("gRPC inference", "no request is known that the model takes")
        return
    types = [each["datatype"] for each in subject.request["inputs"]]
    if all(each in CONTENTS for each in types):
        yield _compared(caller, "gRPC contents", request_of(subject.model, subject.request), subject)
    else:
        yield not_asked("gRPC contents", f"there is no field for {', '.join(types)}")
    if all(each in binary.FORMATS or each == "BYTES" for each in types):
        raw = request_of(subject.model, subject.request, raw=True)
        yield _compared(caller, "gRPC raw contents", raw, subject)
        yield from _mistakes(caller, subject)


def request_of(model: str, request: Document, *, raw: bool = False) -> Any:
    """The same question as a message."""
    message = pb.ModelInferRequest(model_name=model)
    for each in request["inputs"]:
        tensor = message.inputs.add(name=each["name"], datatype=each["datatype"], shape=each["shape"])
        if raw:
            message.raw_input_contents.append(binary.packed(each["datatype"], each["data"]))
            continue
        values = [str(one).encode() for one in each["data"]] if each["datatype"] == "BYTES" else each["data"]
        getattr(tensor.contents, CONTENTS[each["datatype"]]).extend(values)
    return message


def values_in(answer: Any) -> dict[str, Sequence[Any]]:
    """An answer's outputs by name. Raises NotOfTheProtocol."""
    found: dict[str, Sequence[Any]] = {}
    for at, each in enumerate(answer.outputs):
        tensor = Tensor(each.name, each.datatype, tuple(each.shape))
        if at < len(answer.raw_output_contents):
            found[each.name] = binary.unpacked(tensor, answer.raw_output_contents[at])
        elif each.datatype in CONTENTS:
            listed = getattr(each.contents, CONTENTS[each.datatype])
            found[each.name] = [one.decode(errors="replace") if isinstance(one, bytes) else one for one in listed]
        else:
            raise NotOfTheProtocol(f"{each.name} is {each.datatype or 'of no datatype'}, and isn't raw")
    return found


def _compared(caller: Caller, check: str, request: Any, subject: Subject) -> Row:
    began = monotonic()
    try:
        found = values_in(caller.call("ModelInfer", request, pb.ModelInferResponse))
    except grpc.RpcError as error:
        return _failure(check, error, monotonic() - began)
    except NotOfTheProtocol as error:
        return failed(check, str(error), monotonic() - began)
    expected = {each["name"]: values_of(each) for each in (subject.answer or {})["outputs"]}
    if not same_tensors(expected, found):
        return failed(check, "the answer is another than over HTTP", monotonic() - began)
    return ok(check, "the same values as over HTTP", monotonic() - began)


def _mistakes(caller: Caller, subject: Subject) -> Iterator[Row]:
    request = subject.request or {}
    yield _refused(caller, "gRPC: an unknown model", request_of("no-such-model", request, raw=True))
    short = request_of(subject.model, request, raw=True)
    short.raw_input_contents[0] = short.raw_input_contents[0][1:]
    yield _refused(caller, "gRPC: fewer bytes than the shape wants", short)
    unknown = request_of(subject.model, request, raw=True)
    unknown.inputs[0].name = "no-such-input"
    yield _refused(caller, "gRPC: an input of an unknown name", unknown)


def _refused(caller: Caller, check: str, request: Any) -> Row:
    began = monotonic()
    try:
        caller.call("ModelInfer", request, pb.ModelInferResponse)
    except grpc.RpcError as error:
        row = _failure(check, error, monotonic() - began)
        if error.code() in MISTAKES:
            return ok(check, row.what, row.seconds)
        what = f"{row.what}; it counts as the server's failure, and not as the caller's"
        return failed(check, what, row.seconds)
    return failed(check, "it was taken", monotonic() - began)


def without_credentials(caller: Caller, subject: Subject) -> Iterator[Row]:
    """`caller` sends none, where some are asked for over HTTP."""
    check = "gRPC: no credentials"
    try:
        caller.call("ModelMetadata", pb.ModelMetadataRequest(name=subject.model), pb.ModelMetadataResponse)
    except grpc.RpcError as error:
        row = _failure(check, error, 0.0)
        yield ok(check, row.what) if error.code() in REFUSALS else row
        return
    yield failed(check, "it is answered")
