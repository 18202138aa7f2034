"""One signed call of an Endpoint of the user's, with whatever its Secrets hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import uniform
from typing import Protocol

from tidegate.errors import CallFailed
from tidegate.model.back_off import doubled
from tidegate.model.gate import Endpoint
from tidegate.webhooks.addresses import Target
from tidegate.webhooks.client import HttpResponse
from tidegate.webhooks.secrets import Objects, read_key
from tidegate.webhooks.signature import headers, signing_key

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
JSON = "application/json"


class Client(Protocol):
    """Whoever makes one call; see WebhookClient."""

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, authority: str | None = None
    ) -> HttpResponse: ...


@dataclass(frozen=True)
class Caller:
    """`seconds_now` gives the seconds since 1970."""

    client: Client
    objects: Objects
    seconds_now: Callable[[], float]

    def call(
        self, namespace: str, endpoint: Endpoint, call_id: str, body: bytes, extra: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """Raises CallFailed with a sentence in which nothing is a secret."""
        url = endpoint.url
        if endpoint.url_from:
            url = read_key(self.objects, namespace, endpoint.url_from)
        key = signing_key(read_key(self.objects, namespace, endpoint.signing_key)) if endpoint.signing_key else None
        authority = read_key(self.objects, namespace, endpoint.authority) if endpoint.authority else None
        signed = headers(call_id, int(self.seconds_now()), body, key)
        sent = {"Content-Type": JSON, **(extra or {}), **signed}
        return self.client.post(url or "", body, sent, seconds=endpoint.timeout.total_seconds(), authority=authority)


def known_by(namespace: str, endpoint: Endpoint) -> str:
    """By what one receiver is known, so that one that hangs keeps no other from being called."""
    if endpoint.url_from:
        return f"{namespace}/{endpoint.url_from.name}/{endpoint.url_from.key}"
    try:
        return Target.parse(endpoint.url or "").origin
    except CallFailed:
        return namespace


def next_try(error: CallFailed, tries: int, endpoint: Endpoint) -> float | None:
    """Seconds until a call is to be tried again that has failed so many times; None where it isn't any more."""
    if error.final or tries > endpoint.retries:
        return None
    pause = doubled(FIRST_PAUSE, tries - 1, LONGEST_PAUSE) * uniform(0.8, 1.2)
    return max(pause, error.retry_after or 0.0)
