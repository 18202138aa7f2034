"""How much of what servers keep is held at a time."""

from itertools import islice

import pytest

from tidegate.rehearsal.live_requests import MOST_WAITING_BYTES, LiveRequests
from tidegate.rehearsal.payloads import Payload

FULL = [Payload("/predict", bytes(2**16))] * 100
"""As much as a server gives at once."""


def test_of_very_many_servers_no_more_are_asked_than_can_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def of_one(self: LiveRequests, address: str) -> list[Payload]:
        asked.append(address)
        return FULL

    monkeypatch.setattr(LiveRequests, "_addresses", lambda self: [f"10.0.0.{each}" for each in range(100)])
    monkeypatch.setattr(LiveRequests, "_of_one", of_one)
    requests = LiveRequests("http://digits:8082", "key", rate=1e6, seconds=60.0)

    assert len(list(islice(requests, 500))) == 500
    assert len(asked) == len(set(asked)) == -(-MOST_WAITING_BYTES // (100 * 2**16)) == 6
