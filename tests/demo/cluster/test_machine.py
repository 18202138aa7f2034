"""What the node finds, changes and leaves on a machine."""

import time
from pathlib import Path

import pytest

from tidegate_demo.cluster.daemons import Daemon
from tidegate_demo.cluster.layout import Layout, cache_folder
from tidegate_demo.cluster.machine import mounts_below, shim_socket
from tidegate_demo.cluster.packages import NODE_COMMANDS, missing_packages
from tidegate_demo.cluster.processes import Process, node_processes, start, stop

PATIENCE = 10.0  # seconds


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "logs").mkdir()
    return Layout(state=tmp_path, run=tmp_path / "run")


def wait_for(daemon: Daemon, layout: Layout) -> list[Process]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := [process for process in node_processes(layout) if process.is_running(daemon)]:
            return found
    raise AssertionError(f"{daemon.name} did not start")


def test_mounts_are_removed_from_the_inside_out() -> None:
    table = "\n".join(
        f"{number} 1 0:1 / {point} rw - tmpfs tmpfs rw"
        for number, point in enumerate(("/", "/state/a", "/state/a/with\\040blank", "/stately", "/run/node"))
    )
    assert mounts_below(table, (Path("/state"), Path("/run/node"))) == (
        Path("/run/node"),
        Path("/state/a/with blank"),
        Path("/state/a"),
    )


def test_the_shims_socket_is_where_containerd_puts_it() -> None:
    layout = Layout(state=Path("/state"), run=Path("/run/node"))
    digest = "29c5b04506117947a940e46c072dc54e5047afe137ccfd8f48344065419e03d3"
    assert shim_socket(layout, "abc") == Path("/run/containerd/s", digest)


def test_a_daemon_is_found_again_by_its_environment_and_stopped(layout: Layout) -> None:
    daemon = Daemon("sleeper", ("/bin/sleep", "600"))
    start(daemon, layout)
    stop(wait_for(daemon, layout), layout, grace=5)
    assert node_processes(layout) == ()


def test_a_daemon_that_ignores_the_signal_is_killed(layout: Layout) -> None:
    script = layout.state / "deaf.sh"
    daemon = Daemon(
        "deaf", ("/bin/sh", str(script)), ((script, "trap '' TERM; echo deaf; while :; do sleep 1; done\n"),)
    )
    start(daemon, layout)
    wait_for(daemon, layout)
    deadline = time.monotonic() + PATIENCE
    while "deaf" not in (layout.logs / "deaf.log").read_text() and time.monotonic() < deadline:
        pass
    stop(node_processes(layout), layout, grace=0.2)
    assert node_processes(layout) == ()


def test_another_nodes_processes_are_not_ours(layout: Layout, tmp_path: Path) -> None:
    daemon = Daemon("sleeper", ("/bin/sleep", "600"))
    start(daemon, layout)
    ours = wait_for(daemon, layout)
    other = Layout(state=tmp_path / "other", run=tmp_path / "other-run")
    assert node_processes(other) == ()
    stop(ours, other, grace=0.2)
    assert [process.pid for process in node_processes(layout)] == [process.pid for process in ours]
    stop(ours, layout, grace=5)


def test_only_packages_of_missing_commands_are_installed() -> None:
    assert missing_packages(NODE_COMMANDS, present=lambda command: None if command == "nft" else command) == (
        "nftables",
    )


def test_a_compiler_comes_with_the_c_library() -> None:
    assert missing_packages({"cc": "gcc"}, present=lambda _: None) == ("gcc", "libc6-dev")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({"XDG_CACHE_HOME": "/cache", "HOME": "/me"}, Path("/cache/tidegate"), id="the desktop's setting"),
        pytest.param({"HOME": "/me"}, Path("/me/.cache/tidegate"), id="the home folder"),
    ],
)
def test_the_cache_folder_follows(environment: dict[str, str], expected: Path) -> None:
    assert cache_folder(environment) == expected
