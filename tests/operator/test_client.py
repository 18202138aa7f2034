"""The Python client, against an API server on loopback and an operator that answers."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operator.cli.test_controls import an_operator, patches, put
from tests.operator.fake_api import FakeApi
from tests.operator.view_examples import Released
from tidegate.cli.control import answer
from tidegate.client import AsyncClient, Client, NotAnswered, NotDone, NotSettled, Refused, Role, Settled
from tidegate.kube.api import MODEL_DEPLOYMENTS, PODS
from tidegate.model.control import Control

SOON = timedelta(seconds=0.4)
SECONDS = timedelta(seconds=5)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "GRACE", 0.2)


@pytest.fixture
def client(place: Path) -> Client:
    return Client(kubeconfig=place)


def test_a_model_is_seen_as_the_command_line_shows_it(client: Client, fake: FakeApi, under_way: Released) -> None:
    put(fake, under_way)
    for pod in under_way.pods:
        fake.put(PODS, pod)
    view = client.get("digits")
    candidate = view.revision(Role.CANDIDATE)

    assert (client.namespace, view.name, view.settled) == ("shop", "digits", Settled.UNDER_WAY)
    assert view.message == under_way.manifest["status"]["message"]
    assert candidate is not None
    assert candidate.pods
    assert [each.name for each in client.models()] == ["digits"]


@pytest.mark.parametrize("control", ["approve", "promote", "skip", "abort", "restart"])
def test_what_people_ask_for_is_asked_with_who_and_why_and_told_with_what_came_of_it(
    control: str, client: Client, fake: FakeApi, under_way: Released
) -> None:
    put(fake, under_way)
    fake.reactions.append(an_operator("Done", "it is done"))
    done = getattr(client, control)("digits", "looks fine", timeout=SECONDS)

    (annotations,) = [patch["metadata"]["annotations"] for patch in patches(fake)]
    assert annotations[Control(control).annotation].endswith(" by alice: looks fine")
    assert [event.reason for event in done.events] == ["Done"]
    assert done.view.message == "so it is now"
    assert done.will


def test_promoting_fully_pausing_and_going_back(client: Client, fake: FakeApi, under_way: Released) -> None:
    put(fake, under_way)
    fake.reactions.append(an_operator())
    client.promote("digits", full=True, timeout=SECONDS)
    client.pause("digits", "odd", timeout=SECONDS)
    client.resume("digits", timeout=SECONDS)
    client.undo("digits", timeout=SECONDS)
    full, pause, resume, undo = patches(fake)

    assert list(full["metadata"]["annotations"]) == ["tidegate.dev/promote-full"]
    assert (pause["spec"], resume["spec"]) == ({"paused": True}, {"paused": False})
    assert undo["spec"]["model"]["uri"] == "http://models/1"


def test_what_the_operator_refuses_is_an_error_with_its_sentence(
    client: Client, fake: FakeApi, under_way: Released
) -> None:
    put(fake, under_way)
    fake.reactions.append(an_operator("ControlRefused", "step 2 waits for nobody"))

    with pytest.raises(Refused, match=r"^shop/digits: step 2 waits for nobody"):
        client.approve("digits", timeout=SECONDS)


def test_an_operator_that_says_nothing_is_an_error_that_says_so(
    client: Client, fake: FakeApi, under_way: Released
) -> None:
    put(fake, under_way)

    with pytest.raises(NotAnswered, match="what was asked for stands"):
        client.abort("digits", timeout=SOON)


def test_what_makes_no_sense_is_not_asked_for(client: Client, fake: FakeApi, live: Released) -> None:
    put(fake, live)

    with pytest.raises(NotDone, match="no rollout is under way"):
        client.abort("digits", timeout=SOON)
    with pytest.raises(NotDone, match="there is no ModelDeployment letters in the namespace shop"):
        client.get("letters")
    assert patches(fake) == []


def test_waiting_ends_with_the_release(client: Client, fake: FakeApi, under_way: Released, live: Released) -> None:
    put(fake, under_way)
    seen: list[str] = []
    threading.Timer(0.3, put, (fake, live)).start()
    view = client.wait("digits", timeout=SECONDS, seen=lambda view: seen.append(view.phase))

    assert (view.settled, view.phase) == (Settled.LIVE, "Live")
    assert seen[0] == "Canary"
    assert seen[-1] == "Live"


def test_a_release_that_lasts_longer_than_is_waited_for_is_told_with_what_was_seen(
    client: Client, fake: FakeApi, under_way: Released
) -> None:
    put(fake, under_way)

    with pytest.raises(NotSettled, match="shop/digits is still under way after 0 s") as told:
        client.wait("digits", timeout=SOON)
    assert told.value.view.phase == "Canary"


def test_watching_gives_each_change_and_ends_with_the_model(
    client: Client, fake: FakeApi, under_way: Released, live: Released
) -> None:
    put(fake, under_way)
    views = client.watch("digits")
    assert next(views).phase == "Canary"
    put(fake, live)
    assert next(views).phase == "Live"
    fake.remove(MODEL_DEPLOYMENTS, "shop", "digits")

    with pytest.raises(NotDone, match="shop/digits has been deleted"):
        next(views)


def test_applying_completes_what_may_be_left_out(
    client: Client, fake: FakeApi, under_way: Released, tmp_path: Path
) -> None:
    put(fake, under_way)
    file = tmp_path / "digits.yaml"
    file.write_text(yaml.safe_dump({"metadata": {"name": "digits"}, "spec": {"model": {"uri": "http://models/3"}}}))
    view = client.apply(file)
    (asked,) = [each for each in fake.asked if each.method == "PATCH"]

    assert (view.name, view.up_to_date, view.settled) == ("digits", False, Settled.UNDER_WAY)
    assert asked.query == {"fieldManager": "tidegate-client", "force": "false"}
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"
    assert asked.body["metadata"] == {"namespace": "shop", "name": "digits"}
    assert (asked.body["apiVersion"], asked.body["kind"]) == ("tidegate.dev/v1alpha1", "ModelDeployment")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"kind": "Service", "metadata": {"name": "digits"}}, "a Service is no ModelDeployment"),
        ({"spec": {}}, "metadata.name is missing"),
        ({"metadata": {"name": "digits", "namespace": "bank"}}, "is to be in bank, and this client is about shop"),
        ("nowhere.yaml", "nowhere.yaml can't be read"),
    ],
)
def test_what_is_no_model_of_this_namespace_is_not_applied(
    given: Any, sentence: str, client: Client, fake: FakeApi
) -> None:
    with pytest.raises(NotDone, match=sentence):
        client.apply(given)
    assert fake.asked == []


def test_the_same_can_be_awaited(place: Path, fake: FakeApi, under_way: Released, live: Released) -> None:
    put(fake, under_way)
    fake.reactions.append(an_operator())

    async def release() -> list[str]:
        client = AsyncClient(kubeconfig=place)
        phases = [(await client.get("digits")).phase]
        await client.promote("digits", "all is well", timeout=SECONDS)
        waits = asyncio.create_task(client.wait("digits", timeout=SECONDS))
        async for view in client.watch("digits", timeout=SECONDS):
            phases.append(view.phase)
            if view.settled is Settled.LIVE:
                break
            put(fake, live)
        return [*phases, (await waits).phase, *(each.phase for each in await client.models())]

    assert asyncio.run(release()) == ["Canary", "Canary", "Live", "Live", "Live"]


def test_whoever_stops_watching_waits_for_nothing(place: Path, fake: FakeApi, under_way: Released) -> None:
    put(fake, under_way)

    async def first() -> str:
        async with asyncio.timeout(4):
            async for view in AsyncClient(kubeconfig=place).watch("digits"):
                return view.phase
        raise AssertionError

    assert asyncio.run(first()) == "Canary"


def test_both_clients_can_the_same() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")} - {"ticks"}

    assert public(Client) == public(AsyncClient)
