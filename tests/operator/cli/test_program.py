"""`tidegate` names its programs, and hands the rest of the command line to the one that was chosen."""

import pytest

from tidegate.__main__ import PROGRAMS, main


def test_help_has_a_line_for_each_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])

    lines = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[-len(PROGRAMS) - 1 : -1] == list(PROGRAMS)


@pytest.mark.parametrize("program", ["replay", "simulate"])
def test_help_after_a_program_is_the_programs_own(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([program, "--help"])

    assert capsys.readouterr().out.startswith(f"usage: tidegate {program}")


@pytest.mark.parametrize("arguments", [[], ["release"], ["replay"], ["simulate", "--runs", "0"]])
def test_a_wrong_command_line_ends_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)

    assert capsys.readouterr().err.startswith("usage: tidegate")
