"""Writes objects into etcd, past the API server, which tells its watchers of them all the same.

The API server takes some 3 ms of a core for a write: the kubelets' and controllers' 11,000 writes would be most of what
is measured. By gRPC: etcd's JSON gateway takes ten times the CPU for a pod that its own protocol does.
"""

from collections.abc import Mapping
from typing import Any

import grpc
import orjson

from benchmarks.errors import BenchmarkError

TIMEOUT = 10.0
MOD_REVISION = 2
"""Of etcd's enum Compare.CompareTarget."""


class Etcd:
    """`url` is etcd's, as the API server is given it. Every method raises BenchmarkError where etcd refuses."""

    def __init__(self, url: str) -> None:
        self._channel = grpc.insecure_channel(url.removeprefix("http://"))

    def put(self, plural: str, manifest: Mapping[str, Any]) -> None:
        """Makes an object exactly this."""
        self._ask("Put", _put(_key_of(plural, manifest), manifest))

    def put_over(self, plural: str, manifest: Mapping[str, Any], version: str) -> None:
        """Makes an object exactly this if it still has that resourceVersion; else nothing."""
        key = _key_of(plural, manifest)
        unchanged = _number(2, MOD_REVISION) + _bytes(3, key) + _number(6, int(version))
        self._ask("Txn", _bytes(1, unchanged) + _bytes(2, _bytes(2, _put(key, manifest))))

    def delete(self, plural: str, namespace: str, name: str) -> None:
        """Takes it away."""
        self._ask("DeleteRange", _bytes(1, _key(plural, namespace, name)))

    def _ask(self, what: str, message: bytes) -> None:
        try:
            # Messages go and come as bytes: nothing of an answer is needed.
            self._channel.unary_unary(f"/etcdserverpb.KV/{what}", bytes, bytes)(message, timeout=TIMEOUT)
        except grpc.RpcError as error:
            raise BenchmarkError(f"etcd refused a {what}: {error}") from error


def _put(key: bytes, manifest: Mapping[str, Any]) -> bytes:
    return _bytes(1, key) + _bytes(2, orjson.dumps(manifest))


def _key_of(plural: str, manifest: Mapping[str, Any]) -> bytes:
    return _key(plural, manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def _key(plural: str, namespace: str, name: str) -> bytes:
    return f"/registry/{plural}/{namespace}/{name}".encode()


def _bytes(field: int, value: bytes) -> bytes:
    """A field of a protobuf message that holds bytes, a text or another message."""
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
