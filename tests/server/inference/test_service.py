"""What a failed run is called, by whose values they were."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.server.rpc.conftest import Doubler
from tidegate_server.errors import InvalidRequest, ModelFailed
from tidegate_server.protocol.request import InferRequest

WORDS = "indices element out of data bounds, idx=7 must be within the inclusive range [-3,2]"


@pytest.mark.parametrize(
    ("is_derived", "kind"),
    [pytest.param(False, InvalidRequest, id="the client's"), pytest.param(True, ModelFailed, id="made of its text")],
)
def test_an_index_beyond_a_table_is_the_clients_mistake_only_where_the_client_gave_it(
    is_derived: bool, kind: type[Exception]
) -> None:
    inference = Doubler()
    failing = SimpleNamespace(submit=lambda _request, done, _traffic: done(ModelFailed(WORDS), 0.0, 0.0))
    vars(inference).update(engine=failing, loop=cast(asyncio.AbstractEventLoop, SimpleNamespace(time=lambda: 0.0)))
    results: list[Any] = []
    request = InferRequest({"x": np.array([7])}, (), is_derived=is_derived)
    inference.submit(request, lambda result, *_: results.append(result), "")
    assert list(map(type, results)) == [kind]
