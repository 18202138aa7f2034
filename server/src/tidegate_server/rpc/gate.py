"""Asks the guard before a call's body is read. Health is open: a kubelet has no key."""

from collections.abc import Callable
from typing import Any

import grpc

from tidegate_server.errors import NotAllowed
from tidegate_server.rpc.refusals import refusal_of
from tidegate_server.rpc.served import Counts, Guard
from tidegate_server.rpc.witness import texts_of

_SERVICE = "/inference.GRPCInferenceService/"
_OPEN = frozenset({f"{_SERVICE}{name}" for name in ("ServerLive", "ServerReady", "ModelReady")}) | {
    "/grpc.health.v1.Health/Check"
}
_INFERENCE = f"{_SERVICE}ModelInfer"


class Gate(grpc.ServerInterceptor):
    def __init__(self, guard: Guard, metrics: Counts) -> None:
        self._guard, self._metrics = guard, metrics

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Any], call: grpc.HandlerCallDetails
    ) -> Any:
        if call.method in _OPEN:
            return continuation(call)
        try:
            self._guard.check(texts_of(call.invocation_metadata))
        except NotAllowed as error:
            return self._refusing(error, continuation(call), counted=call.method == _INFERENCE)
        return continuation(call)

    def _refusing(self, error: NotAllowed, handler: Any, *, counted: bool) -> Any:
        if handler is None:
            return None
        refusal = refusal_of(error)

        def refuse(_: Any, context: grpc.ServicerContext) -> bytes:
            if counted:
                self._metrics.began()
                self._metrics.failed("not_allowed")
                self._metrics.answered("grpc", refusal.http, 0.0)
            return context.abort(refusal.code, refusal.sentence)

        # A stream may be refused before its first message has come.
        return grpc.stream_stream_rpc_method_handler(refuse)
