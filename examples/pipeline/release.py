#!/usr/bin/env python3
"""All stages in their order on this machine, as the workflow runs them, and a table of what each one took and said.

python release.py                  # to the end
python release.py --until sign     # without a cluster
"""

import argparse
import subprocess
import sys
from pathlib import Path
from time import monotonic

STAGES = (
    "fetch",
    "signature",
    "package",
    "lint",
    "verify",
    "score",
    "rehearse",
    "publish",
    "sign",
    "apply",
    "wait",
    "record",
)
FOLDER = Path(__file__).parent / "stages"


def main() -> int:
    """The exit code: that of the stage that stopped it, else 0."""
    parser = argparse.ArgumentParser(description="Runs a release's stages one after the other.")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], metavar="STAGE", help="the last one")
    last = STAGES.index(parser.parse_args().until)
    rows, code = [], 0
    for name in STAGES[: last + 1]:
        begun = monotonic()
        ended = subprocess.run(
            [sys.executable, str(FOLDER / f"{name}.py")], capture_output=True, text=True, check=False
        )
        lines = (ended.stdout + ended.stderr).strip().splitlines() or [f"{name}: it says nothing"]
        rows.append((name, f"{monotonic() - begun:.0f} s", lines[-1].removeprefix(f"{name}: ")))
        sys.stderr.write(f"{lines[-1]}\n")
        if code := ended.returncode:
            break
    sys.stdout.write("| stage | time | what it said |\n|---|---:|---|\n")
    sys.stdout.writelines(f"| {name} | {seconds} | {said.replace('|', '/')} |\n" for name, seconds, said in rows)
    return code


if __name__ == "__main__":
    sys.exit(main())
