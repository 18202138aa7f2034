"""What operator and router say to each other when the operator reads a router's counters itself. Pure.

The operator asks for some clusters by name, the router's agent answers with Envoy's own text of exactly those, and
both sign what they send with a key that nobody else has. An answer carries the nonce of its request, so an old one is
of no use to whoever has recorded it.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from tidegate.errors import MalformedObject, NotEvidence

PATH = "/v1/samples"
PORT = 9903
SIGNATURE = "Tidegate-Signature"
"""The header of request and answer: an HMAC-SHA256 in hexadecimal digits."""
VERSION = 1
KEY_BYTES = 32
LEAST_KEY_BYTES = 16
"""Of a key that somebody else has made."""
KEY_ENTRY = "key"
"""In the Secret, and the name of its file in the routers."""
NONCE_BYTES = 16
MOST_CLUSTERS = 512
"""In one request."""
MOST_REQUEST_BYTES = 256 * 1024
MOST_ANSWER_BYTES = 16 * 1024 * 1024
_NONCE = re.compile(rf"[0-9a-f]{{{2 * NONCE_BYTES}}}")
_LAST_TIME = 1e12
_CLUSTER = re.compile(r"[a-z0-9-]{1,63}(/[a-z0-9-]{1,63}){2}((/grpc)?(/preview)?|/mirror|/match)")


@dataclass(frozen=True)
class SamplesRequest:
    """`clusters` as the router counts them: namespace/name/revision, that with /grpc, /mirror or /match.

    Or the first or second with /preview.

    `nonce`: 32 hex digits.
    """

    clusters: tuple[str, ...]
    nonce: str


@dataclass(frozen=True)
class SamplesAnswer:
    """What one router has counted."""

    nonce: str
    router: str
    """Its pod: namespace/name."""
    started: float
    """When its Envoy started, in seconds since 1970 by the router's clock: the same for as long as that Envoy lives."""
    time: float
    """When it was read, by the same clock."""
    metrics: str
    """Prometheus' exposition text of the clusters asked for; one that the router doesn't have is missing."""


def request_body(request: SamplesRequest) -> bytes:
    """What `read_request` reads."""
    return _json(asdict(request))


def read_request(body: bytes) -> SamplesRequest:
    """Parses a request's body. Raises MalformedObject with a sentence for whoever asked."""
    document = _document(body, MOST_REQUEST_BYTES)
    clusters, nonce = document.get("clusters"), document.get("nonce")
    if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
        raise MalformedObject(f"nonce: it must be {2 * NONCE_BYTES} hexadecimal digits")
    if not isinstance(clusters, list) or not 0 < len(clusters) <= MOST_CLUSTERS:
        raise MalformedObject(f"clusters: it must be a list of 1 to {MOST_CLUSTERS} names")
    for cluster in clusters:
        if not isinstance(cluster, str) or not _CLUSTER.fullmatch(cluster):
            raise MalformedObject(
                "clusters: each must be namespace/name/revision, that and /grpc, /mirror or /match, or the first or "
                "second and /preview"
            )
    return SamplesRequest(tuple(clusters), nonce)


def sign_request(key: bytes, router: str, body: bytes) -> str:
    """The signature of a request to one router (namespace/pod): another router doesn't take it."""
    return _signature(key, b"request\n" + router.encode() + b"\n" + body)


def key_of_request(keys: Iterable[bytes], router: str, body: bytes, signature: str) -> bytes | None:
    """With which of these keys it was signed, for this router; None for a request that isn't to be answered."""
    return next((key for key in keys if _same(sign_request(key, router, body), signature)), None)


def answer_body(answer: SamplesAnswer) -> bytes:
    """What `read_answer` reads."""
    return _json({**asdict(answer), "version": VERSION})


def sign_answer(key: bytes, body: bytes) -> str:
    """The signature of an answer."""
    return _signature(key, b"answer\n" + body)


def read_answer(key: bytes, body: bytes, signature: str, *, router: str, nonce: str) -> SamplesAnswer:
    """The answer of this router (namespace/pod) to the request with this nonce. Raises NotEvidence, which says why."""
    if len(body) > MOST_ANSWER_BYTES or not _same(sign_answer(key, body), signature):
        raise NotEvidence(f"router {router}: the answer isn't signed with the key of this installation")
    try:
        document = _document(body, MOST_ANSWER_BYTES)
    except MalformedObject as error:
        raise NotEvidence(f"router {router}: {error}") from error
    if document.get("version") != VERSION:
        raise NotEvidence(f"router {router}: it answers in version {document.get('version')!r}, not in {VERSION}")
    if document.get("nonce") != nonce:
        raise NotEvidence(f"router {router}: the answer is to another request")
    if document.get("router") != router:
        raise NotEvidence(f"router {router}: the answer is of router {document.get('router')!r}")
    return _answer(document, router)


def _answer(document: Mapping[str, Any], router: str) -> SamplesAnswer:
    started, read, metrics = (document.get(name) for name in ("started", "time", "metrics"))
    if not (_is_time(started) and _is_time(read) and isinstance(metrics, str)):
        raise NotEvidence(f"router {router}: started, time or metrics of the answer is missing or of another kind")
    return SamplesAnswer(document["nonce"], router, float(cast(float, started)), float(cast(float, read)), metrics)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _LAST_TIME


def _document(body: bytes, most: int) -> dict[str, Any]:
    if len(body) > most:
        raise MalformedObject(f"the body has {len(body)} bytes, more than {most}")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedObject("the body isn't JSON") from error
    if not isinstance(document, dict):
        raise MalformedObject("the body isn't a JSON object")
    return document


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _signature(key: bytes, message: bytes) -> str:
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def _same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode(), theirs.encode(errors="replace"))
