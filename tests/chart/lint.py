"""`make chart-lint`: helm-unittest over charts/tidegate/tests, and chart-testing's `ct lint`, by their own programs.

Not part of the test suite: it builds both from Go modules first, and installs yamllint and yamale, which `ct` calls.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tidegate_demo.cluster import programs
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import cache_folder
from tidegate_demo.cluster.locks import alone
from tidegate_demo.cluster.programs import HELM, Program, obtain

ROOT, MODULES = Path(__file__).parents[2], Path(__file__).parent / "programs"
CHART = "charts/tidegate"
CHART_TESTING = "github.com/helm/chart-testing/v3"
LINTERS = ("yamale==6.1.0", "yamllint==1.38.0")


def _program(name: str, version: str, module: str, package: str) -> Program:
    return Program(name, version, "", "", "", str(MODULES / module), package)


UNITTEST = _program(
    "helm-unittest", "v1.1.2", "helm-unittest", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"
)
CT = _program("ct", "v3.14.0", "chart-testing", f"{CHART_TESTING}/ct")


@dataclass(frozen=True)
class Check:
    """A program that looks at the chart."""

    name: str
    command: list[str]
    environment: Mapping[str, str]


def main() -> int:
    """The exit code: 1 where anything is wrong, 3 where a program can't be had."""
    try:
        with TemporaryDirectory(prefix="tidegate-chart-") as home:
            done = [_passed(check) for check in (_unittest(Path(home)), _ct(Path(home)))]
    except (ClusterError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a person reads it
        return 3
    return 0 if all(done) else 1


def _unittest(home: Path) -> Check:
    return Check("helm-unittest", [str(_found(UNITTEST)), "--strict", CHART], {"HOME": str(home)})


def _ct(home: Path) -> Check:
    """The version of the chart moves with the release, not with each change, so it isn't asked to."""
    ct, settings = str(_found(CT)), _module(CHART_TESTING) / "etc"
    files = ["--chart-yaml-schema", str(settings / "chart_schema.yaml"), "--lint-conf", str(settings / "lintconf.yaml")]
    options = ["--charts", CHART, "--validate-maintainers=false", "--helm-lint-extra-args=--strict"]
    path = os.pathsep.join((str(_linters()), str(obtain(HELM).parent), os.environ["PATH"]))
    return Check("ct lint", [ct, "lint", *options, *files], {"HOME": str(home), "PATH": path})


def _passed(check: Check) -> bool:
    print(f"{check.name}:", flush=True)  # noqa: T201 - a person reads it
    return subprocess.run(check.command, cwd=ROOT, env={**os.environ, **check.environment}).returncode == 0


def _found(program: Program) -> Path:
    with alone(cache_folder() / "programs" / ".lock", "getting programs"):
        return programs.find(program, (programs.in_cache, programs.built))


def _module(name: str) -> Path:
    """The folder with the files of the module that `ct` is built from."""
    command = [str(programs.go()), "list", "-m", "-f", "{{.Dir}}", name]
    done = subprocess.run(command, cwd=MODULES / "chart-testing", capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def _linters() -> Path:
    """The folder of programs with yamllint and yamale."""
    home = cache_folder() / "chart-lint"
    if not (home / "bin" / "yamllint").exists():
        uv = os.environ.get("UV", "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)], check=True)
        own = str(home / "bin" / "python")
        subprocess.run([uv, "pip", "install", "--quiet", "--python", own, *LINTERS], check=True)
    return home / "bin"


if __name__ == "__main__":
    sys.exit(main())
