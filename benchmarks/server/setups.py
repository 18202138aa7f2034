"""Who is measured: a server, one setting of it, the protocols that it speaks, and how it is started."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.baseline import Baseline
from benchmarks.server.protocols import BINARY, JSON, PREDICT, Protocol

TIDEGATE, BEFORE = "tidegate", "before"
PACKAGE = "tidegate-server"


@dataclass(frozen=True)
class LaunchContext:
    """What a server is started with. `folder` is its own, empty, and outlives it; `more_ports` are free too."""

    name: str
    model: Path
    port: int
    more_ports: tuple[int, int]
    folder: Path


@dataclass(frozen=True)
class Launch:
    """A command and what its environment has beside this process'."""

    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerSetup:
    """One setting of one server."""

    server: str
    setting: str
    protocols: tuple[Protocol, ...]
    launch: Callable[[LaunchContext], Launch]

    def __str__(self) -> str:
        return f"{self.server} ({self.setting})"


def tidegate_setup(
    environment: Mapping[str, str] | None = None, protocols: tuple[Protocol, ...] = (JSON, BINARY, PREDICT)
) -> ServerSetup:
    """With no other setting than the environment's: the server has to find out by itself what suits the model."""
    launch = partial(_launch_tidegate, Path(sys.executable).with_name(PACKAGE), environment or {})
    return ServerSetup(TIDEGATE, "as it starts", protocols, launch)


def baseline_setup(found: Baseline, protocols: tuple[Protocol, ...]) -> ServerSetup:
    """The server of an earlier commit, installed for PACKAGE, started as this one is."""
    return ServerSetup(
        BEFORE, f"commit {found.commit}", protocols, partial(_launch_tidegate, found.program(PACKAGE, PACKAGE), {})
    )


def _launch_tidegate(program: Path, environment: Mapping[str, str], context: LaunchContext) -> Launch:
    command = [str(program), "serve", "--model", str(context.model), "--name", context.name]
    grpc, admin = (str(port) for port in context.more_ports)
    # Nothing that bears on speed: only that two servers can be up on one machine.
    ports = {"TIDEGATE_GRPC_PORT": grpc, "TIDEGATE_ADMIN_PORT": admin}
    return Launch([*command, "--host", "127.0.0.1", "--port", str(context.port)], {**ports, **environment})


def quiet_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process' variables without any that would set our own server up, and with no telemetry anywhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return {**kept, "ORT_DISABLE_TELEMETRY": "1", **extra}
