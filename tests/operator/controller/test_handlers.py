"""kopf's part, and what we take for granted of kopf."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import kopf
import pytest

from tidegate.controller.handlers import (
    LEASE_SILENCE_SECONDS,
    RESYNC_SECONDS,
    SILENCE_SECONDS,
    NoDiffs,
    NoProgress,
    is_settled,
    is_urgent,
    register,
    resync,
)
from tidegate.kube.api import PODS
from tidegate.kube.informer import Kind

POD = Kind(PODS, lambda manifest: None)


@dataclass
class Followed:
    """An informer, as far as the probe looks at it."""

    alive: bool = True
    silent: float = 0.0
    kind: Kind[Any] = POD

    def silent_seconds(self) -> float:
        return self.silent


@dataclass
class Election:
    """The leader's election, as far as the probe looks at it."""

    leads: bool = True
    alive: bool = True
    silent: float = 0.0

    def held(self) -> bool:
        return self.leads

    def silent_seconds(self) -> float:
        return self.silent


def probe(informers: Sequence[Followed], *, overdue: float = 0.0, election: Election | None = None) -> Any:
    """What the liveness probe answers."""
    registry = kopf.OperatorRegistry()
    cluster = SimpleNamespace(informers=lambda: informers)
    queue = SimpleNamespace(overdue_seconds=lambda: overdue)
    leader = election or Election()
    register(registry, SimpleNamespace(cluster=cluster, workqueue=queue, leader_election=leader))  # type: ignore[arg-type]
    handlers: list[Any] = [each for each in registry._activities.get_all_handlers() if each.id == "alive"]
    return asyncio.run(handlers[0].fn())


def test_an_operator_that_follows_everything_is_alive() -> None:
    assert probe([Followed(), Followed(silent=SILENCE_SECONDS - 1)]) == "yes"


def test_what_may_not_be_listed_and_is_not_needed_is_no_reason_to_restart() -> None:
    assert probe([Followed(), Followed(silent=SILENCE_SECONDS + 1, kind=replace(POD, needed=False))]) == "yes"


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(Followed(alive=False), id="a thread that died"),
        pytest.param(Followed(silent=SILENCE_SECONDS + 1), id="a watch that has heard nothing for too long"),
    ],
)
def test_liveness_fails_because_of(lost: Followed) -> None:
    with pytest.raises(RuntimeError, match="pods aren't followed any more"):
        probe([Followed(), lost])


@pytest.mark.parametrize(
    "election",
    [
        pytest.param(Election(alive=False), id="its thread that died"),
        pytest.param(Election(leads=False, silent=LEASE_SILENCE_SECONDS + 1), id="a standby that gets no answer"),
    ],
)
def test_liveness_fails_because_of_the_election_for(election: Election) -> None:
    with pytest.raises(RuntimeError, match="Lease isn't asked for any more"):
        probe([], election=election)


def test_a_standby_is_alive_while_another_leads() -> None:
    assert probe([], election=Election(leads=False)) == "yes"


def test_liveness_fails_because_of_work_that_is_overdue() -> None:
    with pytest.raises(RuntimeError, match="is stuck"):
        probe([], overdue=1000.0)


def test_kopf_takes_a_string_for_its_identity() -> None:
    (identity, nothing) = get_args(get_type_hints(kopf.run)["identity"])

    assert (identity.__supertype__, nothing) == (str, type(None))


def test_kopf_copies_no_object_that_it_sees() -> None:
    body = kopf.Body({"metadata": {"name": "digits"}, "spec": {"replicas": 3}})
    essence = NoDiffs().build(body=body, extra_fields=None)

    assert essence == {}
    assert NoDiffs().fetch(body=body) is None
    assert NoProgress().clear(essence=essence) is essence


STATUS = {"observedGeneration": 2, "phase": "Live", "stable": {"revision": "digits-a"}}


def found(**status: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": "digits", "generation": 2}, "status": {**STATUS, **status}}


def test_only_what_is_live_and_was_seen_as_it_is_may_wait_after_a_start() -> None:
    assert is_settled(found())
    assert not is_settled(found(observedGeneration=1))
    assert not is_settled(found(phase="Canary", rollout={"candidate": "digits-b"}))
    assert not is_settled({"metadata": {"generation": 1}})


def test_a_rollout_that_has_something_to_return_to_is_urgent() -> None:
    assert is_urgent(found(rollout={"candidate": "digits-b"}))
    assert not is_urgent(found(rollout={"candidate": "digits-a"}, stable=None))
    assert not is_urgent(found())
    assert not is_urgent(None)


def test_everything_is_looked_at_again_evenly_until_the_next_time() -> None:
    planned: list[tuple[str, str, float]] = []
    manifests = [{"metadata": {"namespace": "shop", "name": f"digits-{index}"}} for index in range(4)]
    parts: Any = SimpleNamespace(
        cluster=SimpleNamespace(model_deployments=lambda: manifests),
        workqueue=SimpleNamespace(enqueue=lambda *arguments: planned.append(arguments)),
    )
    resync(parts)

    assert planned == [("shop", f"digits-{index}", RESYNC_SECONDS * index / 4) for index in range(4)]
