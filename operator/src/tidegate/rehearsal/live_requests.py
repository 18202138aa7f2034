"""Samples of live requests, had from the model servers of a revision: each once, in memory, and no more than so many a
second.
"""

import binascii
import http.client
import json
import socket
import threading
from base64 import b64decode
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from tidegate.errors import TidegateError
from tidegate.rehearsal.payloads import Payload

PATH = "/v2/request-samples"
MOST_AT_ONCE = 100
"""Of one server; it gives no more."""
POLL_SECONDS = 2.0
"""Between two looks where there is nothing new."""
ANSWER_SECONDS = 10.0
MOST_BYTES = 2**24
MOST_WAITING_BYTES = 2**25
"""Of bodies: from then on the other servers aren't asked until these have been. There may be a hundred servers."""
REASONS = {
    401: "the key isn't theirs",
    404: "they keep none: spec.server.requestSamples makes a revision's pods keep some",
}


class NoSamples(TidegateError):
    """No server gives any; the message says why. Nothing of a key or a request is in it."""


@dataclass(frozen=True)
class LiveRequests:
    """Iterates over the samples of all servers behind a name, as they come, numbered from 1."""

    url: str
    """http://HOST:PORT of the servers' admin port; HOST may have several addresses."""
    key: str
    rate: float
    """So many a second at most: stable answers each of them twice more."""
    seconds: float
    """It ends after these, however few there have been."""
    stopped: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[tuple[int, Payload]]:
        """Raises NoSamples where no server gives any at the first look."""
        ends_at, waiting, random = monotonic() + self.seconds, deque[Payload](), Random()
        number, due = 0, monotonic()
        while not self.stopped.is_set() and monotonic() < ends_at:
            if not waiting:
                waiting.extend(self._taken(random, must_answer=number == 0))
            if not waiting:
                self.stopped.wait(POLL_SECONDS)
                continue
            due = max(due + 1 / self.rate, monotonic())
            self.stopped.wait(due - monotonic())
            number += 1
            yield number, waiting.popleft()

    def _taken(self, random: Random, *, must_answer: bool) -> Sequence[Payload]:
        """What servers have, in no order: of all of them, unless that is too much to hold."""
        taken: list[Payload] = []
        reasons = []
        addresses = list(self._addresses())
        random.shuffle(addresses)
        for address in addresses:
            if sum(len(each.body) for each in taken) >= MOST_WAITING_BYTES:
                break
            try:
                taken += self._of_one(address)
            except NoSamples as error:
                reasons.append(str(error))
        if must_answer and len(reasons) == len(addresses):
            raise NoSamples(
                f"{self.url} gives no samples of requests: {reasons[0] if reasons else 'it has no address'}"
            )
        random.shuffle(taken)
        return taken

    def _addresses(self) -> Sequence[str]:
        parts = urlsplit(self.url)
        try:
            found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
        except OSError:
            return ()
        return sorted({str(each[4][0]) for each in found})

    def _of_one(self, address: str) -> Sequence[Payload]:
        connection = http.client.HTTPConnection(address, urlsplit(self.url).port, timeout=ANSWER_SECONDS)
        try:
            headers = {"Authorization": f"Bearer {self.key}"}
            connection.request("POST", f"{PATH}?most={MOST_AT_ONCE}", headers=headers)
            response = connection.getresponse()
            body = response.read(MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise NoSamples(f"it can't be asked ({type(error).__name__})") from error
        finally:
            connection.close()
        if response.status != 200:
            raise NoSamples(REASONS.get(response.status, f"HTTP {response.status}"))
        return _payloads(body)


def _payloads(body: bytes) -> Sequence[Payload]:
    try:
        return [_payload(each) for each in json.loads(body)["samples"]]
    except (ValueError, KeyError, TypeError, binascii.Error):
        # The cause would hold a part of a request.
        raise NoSamples("what they answer are no samples of requests") from None


def _payload(sample: Mapping[str, Any]) -> Payload:
    given = (("Content-Type", sample["contentType"]), ("Inference-Header-Content-Length", sample["jsonBytes"]))
    headers = tuple((name, value) for name, value in given if value)
    return Payload(sample["target"], b64decode(sample["body"]), headers)
