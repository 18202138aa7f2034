"""The command line's exit codes."""

from collections.abc import Callable

import pytest

from tidegate_demo.cluster import __main__ as commands
from tidegate_demo.cluster import node
from tidegate_demo.cluster.contexts import DemoCluster
from tidegate_demo.cluster.errors import ClusterError


def fails(_: DemoCluster) -> int:
    raise ClusterError("no room")


def is_interrupted(_: DemoCluster) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(lambda _: 0, 0, id="done"),
        pytest.param(lambda _: 1, 1, id="not so"),
        pytest.param(fails, 3, id="could not be done"),
        pytest.param(is_interrupted, 130, id="interrupted"),
    ],
)
def test_exit_codes(command: Callable[[DemoCluster], int], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(commands.COMMANDS, "status", (command, ""))
    assert commands.main(["status"]) == code


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main(["explode"])
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_what_is_left_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(node, "audit", lambda _: ("mount: /somewhere",))
    assert commands.main(["audit"]) == 1
    assert capsys.readouterr().out == "mount: /somewhere\n"
