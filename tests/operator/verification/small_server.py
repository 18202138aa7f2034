"""A small server of the protocol whose model doubles two numbers, and what it can be made to do wrong."""

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.small_http import listening, say

MODEL = "double"
METADATA = {
    "name": MODEL,
    "versions": ["1"],
    "platform": "test",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [
        {"name": "y", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "rows", "datatype": "INT64", "shape": [1]},
    ],
}


class Mistaken(Exception):
    """Of the caller's."""


class SmallServer:
    """Right but for its `faults`, which are words that `_Handler` knows."""

    def __init__(self, *faults: str) -> None:
        self.faults = set(faults)
        self.url = ""
        self.key = ""

    @contextmanager
    def serving(self) -> Iterator["SmallServer"]:
        """Inside, at `url`."""
        with listening(type("Handler", (_Handler,), {"small": self})) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self


@contextmanager
def speaking(words: bytes) -> Iterator[int]:
    """The port of a program that answers these words to whatever comes first."""

    class Speaker(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(65536):
                self.request.sendall(words)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Speaker) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    small: SmallServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        faults = self.small.faults
        if self.path.startswith("/v2/health/"):
            missing, starting = "no health" in faults, "never ready" in faults and self.path.endswith("ready")
            self._answer(404 if missing else 503 if starting else 200, {})
        elif not self._is_let_in():
            self._answer(401, {"error": "who are you?"})
        elif "no metadata" in faults:
            self._answer(404, {"error": "there is no such path"})
        elif self.path == "/v2":
            self._answer(200, {"name": "small", "version": "1", "extensions": []})
        elif self.path == f"/v2/models/{MODEL}":
            self._answer(200, {**METADATA, "inputs": [], "outputs": []} if "no signature" in faults else METADATA)
        elif self.path == f"/v2/models/{MODEL}/ready":
            self._answer(200, {})
        else:
            self._answer(404, {"error": "there is no such path"})

    def do_DELETE(self) -> None:
        self._answer(405, {"error": "not by this method"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self._is_let_in():
            self._answer(401, {"error": "who are you?"})
            return
        if self.path == "/v2/repository/index":
            self._answer(200, {} if "no list" in self.small.faults else [{"name": MODEL}])
            return
        try:
            self._answer(200, self._infer(body))
        except Mistaken as error:
            self._refuse(str(error))

    def _refuse(self, sentence: str) -> None:
        faults = self.small.faults
        if "hangs up on mistakes" in faults:
            self.close_connection = True
        elif "takes mistakes" in faults:
            self._answer(200, {})
        elif "fails on mistakes" in faults:
            self._answer(500, {"error": sentence})
        else:
            self._answer(400, {"detail": sentence} if "another error shape" in faults else {"error": sentence})

    def _infer(self, body: bytes) -> dict[str, Any]:
        faults = self.small.faults
        if not self.path.startswith(f"/v2/models/{MODEL}/"):
            raise Mistaken("there is no such model")
        rows, asked, name = _read(body)
        if "slow" in faults:
            time.sleep(0.2)
        values = [2 * each for each in rows]
        if "another value each time" in faults:
            values[0] += time.monotonic_ns() % 1000
        outputs = [
            {"name": "y", "datatype": "FP32", "shape": [len(rows) // 2, 2], "data": values},
            {"name": "rows", "datatype": "INT64", "shape": [1], "data": [len(rows) // 2]},
        ]
        if "another datatype" in faults:
            outputs[1]["datatype"] = "INT32"
        if "too few values" in faults:
            outputs[0]["data"] = values[1:]
        kept = [each for each in outputs if not asked or each["name"] in asked]
        model = "other" if "another name" in faults else MODEL
        return {"model_name": model, "outputs": kept, **({"id": name} if name and "no id" not in faults else {})}

    def _is_let_in(self) -> bool:
        key = self.small.key
        return not key or "open" in self.small.faults or self.headers.get("Authorization") == f"Bearer {key}"

    def _answer(self, status: int, document: Any) -> None:
        challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        say(self, status, json.dumps(document).encode(), **{"Content-Type": "application/json", **challenge})


def _read(body: bytes) -> tuple[list[float], set[str], str]:
    """The numbers, the outputs that are asked for, and the id. Raises Mistaken."""
    try:
        request = json.loads(body)
        (given,) = request["inputs"]
        shape, data = given["shape"], given["data"]
        right = given["name"] == "x" and given["datatype"] == "FP32" and shape[0] > 0 and shape[1] == 2
        if not right or len(data) != 2 * shape[0] or any(isinstance(each, str) for each in data):
            raise ValueError("it doesn't fit")
        asked = {each["name"] for each in request.get("outputs", ())}
        if not asked <= {"y", "rows"}:
            raise ValueError("no such output")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Mistaken(f"the request makes no sense: {error}") from error
    return data, asked, request.get("id", "")
