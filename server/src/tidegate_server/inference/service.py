"""One served model, for HTTP and gRPC alike."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tidegate_server.errors import CallerLeft, InvalidRequest, ModelFailed, NotReady
from tidegate_server.inference.caller import Caller, Cancel
from tidegate_server.inference.client_mistakes import undecodable_sound, value_beyond_table
from tidegate_server.inference.engine import AllDone, Engine
from tidegate_server.inference.failure_log import FailureLog
from tidegate_server.inference.parted_request import first_error
from tidegate_server.inference.queue import DoneCallback
from tidegate_server.metrics import ServerMetrics
from tidegate_server.metrics.statistics import VERSION
from tidegate_server.predict.predictor import Predictor
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature, dimension_mismatch
from tidegate_server.protocol.tensors import Outputs


@dataclass(frozen=True)
class Inference:
    """The model with all that is known of it. `ready` is False from the moment that the process is asked to end."""

    signature: Signature
    name: str
    revision: str
    metrics: ServerMetrics
    limits: Limits
    predictor: Predictor
    labels: tuple[str, ...]
    ready: Callable[[], bool]
    engine: Engine
    loop: asyncio.AbstractEventLoop
    failures: FailureLog
    unmarked: str = ""
    """How a request came that no router has marked, as the metrics call it."""
    sound_inputs: frozenset[str] = frozenset()
    """Those whose bytes the graph decodes as they come."""

    def knows(self, name: str, version: str | None) -> bool:
        """Whether it is the model of that name and, where one is given, of that version.

        Clients that want a number are told by the statistics that it is 1.
        """
        return name == self.name and version in (None, "", self.revision, VERSION)

    def submit(self, request: InferRequest, done: DoneCallback, traffic: str) -> Cancel | None:
        """In the loop's thread. `done` is called once, with outputs or with an error of errors.py.

        What is returned gives the request up; None: there is nothing to give up.
        """

        def explained_done(result: Outputs | Exception, queue_seconds: float, run_seconds: float) -> None:
            done(self.explained(request, result), queue_seconds, run_seconds)

        return self.engine.submit(request, explained_done, traffic)

    def submit_all(self, requests: Sequence[InferRequest], done: AllDone, traffic: str) -> Cancel | None:
        """Those of one body, as `submit` does with one. `done` gets their outputs, or a list with an error in it."""
        if len(requests) == 1:
            return self.submit(requests[0], lambda result, *seconds: done([result], *seconds), traffic)

        def explained_done(results: list[Any], queue_seconds: float, run_seconds: float) -> None:
            pairs = zip(requests, results, strict=False)
            done([self.explained(request, result) for request, result in pairs], queue_seconds, run_seconds)

        return self.engine.submit_all(requests, explained_done, traffic)

    def run(self, request: InferRequest, caller: Caller | None = None, traffic: str | None = None) -> Outputs:
        """In any thread but the loop's; waits. Raises the errors that `submit` hands to `done`.

        `traffic`: how it came; None where no router can have marked it.
        """
        (outputs,), _, _ = self.run_timed((request,), self.unmarked if traffic is None else traffic, caller)
        return outputs

    def run_timed(
        self, requests: Sequence[InferRequest], traffic: str, caller: Caller | None = None
    ) -> tuple[Sequence[Outputs], float, float]:
        """As `run`, those of one body, with the seconds in the queue and in the run."""
        future: Future[tuple[Sequence[Outputs], float, float]] = Future()
        asking = caller or Caller()
        asking.waits = True

        def done(results: Sequence[Any], queue_seconds: float, run_seconds: float) -> None:
            asking.answered()
            if error := first_error(results):
                future.set_exception(error)
            else:
                future.set_result((results, queue_seconds, run_seconds))

        try:
            self.loop.call_soon_threadsafe(self._submit_for, asking, requests, done, traffic)
        except RuntimeError:
            raise NotReady from None
        return future.result()

    def left(self, caller: Caller) -> None:
        """Says so from any thread."""
        if caller.waits:
            with suppress(RuntimeError):  # the loop has ended
                self.loop.call_soon_threadsafe(caller.leave)

    def _submit_for(self, caller: Caller, requests: Sequence[InferRequest], done: AllDone, traffic: str) -> None:
        if caller.has_left:
            self.metrics.request_failed("cancelled")
            done([CallerLeft()], 0.0, 0.0)
            return
        cancel = self.submit_all(requests, done, traffic)
        if caller.waits:
            caller.when_left(cancel)

    def explained(self, request: InferRequest, result: Outputs | Exception) -> Outputs | Exception:
        """Where the model failed because of the request, a sentence about that in place of the runtime's."""
        if not isinstance(result, ModelFailed):
            return result
        # Only now: some models name dimensions carelessly and run all the same.
        if sentence := dimension_mismatch(self.signature, request.arrays):
            return InvalidRequest(sentence)
        if not request.is_derived and (sentence := value_beyond_table(str(result), request.arrays)):
            return InvalidRequest(sentence)
        if sentence := undecodable_sound(str(result), self.sound_inputs):
            return InvalidRequest(sentence)
        self.failures.write(str(result), self.loop.time())
        return result
