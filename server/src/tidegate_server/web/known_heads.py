"""Heads of requests that were read before: the same bytes mean the same request, so nobody has to parse them again.

Clients send the same head with every request but for its length. Only what llhttp has read from its first byte to its
last is remembered, and only the plainest of heads: HTTP/1.1, one Host, a length or none, and a connection that stays.
Who sent a request isn't remembered; that is found out each time.
"""

from dataclasses import dataclass

MAX_HEADS = 256
MAX_HEAD_BYTES = 1024
END = b"\r\n\r\n"
_NOT_PLAIN = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer"})


@dataclass(frozen=True, slots=True)
class KnownHead:
    """What a head says. `headers` are shared by all requests that have it, and nobody changes them."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    length: int
    """Of the body."""


class KnownHeads:
    """Of all connections of a server. Belongs to the loop's thread."""

    def __init__(self) -> None:
        """None yet."""
        self._heads: dict[bytes, KnownHead] = {}

    def find(self, head: bytes) -> KnownHead | None:
        """`head` with the empty line at its end."""
        return self._heads.get(head)

    def remember(self, head: bytes, known: KnownHead) -> None:
        """For a head that was read whole, by itself, from a request of HTTP/1.1 after which the connection stays."""
        if (
            len(head) > MAX_HEAD_BYTES
            or not head.startswith(known.method + b" ")
            or not _NOT_PLAIN.isdisjoint(known.headers)
        ):
            return
        if len(self._heads) >= MAX_HEADS:  # heads that never come again mustn't keep the others out
            self._heads.clear()
        self._heads[head] = known
