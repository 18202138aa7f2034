"""The last spec of each ModelDeployment that could be read."""

from collections.abc import Mapping
from typing import Any

from tidegate.errors import InvalidSpec
from tidegate.kube.api import Manifest
from tidegate.kube.informer import Key
from tidegate.model.spec import ModelDeploymentSpec

Spec = Mapping[str, Any]


class ReadableSpecs:
    """Remembers them for as long as the operator runs. One ModelDeployment is looked at by one thread at a time."""

    def __init__(self) -> None:
        self._last: dict[Key, tuple[str, Spec]] = {}

    def note(self, manifest: Manifest) -> None:
        """A manifest's spec could be read."""
        metadata = manifest["metadata"]
        self._last[metadata["namespace"], metadata["name"]] = (metadata["uid"], manifest["spec"])

    def last(self, manifest: Manifest) -> Spec | None:
        """The last one that was read of this very object; None where there is none."""
        metadata = manifest["metadata"]
        uid, spec = self._last.get((metadata["namespace"], metadata["name"]), ("", None))
        return spec if uid == metadata["uid"] else None

    def forget(self, key: Key) -> None:
        """Of an object that there is no more."""
        self._last.pop(key, None)


UNKNOWN_MODEL: Spec = {"uri": ""}


def readable_part(spec: Spec) -> Spec:
    """The spec without those of its fields that can't be read, which have their defaults then.

    Where its model can't be read either, it has none that anything could be made of. Of two that contradict each other,
    the latter goes; the server is looked at first, as the analysis may need a part of it.
    """
    kept = {"model": spec.get("model") if _is_readable({"model": spec.get("model")}) else UNKNOWN_MODEL}
    for name in sorted(spec.keys() - kept.keys(), key=lambda name: (name != "server", name)):
        if _is_readable({**kept, name: spec[name]}):
            kept[name] = spec[name]
    return kept


def _is_readable(spec: Spec) -> bool:
    try:
        ModelDeploymentSpec.parse(spec)
    except InvalidSpec:
        return False
    return True
