"""What each implementation loses by itself, when somebody edits a bare HTTPRoute and Tidegate has no part in it."""

import time
from collections.abc import Callable

import pytest

from tests.gateways.bare_route import NEW, OLD, BareRoute
from tests.gateways.gateway import Gateway
from tests.gateways.trial import AWAY_SECONDS, Trial

pytestmark = pytest.mark.gateways


def steps_there_and_back(models: BareRoute, gateway: Gateway) -> None:
    """As a canary's, both backends in the list all the time."""
    steps = [((OLD, 100 - weight), (NEW, weight)) for weight in (20, 50, 100)]
    models.splits(*steps, *reversed(steps), ((OLD, 100), (NEW, 0)))


def all_at_once_and_back(models: BareRoute, gateway: Gateway) -> None:
    """As blue-green does."""
    models.splits(*[((OLD, 0), (NEW, 100)), ((OLD, 100), (NEW, 0))] * 4)


def taken_out_and_put_in(models: BareRoute, gateway: Gateway) -> None:
    """The new backend isn't in the list, or is at half."""
    models.splits(*[((OLD, 100),), ((OLD, 50), (NEW, 50))] * 10, pause=0.3)


def controller_killed(models: BareRoute, gateway: Gateway) -> None:
    """In the middle of a shift, and the route edited while it is away."""
    models.splits(((OLD, 50), (NEW, 50)))
    gateway.controller.kill()
    models.split((OLD, 0), (NEW, 100))
    time.sleep(AWAY_SECONDS)
    gateway.controller.start()
    time.sleep(AWAY_SECONDS)


def pods_deleted(models: BareRoute, gateway: Gateway) -> None:
    """Each in turn, at half."""
    models.splits(((OLD, 50), (NEW, 50)))
    models.delete_pods(OLD)
    models.delete_pods(NEW)


Event = Callable[[BareRoute, Gateway], None]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(event, id=event.__name__.replace("_", " "))
        for event in (
            steps_there_and_back,
            all_at_once_and_back,
            taken_out_and_put_in,
            controller_killed,
            pods_deleted,
        )
    ],
)
def test_a_bare_route(bare_trial: Trial, bare: BareRoute, gateway: Gateway, event: Event) -> None:
    bare_trial.answers()
    with bare_trial.loaded():
        event(bare, gateway)
        bare_trial.over = True

    assert len(bare_trial.requests) > 500
    assert any(request.status == 200 for request in bare_trial.requests)
