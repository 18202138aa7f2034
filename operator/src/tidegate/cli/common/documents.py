"""`--output json|yaml`, the same from every command."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import orjson


class Output(StrEnum):
    """How a command writes what it has found or done."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def document(value: Mapping[str, Any] | Sequence[Any], output: Output) -> str:
    """JSON or YAML without a line end."""
    if output is Output.JSON:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    import yaml

    # libyaml's, where PyYAML was built with it, writes a thousand models in a sixth of the time.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)).rstrip("\n")
