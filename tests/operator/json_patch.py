"""JSON patches (RFC 6902) as an API server applies them, as far as Tidegate writes them."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any


class TestFailed(Exception):
    """An operation makes no sense for this object."""

    __test__ = False


def patched(document: Mapping[str, Any], operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The object after all operations. Raises TestFailed where one of them fails."""
    result: dict[str, Any] = copy.deepcopy(dict(document))
    for operation in operations:
        *parents, last = (part.replace("~1", "/") for part in operation["path"].split("/")[1:])
        at: Any = result
        for part in parents:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {}) if part == "metadata" else at[part]
        key: Any = int(last) if isinstance(at, list) else last
        match operation["op"]:
            case "test" if at[key] != operation["value"]:
                raise TestFailed(operation["path"])
            case "add" | "replace":
                at[key] = operation["value"]
            case "remove":
                del at[key]
            case _:
                pass
    return result
