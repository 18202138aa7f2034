"""The loop in the middle of the agent: what the cluster says and what Envoy says go in, responses go out.

One thread decides, and it hears and tells Envoy too; whoever has news of the cluster wakes it. It needs neither the API
server nor the operator to go on.

Most news are of pods that come and go one by one, while others of their revision answer. The first of them goes to
Envoy at once, and those that come within GATHER_SECONDS after it together. What can't wait takes along what does.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

from tidegate.resources.router_report import Applied
from tidegate.router import xds_pb2 as pb
from tidegate.router.ads import AdsServer, Stream
from tidegate.router.bootstrap import SOCKET
from tidegate.router.disk_copy import DiskCopy
from tidegate.router.objects import Answering, Service
from tidegate.router.publisher import Publisher
from tidegate.router.routes import CLUSTER_DOMAIN
from tidegate.router.routing_cache import Changes
from tidegate.router.subscription import Resource

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 60.0
GATHER_SECONDS = 0.1
"""The least time from pods that are told of to others that can wait: what comes meanwhile costs one response."""


class ControlPlane:
    """`take` gives what is news in the cluster, `applied` is told what Envoy works with."""

    def __init__(
        self,
        directory: Path,
        take: Callable[[], Changes | None],
        applied: Callable[[Applied], None],
        domain: str = CLUSTER_DOMAIN,
    ) -> None:
        self._take, self._applied = take, applied
        self._disk = DiskCopy(directory)
        self._server = AdsServer(directory / SOCKET, self._hear)
        self._publisher = Publisher(domain)
        self._stream: Stream | None = None
        self._recalled: dict[Service, Answering] = {}
        self._gathers_until = 0.0
        """Until when news that can wait do; whoever has some before need not wake anybody. 0 for none that do."""
        self._is_urgent = False
        """Whether there is news that can't wait."""
        self._is_settled = False
        self._stopped = False
        self._certificate: Resource | None = None
        """One that Envoy hasn't been told yet."""
        self._certificate_refused = ""

    def wake(self, *, at_once: bool = True) -> None:
        """The cluster has news; where not `at_once`, it may wait for more. From any thread."""
        if at_once:
            self._is_urgent = True
        if at_once or not self._gathers_until:
            self._server.wake()

    def serve_certificate(self, certificate: Resource) -> None:
        """The listener with TLS has this from now on. From any thread."""
        self._certificate = certificate
        self.wake()

    def stop(self) -> None:
        """Ends `run`. From any thread."""
        self._stopped = True
        self.wake()

    def run(self) -> None:
        """Serves until stopped. Raises OSError when it can't listen."""
        self._recall()
        self._server.start()
        try:
            self._step()
            while not self._stopped:
                self._wait()
                self._step()
        finally:
            self._server.stop()

    def _recall(self) -> None:
        recalled = self._disk.read()
        if recalled.routes:
            logger.info("%d routes are as Envoy had them, until the API server answers", len(recalled.routes))
            self._recalled = recalled.services
            self._publisher.recall(recalled.routes.values(), recalled.services, monotonic())

    def _wait(self) -> None:
        """Takes in what comes."""
        times = [time for time in (self._publisher.again_at(), self._gathers_until) if time]
        left = min(times) - monotonic() if times else LONGEST_WAIT_SECONDS
        self._server.wait(max(0.0, min(left, LONGEST_WAIT_SECONDS)))
        if self._is_urgent:
            self._is_urgent, self._gathers_until = False, 0.0

    def _hear(self, stream: Stream, request: pb.DeltaDiscoveryRequest | None) -> None:
        if stream is not self._stream:
            if request is None or stream.is_closed:
                return
            if self._stream is not None:
                self._stream.close()
                self._publisher.close()
            self._stream = stream
        if request is None:
            self._stream = None
            self._publisher.close()
        else:
            self._publisher.hear(request, monotonic())

    def _step(self) -> None:
        if certificate := self._certificate:
            self._certificate = None
            self._publisher.set_certificate(certificate)
        changes = self._gathered()
        services = self._change(changes) if changes is not None else {}
        for response in self._publisher.respond(monotonic()):
            if self._stream is not None:
                self._stream.send(response)
        if self._publisher.applied is not None:
            self._applied(self._publisher.applied)
        self._tell_refused_certificate()
        self._keep_copy(services)

    def _tell_refused_certificate(self) -> None:
        refused, said = self._publisher.certificate_refused, self._certificate_refused
        self._certificate_refused = refused
        if refused and refused != said:
            logger.error("TLS: Envoy goes on with the certificate before, as it won't have this one: %s", refused)

    def _gathered(self) -> Changes | None:
        """What is news, as far as it need not wait."""
        now = monotonic()
        if now < self._gathers_until:
            return None
        # Before it is taken: what isn't taken with it wakes us, or finds that we look again by ourselves.
        self._gathers_until = 0.0
        changes = self._take()
        if changes is not None and changes.services:
            self._gathers_until = now + GATHER_SECONDS
        return changes

    def _change(self, changes: Changes) -> Mapping[Service, Answering]:
        """The Services of which something is news."""
        now = monotonic()
        services = {**dict.fromkeys(self._recalled, Answering()), **changes.services}
        self._recalled.clear()
        if services:
            self._publisher.set_answering(services, now)
        if changes.routes is not None:
            self._publisher.set_routes(changes.routes, now)
        if not self._is_settled:
            self._is_settled = True
            self._publisher.settle(now)
        return services

    def _keep_copy(self, services: Mapping[Service, Answering]) -> None:
        routes = self._publisher.take_taken()
        if not routes and not services:
            return
        try:
            self._disk.write(routes, services)
        except OSError as error:
            logger.error("the copy on the disk isn't up to date: %s", error)
