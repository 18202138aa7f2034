"""The benchmark's requests and answers, its models, and its client for a fixed rate."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from benchmarks.baseline import Baseline
from benchmarks.errors import BenchmarkError
from benchmarks.server.instant import InstantAnswers, answer_of, answering_at_once
from benchmarks.server.models import CLASS, INPUT, MODELS, SCORES
from benchmarks.server.paced_load import Head, drive_at_rate, read_head, summary
from benchmarks.server.peers import PEERS
from benchmarks.server.protocols import (
    BINARY,
    JSON,
    PREDICT,
    TEXT,
    InferenceRequest,
    Prediction,
    ask_rows,
    read_columns,
)
from benchmarks.server.results import Load
from benchmarks.server.rounds import Effort
from benchmarks.server.runtime import open_session, predictions_of
from benchmarks.server.setups import LaunchContext
from benchmarks.server.suite import Plan
from benchmarks.server.text_model import MOST_WORDS, TEXT_MODEL
from tests.small_http import listening, say

ROWS = np.array([[0.5, -1.25]], np.float32)
SCORED = np.array([0.25, 0.75], np.float32)
ANSWER = Prediction(1, SCORED)
TENSORS: list[dict[str, object]] = [
    {"name": "class", "shape": [1], "datatype": "INT64", "data": [1]},
    {"name": "scores", "shape": [1, 2], "datatype": "FP32", "data": [0.25, 0.75]},
]


def test_json_carries_the_row_flat() -> None:
    request = JSON.ask("digits", ROWS)
    assert (request.path, json.loads(request.body)) == (
        "/v2/models/digits/infer",
        {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, -1.25]}]},
    )


def test_binary_puts_the_row_behind_its_json_and_says_where_it_begins() -> None:
    request = BINARY.ask("digits", ROWS)
    length = int(request.headers["Inference-Header-Content-Length"])
    assert json.loads(request.body[:length])["inputs"] == [
        {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    ]
    assert request.body[length:] == ROWS.tobytes()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(PREDICT.ask("digits", ROWS), {"inputs": [[0.5, -1.25]]}, id="our plain path"),
        pytest.param(ask_rows("digits", ROWS), {"rows": [[0.5, -1.25]]}, id="a server without the protocol"),
        pytest.param(TEXT.ask("moods", "a good film"), {"text": "a good film"}, id="a text"),
    ],
)
def test_plain_requests(sent: InferenceRequest, expected: object) -> None:
    assert (sent.path, json.loads(sent.body)) == ("/predict", expected)


def binary_answer() -> tuple[bytes, dict[str, str]]:
    sized = [{key: value for key, value in tensor.items() if key != "data"} for tensor in TENSORS]
    for tensor in sized:
        tensor["parameters"] = {"binary_data_size": 8}
    head = json.dumps({"outputs": sized}).encode()
    body = head + np.array([1], np.int64).tobytes() + SCORED.tobytes()
    return body, {"inference-header-content-length": str(len(head))}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(JSON.read(json.dumps({"outputs": TENSORS}).encode(), {}), id="JSON tensors"),
        pytest.param(BINARY.read(*binary_answer()), id="binary tensors"),
        pytest.param(PREDICT.read(b'{"outputs":{"class":[1],"scores":[[0.25,0.75]]}}', {}), id="by name, wrapped"),
        pytest.param(PREDICT.read(b'{"class":[1],"scores":[[0.25,0.75]]}', {}), id="by name, bare"),
        pytest.param(read_columns(b"[[1.0,0.25,0.75]]", {}), id="columns"),
    ],
)
def test_every_protocol_reads_the_same_answer(answer: Prediction) -> None:
    assert answer.differs(ANSWER) is None


def test_a_texts_answer_is_its_label_and_the_score_of_that() -> None:
    answer = TEXT.read(b'{"label":"positive","score":0.75,"positive":true}', {})
    assert answer.differs(Prediction(1, np.array([0.75], np.float32))) is None


def test_an_answer_without_scores_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="without scores"):
        PREDICT.read(b'{"outputs":{"class":[1]}}', {})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(
            Prediction(1, np.array([0.25, 0.751], np.float32)), "scores that are 0.001 off", id="another score"
        ),
        pytest.param(Prediction(0, SCORED), "class 0 instead of 1", id="another class"),
        pytest.param(Prediction(1, SCORED[:1]), "1 scores instead of 2", id="too few scores"),
    ],
)
def test_a_wrong_answer_is_told_in_words(answer: Prediction, words: str) -> None:
    assert answer.differs(ANSWER) == words


@pytest.mark.parametrize("size", MODELS)
def test_a_model_is_the_same_bytes_every_time_and_takes_any_number_of_rows(size: str, tmp_path: Path) -> None:
    model = MODELS[size]
    path = model.write(tmp_path / "one")
    assert path.read_bytes() == model.write(tmp_path / "two").read_bytes()
    row = model.row_of_input()
    label, scores = open_session(path, 1).run([CLASS, SCORES], {INPUT: np.repeat(row, 3, axis=0)})
    assert (label.shape, scores.shape) == ((3,), (3, 10))
    assert np.allclose(scores.sum(axis=1), 1)


def test_the_model_for_texts_is_the_same_bytes_every_time_and_padding_changes_no_answer(tmp_path: Path) -> None:
    path = TEXT_MODEL.write(tmp_path / "one")
    assert path.read_bytes() == TEXT_MODEL.write(tmp_path / "two").read_bytes()
    answers = predictions_of(TEXT_MODEL, path)
    assert {len(text.split()) for text in TEXT_MODEL.questions()} == set(range(1, MOST_WORDS + 1))
    assert {answer.label for answer in answers} == {0, 1}
    feed = TEXT_MODEL.feeds()[0]
    padded = {name: np.pad(array, ((0, 0), (0, 7))) for name, array in feed.items()}
    session = open_session(path, 1)
    assert np.allclose(session.run(None, feed)[0], session.run(None, padded)[0], atol=1e-5)


def test_an_earlier_commits_server_comes_right_after_this_ones_and_only_they_are_asked_texts(tmp_path: Path) -> None:
    plan = Plan(("raw", "ours"), ("S", "T"), Effort(seconds=1, rounds=2), Baseline("fc44d44", tmp_path))
    context = LaunchContext("digits", tmp_path / "model.onnx", 1, (2, 3), tmp_path)
    ours, before = plan.tidegates("S")
    assert (ours.server, before.server, before.setting) == ("tidegate", "before", "commit fc44d44")
    assert before.protocols == ours.protocols == (JSON, BINARY, PREDICT)
    assert before.launch(context).command[1:] == ours.launch(context).command[1:]
    assert before.launch(context).command[0] == str(tmp_path / ".venv-tidegate-server" / "bin" / "tidegate-server")
    assert [setup.protocols for setup in plan.tidegates("T")] == [(TEXT,), (TEXT,)]
    assert (len(plan.raw_settings("S")), len(plan.raw_settings("T"))) == (4, 0)
    assert plan.steps([]) == (4 * 2 + 2 * 3 * 3) + 2 * 1 * 3


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.package)
def test_every_peer_is_pinned_with_the_same_runtime(peer: object) -> None:
    pins = {one.package: one.pins.read_text().splitlines() for one in PEERS if one is peer}
    ((package, lines),) = pins.items()
    assert all("==" in line for line in lines)
    assert {line for line in lines if line.startswith("onnxruntime==")} == {f"onnxruntime=={version('onnxruntime')}"}
    assert any(line.startswith(f"{package}==") for line in lines)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        pytest.param(HEAD, None, id="half a head"),
        pytest.param(
            HEAD + b"Content-Length: 5\r\n\r\nab", Head(200, len(HEAD) + 26, closes=False), id="a part of the body"
        ),
        pytest.param(
            HEAD + b"connection: close\r\ncontent-length: 5\r\n\r\nabcde",
            Head(200, len(HEAD) + 45, closes=True),
            id="the last one",
        ),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", None, id="a part of a chunked body"),
        pytest.param(
            b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            Head(503, 60, closes=False),
            id="a whole chunked body",
        ),
    ],
)
def test_heads_of_answers(received: bytes, expected: Head | None) -> None:
    assert read_head(received) == expected


def test_a_request_is_written_once_with_its_length() -> None:
    request = InferenceRequest("/predict", b"[1]", {"Content-Type": "application/json"})
    assert request.sent_to("127.0.0.1:80") == (
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"
        b"Content-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]"
    )


def test_times_are_summed_up_in_milliseconds() -> None:
    assert summary(70.0, [0.002] * 50, failed=1) == Load(70.0, p50_ms=2.0, p99_ms=2.0, failed=1)


class _Answers(BaseHTTPRequestHandler):
    """Answers 200, and 503 to every path but one."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        say(self, 200 if self.path == "/good" else 503, b"{}")


@pytest.fixture
def port() -> Iterator[int]:
    with listening(_Answers) as port:
        yield port


def test_a_fixed_rate_is_kept_and_every_answer_counted(port: int) -> None:
    seen = drive_at_rate(port, [InferenceRequest("/good", b"[1]", {})] * 2, per_second=100, seconds=0.3)
    assert (seen.per_second, seen.failed) == (100, 0)
    assert 0 < seen.p50_ms <= seen.p99_ms


def test_refusals_at_a_fixed_rate_are_failures(port: int) -> None:
    assert drive_at_rate(port, [InferenceRequest("/bad", b"[1]", {})], per_second=50, seconds=0.1).failed == 30


class _Sink:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_program_that_answers_at_once_answers_whole_requests_however_they_are_cut(size: int) -> None:
    requests = InferenceRequest("/predict", b"[1]", {}).sent_to("127.0.0.1:80") * 3
    connection, sink = InstantAnswers(answer_of(b"{}")), _Sink()
    connection.connection_made(sink)  # type: ignore[arg-type]
    for begin in range(0, len(requests), size):
        connection.data_received(requests[begin : begin + size])
    assert sink.written == [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"] * 3


def test_the_machines_own_jitter_is_measured_with_the_same_client() -> None:
    with answering_at_once(b"{}") as port:
        seen = drive_at_rate(port, [InferenceRequest("/predict", b"[1]", {})], per_second=100, seconds=0.3)
    assert (seen.per_second, seen.failed) == (100, 0)
