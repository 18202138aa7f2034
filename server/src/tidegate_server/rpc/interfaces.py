"""What the gRPC server needs of the rest of the server, and what its own services are called."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Array

INFERENCE_SERVICE = "inference.GRPCInferenceService"
HEALTH_SERVICE = "grpc.health.v1.Health"
MODEL_INFER = f"/{INFERENCE_SERVICE}/ModelInfer"


class RequestMetrics(Protocol):
    """The part of `ServerMetrics` that counts requests."""

    def request_started(self) -> None:
        """An inference request has arrived."""

    def request_finished(self, protocol: str, code: int, seconds: float, encode_seconds: float = 0.0) -> None:
        """It ended with this HTTP status."""

    def request_failed(self, reason: str) -> None:
        """It got no prediction."""

    def statistics(self) -> dict[str, Any]:
        """The protocol's statistics extension as JSON."""
        ...


class ServedModel(Protocol):
    """The model and what runs it."""

    @property
    def signature(self) -> Signature:
        """Its inputs and outputs."""
        ...

    @property
    def name(self) -> str:
        """The name that clients ask for."""
        ...

    @property
    def revision(self) -> str:
        """The version that clients may ask for."""
        ...

    @property
    def metrics(self) -> RequestMetrics:
        """Where its requests are counted."""
        ...

    @property
    def limits(self) -> Limits:
        """How much one request may hold."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """Names of its classes by index; empty where nobody named them."""
        ...

    def ready(self) -> bool:
        """False from the moment that the process is asked to end."""
        ...

    def knows(self, name: str, version: str | None) -> bool:
        """Whether it is the model of that name and version."""
        ...

    def run(self, request: InferRequest) -> Mapping[str, Array]:
        """Waits for the outputs by name. Raises the errors of errors.py."""
        ...


class Authenticator(Protocol):
    """Decides who may run the model."""

    def check(self, metadata: Mapping[str, str]) -> object:
        """Raises NotAllowed unless the metadata holds a key or a token that is good for inference."""
