"""The receiver on the page about gates verifies what the operator signs."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tidegate.webhooks.signature import headers

KEY = "correct horse battery staple"
PAGE = (Path(__file__).parents[2] / "docs" / "gates.md").read_text()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SIGNING_KEY", KEY)
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    found: dict[str, Any] = {"__name__": "receiver"}
    exec(source, found)  # noqa: S102 - the page's own example
    return found["app"].test_client()


def ask(receiver: Any, weight: int, *, key: str = KEY, at: float | None = None) -> Any:
    body = b'{"rollout": {"weight": %d}}' % weight
    signed = headers("one", int(at or time.time()), body, key.encode())  # noqa: TID251 - the receiver reads the clock
    return receiver.post("/gates/quality", data=body, headers=dict(signed))


def test_the_receiver_takes_what_the_operator_has_signed(receiver: Any) -> None:
    assert ask(receiver, 50).json["allowed"] is True
    assert ask(receiver, 100).json == {"allowed": False, "message": "a person looks before all traffic"}


def test_the_receiver_takes_nobody_elses_call_and_no_old_one(receiver: Any) -> None:
    assert ask(receiver, 50, key="another key of some length").status_code == 401
    assert ask(receiver, 50, at=1_700_000_000).status_code == 401
    assert receiver.post("/gates/quality", data=b"{}").status_code == 401
