"""What registries' answers have in common, whichever registry it is."""

from collections.abc import Mapping
from typing import Any

import orjson

from tidegate.errors import CallFailed
from tidegate.webhooks.client import HttpResponse

SECONDS = 10.0
"""For a whole answer."""
REFUSED = (401, 403)


def parsed(response: HttpResponse, of: str) -> Mapping[str, Any]:
    """The JSON object of an answer. Raises CallFailed."""
    try:
        found = orjson.loads(response.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CallFailed(f"it doesn't answer as {of} does")
    return found


def explained(error: CallFailed, missing: str, not_there: tuple[int, ...] = (404,)) -> CallFailed:
    """The error, said of a registry that has no `missing` where its status is one of `not_there`, or that refuses."""
    if error.status in not_there:
        return CallFailed(f"the registry has no {missing}", final=True, status=error.status)
    if error.status in REFUSED:
        message = f"the registry refuses access (HTTP {error.status}): look at spec.model.credentialsSecret"
        return CallFailed(message, final=True, status=error.status)
    return error
