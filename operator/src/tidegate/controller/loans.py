"""What of the user's was lent to a ModelDeployment is given back when it isn't wanted any more, or the ModelDeployment
goes. A finalizer makes it wait for that."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.controller.observe import FollowedFor
from tidegate.kube.api import Manifest
from tidegate.kube.cluster import Cluster
from tidegate.kube.informer import Key
from tidegate.model.traffic import RouteSettings
from tidegate.resources.names import RETURNS_RULES
from tidegate.resources.ownership import Owner
from tidegate.traffic_routing import BACKENDS
from tidegate.traffic_routing.backend import RoutePatch

NEXT_STEP = timedelta(seconds=1)
"""From one write to the next: routers take one by one what they get to know of it."""


@dataclass(frozen=True)
class Loans:
    """Remembers when the last step was. Safe to use from several threads, one for each object."""

    cluster: Cluster
    _stepped: dict[Key, datetime] = field(default_factory=dict)

    def give_back(self, manifest: Manifest, wanted: RouteSettings | None, now: datetime) -> timedelta | None:
        """Gives back all but what is `wanted`, step by step; when to go on, or None where that is done.

        The ModelDeployment needn't wait for it any more then. Raises ClusterUnavailable, or ObjectChanged where a
        route was written meanwhile: call again.
        """
        metadata = manifest["metadata"]
        if RETURNS_RULES not in (metadata.get("finalizers") or ()):
            return None
        owner = Owner(metadata["namespace"], metadata["name"], metadata["uid"])
        returns = [each.returns(owner, wanted, FollowedFor(self.cluster, owner)) for each in BACKENDS.values()]
        if any(each.lent for each in returns):
            self._step([patch for each in returns for patch in each.patches], (owner.namespace, owner.name), now)
            return NEXT_STEP
        if wanted is None or not wanted.is_lent:
            self._stepped.pop((owner.namespace, owner.name), None)
            self.cluster.let_go(owner.namespace, owner.name, RETURNS_RULES)
        return None

    def _step(self, patches: list[RoutePatch], key: Key, now: datetime) -> None:
        last = self._stepped.get(key)
        if last is not None and timedelta() <= now - last < NEXT_STEP:
            return
        for patch in patches:
            self.cluster.patch(*patch)
            self._stepped[key] = now
