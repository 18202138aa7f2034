"""The table is told all routes whenever one has changed, and goes by what is other than before."""

from collections.abc import Mapping, Sequence

import pytest

from tidegate.resources.model_route import Backend, Route
from tidegate.router.objects import Service
from tidegate.router.routing_table import RoutingTable, Versioned

Listed = Mapping[str, Sequence[Versioned]]


def versioned(name: str, version: int, *, revision: str = "a", namespace: str = "shop") -> Versioned:
    return Route(namespace, name, "x-tidegate-revision", 60, (Backend(revision, 100),)), version


ONE, TWO = versioned("one", 1), versioned("two", 2)
ONE_ANEW, ONE_AGAIN = versioned("one", 3, revision="b"), versioned("one", 4)
ELSEWHERE = versioned("one", 5, namespace="lab")


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [
        pytest.param({}, {"": [ONE, TWO]}, {"one", "two"}, id="the first list is all news"),
        pytest.param({"": [ONE, TWO]}, {"": [TWO, ONE]}, set(), id="the same objects in another order are no news"),
        pytest.param({"": [ONE, TWO]}, {"": [ONE_ANEW, TWO]}, {"one"}, id="another revision is news"),
        pytest.param({"": [ONE, TWO]}, {"": [ONE_AGAIN, TWO]}, set(), id="another version of the same is none"),
        pytest.param({"": [ONE, TWO]}, {"": [ONE]}, {"two"}, id="one that is gone is news"),
        pytest.param({"": [ONE, TWO]}, {"shop": [ONE_AGAIN, TWO]}, set(), id="the same, followed by its namespace"),
        pytest.param({"": [TWO]}, {"shop": [TWO], "lab": [ELSEWHERE]}, {"one"}, id="one elsewhere beside it"),
        pytest.param({"shop": [ONE], "lab": [ELSEWHERE]}, {"shop": []}, {"one"}, id="a namespace without any"),
    ],
)
def test_table_is_as_if_it_had_heard_the_last_list_alone(before: Listed, now: Listed, changed: set[str]) -> None:
    table, fresh = RoutingTable(), RoutingTable()
    table.set_routes(before)

    told = table.set_routes(now)
    fresh.set_routes(now)

    assert {name for _, name in told} == changed
    assert (table.routes, table.versions, table.newest) == (fresh.routes, fresh.versions, fresh.newest)
    services = [Service(namespace, revision) for namespace in ("shop", "lab") for revision in ("a", "b")]
    assert [table.users(each) for each in services] == [fresh.users(each) for each in services]


def test_what_a_list_said_before_stays_as_it_was() -> None:
    table = RoutingTable()
    table.set_routes({"": [ONE, TWO]})
    before = table.versions

    table.set_routes({"": [ONE_ANEW]})

    assert before == {"": {("shop", "one"): 1, ("shop", "two"): 2}}
