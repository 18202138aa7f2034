"""What each RPC answers: a message for a message, or one of the errors of errors.py. Nothing here knows sockets."""

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
from tidegate_server.rpc.model_config import model_config
from tidegate_server.rpc.served import Served

RETRY_AFTER_SECONDS = 1


class Calls:
    """`at_once`: inference requests that may wait for the model at the same time; the next one is turned away.

    `properties` of the model go out with its metadata.
    """

    def __init__(self, served: Served, at_once: int, properties: Mapping[str, str]) -> None:
        self._served, self._properties = served, properties
        self._places = BoundedSemaphore(at_once)

    def server_live(self, _: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    def server_ready(self, _: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._served.ready())

    def model_ready(self, asked: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        # Clients take an error here for a broken server, not for a model that isn't there.
        return pb.ModelReadyResponse(ready=self._served.knows(asked.name, asked.version) and self._served.ready())

    def server_metadata(self, _: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        return messages.server_metadata(v2.server_metadata(tidegate_server.__version__))

    def model_metadata(self, asked: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        self._require_model(asked.name, asked.version)
        served = self._served
        return messages.model_metadata(
            v2.model_metadata(served.name, served.revision, served.signature, self._properties)
        )

    def model_config(self, asked: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        self._require_model(asked.name, asked.version)
        return messages.model_config(model_config(self._served.name, self._served.signature))

    def model_statistics(self, asked: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        if asked.name:
            self._require_model(asked.name, asked.version)
        return messages.statistics(self._served.metrics.statistics())

    def read(self, asked: pb.ModelInferRequest, seconds_left: float | None) -> InferRequest:
        """`seconds_left` until the caller's deadline; None when it has none."""
        self._require_model(asked.model_name, asked.model_version)
        request = messages.read_infer(asked, self._served.signature, self._served.limits)
        if seconds_left is None:
            return request
        if seconds_left <= 0:
            self._served.metrics.failed("deadline")
            raise DeadlinePassed(0)
        own = request.timeout_seconds
        return replace(request, timeout_seconds=seconds_left if own is None else min(own, seconds_left))

    def run(self, request: InferRequest) -> Mapping[str, Array]:
        """Waits for the model."""
        if not self._places.acquire(blocking=False):
            self._served.metrics.failed("queue_full")
            raise Overloaded(RETRY_AFTER_SECONDS)
        try:
            return self._served.run(request)
        finally:
            self._places.release()

    def write(self, request: InferRequest, outputs: Mapping[str, Array]) -> pb.ModelInferResponse:
        served = self._served
        return messages.write_infer(served.name, served.revision, request, outputs, served.signature, served.labels)

    def _require_model(self, name: str, version: str) -> None:
        served = self._served
        if not served.knows(name, version):
            raise InvalidRequest(
                f"this server has model {served.name} in revision {served.revision} and no other", status=404
            )
