"""One user, one revision: a weight that grows moves users forward only, and a rollback is the only way back."""

from __future__ import annotations

import http.client
import math
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from http.cookies import SimpleCookie
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.router.conftest import NEW, OLD
from tests.router.grpc_calls import CallClient, CallServer
from tidegate.model.traffic import Sticky

if TYPE_CHECKING:
    from tests.router.conftest import Bench, Router
    from tidegate.resources.model_route import Route

pytestmark = pytest.mark.router
USERS = [f"user-{number}@example.org" for number in range(1000)]
BY_HEADER, BY_COOKIE = Sticky(header="x-user"), Sticky(cookie="tidegate", ttl=timedelta(days=30))


def sticky(bench: Bench, weight: int, how: Sticky = BY_HEADER) -> Route:
    return replace(bench.route((OLD, 100 - weight), (NEW, weight)), sticky=how)


class Clients:
    """Who asks over one kept connection, and what cookie each has been given."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.cookies: dict[str, str] = {}

    def ask(self, **headers: str) -> tuple[str, str]:
        """The revision that answered, and the cookie that was given."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request("GET", "/", headers={"Host": "sentiment.shop", **named})
        response = self._connection.getresponse()
        response.read()
        assert response.status == 200
        return response.headers["x-tidegate-served-by"], response.headers.get("set-cookie", "")

    def ask_as(self, user: str) -> str:
        """With the cookie that this user was given, or to be given one."""
        known = {"cookie": f"theme=dark; tidegate={self.cookies[user]}"} if user in self.cookies else {}
        revision, given = self.ask(**known)
        assert bool(given) != bool(known)
        if given:
            self.cookies[user] = SimpleCookie(given)["tidegate"].value
        return revision

    def close(self) -> None:
        self._connection.close()


def within_chance(on_candidate: int, users: int, weight: int) -> bool:
    """Five standard deviations of a binomial by users: about one false alarm in two million runs."""
    share = weight / 100
    return abs(on_candidate - users * share) <= 5 * math.sqrt(users * share * (1 - share))


@pytest.mark.parametrize("how", [BY_HEADER, BY_COOKIE], ids=["a header", "a cookie"])
def test_a_growing_weight_moves_users_forward_only_by(how: Sticky, bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router: Router = bench.router()
    router.start([sticky(bench, 0, how)], bench.endpoints(old, new))
    clients, seen = Clients(router.port), list[dict[str, str]]()
    ask = (lambda user: clients.ask(x_user=user)[0]) if how is BY_HEADER else clients.ask_as
    for weight in (0, 5, 25, 50, 100):
        router.publish([sticky(bench, weight, how)], bench.endpoints(old, new))
        answers = [{user: ask(user) for user in USERS} for _ in range(2)]
        assert answers[0] == answers[1]
        seen.append(answers[0])
        met = Counter(answers[0].values())[NEW]
        sys.stdout.write(f"{weight} %: {met} of {len(USERS):,} users meet the candidate\n")
        assert within_chance(met, len(USERS), weight)
    assert not [user for before, after in pairwise(seen) for user in USERS if before[user] == NEW != after[user]]
    router.publish([bench.route((OLD, 100))], bench.endpoints(old))
    assert {ask(user) for user in USERS[:20]} == {OLD}
    clients.close()


def test_another_router_draws_the_same_users(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([sticky(bench, 25)], bench.endpoints(old, new))
    drawn = []
    for _ in range(2):
        clients = Clients(router.port)
        drawn.append([clients.ask(x_user=user)[0] for user in USERS[:200]])
        clients.close()
        router.restart()
    assert drawn[0] == drawn[1]


def test_a_user_who_calls_by_grpc_stays_too(bench: Bench) -> None:
    old, new = CallServer(OLD, "127.0.0.2"), CallServer(NEW, "127.0.0.3")
    router = bench.router()
    router.start([replace(sticky(bench, 25), grpc=True)], bench.endpoints(old, new))
    client = CallClient(router.port)
    drawn = [[client.ask(x_user=user) for user in USERS[:200]] for _ in range(2)]
    client.close()
    assert drawn[0] == drawn[1]
    assert within_chance(Counter(drawn[0])[NEW], 200, 25)
    for server in (old, new):
        server.close()


def test_requests_without_a_user_are_drawn_one_by_one(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([sticky(bench, 50)], bench.endpoints(old, new))
    clients = Clients(router.port)
    drawn = Counter(clients.ask()[0] for _ in range(400))
    assert within_chance(drawn[NEW], 400, 50)
    clients.close()


def test_a_cookie_says_how_long_it_lasts_and_is_out_of_reach_of_scripts(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([sticky(bench, 50, BY_COOKIE)], bench.endpoints(old, new))
    clients = Clients(router.port)
    given = clients.ask()[1]
    value = SimpleCookie(given)["tidegate"].value
    assert given == f"tidegate={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000"
    assert clients.ask()[1] != given
    clients.close()
