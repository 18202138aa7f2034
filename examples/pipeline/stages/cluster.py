"""What the cluster has of the ModelDeployment that was applied."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.errors import TidegateError
from tidegate.view.rollout_view import RolloutView, Settled

from credentials import at_cluster
from settings import Refused, Settings
from stage import call, options


def place(settings: Settings, applied: Mapping[str, Any]) -> Sequence[str]:
    """Arguments of `tidegate` that name it and where it is."""
    named = (*options("-n", applied["namespace"]), *options("--context", settings.get("KUBE_CONTEXT")))
    return (applied["name"], *named)


def require_live(settings: Settings, applied: Mapping[str, Any], image: Mapping[str, Any]) -> None:
    """Raises Refused unless all requests go to the very image that was published, as the cluster tells now."""
    if "pushed" not in image:
        raise Refused(f"{image['image']} isn't published; run stages/publish.py before")
    with at_cluster(settings):
        told = call("tidegate", "get", *place(settings, applied), "--output", "json")
    try:
        manifest = json.loads(told)
        has, view = image_of(manifest["spec"]), RolloutView.of(manifest)
    except (ValueError, KeyError, AttributeError, TidegateError) as error:
        raise Refused(f"what is live can't be read: {error!r}") from error
    if has != image["pushed"]:
        raise Refused(
            f"{applied['name']} has {has or 'no image of its own'} by now, and {image['pushed']} was released"
        )
    if view.settled is not Settled.LIVE:
        raise Refused(f"{image['pushed']} isn't live: {view.message}")


def image_of(spec: Mapping[str, Any]) -> str | None:
    """The image that a spec has its model from."""
    scheme, _, rest = spec["model"]["uri"].partition("://")
    if scheme != "oci":
        image: str | None = spec["server"].get("image")
        return image
    repository, _, version = rest.partition("@")
    return f"{repository}@{version.partition('/')[0]}"
