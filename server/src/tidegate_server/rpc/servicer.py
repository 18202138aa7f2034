"""The RPCs of the Open Inference Protocol: a message for a message, or an error of errors.py. No sockets here."""

from collections.abc import Mapping
from dataclasses import replace
from threading import BoundedSemaphore

import tidegate_server
from tidegate_server.errors import DeadlinePassed, InvalidRequest, Overloaded
from tidegate_server.protocol import v2
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.tensors import Array
from tidegate_server.rpc import messages
from tidegate_server.rpc import open_inference_pb2 as pb
from tidegate_server.rpc.interfaces import ServedModel
from tidegate_server.rpc.model_config import model_config

RETRY_AFTER_SECONDS = 1


class Servicer:
    """One method for each RPC. `max_waiting`: inference requests that may wait for the model; the next is rejected.

    `properties` of the model go out with its metadata.
    """

    def __init__(self, model: ServedModel, max_waiting: int, properties: Mapping[str, str]) -> None:
        self._model, self._properties = model, properties
        self._slots = BoundedSemaphore(max_waiting)

    def server_live(self, _: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        """Always true: whoever hears it can."""
        return pb.ServerLiveResponse(live=True)

    def server_ready(self, _: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        """False while the server drains."""
        return pb.ServerReadyResponse(ready=self._model.ready())

    def model_ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """False for another model, and while the server drains."""
        # Clients take an error here for a broken server, not for a model that isn't there.
        return pb.ModelReadyResponse(ready=self._model.knows(request.name, request.version) and self._model.ready())

    def server_metadata(self, _: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        """Name, version and extensions."""
        return messages.server_metadata(v2.server_metadata(tidegate_server.__version__))

    def model_metadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        """Signature and properties. Raises InvalidRequest for another model."""
        self._require_model(request.name, request.version)
        model = self._model
        return messages.model_metadata(v2.model_metadata(model.name, model.revision, model.signature, self._properties))

    def model_config(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        """The configuration extension. Raises InvalidRequest for another model."""
        self._require_model(request.name, request.version)
        return messages.model_config(model_config(self._model.name, self._model.signature))

    def model_statistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        """The statistics extension. Raises InvalidRequest for another model."""
        if request.name:
            self._require_model(request.name, request.version)
        return messages.statistics(self._model.metrics.statistics())

    def parse(self, message: pb.ModelInferRequest, seconds_left: float | None) -> InferRequest:
        """`seconds_left` until the caller's deadline; None when it has none. Raises InvalidRequest, DeadlinePassed."""
        self._require_model(message.model_name, message.model_version)
        request = messages.read_infer(message, self._model.signature, self._model.limits)
        if seconds_left is None:
            return request
        if seconds_left <= 0:
            self._model.metrics.request_failed("deadline")
            raise DeadlinePassed(0)
        timeout = request.timeout_seconds
        return replace(request, timeout_seconds=seconds_left if timeout is None else min(timeout, seconds_left))

    def run(self, request: InferRequest) -> Mapping[str, Array]:
        """Waits for the outputs by name. Raises Overloaded where too many wait already."""
        if not self._slots.acquire(blocking=False):
            self._model.metrics.request_failed("queue_full")
            raise Overloaded(RETRY_AFTER_SECONDS)
        try:
            return self._model.run(request)
        finally:
            self._slots.release()

    def encode(self, request: InferRequest, outputs: Mapping[str, Array]) -> pb.ModelInferResponse:
        """The response message with the requested outputs."""
        model = self._model
        return messages.write_infer(model.name, model.revision, request, outputs, model.signature, model.labels)

    def _require_model(self, name: str, version: str) -> None:
        model = self._model
        if not model.knows(name, version):
            raise InvalidRequest(
                f"this server has model {model.name} in revision {model.revision} and no other", status=404
            )
