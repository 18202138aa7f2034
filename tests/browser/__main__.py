"""Looks at the dashboard with a real Chromium: is it live, can it be used, is it accessible? Takes the pictures.

Not part of the test suite: it needs a browser (`apt-get install chromium`), and installs what drives it, and axe-core,
outside of this folder. The cluster behind the pages is made up: see tests/operator/dashboard/examples.py. That of the
pictures in the documents is real: see tests/controls/test_pictures.py.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.operator.dashboard.examples import all_pods, canary, everything
from tests.operator.dashboard.fake_api import MINE, FakeApi
from tidegate.cli.common.kubeconfig import connect
from tidegate.dashboard.access import LocalAccess
from tidegate.dashboard.serving import Dashboard, Wanted

REPOSITORY = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("checks.py")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PLAYWRIGHT, AXE = "playwright==1.65.2", "axe-core@4.14.1"
LONGEST_SECONDS = 300
STORY = ((5, 0.9, 1.1), (5, 0.6, 1.3), (5, 0.5, 1.9), (25, 1.6, 1.1), (25, 2.9, 1.2), (25, 1.1, 1.5), (25, 0.6, 2.1))
"""Weight of the candidate, evidence for a rollback and for a promotion, until what `canary()` shows."""


def main() -> int:
    """The exit code: 1 where something isn't as it should be. The pictures are in build/dashboard."""
    argparse.ArgumentParser(prog="make test-dashboard", description=__doc__).parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None) or sys.exit(
        f"none of {', '.join(BROWSERS)} is on PATH: apt-get install chromium"
    )
    python, axe = install(), _axe()
    pictures = REPOSITORY / "build" / "dashboard"
    pictures.mkdir(parents=True, exist_ok=True)
    with _site() as site:
        told = {**site, "browser": browser, "axe": str(axe), "pictures": str(pictures)}
        done = subprocess.run([str(python), str(PROGRAM), json.dumps(told)], timeout=LONGEST_SECONDS, check=False)
    return done.returncode


def install(*packages: str) -> Path:
    """A Python outside of this folder that drives the browser, with further packages."""
    uv = os.environ.get("UV") or shutil.which("uv") or sys.exit("uv is missing: run make setup")
    python = _cache() / "venv" / "bin" / "python"
    if not python.is_file():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(_cache() / "venv")], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), PLAYWRIGHT, *packages], check=True)
    return python


def _axe() -> Path:
    """axe-core's script."""
    npm = shutil.which("npm") or sys.exit("npm is missing: apt-get install npm")
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(_cache()), AXE], check=True)
    return _cache() / "node_modules" / "axe-core" / "axe.min.js"


def _cache() -> Path:
    found = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate" / "dashboard"
    found.mkdir(parents=True, exist_ok=True)
    return found


@contextmanager
def _site() -> Iterator[dict[str, str]]:
    """The address that a person would open, and the API server behind it, which takes patches."""
    api = FakeApi()
    weight, worse, acceptable = STORY[0]
    for manifest in everything():
        api.put("modeldeployments", manifest)
    api.put("modeldeployments", canary(f"{worse} (threshold 100)", f"{acceptable} (threshold 3.3)", weight))
    for pod in all_pods():
        api.put("pods", pod)
    with tempfile.TemporaryDirectory() as folder:
        dashboard = Dashboard(connect(str(api.kubeconfig(Path(folder))), None), Wanted(port=0))
        dashboard.start()
        assert isinstance(dashboard.access, LocalAccess)
        for weight, worse, acceptable in STORY[1:]:
            time.sleep(1.1)  # points of a chart have whole seconds
            api.put("modeldeployments", canary(f"{worse} (threshold 100)", f"{acceptable} (threshold 3.3)", weight))
        api.put("modeldeployments", canary())
        try:
            start = f"{dashboard.address}/sign-in?ticket={dashboard.access.secret}"
            yield {"start": start, "address": dashboard.address, "api": api.address, "token": MINE}
        finally:
            dashboard.stop()
            api.stop()


if __name__ == "__main__":
    sys.exit(main())
