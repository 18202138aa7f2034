"""What a pipeline has around it: a real MLflow with models, a real registry, and a folder as a user has it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import answers, free_port, running
from tests.operator.conftest import spec_schema
from tests.operator.packaging.images import write_base
from tests.pipeline import models
from tests.pipeline.environment import REPOSITORY, environment
from tests.server.fetch.conftest import store_program
from tests.server.fetch.oci_registry import Registry, a_registry

__all__ = ["spec_schema", "store_program"]
PIPELINE = REPOSITORY / "examples" / "pipeline"
NAME = "digits"
CHAMPION = "1"


@dataclass(frozen=True)
class Ended:
    """What came of a release: the table's rows, by stage, and the job's summary."""

    code: int
    said: Mapping[str, str]
    seconds: Mapping[str, str]
    summary: str
    output: str

    @property
    def last(self) -> str:
        """The stage that ended it."""
        return list(self.said)[-1]


@dataclass
class Runner:
    """A folder as a user's repository has it, in which releases run one after the other."""

    folder: Path
    programs: Path
    variables: Mapping[str, str]
    tables: list[str]

    def release(self, version: str, *arguments: str, **more: str) -> Ended:
        """All stages; those after `until` don't run."""
        summary = self.folder / "summary.md"
        summary.unlink(missing_ok=True)
        asked = {"MODEL_URI": f"models:/{NAME}/{version}", "GITHUB_STEP_SUMMARY": str(summary)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        done = subprocess.run(
            [str(self.programs / "python"), "release.py", *arguments],
            cwd=self.folder,
            env={**kept, **self.variables, **asked, **more},
            capture_output=True,
            text=True,
        )
        rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
        cells = {row[0].removeprefix("| "): (row[1], row[2].removesuffix(" |")) for row in rows}
        self.tables.append(f"{version}\n{done.stdout}")
        sys.stdout.write(f"\n{asked['MODEL_URI']} {more}\n{done.stdout}{done.stderr}")
        return Ended(
            done.returncode,
            {stage: said for stage, (_, said) in cells.items()},
            {stage: seconds for stage, (seconds, _) in cells.items()},
            summary.read_text() if summary.is_file() else "",
            done.stdout + done.stderr,
        )


@pytest.fixture(scope="session")
def programs() -> Path:
    """Where the environment's programs are."""
    return environment()


@pytest.fixture(scope="session")
def mlflow(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    places = [f"--backend-store-uri=sqlite:///{folder}/mlflow.db", f"--artifacts-destination={folder}/artifacts"]
    command = [str(programs / "python"), "-m", "mlflow", "server", *places, f"--port={port}", "--workers=1"]
    # Its jobs are seven more processes, which do nothing here.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        with running(folder, command) as process:
            answers(f"http://127.0.0.1:{port}/health", process, within=1200.0)
            yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def versions(mlflow: str, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The versions of the registered model, by what is the matter with them. The first is the champion."""
    folder = tmp_path_factory.mktemp("models")
    reordered = [*models.LABELS[:3], models.LABELS[8], *models.LABELS[4:8], models.LABELS[3], models.LABELS[9]]
    made: dict[str, tuple[Path, list[str]]] = {
        "stable": (models.EXAMPLES / "stable.onnx", models.LABELS),
        "good": (models.EXAMPLES / "better.onnx", models.LABELS),
        "failing": (models.EXAMPLES / "failing.onnx", models.LABELS),
        "slow": (models.EXAMPLES / "slow.onnx", models.LABELS),
        "drifting": (models.drifting(folder / "drifting.onnx"), models.LABELS),
        "labels in another order": (models.EXAMPLES / "stable.onnx", reordered),
        "classes in another order": (models.with_swapped_classes(folder / "swapped.onnx"), models.LABELS),
        "another signature": (models.with_another_input(folder / "signature.onnx"), models.LABELS),
        "less accurate": (models.less_accurate(folder / "less.onnx"), models.LABELS),
    }
    asked = [{"onnx": str(path), "labels": labels} for path, labels in made.values()]
    subprocess.run(
        [str(programs / "python"), str(Path(__file__).with_name("register.py"))],
        input=json.dumps({"name": NAME, "models": [{**asked[0], "alias": "champion"}, *asked[1:]]}),
        env={**os.environ, "MLFLOW_TRACKING_URI": mlflow},
        text=True,
        check=True,
    )
    return {what: str(number) for number, what in enumerate(made, 1)}


@pytest.fixture(scope="session")
def registry(store_program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with a_registry(store_program("registry"), folder) as found:
        yield found


@pytest.fixture(scope="session")
def runner(mlflow: str, programs: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    folder = tmp_path_factory.mktemp("repository") / "shop"
    shutil.copytree(PIPELINE, folder)
    models.write_golden(folder / "golden.jsonl")
    models.write_requests(folder / "requests.jsonl")
    models.write_requests(folder / "faint.jsonl", faint_every=3)
    variables = {
        "MLFLOW_TRACKING_URI": mlflow,
        "REGISTRY": registry.host,
        "BASE": f"oci:{write_base(tmp_path_factory.mktemp('base'))}",
        "SIGN": "off",
        "VERIFY_RATE": "10",
        "REHEARSE_RATE": "60",
        "REHEARSE_TIMEOUT": "5m",
        "PATH": f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return Runner(folder, programs, variables, [])
