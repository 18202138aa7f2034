"""The weights that Envoy was told, model by model, and the layers in which they go. Pure."""

from collections.abc import Iterable, Mapping

from tidegate.resources.model_route import Route
from tidegate.resources.names import MATCH_SUFFIX, Name
from tidegate.router import xds_pb2 as pb
from tidegate.router.cluster_key import ClusterKey, protocols_of
from tidegate.router.resource_names import WEIGHTS, layer_names, layer_of
from tidegate.router.subscription import Resource, Subscription
from tidegate.router.xds import resource

Weights = Mapping[str, int]
"""Percent by live cluster."""
UNIT = 1_000_000
"""One percent. Envoy wants some weight in each entry of a route too, and takes it where the runtime has none: one."""


class Splits:
    """`tell` says what weights should be, `flush` puts the layers that changed."""

    def __init__(self, layers: Subscription) -> None:
        self._layers = layers
        self._told: dict[str, dict[Name, Weights]] = {layer: {} for layer in layer_names()}
        self._changed = set(self._told)
        self._is_hedged = False

    @property
    def is_hedged(self) -> bool:
        """See `hedge`."""
        return self._is_hedged

    def hedge(self, is_hedged: bool) -> None:
        """While it isn't known which routes Envoy works with, none of them may have weights that are all 0.

        Who gets nothing is left out then: Envoy takes one for that, against the millions of the others.
        """
        if is_hedged != self._is_hedged:
            self._is_hedged = is_hedged
            self._changed |= self._told.keys()

    def told(self, name: Name) -> Weights:
        """What was told last of a model; empty where nothing was."""
        return self._told[layer_of(*name)].get(name, {})

    def tell(self, name: Name, weights: Weights) -> None:
        """These are the model's weights from now on; none where it is empty."""
        if weights == self.told(name):
            return
        layer = layer_of(*name)
        self._told[layer].pop(name, None)
        if weights:
            self._told[layer][name] = weights
        self._changed.add(layer)

    def flush(self) -> None:
        """What was told goes out with the next response."""
        for layer in self._changed:
            told = (one for each in self._told[layer].values() for one in each.items())
            weights = {name: weight for name, weight in told if weight or not self._is_hedged}
            self._layers.put(splits_resource(layer, weights))
        self._changed.clear()

    def is_taken(self, name: Name) -> bool:
        """Whether Envoy draws by what was told last."""
        layer = layer_of(*name)
        return layer not in self._changed and self._layers.known.get(layer) == self._layers.version_wanted(layer)


def weights_of(route: Route) -> dict[str, int]:
    """The weights of a route as it stands."""
    weights = {
        ClusterKey(route.namespace, route.name, each.revision, grpc).live: each.weight
        for grpc in protocols_of(route)
        for each in route.backends
    }
    if route.matched:
        key = ClusterKey(route.namespace, route.name, route.matched.revision, suffix=MATCH_SUFFIX)
        weights |= dict.fromkeys(key.clusters, route.matched_weight)
    return weights


def blended(wanted: Route | None, shapes: Iterable[Route], told: Weights) -> Weights:
    """Weights that are right while Envoy's routes name other revisions than those wanted, and afterwards.

    `shapes`: the routes that Envoy may work with. Who is no longer wanted gets nothing, unless one of these names
    nobody else: then all of that one goes on as told. Where all weights are 0, Envoy has no answer.
    """
    weights = weights_of(wanted) if wanted else {}
    others: dict[str, int] = {}
    kept: dict[str, int] = {}
    for there in map(weights_of, shapes):
        others |= there
        if not any(weights.get(cluster) for cluster in there if not cluster.endswith(MATCH_SUFFIX)):
            kept |= {cluster: told.get(cluster, 1) for cluster in there}
    return {**others, **weights, **kept}


def splits_resource(layer: str, weights: Mapping[str, int]) -> Resource:
    """One layer: percent by live cluster."""
    runtime = pb.Runtime(name=layer)
    runtime.layer.SetInParent()
    for cluster, percent in weights.items():
        runtime.layer.fields[f"{WEIGHTS}.{cluster}"].number_value = percent * UNIT
    return resource(layer, runtime.SerializeToString(deterministic=True))
