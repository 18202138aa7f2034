"""`tidegate` names its commands, and hands the rest of the command line to the one that was chosen."""

import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version

import pytest

from tidegate.__main__ import COMMANDS, main


def test_help_has_a_line_for_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    listed = capsys.readouterr().out.partition("Commands:")[2].splitlines()
    assert {*COMMANDS, "get", "status"} <= {line.split()[0] for line in listed if line.strip()}


def test_the_version_is_said_by_an_option_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(["--version"]), capsys.readouterr().out) == (0, f"tidegate {version('tidegate')}\n")


@pytest.mark.parametrize("command", ["", *sorted(COMMANDS)])
def test_help_fits_a_terminal_of_80_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with suppress(SystemExit):
        main([*([command] if command else []), "--help"])

    lines = capsys.readouterr().out.splitlines()
    cut_off = [line for line in lines if line.startswith("  ") and line.endswith("...")]
    assert ([line for line in lines if len(line) > 80], cut_off) == ([], [])


@pytest.mark.parametrize("command", ["replay", "simulate"])
def test_help_after_a_command_is_the_commands_own(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])

    assert capsys.readouterr().out.startswith(f"usage: tidegate {command}")


@pytest.mark.parametrize("arguments", [["release"], ["get", "--colour"], ["replay"], ["simulate", "--runs", "0"]])
def test_a_wrong_command_line_ends_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(arguments)
    except SystemExit as done:
        code = int(done.code or 0)

    assert code == 2
    assert capsys.readouterr().err.lower().startswith("usage: tidegate")


@pytest.mark.parametrize("command", ["operator", "router-agent", "router-envoy", "replay", "simulate"])
def test_what_runs_in_the_cluster_loads_neither_typer_nor_rich(command: str) -> None:
    program = (
        f"import sys, importlib, tidegate.__main__ as m; importlib.import_module(m.COMMANDS[{command!r}].module); "
        "print({'typer', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_help_loads_no_client_and_no_rich() -> None:
    program = (
        "import sys, tidegate.__main__ as m; m.main(['--help']); "
        "print({'kubernetes', 'urllib3', 'rich', 'yaml', 'kopf'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "set()"
