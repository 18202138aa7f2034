"""The routers that live, by the Leases that they renew. Liveness goes by our own clock, from when we saw a change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from tidegate.kube.api import LEASES, KubernetesApi, Manifest
from tidegate.kube.informer import Informer, Item, Kind
from tidegate.resources.router_report import LIFETIME_SECONDS, ROUTER, RouterReport, read_report


@dataclass(frozen=True)
class _Seen:
    report: RouterReport
    at: float = field(compare=False)
    """A renewal alone is no news."""


def _seen(manifest: Manifest) -> _Seen:
    return _Seen(read_report(manifest), monotonic())


class Routers:
    """Follows the Leases of the routers behind one Service. `reported` is called when one has applied something."""

    def __init__(self, api: KubernetesApi, namespace: str, service: str) -> None:
        kind = Kind(LEASES, _seen, selector=f"{ROUTER}={service}")
        self.reported: Callable[[], None] = lambda: None
        self.informer = Informer(api, kind, self._changed, namespace=namespace)

    def live(self) -> Sequence[RouterReport]:
        """What each router that lives said last."""
        now = monotonic()
        return [seen.report for seen in self.informer.store.all() if now - seen.at < LIFETIME_SECONDS]

    def silent_seconds(self) -> dict[str, float]:
        """How long ago each router that has a Lease renewed it, by its name: also those that don't live any more."""
        now = monotonic()
        return {seen.report.name: now - seen.at for seen in self.informer.store.all()}

    def _changed(self, _: Sequence[Item[_Seen]]) -> None:
        self.reported()
