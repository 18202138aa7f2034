"""`--set analysis.errorRate.tolerate.ratio=1.0`: the same spec with other settings. Pure."""

import copy
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from typing import Any

import yaml

from tidegate.cli.common.errors import Unusable
from tidegate.resources.crd_schema import Schema, leaves, refusals, with_defaults


def patched(
    spec: Mapping[str, Any], schema: Schema, assignments: Sequence[str], parts: Sequence[str] = ("analysis",)
) -> dict[str, Any]:
    """`spec` with `path=value` assigned, each in turn. Raises Unusable with a sentence that names the path.

    Only what lies in `parts` of the spec can be set. The result is one that the API server would take.
    """
    known = {path: field for path, field in leaves(schema) if path.split(".")[0] in parts}
    changed: dict[str, Any] = copy.deepcopy(dict(spec))
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        path = path.strip().removeprefix("spec.")
        if not separator:
            raise Unusable(f"--set {assignment}: it has to be PATH=VALUE, as in analysis.interval=10s")
        if path not in known:
            raise Unusable(_unknown(path, sorted(known), parts))
        _assign(changed, path.split("."), _value(text.strip(), known[path]))
    changed = with_defaults(schema, changed)
    if assignments and (refused := refused_in(changed, schema, parts)):
        raise Unusable(f"--set: {refused}")
    return changed


def refused_in(spec: Mapping[str, Any], schema: Schema, parts: Sequence[str]) -> str | None:
    """The first sentence on what the API server would refuse in these parts of a spec."""
    found = (refusals(schema["properties"][part], spec.get(part, {}), f"spec.{part}") for part in parts)
    return next(chain.from_iterable(found), None)


def _unknown(path: str, known: Sequence[str], parts: Sequence[str]) -> str:
    nearest = get_close_matches(path, known, n=1, cutoff=0.0)
    return (
        f"--set: there is no setting {path} that can be tried (only what is below spec.{' and spec.'.join(parts)}); "
        f"the nearest is {nearest[0]}"
    )


def _assign(changed: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *above, last = path
    for name in above:
        changed = changed.setdefault(name, {})
    changed[last] = value


def _value(text: str, field: Schema) -> Any:
    """What the text says where a string is wanted, else what it means in YAML."""
    if field.get("type") == "string":
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Unusable(f"--set: {text!r} isn't YAML: {' '.join(str(error).split())}") from error
