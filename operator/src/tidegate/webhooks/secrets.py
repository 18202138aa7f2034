"""Keys of Secrets and ConfigMaps that a call needs. Read for each call, so that a changed one is used at once."""

import base64
import binascii
from collections.abc import Mapping
from typing import Protocol

from tidegate.errors import CallFailed, ClusterUnavailable
from tidegate.kube.api import CONFIG_MAPS, SECRETS, Manifest, Resource
from tidegate.model.gate import SecretKey

FORBIDDEN = 403


class Objects(Protocol):
    """The API server, as far as it is needed here. Raises ClusterUnavailable."""

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None: ...


def read_key(objects: Objects, namespace: str, key: SecretKey) -> str:
    """What is under a key. Raises CallFailed with a sentence that says what is missing, and never what is there."""
    resource = CONFIG_MAPS if key.in_config_map else SECRETS
    what = f"the {resource.kind} {key.name}"
    text = _data(objects, namespace, resource, key.name).get(key.key)
    if text is None:
        raise CallFailed(f"{what} has no key {key.key}", final=True)
    return str(text) if key.in_config_map else _decoded(what, key.key, text)


def read_secret(objects: Objects, namespace: str, name: str) -> dict[str, str]:
    """Everything in a Secret. Raises CallFailed as `read_key` does."""
    data = _data(objects, namespace, SECRETS, name)
    return {key: _decoded(f"the Secret {name}", key, text) for key, text in data.items()}


def _data(objects: Objects, namespace: str, resource: Resource, name: str) -> Mapping[str, str]:
    what = f"the {resource.kind} {name}"
    try:
        found = objects.get(resource, namespace, name)
    except ClusterUnavailable as error:
        if error.status == FORBIDDEN:
            message = f"the operator may not read {what}: the chart's value webhooks.secrets names those that it may"
            raise CallFailed(message, final=True) from None
        raise CallFailed(f"{what} can't be read just now") from None
    if found is None:
        raise CallFailed(f"{what} isn't there", final=True)
    return found.get("data") or {}


def _decoded(what: str, key: str, text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise CallFailed(f"the key {key} of {what} isn't text", final=True) from None
