"""Authenticates a call before its body is read. Health is open: a kubelet has no key."""

from collections.abc import Callable
from typing import Any

import grpc

from tidegate_server.access.authenticator import Authenticator
from tidegate_server.errors import NotAllowed
from tidegate_server.metrics import ServerMetrics
from tidegate_server.rpc.call_log import text_metadata
from tidegate_server.rpc.service_names import HEALTH_SERVICE, INFERENCE_SERVICE, MODEL_INFER
from tidegate_server.rpc.status import status_of

_UNAUTHENTICATED = frozenset(
    {f"/{INFERENCE_SERVICE}/{name}" for name in ("ServerLive", "ServerReady", "ModelReady")}
) | {f"/{HEALTH_SERVICE}/Check"}


class AuthInterceptor(grpc.ServerInterceptor):
    """Rejects calls without a good key or token; rejected inference requests are counted."""

    def __init__(self, authenticator: Authenticator, metrics: ServerMetrics, unmarked: str) -> None:
        """`metrics` count what is rejected, as what no router has marked."""
        self._authenticator, self._metrics, self._unmarked = authenticator, metrics, unmarked

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Any], call: grpc.HandlerCallDetails
    ) -> Any:
        """The call's own handler, or one that rejects it."""
        handler = continuation(call)
        if call.method in _UNAUTHENTICATED or handler is None:
            return handler
        try:
            self._authenticator.check(text_metadata(call.invocation_metadata))
        except NotAllowed as error:
            return self._rejecting_handler(error, counted=call.method == MODEL_INFER)
        return handler

    def _rejecting_handler(self, error: NotAllowed, *, counted: bool) -> Any:
        status = status_of(error)

        def reject(_: Any, context: grpc.ServicerContext) -> bytes:
            if counted:
                self._metrics.request_started()
                self._metrics.request_failed("not_allowed")
                self._metrics.request_finished("grpc", status.http, 0.0, traffic=self._unmarked)
            return context.abort(status.code, status.sentence)

        # A stream may be rejected before its first message has come.
        return grpc.stream_stream_rpc_method_handler(reject)
