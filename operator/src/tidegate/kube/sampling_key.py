"""The key by which operator and routers know each other: a Secret that the operator makes where there is none.

The routers' agents read it from a volume, and take the key before it for some minutes more, so that it can be changed.
"""

import base64
import binascii
import logging
import secrets
import threading
from collections.abc import Mapping
from time import monotonic, sleep
from typing import Any, Protocol

from tidegate.errors import ClusterUnavailable, MalformedObject
from tidegate.kube.api import SECRETS, Manifest, Resource
from tidegate.resources.names import MANAGED_BY
from tidegate.resources.sampling import KEY_BYTES, KEY_ENTRY, LEAST_KEY_BYTES

FRESH_SECONDS = 60.0
"""How long what was read holds: a changed key is used after this at the latest."""
DOUBTED_SECONDS = 5.0
"""The same once a router has refused it, or while there is none."""

log = logging.getLogger(__name__)


class Secrets(Protocol):
    """The API server, as far as the key needs it. Raises ClusterUnavailable."""

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None: ...
    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Manifest | None: ...


class SamplingKey:
    """Reads the Secret `name`, seldom, and only while somebody wants the key. With an empty name there is none."""

    def __init__(
        self, secrets: Secrets, namespace: str, name: str, without: str = "the routers can't be read directly"
    ) -> None:
        self._secrets, self._namespace, self._name, self._without = secrets, namespace, name, without
        self._lock = threading.Lock()
        self._key: bytes | None = None
        self._read_at: float | None = None
        self._doubted = False
        self._said = ""

    def start(self) -> None:
        """Makes the Secret in a thread of its own, so that the routers have it before the first rollout."""
        if self._name:
            threading.Thread(target=self._run, name="sampling-key", daemon=True).start()

    def current(self) -> bytes | None:
        """The key, or None where it can't be had; the log says why. May ask the API server, and so take its time."""
        with self._lock:
            if self._name and self._is_old():
                self._read_at, self._doubted = monotonic(), False
                self._read()
            return self._key

    def doubt(self) -> None:
        """A router has refused it: it may have been changed."""
        self._doubted = True

    def _run(self) -> None:
        while self.current() is None:
            sleep(DOUBTED_SECONDS)

    def _is_old(self) -> bool:
        holds = DOUBTED_SECONDS if self._doubted or self._key is None else FRESH_SECONDS
        return self._read_at is None or monotonic() - self._read_at >= holds

    def _read(self) -> None:
        """What is held stays where there is no answer: it is most likely the key still."""
        try:
            self._key, trouble = self._stored() or self._made(), ""
        except ClusterUnavailable as error:
            trouble = str(error)
        except MalformedObject as error:
            self._key, trouble = None, str(error)
        if trouble and trouble != self._said:
            log.warning("%s with the Secret %s: %s", self._without, self._name, trouble)
        self._said = trouble

    def _stored(self) -> bytes | None:
        secret = self._secrets.get(SECRETS, self._namespace, self._name)
        return None if secret is None else _key_of(secret)

    def _made(self) -> bytes | None:
        """None where another operator was faster: the next look reads what that one has made."""
        key = secrets.token_bytes(KEY_BYTES)
        manifest = {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "metadata": {"name": self._name, "namespace": self._namespace, "labels": {MANAGED_BY: "tidegate"}},
            "type": "Opaque",
            "data": {KEY_ENTRY: base64.b64encode(key).decode()},
        }
        return key if self._secrets.create(SECRETS, manifest) is not None else None


def _key_of(secret: Mapping[str, Any]) -> bytes:
    try:
        key = base64.b64decode((secret.get("data") or {}).get(KEY_ENTRY, ""), validate=True)
    except (binascii.Error, TypeError) as error:
        raise MalformedObject(f"its entry {KEY_ENTRY} is unreadable") from error
    if len(key) < LEAST_KEY_BYTES:
        raise MalformedObject(f"its entry {KEY_ENTRY} has {len(key)} bytes, and needs {LEAST_KEY_BYTES} at least")
    return key
