"""However busy the model is, probes are answered, and what is too much is turned away at once."""

import socket
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.server.conftest import Server, until


def half_a_request(server: Server) -> socket.socket:
    """Holds a place: the rest of its body never comes."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    return connection


def test_a_full_server_turns_requests_away_and_answers_probes(start: Any, linear: Path) -> None:
    server: Server = start(linear, TIDEGATE_THREADS="1")
    with closing(half_a_request(server)):
        until(
            lambda: server.ask("POST", "/predict", [[1, 2, 3, 4]]).status == 503,
            10,
            lambda: "a request was answered while the only place was taken",
        )
        turned_away = server.ask("POST", "/predict", [[1, 2, 3, 4]])

        assert (turned_away.status, turned_away.headers["retry-after"]) == (503, "1")
        assert "busy" in turned_away.json["error"]
        assert server.ask("GET", "/v2/health/live").status == 200
        assert server.ask("GET", "/v2/health/ready").status == 200
        assert server.ask("GET", "/metrics").status == 200
