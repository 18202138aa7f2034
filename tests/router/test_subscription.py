"""One type of resources on one stream: what goes when, what is asked for anew, and what is found when it is refused."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.router import xds_pb2 as pb
from tidegate.router.subscription import Outcome, Resource, Subscription

KIND = "type.googleapis.com/a.Kind"


def a_subscription(*names: str, wildcard: bool = False) -> Subscription:
    """One that is right about what is wanted: these, in their first version."""
    made = Subscription(KIND, wildcard=wildcard)
    made.settle()
    for name in names:
        made.put(a_resource(name))
    return made


def a_resource(name: str, version: str = "1") -> Resource:
    return Resource(name, version, f"{name} {version}".encode())


def asks(*names: str, has: Iterable[str] = (), gives_up: Iterable[str] = ()) -> pb.DeltaDiscoveryRequest:
    return pb.DeltaDiscoveryRequest(
        type_url=KIND,
        resource_names_subscribe=names,
        resource_names_unsubscribe=list(gives_up),
        initial_resource_versions=dict.fromkeys(has, "1"),
    )


def answer(response: pb.DeltaDiscoveryResponse, error: str = "") -> pb.DeltaDiscoveryRequest:
    request = pb.DeltaDiscoveryRequest(type_url=KIND, response_nonce=response.nonce)
    if error:
        request.error_detail.message = error
    return request


def sent(subscription: Subscription) -> tuple[list[str], list[str]] | None:
    """What goes out next, and is taken: names, and names that are gone."""
    response = subscription.respond()
    if response is None:
        return None
    subscription.hear(answer(response))
    return [each.name for each in response.resources], list(response.removed_resources)


def test_only_what_is_asked_for_is_sent() -> None:
    subscription = a_subscription("a", "b")
    subscription.hear(asks("b", "c"))

    assert sent(subscription) == (["b"], [])
    assert sent(subscription) is None
    subscription.put(a_resource("c"))
    assert sent(subscription) == (["c"], [])


def test_who_takes_everything_gets_everything_and_is_told_what_goes() -> None:
    subscription = a_subscription("a", "b", wildcard=True)
    subscription.hear(asks())
    assert sent(subscription) == (["a", "b"], [])

    subscription.drop("a")
    subscription.put(a_resource("c"))
    assert sent(subscription) == (["c"], ["a"])


def test_who_takes_everything_and_has_nothing_is_answered_though_there_is_nothing() -> None:
    subscription = a_subscription(wildcard=True)
    subscription.hear(asks())

    assert sent(subscription) == ([], [])
    assert sent(subscription) is None


def test_what_changes_while_a_response_is_under_way_goes_with_the_next() -> None:
    subscription = a_subscription("a", "b")
    subscription.hear(asks("a", "b"))
    first = subscription.respond()
    assert first is not None
    for version in ("2", "3"):
        subscription.put(a_resource("a", version))
    assert subscription.respond() is None

    assert subscription.hear(answer(first)) == Outcome(accepted=frozenset({"a", "b"}))
    second = subscription.respond()
    assert second is not None
    assert [(each.name, each.version) for each in second.resources] == [("a", "3")]


def test_an_answer_to_something_else_is_none() -> None:
    subscription = a_subscription("a")
    subscription.hear(asks("a"))
    subscription.respond()

    assert subscription.hear(pb.DeltaDiscoveryRequest(type_url=KIND, response_nonce="another")) == Outcome()
    assert subscription.waits


def test_who_comes_back_with_what_it_has_gets_the_rest() -> None:
    subscription = a_subscription("a", "b", "c")
    subscription.put(a_resource("b", "2"))
    subscription.hear(asks("a", "b", "c", has=["a", "b"]))

    assert not subscription.is_fresh
    assert sent(subscription) == (["b", "c"], [])


def test_what_it_asks_for_anew_is_sent_anew() -> None:
    subscription = a_subscription("a")
    subscription.hear(asks("a", has=["a"]))
    assert sent(subscription) is None

    subscription.hear(asks("a"))
    assert sent(subscription) == (["a"], [])


@pytest.mark.parametrize("is_said_at_once", [True, False])
def test_what_it_gave_up_and_asks_for_anew_while_a_response_is_under_way_is_sent_anew(is_said_at_once: bool) -> None:
    subscription = a_subscription("a", "b")
    subscription.hear(asks("a", "b"))
    response = subscription.respond()
    assert response is not None
    subscription.hear(asks(gives_up=["a"]))
    again = asks("a")
    if is_said_at_once:
        again.response_nonce = response.nonce
    subscription.hear(again)
    subscription.hear(answer(response))

    assert sent(subscription) == (["a"], [])
    assert sent(subscription) is None


def test_what_it_has_given_up_is_not_sent() -> None:
    subscription = a_subscription("a")
    subscription.hear(asks("a"))
    assert sent(subscription) == (["a"], [])
    subscription.hear(asks(gives_up=["a"]))
    subscription.put(a_resource("a", "2"))

    assert sent(subscription) is None


def test_while_nobody_knows_what_is_right_only_what_is_missing_is_sent() -> None:
    subscription = Subscription(KIND, wildcard=True)
    for name in ("a", "b"):
        subscription.put(a_resource(name, "2"))
    subscription.hear(asks(has=["a", "z"]))
    assert sent(subscription) == (["b"], [])

    subscription.settle()
    assert sent(subscription) == (["a"], ["z"])


@settings(deadline=None)
@given(st.sets(st.integers(0, 40), min_size=1), st.data())
def test_what_is_refused_is_found_and_all_else_is_taken(names: set[int], data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.sampled_from(sorted(names))))
    subscription = a_subscription(*map(str, names), wildcard=True)
    subscription.hear(asks())
    rounds = 0
    while (response := subscription.respond()) is not None:
        rounds += 1
        refused = any(int(each.name) in bad for each in response.resources)
        subscription.hear(answer(response, "no" if refused else ""))

    assert subscription.refused.keys() == set(map(str, bad))
    assert subscription.known.keys() == set(map(str, names - bad))
    assert rounds <= 1 + 2 * len(bad) * 7


def test_what_was_refused_is_sent_again_when_it_is_another_and_not_before() -> None:
    subscription = a_subscription("a")
    subscription.hear(asks("a"))
    response = subscription.respond()
    assert response is not None
    assert subscription.hear(answer(response, "no")) == Outcome(refused=frozenset({"a"}))
    subscription.put(a_resource("a"))
    assert sent(subscription) is None

    subscription.put(a_resource("a", "2"))
    assert subscription.refused == {}
    assert sent(subscription) == (["a"], [])


def test_a_new_stream_is_tried_with_what_another_refused() -> None:
    subscription = a_subscription("a")
    subscription.hear(asks("a"))
    response = subscription.respond()
    assert response is not None
    subscription.hear(answer(response, "no"))
    subscription.close()
    subscription.hear(asks("a"))

    assert sent(subscription) == (["a"], [])


@pytest.mark.parametrize("wildcard", [True, False])
def test_what_envoy_does_not_let_go_is_not_asked_of_it_for_ever(wildcard: bool) -> None:
    subscription = a_subscription("a", wildcard=wildcard)
    subscription.hear(asks("a", has=["a"]))
    subscription.drop("a")
    for _ in range(2):
        response = subscription.respond()
        if response is not None:
            subscription.hear(answer(response, "no"))

    assert subscription.respond() is None
