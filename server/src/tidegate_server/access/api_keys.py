"""API keys. The server knows their SHA-256 only: a key is 256 random bits, so no slow hash is needed to protect it."""

import re
import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from tidegate_server.errors import BadSetting

MAX_KEYS = 1000
PREFIX = "tg_"
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}):(?P<digest>[0-9a-fA-F]{64})")


Keys = Mapping[bytes, str]
"""Names by the SHA-256 of the key, 32 bytes."""


class GeneratedKey(NamedTuple):
    """`key` is for the caller, `line` for the server's file."""

    key: str
    line: str


def new_key(name: str) -> GeneratedKey:
    """Raises BadSetting for a name that can't stand in the file."""
    key = PREFIX + secrets.token_urlsafe(32)
    line = f"{name}:{sha256(key.encode()).hexdigest()}"
    if not _LINE.fullmatch(line):
        raise BadSetting("the key's name must be 1 to 64 of the letters, digits, '.', '_' and '-'")
    return GeneratedKey(key, line)


def parse_keys(raw: bytes) -> Keys:
    """Lines of `NAME:SHA256`; empty ones and those that begin with # are skipped. Raises BadSetting.

    What it says names the line's number, never its content: somebody may have put a plain key there.
    """
    keys: dict[bytes, str] = {}
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            raise BadSetting(f", line {number}, isn't NAME:SHA256; make it with 'tidegate-server new-key NAME'")
        keys[bytes.fromhex(found["digest"])] = found["name"]
    if len(keys) > MAX_KEYS:
        raise BadSetting(f" holds {len(keys)} keys; use tokens for more than {MAX_KEYS} callers")
    return keys


def key_name(key: str, known: Keys) -> str | None:
    """Whose key it is.

    How long the look-up takes tells something of a hash at most, and nobody can make a key from a hash.
    """
    return known.get(sha256(key.encode()).digest())
