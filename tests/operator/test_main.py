"""`tidegate` names its commands, and hands the rest of the command line to the one that was chosen."""

import pytest

from tidegate.__main__ import COMMANDS, main


def test_help_has_a_line_for_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])

    lines = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[-len(COMMANDS) - 1 : -1] == list(COMMANDS)


@pytest.mark.parametrize("command", ["replay", "simulate"])
def test_help_after_a_command_is_the_commands_own(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])

    assert capsys.readouterr().out.startswith(f"usage: tidegate {command}")


@pytest.mark.parametrize("arguments", [[], ["release"], ["replay"], ["simulate", "--runs", "0"]])
def test_a_wrong_command_line_ends_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)

    assert capsys.readouterr().err.startswith("usage: tidegate")
