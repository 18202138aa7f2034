"""The other servers: each in an environment of its own, in the settings that their documentation recommends trying.

Everything that each lets one choose is chosen for speed: no access log, uvloop and httptools, the runtime's threads
matched to the workers. Each peer loads the model with a program of its own in `programs`, because none of them
serves ONNX by itself.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.errors import BenchmarkError
from benchmarks.progress import Progress
from benchmarks.server.protocols import BINARY, JSON, Protocol, ask_rows, read_columns
from benchmarks.server.setups import Launch, LaunchContext, ServerSetup

PROGRAMS = Path(__file__).with_name("programs")
BENTOML_JSON = Protocol("JSON", ask_rows, read_columns)


@dataclass(frozen=True)
class Peer:
    """A server from the package index. `settings` makes its setups, best guess first, from its programs' folder."""

    name: str
    package: str
    settings: Callable[["Peer", Path], list[ServerSetup]]

    @property
    def pins(self) -> Path:
        """The file with the exact versions of all that it needs."""
        return PROGRAMS / f"{self.package}.txt"

    @property
    def version(self) -> str:
        """Its own pinned version. Raises BenchmarkError without one."""
        for line in self.pins.read_text().splitlines():
            name, _, version = line.partition("==")
            if name == self.package:
                return version
        raise BenchmarkError(f"{self.pins.name} doesn't pin {self.package}")


P = TypeVar("P", bound=Peer)


def install(peer: Peer, cache: Path) -> Path:
    """The folder with its programs, made when it isn't there yet or the pins have changed. Raises BenchmarkError."""
    home = cache / f"{peer.package}-{peer.version}"
    stamp = home / "pins.txt"
    pins = peer.pins.read_text()
    if not stamp.is_file() or stamp.read_text() != pins:
        uv = os.environ.get("UV") or shutil.which("uv")
        if uv is None:
            raise BenchmarkError("uv is missing, so no peer can be installed: run make setup")
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home))
        _run(uv, "pip", "install", "--quiet", "--python", str(home / "bin/python"), "--requirement", str(peer.pins))
        stamp.write_text(pins)
    return home / "bin"


def install_all(peers: Iterable[P], progress: Progress) -> tuple[dict[P, Path], dict[P, str]]:
    """Each peer's folder as `install` gives it, and why the others have none."""
    programs: dict[P, Path] = {}
    missing: dict[P, str] = {}
    for peer in peers:
        progress.note(f"{peer.name} {peer.version}: installed already, or installing now")
        try:
            programs[peer] = install(peer, cache())
        except BenchmarkError as error:
            missing[peer] = str(error)
    return programs, missing


def cache() -> Path:
    """Where models and the peers' environments are kept from run to run."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tidegate" / "bench-server"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"can't be installed: {' '.join(done.stderr.split())[-300:]}")


def _environment(context: LaunchContext, intra: int, **more: object) -> dict[str, str]:
    given = {"model": context.model, "name": context.name, "port": context.port, "intra": intra, **more}
    return {"PYTHONPATH": str(PROGRAMS), **{f"BENCH_{name.upper()}": str(value) for name, value in given.items()}}


def _mlserver(peer: Peer, programs: Path) -> list[ServerSetup]:
    def setting(workers: int, batch: int) -> ServerSetup:
        def launch(context: LaunchContext) -> Launch:
            _write(context.folder / "settings.json", _mlserver_settings(context, workers))
            _write(
                context.folder / "model-settings.json",
                {
                    "name": context.name,
                    "implementation": "mlserver_onnx.OnnxModel",
                    "max_batch_size": batch,
                    "max_batch_time": 0.002 if batch else 0,
                },
            )
            intra = 1 if workers > 1 else 2
            environment = {**_environment(context, intra), "PATH": f"{programs}:{os.environ['PATH']}"}
            return Launch([str(programs / "mlserver"), "start", str(context.folder)], environment)

        where = "in process" if workers == 0 else f"{workers} workers"
        return ServerSetup(peer.name, f"{where}, batching {'on' if batch else 'off'}", (JSON,), launch)

    return [setting(workers, batch) for workers in (0, 2) for batch in (16, 0)]


def _mlserver_settings(context: LaunchContext, workers: int) -> dict[str, object]:
    return {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": context.port,
        "grpc_port": context.more_ports[0],
        "metrics_port": context.more_ports[1],
        "parallel_workers": workers,
    }


def _kserve(peer: Peer, programs: Path) -> list[ServerSetup]:
    def setting(workers: int) -> ServerSetup:
        def launch(context: LaunchContext) -> Launch:
            log = context.folder / "log.json"
            _write(log, {"version": 1, "disable_existing_loggers": True})
            environment = {
                **_environment(context, 1 if workers > 1 else 2, workers=workers),
                "PYTHONWARNINGS": "ignore",  # its web framework calls a class that it uses outdated, once a request
            }
            command = [str(programs / "python"), str(PROGRAMS / "kserve_onnx.py"), "--log_config_file", str(log)]
            return Launch(command, environment)

        return ServerSetup(peer.name, f"{workers} worker{'s' if workers > 1 else ''}", (JSON, BINARY), launch)

    return [setting(2), setting(1)]


def _bentoml(peer: Peer, programs: Path) -> list[ServerSetup]:
    def setting(workers: int, batching: bool) -> ServerSetup:
        said = "on" if batching else "off"

        def launch(context: LaunchContext) -> Launch:
            environment = {
                **_environment(context, 1 if workers > 1 else 2, workers=workers, batching=said),
                "BENTOML_DO_NOT_TRACK": "True",
                "BENTOML_HOME": str(context.folder / "bentoml"),
                "PATH": f"{programs}:{os.environ['PATH']}",
            }
            address = ["--host", "127.0.0.1", "--port", str(context.port)]
            command = [str(programs / "bentoml"), "serve", "bentoml_onnx:Onnx", "--working-dir", str(PROGRAMS)]
            return Launch([*command, *address], environment)

        workers_said = f"{workers} worker{'s' if workers > 1 else ''}"
        return ServerSetup(peer.name, f"{workers_said}, batching {said}", (BENTOML_JSON,), launch)

    return [setting(workers, batching) for workers in (2, 1) for batching in (True, False)]


def _write(file: Path, document: dict[str, object]) -> None:
    file.write_text(json.dumps(document))


PEERS = (
    Peer("MLServer", "mlserver", _mlserver),
    Peer("KServe", "kserve", _kserve),
    Peer("BentoML", "bentoml", _bentoml),
)
