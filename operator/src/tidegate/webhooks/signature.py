"""How a receiver knows who calls, and when: the Standard Webhooks' signature, for which most languages have a library.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. Pure.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from tidegate.errors import CallFailed

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
LEAST_BYTES = 16


def signing_key(text: str) -> bytes:
    """The key in a Secret: `whsec_` and base64, or whatever else it is. Raises CallFailed on one that is too short."""
    text = text.strip()
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else text.encode()
    except binascii.Error:
        raise CallFailed(f"its signing key begins with {PREFIX}, but the rest isn't base64", final=True) from None
    if len(key) < LEAST_BYTES:
        raise CallFailed(f"its signing key has {len(key)} bytes, and needs {LEAST_BYTES} at least", final=True)
    return key


def headers(call_id: str, timestamp: int, body: bytes, key: bytes | None) -> Mapping[str, str]:
    """What goes along with a body: its id, the seconds since 1970, and the signature of all three where there is a key.

    The id stays the same however often a call is repeated: who receives it twice can know.
    """
    told = {ID: call_id, TIMESTAMP: str(timestamp)}
    if key is None:
        return told
    digest = hmac.new(key, f"{call_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {**told, SIGNATURE: f"v1,{base64.b64encode(digest).decode()}"}
