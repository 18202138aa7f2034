"""The API server's defaulting, so that tests get their defaults from the CRD and from nowhere else."""

import copy
from collections.abc import Mapping
from typing import Any


def with_defaults(schema: Mapping[str, Any], value: Any) -> Any:
    """`value` with every default that a structural schema gives to what is absent."""
    if schema.get("type") == "object" and isinstance(value, Mapping):
        filled = dict(value)
        for name, field in schema.get("properties", {}).items():
            if name not in filled and "default" in field:
                filled[name] = copy.deepcopy(field["default"])
            if name in filled:
                filled[name] = with_defaults(field, filled[name])
        return filled
    if schema.get("type") == "array" and isinstance(value, list):
        return [with_defaults(schema["items"], item) for item in value]
    return value
