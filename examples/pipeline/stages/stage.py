"""How a stage runs: its sentence goes to stdout or stderr and into the job's summary, its outcome is the exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from settings import WORK, Refused, Settings

PASSED, STOPPED = 0, 1
OWN_PROGRAMS = str(Path(sys.executable).parent)
"""Where `tidegate` is that was installed beside this Python."""


def run(name: str, stage: Callable[[Settings], str]) -> int:
    """The exit code. A stage gives back its sentence, or raises Refused with one."""
    WORK.mkdir(exist_ok=True)
    try:
        sentence, code, mark = stage(Settings.read()), PASSED, "✅"
    except Refused as stopped:
        sentence, code, mark = str(stopped), STOPPED, "❌"
    sys.stdout.flush()
    (sys.stderr if code else sys.stdout).write(f"{name}: {sentence}\n")
    to_summary(f"{mark} **{name}**: {sentence}\n")
    return code


def to_summary(markdown: str) -> None:
    """Into the summary of a job of GitHub's; nowhere without one."""
    if place := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(place, "a", encoding="utf-8") as summary:
            summary.write(f"{markdown}\n")


def call(*command: str, variables: Mapping[str, str] | None = None) -> str:
    """What a program says on stdout. Raises Refused with its last line where it fails or isn't there."""
    ended = outcome(*command, variables=variables)
    if ended.returncode:
        raise Refused(last_line(ended))
    return ended.stdout


def outcome(*command: str, variables: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Runs a program, whose exit code means something to the caller. Raises Refused where it isn't there."""
    path = f"{OWN_PROGRAMS}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path, **(variables or {})}
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Refused(f"{command[0]} isn't on this machine's PATH; install it (requirements.txt)") from error


def last_line(ended: "subprocess.CompletedProcess[str]") -> str:
    """The sentence of a program that failed."""
    lines = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
    return lines[-1].strip() if lines else f"{ended.args[0]} ended with {ended.returncode} and without a word"


def keep(name: str, facts: Mapping[str, Any]) -> None:
    """For later stages."""
    (WORK / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def kept(name: str, maker: str) -> dict[str, Any]:
    """What an earlier stage has left. Raises Refused where it didn't run."""
    try:
        found: dict[str, Any] = json.loads((WORK / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{WORK / name}.json isn't there or can't be read; run stages/{maker}.py before") from error
    return found


def markdown_of(path: Path) -> str:
    """What a command wrote for people; nothing where it didn't come so far."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def options(name: str, value: str) -> Sequence[str]:
    """An option of a command, where there is a value."""
    return (name, value) if value else ()
