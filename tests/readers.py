"""What a person reads of one rollout, by each of the ways there are: kubectl, tidegate and the dashboard's pages."""

import html
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, cast

PROGRAM = Path(sys.executable).with_name("tidegate")
SECONDS = 60.0
TRIES = 20
NAME = "digits"


@dataclass(frozen=True)
class Told:
    """What a command said."""

    code: int
    out: str
    err: str


def command(*arguments: str) -> Told:
    """A command of `tidegate`, which is told of no terminal's width."""
    environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [str(PROGRAM), *arguments], capture_output=True, text=True, timeout=SECONDS, check=False, env=environ
    )
    return Told(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Page:
    """The dashboard's pages about a rollout, for whoever shows these headers."""

    address: str
    headers: Mapping[str, str]
    namespace: str

    @property
    def path(self) -> str:
        return f"/rollouts/{self.namespace}/{NAME}"

    def open(self, path: str) -> HTTPResponse:
        """The answer, whose body is read as it comes."""
        request = urllib.request.Request(self.address + path, headers=dict(self.headers))  # noqa: S310 - our own
        return cast(HTTPResponse, urllib.request.urlopen(request, timeout=SECONDS))  # noqa: S310

    def sentences(self) -> dict[str, str]:
        """Of the rollout's own page, and of the list of all."""
        own = r'id="sentence"[^>]*>(.*?)</p>'
        row = rf'id="row\.{re.escape(self.namespace)}\.{NAME}".*?<td class="message">(.*?)</td>'
        return {"the page": self._found(self.path, own), "the list of all": self._found("/", row)}

    def _found(self, path: str, pattern: str) -> str:
        with self.open(path) as answer:
            found = re.search(pattern, answer.read().decode(), re.DOTALL)
        return html.unescape(found[1]).strip() if found else ""


@dataclass(frozen=True)
class Readers:
    """`kubectl` and `tidegate` run a command in the rollout's namespace."""

    kubectl: Callable[..., Told]
    tidegate: Callable[..., Told]
    page: Page

    def status(self) -> dict[str, Any]:
        """As it is stored."""
        found: dict[str, Any] = json.loads(self._kubectl("get", "modeldeployment", NAME, "--output", "json"))["status"]
        return found

    def sentences(self) -> dict[str, str]:
        """The sentence of one instant by every way; read again where the status was written in between."""
        for _ in range(TRIES):
            before = self.status()["message"]
            found = self._read(before)
            if self.status()["message"] == before:
                return found
        raise AssertionError(f"the sentence never stood still: {before}")

    def waits(self, what: str) -> bool:
        """Whether `kubectl wait` finds it so at once."""
        told = self.kubectl("wait", f"modeldeployment/{NAME}", f"--for={what}", "--timeout=1s")
        assert told.code == 0 or "timed out" in told.err, told
        return told.code == 0

    def settled(self, kinds: tuple[str, ...] = ("Ready", "Reconciling", "Stalled")) -> str:
        """What `tidegate status` takes the whole for, and that the conditions it goes by are kubectl wait's."""
        view = json.loads(self.tidegate("status", NAME, "--output", "json").out)
        said = {each["type"]: each["status"] == "True" for each in view["conditions"] if each["type"] in kinds}
        assert {kind: self.waits(f"condition={kind}") for kind in said} == said
        return str(view["settled"])

    def _read(self, sentence: str) -> dict[str, str]:
        described = re.findall(r"^  Message: +(.*)$", self._kubectl("describe", "modeldeployment", NAME), re.MULTILINE)
        conditions = {each["message"] for each in self.status()["conditions"]}
        return {
            "the status": sentence,
            "a condition": sentence if sentence in conditions else str(conditions),
            "kubectl get": _end(self._kubectl("get", "modeldeployment", NAME, "--output", "wide"), sentence),
            "kubectl describe": described[0] if len(described) == 1 else str(described),
            "kubectl wait": sentence if self.waits(f"jsonpath={{.status.message}}={sentence}") else "",
            "tidegate get": _end(self.tidegate("get", NAME, "--output", "wide").out, sentence),
            "tidegate status": _second_line(self.tidegate("status", NAME).out),
            "tidegate status without a name": _second_line(self.tidegate("status").out),
            "tidegate status -o json": json.loads(self.tidegate("status", NAME, "-o", "json").out)["message"],
            **self.page.sentences(),
        }

    def _kubectl(self, *arguments: str) -> str:
        told = self.kubectl(*arguments)
        assert told.code == 0, told
        return told.out


def _end(table: str, sentence: str) -> str:
    """The sentence where the table's one row ends with it, after a gap; else the row."""
    row = table.splitlines()[1].rstrip()
    return sentence if row.endswith(f"  {sentence}") else row


def _second_line(text: str) -> str:
    return [*text.splitlines(), "", ""][1].strip()
