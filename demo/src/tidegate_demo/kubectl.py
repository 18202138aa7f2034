"""kubectl as the story uses it: the same commands a person would type, and watches that never end by themselves."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tidegate_demo.cluster.kubectl import kubectl_program

AGAIN_SECONDS = 1.0
COMMAND_SECONDS = 120.0
GONE_SECONDS = 110

WatchEvent = tuple[str, Mapping[str, Any]]
"""ADDED, MODIFIED or DELETED, and the object."""


class KubectlError(Exception):
    """kubectl said no; the text is what it said."""


@dataclass(frozen=True)
class Kubectl:
    """`context` is the kubeconfig's context to use; None for its current one."""

    kubeconfig: Path
    context: str | None = None
    program: str = field(default_factory=lambda: str(kubectl_program()))

    def run(self, *arguments: str, stdin: str = "") -> str:
        command = self.command(*arguments)
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, manifest: str) -> str:
        return self.run("apply", "-f", "-", stdin=manifest).strip()

    @contextlib.contextmanager
    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> Iterator[str]:
        """An empty namespace while inside, told to go after it. What a run that was cut short has left goes first."""
        self.run("delete", "namespace", name, "--ignore-not-found", f"--timeout={GONE_SECONDS}s")
        metadata = {"name": name, "labels": labels or {}}
        self.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
        try:
            yield name
        finally:
            self.run("delete", "namespace", name, "--ignore-not-found", "--wait=false")

    def command(self, *arguments: str) -> list[str]:
        context = ["--context", self.context] if self.context else []
        return [self.program, "--kubeconfig", str(self.kubeconfig), *context, *arguments]


class Watch:
    """Calls `tell` for every change, from a thread of its own, and begins again whenever kubectl ends."""

    def __init__(self, kubectl: Kubectl, arguments: tuple[str, ...], tell: Callable[[str, Mapping[str, Any]], None]):
        self._command = kubectl.command("get", *arguments, "--watch", "--output-watch-events", "-o", "json")
        self._tell = tell
        self._ended = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        while not self._ended.is_set():
            with subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is the story's to handle
            ) as self._process:
                if self._ended.is_set():
                    self._process.terminate()
                if self._process.stdout is not None:
                    for kind, seen in watch_events(self._process.stdout):
                        self._tell(kind, seen)
            self._ended.wait(AGAIN_SECONDS)


def watch_events(lines: IO[str] | Iterator[str]) -> Iterator[WatchEvent]:
    """The events in kubectl's output: JSON objects, each on one line, or over many lines up to a brace by itself.

    Without those that tell how the watch itself ended, such as by an API server that was away.
    """
    document: list[str] = []
    for line in lines:
        document.append(line)
        if not (line.startswith(("{", "}")) and line.rstrip().endswith("}")):
            continue
        with contextlib.suppress(ValueError, KeyError):
            event = json.loads("".join(document))
            if event["type"] != "ERROR":
                yield event["type"], event["object"]
        document.clear()
