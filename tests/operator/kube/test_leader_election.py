"""At most one operator leads."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.conftest import until
from tidegate.kube import leader_election
from tidegate.kube.api import LEASES, KubernetesApi
from tidegate.kube.leader_election import LeaderElection

pytestmark = pytest.mark.apiserver
Contend = Callable[[str], LeaderElection]
NAME = "tidegate-operator"


@pytest.fixture
def contend(connect: Callable[[], KubernetesApi], namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contend]:
    """Starts a contender of that identity; all are stopped in the end."""
    monkeypatch.setattr(leader_election, "RENEW_SECONDS", 0.1)
    with ExitStack() as stack:
        yield lambda identity: stack.enter_context(contending(LeaderElection(connect(), namespace, NAME, identity)))


@contextmanager
def contending(leader_election: LeaderElection) -> Iterator[LeaderElection]:
    leader_election.start()
    try:
        yield leader_election
    finally:
        leader_election.stop()


def holder(api: KubernetesApi, namespace: str) -> str:
    found = api.get(LEASES, namespace, NAME)
    return str(found["spec"].get("holderIdentity", "")) if found else ""


def test_the_first_leads_and_the_second_waits(contend: Contend, api: KubernetesApi, namespace: str) -> None:
    first = contend("first")
    until(first.held)
    second = contend("second")
    renewed = renewals(api, namespace)
    until(lambda: renewals(api, namespace) != renewed)

    assert (first.held(), second.held(), holder(api, namespace)) == (True, False, "first")


def renewals(api: KubernetesApi, namespace: str) -> str:
    found = api.get(LEASES, namespace, NAME)
    assert found is not None
    return str(found["spec"]["renewTime"])


def test_who_stops_hands_over_at_once(contend: Contend, api: KubernetesApi, namespace: str) -> None:
    first = contend("first")
    until(first.held)
    second = contend("second")
    first.stop()

    assert not first.held()
    until(second.held, within=5)
    assert holder(api, namespace) == "second"


def test_the_same_identity_takes_it_up_again_at_once(contend: Contend) -> None:
    first = contend("pod-1")
    until(first.held)
    first._stopped.set()  # its process died: nothing was given back
    again = contend("pod-1")

    until(again.held, within=5)


def test_a_lease_that_is_not_renewed_is_taken_over(contend: Contend, monkeypatch: pytest.MonkeyPatch) -> None:
    first = contend("first")
    until(first.held)
    monkeypatch.setattr(leader_election, "DURATION_SECONDS", 1)
    first._stopped.set()
    second = contend("second")

    until(second.held, within=5)


def test_every_leader_has_a_higher_epoch_than_the_one_before(contend: Contend) -> None:
    first = contend("first")
    until(first.held)
    lease, epoch = first.writer
    first.stop()
    second = contend("second")
    until(second.held, within=5)
    assert second.writer == (lease, epoch + 1)

    second._stopped.set()
    again = contend("second")
    until(again.held, within=5)
    assert again.writer.epoch > epoch + 1


def test_a_lease_without_a_spec_is_taken(contend: Contend, api: KubernetesApi, namespace: str) -> None:
    metadata = {"name": NAME, "namespace": namespace}
    api.create(LEASES, {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata})

    until(contend("first").held, within=5)


def test_who_can_not_renew_stops_before_another_may_begin() -> None:
    assert leader_election.GIVE_UP_SECONDS + leader_election.RENEW_SECONDS < leader_election.DURATION_SECONDS
