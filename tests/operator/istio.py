"""A world whose requests come by Istio's Gateways: they split by a VirtualService, and say nothing of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.operator.gateways import GatewayWorld
from tidegate.kube.api import VIRTUAL_SERVICES
from tidegate.model.traffic import TrafficSplit
from tidegate.resources.virtual_service import read_virtual_service

ISTIO = {"hosts": ["digits.example.com"], "gateways": ["istio-ingress/public"]}


class IstioWorld(GatewayWorld):
    """Its proxies have a VirtualService as soon as it is written, unless they are `deaf`."""

    resource = VIRTUAL_SERVICES
    traffic = {"router": "Istio", "istio": ISTIO}  # noqa: RUF012
    deaf = False

    def backends(self, route: Mapping[str, Any]) -> list[tuple[str, int]]:
        return self.backends_of(route["spec"]["http"][-1]["route"])

    def backends_of(self, refs: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
        return [(each["destination"]["host"], each.get("weight", 100 if len(refs) == 1 else 0)) for each in refs]

    def answer(self) -> None:
        if not self.deaf:
            self.carried = self.split_of(self.route)

    def split_of(self, route: Mapping[str, Any]) -> TrafficSplit | None:
        """How proxies that have the route split requests."""
        return read_virtual_service(route).split

    def labels(self, revision: str, measure: str) -> dict[str, str]:
        if measure.startswith("answered "):
            return {
                "__name__": "istio_requests_total",
                "reporter": "source",
                "destination_service_namespace": "shop",
                "destination_service_name": revision,
                "response_code": measure.removeprefix("answered "),
                "instance": "gateway",
            }
        return super().labels(revision, measure)
