"""The state of a route that Tidegate writes whole, whatever its kind. Pure."""

from tidegate.model.traffic import RouteState
from tidegate.resources.http_route import SeenRoute
from tidegate.resources.virtual_service import SeenVirtualService


def state_of(ours: SeenRoute | SeenVirtualService) -> RouteState:
    """As the object itself has it, without what the router says of it."""
    return RouteState(
        ours.split,
        ours.settings,
        version=ours.version,
        writer=ours.writer,
        edited_by=ours.edited_by,
        lists_first=True,
        leaving=ours.leaving,
        unmarked="" if ours.marks else f"the {ours.kind} {ours.name}",
    )
