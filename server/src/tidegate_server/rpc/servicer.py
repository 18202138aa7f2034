"""The RPCs of the Open Inference Protocol: a message for a message, or an error of errors.py. No sockets here."""

from collections.abc import Mapping
from dataclasses import replace
from threading import BoundedSemaphore

from tidegate_server import __version__
from tidegate_server.errors import DeadlinePassed, InvalidRequest, Overloaded
from tidegate_server.inference.caller import Caller
from tidegate_server.inference.service import Inference
from tidegate_server.protocol import v2
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.tensors import Array
from tidegate_server.rpc import messages
from tidegate_server.rpc import open_inference_pb2 as pb
from tidegate_server.rpc.model_config import model_config

RETRY_AFTER_SECONDS = 1


class Servicer:
    """One method for each RPC."""

    def __init__(self, inference: Inference, max_waiting: int, properties: Mapping[str, str]) -> None:
        """`max_waiting`: requests that may wait for the model. `properties` go out with its metadata."""
        self._inference, self._properties = inference, properties
        self._slots = BoundedSemaphore(max_waiting)

    def server_live(self, _: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        """Always true."""
        return pb.ServerLiveResponse(live=True)

    def server_ready(self, _: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        """False while the server drains."""
        return pb.ServerReadyResponse(ready=self._inference.ready())

    def model_ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """False for another model, and while the server drains."""
        # Clients take an error here for a broken server, not for a model that isn't there.
        return pb.ModelReadyResponse(
            ready=self._inference.knows(request.name, request.version) and self._inference.ready()
        )

    def server_metadata(self, _: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        """Name, version and extensions."""
        return messages.message_from(v2.server_metadata(__version__), pb.ServerMetadataResponse())

    def model_metadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        """Signature and properties. Raises InvalidRequest for another model."""
        self._require_model(request.name, request.version)
        inference = self._inference
        document = v2.model_metadata(inference.name, inference.revision, inference.signature, self._properties)
        return messages.message_from(document, pb.ModelMetadataResponse())

    def model_config(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        """The configuration extension. Raises InvalidRequest for another model."""
        self._require_model(request.name, request.version)
        document = model_config(self._inference.name, self._inference.signature)
        return messages.message_from({"config": document}, pb.ModelConfigResponse())

    def model_statistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        """The statistics extension. Raises InvalidRequest for another model."""
        if request.name:
            self._require_model(request.name, request.version)
        return messages.message_from(self._inference.metrics.statistics(), pb.ModelStatisticsResponse())

    def repository_index(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        """The one model."""
        inference = self._inference
        models = v2.repository_index(inference.name, inference.revision, ready=inference.ready())
        listed = [model for model in models if model["state"] == v2.READY or not request.ready]
        return messages.message_from({"models": listed}, pb.RepositoryIndexResponse())

    def parse(self, message: pb.ModelInferRequest, seconds_left: float | None) -> InferRequest:
        """`seconds_left` until the caller's deadline; None when it has none. Raises InvalidRequest, DeadlinePassed."""
        self._require_model(message.model_name, message.model_version)
        request = messages.read_infer(message, self._inference.signature, self._inference.limits)
        if seconds_left is None:
            return request
        if seconds_left <= 0:
            self._inference.metrics.request_failed("deadline")
            raise DeadlinePassed(0)
        timeout = request.timeout_seconds
        return replace(request, timeout_seconds=seconds_left if timeout is None else min(timeout, seconds_left))

    def run(self, request: InferRequest, caller: Caller, traffic: str) -> Mapping[str, Array]:
        """Waits for the outputs by name. Raises Overloaded where too many wait already."""
        if not self._slots.acquire(blocking=False):
            self._inference.metrics.request_failed("queue_full")
            raise Overloaded(RETRY_AFTER_SECONDS)
        try:
            return self._inference.run(request, caller, traffic)
        finally:
            self._slots.release()

    def encode(self, request: InferRequest, outputs: Mapping[str, Array]) -> pb.ModelInferResponse:
        """The response message with the requested outputs."""
        inference = self._inference
        return messages.write_infer(
            inference.name, inference.revision, request, outputs, inference.signature, inference.labels
        )

    def _require_model(self, name: str, version: str) -> None:
        inference = self._inference
        if not inference.knows(name, version):
            sentence = f"this server has model {inference.name} in revision {inference.revision} and no other"
            raise InvalidRequest(sentence, status=404)
