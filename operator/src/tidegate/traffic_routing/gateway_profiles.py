"""What is known of implementations of the Gateway API, by the name of their controllers. Pure.

Their GatewayClasses don't say it: the `supportedFeatures` of Contour 1.33 and Envoy Gateway 1.9 are empty. Each row was
seen on the running thing unless it says otherwise; a new one is a row here and, where it counts in another way, an
observer.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """One implementation."""

    name: str
    uncounted: str = ""
    """Why its counters can't tell revisions apart; empty where they do."""
    ignores: frozenset[str] = frozenset()
    """What of a rule it passes over without a word: its conditions are True."""


PARTIAL_MIRROR = "percent or fraction of the RequestMirror"
CONTOUR = Profile("Contour", ignores=frozenset({"retry", "sessionPersistence", PARTIAL_MIRROR}))
ENVOY_GATEWAY = Profile(
    "Envoy Gateway", "Envoy Gateway counts a rule's requests together, whichever of its backends has answered"
)
# Its proxies can't be built here, so nothing of this row was seen: its names are those of Istio's documentation.
ISTIO = Profile("Istio", "Istio's own counters are read where spec.analysis.requestsFrom is Istio")
PROFILES: Mapping[str, Profile] = {
    "projectcontour.io/gateway-controller": CONTOUR,
    "gateway.envoyproxy.io/gatewayclass-controller": ENVOY_GATEWAY,
    "istio.io/gateway-controller": ISTIO,
}


def profile_of(controller: str) -> Profile:
    """Of whoever has this controllerName; of an unknown one the careful assumption."""
    return PROFILES.get(controller) or Profile(
        controller, f"what the counters of {controller} are called isn't known here"
    )
