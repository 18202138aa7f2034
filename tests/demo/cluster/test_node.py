"""A real node on a machine of its own: it starts, heals, survives a reboot, and leaves nothing behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.demo.cluster import sealed
from tidegate_demo.cluster.contexts import node_tools
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.images import ensure_archive, pause_image, prometheus_image

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sealed.why_not() is not None, reason=str(sealed.why_not())),
]
SECONDS = 300.0


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    try:
        # Inside there is no way to the network: whatever has to be downloaded or built is, before.
        node_tools()
        for image in (pause_image(), prometheus_image()):
            ensure_archive(image)
    except ClusterError as error:
        pytest.skip(str(error))
    told = sealed.run_sealed(Path(__file__).with_name("life_of_a_node.py"), tmp_path_factory.mktemp("node"), SECONDS)
    return dict(json.loads(told))


def test_a_pods_service_answers_this_machine(life: dict[str, Any]) -> None:
    assert life["answers, first"] is True


def test_up_on_a_running_node_takes_less_than_five_seconds(life: dict[str, Any]) -> None:
    assert life["seconds, running"] < 5


def test_up_brings_back_daemons_that_crashed(life: dict[str, Any]) -> None:
    assert life["answers, after a crash"] is True


def test_the_node_and_its_pods_come_back_after_a_reboot(life: dict[str, Any]) -> None:
    assert (life["processes, halted"], life["answers, after a reboot"]) == (0, True)


def test_commands_run_in_pods(life: dict[str, Any]) -> None:
    assert life["executes"].startswith("prometheus, version")


def test_the_audit_finds_nothing_after_down(life: dict[str, Any]) -> None:
    assert life["left"] == []


def test_the_machine_is_as_it_was(life: dict[str, Any]) -> None:
    assert life["after"] == life["before"]
