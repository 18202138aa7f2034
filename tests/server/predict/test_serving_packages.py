"""A real server process with what lies beside its model: text, labels, extension operators and self-tests."""

import io
import math
import wave
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import numpy as np
import orjson
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import REVISION, Server, save, tensor
from tests.server.predict.conftest import SENTIMENT, save_decoder

GOOD = "A warm, funny and beautifully acted film."
BAD = "The battery died after two days and nobody answers my mails."


def _wave(samples: int) -> bytes:
    """A sound file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(2 * samples))
    return content.getvalue()


@pytest.fixture(scope="module")
def sentiment_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    server = Server(SENTIMENT / "model.onnx", log, TIDEGATE_MODEL_NAME="sentiment")
    server.wait_until_ready()
    yield server
    server.end()


def test_a_text_is_answered_over_http(sentiment_server: Server) -> None:
    answer = sentiment_server.ask("POST", "/predict", {"text": GOOD})
    found = answer.json
    assert 0.9 < found.pop("score") <= 1
    assert (answer.status, found) == (
        200,
        {"label": "positive", "positive": True, "model": "sentiment", "revision": REVISION},
    )


def test_many_texts_of_all_lengths_are_answered_in_their_order(sentiment_server: Server) -> None:
    texts = [" ".join(["good" if number % 2 else "bad"] * (number % 40 + 1)) for number in range(100)]
    answer = sentiment_server.ask("POST", "/predict", {"texts": texts})
    assert [one["positive"] for one in answer.json["predictions"]] == [bool(number % 2) for number in range(100)]


def test_as_many_texts_as_a_body_may_have_are_answered_where_each_runs_alone(tmp_path: Path) -> None:
    settings = {"TIDEGATE_BATCH_MAX_ROWS": "1", "TIDEGATE_MAX_QUEUE": "8"}
    server = Server(SENTIMENT / "model.onnx", tmp_path / "server.log", **settings)
    try:
        server.wait_until_ready()
        answer = server.ask("POST", "/predict", {"texts": ["good", "bad"] * 128})
        long = server.ask("POST", "/predict", {"texts": [f"{word}, and quite so" for word in ("good", "bad")] * 128})
    finally:
        server.end()
    assert [[one["positive"] for one in each.json["predictions"]] for each in (answer, long)] == [
        [True, False] * 128
    ] * 2


def test_the_protocol_takes_token_ids_beside_it(sentiment_server: Server) -> None:
    tensors = [{"name": "input", "datatype": "INT64", "shape": [1, 4], "data": [0, 300, 400, 2]}]
    answer = sentiment_server.ask("POST", "/v2/models/sentiment/infer", {"inputs": tensors})
    (output,) = answer.json["outputs"]
    assert (answer.status, output["name"], output["datatype"], output["shape"]) == (200, "output", "FP32", [1, 2])
    assert all(map(math.isfinite, output["data"]))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"text": 3}, 400, id="no text"),
        pytest.param({"text": "a" * 2**20}, 413, id="a text of a mebibyte"),
        pytest.param({"texts": [BAD] * 257}, 400, id="too many texts"),
        pytest.param(b'{"text": "\\ud800"}', 400, id="half a surrogate pair"),
        pytest.param(b'{"text": "\xff"}', 400, id="bytes that aren't UTF-8"),
        pytest.param({"text": ""}, 200, id="an empty text"),
    ],
)
def test_bad_text_is_refused_and_any_other_answered(sentiment_server: Server, body: Any, status: int) -> None:
    answer = sentiment_server.ask("POST", "/predict", body, content_type="application/json")
    assert (answer.status, "error" in answer.json) == (status, status != 200)


def test_the_selftest_runs_again_on_demand(sentiment_server: Server) -> None:
    answer = sentiment_server.ask_admin("POST", "/v2/selftest")
    assert (answer.status, answer.json) == (200, {"passed": True, "cases": 3, "failed": 0, "failures": []})


def test_a_model_that_fails_its_selftest_is_not_served_and_the_reason_is_one_line(tmp_path: Path) -> None:
    folder = copytree(SENTIMENT, tmp_path / "model")
    case = {"body": {"text": GOOD}, "answer": {"label": "negative"}}
    (folder / "selftest.json").write_bytes(orjson.dumps({"cases": [case]}))
    server = Server(folder / "model.onnx", tmp_path / "log")
    try:
        assert server.exit_code() == 1
        said = server.log.splitlines()[-1]
        assert said.endswith('self-test case 1: the answer\'s label is "positive", expected "negative"')
    finally:
        server.end()


def test_a_broken_tokenizer_keeps_the_server_from_starting_and_is_named(tmp_path: Path) -> None:
    folder = copytree(SENTIMENT, tmp_path / "model")
    (folder / "tokenizer.json").write_bytes(b"{}")
    server = Server(folder / "model.onnx", tmp_path / "log")
    try:
        assert server.exit_code() == 1
        assert "tokenizer.json: it isn't a tokenizer" in server.log.splitlines()[-1]
    finally:
        server.end()


def test_a_tokenizer_of_another_model_keeps_the_server_from_starting_and_is_named(tmp_path: Path) -> None:
    folder = copytree(SENTIMENT, tmp_path / "model", ignore=ignore_patterns("selftest.json"))
    save(
        folder / "model.onnx",
        [
            helper.make_node("Gather", ["vectors", "input_ids"], ["tokens"]),
            helper.make_node("ReduceMean", ["tokens", "second"], ["logits"], keepdims=0),
        ],
        [tensor("input_ids", TensorProto.INT64, ["N", "L"])],
        [tensor("logits", TensorProto.FLOAT, ["N", 2])],
        {"vectors": np.eye(50, 2, dtype=np.float32), "second": np.array([1])},
    )
    server = Server(folder / "model.onnx", tmp_path / "log")
    try:
        assert server.exit_code() == 1
        said = server.log.splitlines()[-1]
        assert "tokenizer.json: it isn't this graph's (input input_ids holds " in said
        assert said.endswith("put the tokenizer beside it that the model was made with")
    finally:
        server.end()


def test_bytes_that_are_no_sound_are_the_clients_mistake(tmp_path: Path) -> None:
    server = Server(save_decoder(tmp_path / "model.onnx", "AudioDecoder"), tmp_path / "log")
    try:
        server.wait_until_ready()
        answers = {}
        for name, content in (("whole", _wave(100)), ("cut off", _wave(100)[:20]), ("no sound", b"something else")):
            file = {"name": "file", "datatype": "UINT8", "shape": [1, len(content)], "data": [list(content)]}
            answers[name] = server.ask("POST", "/v2/models/digits/infer", {"inputs": [file]})
        assert [answer.status for answer in answers.values()] == [200, 400, 400]
        assert answers["whole"].json["outputs"][0]["shape"] == [1, 100]
        assert answers["no sound"].json["error"].startswith("input file isn't a sound file that the model's decoder")
        assert "the model failed" not in server.log
    finally:
        server.end()


def test_labels_beside_a_model_for_numbers(linear: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(linear.read_bytes())
    (tmp_path / "labels.json").write_bytes(b'["left", "middle", "right"]')
    server = Server(model, tmp_path / "log")
    try:
        server.wait_until_ready()
        answer = server.ask("POST", "/predict", [[0, 0, 3, 0], [3, 0, 0, 0]])
        assert answer.json == {
            "predictions": [{"label": "right", "score": 0.909443}, {"label": "left", "score": 0.909443}],
            "model": "digits",
            "revision": REVISION,
            "outputs": {"label": [2, 0], "scores": [[0.0, 0.0, 3.0], [3.0, 0.0, 0.0]]},
        }
    finally:
        server.end()


def test_a_graph_with_an_extension_operator_takes_text_and_cuts_it_itself(long_or_short: Path, tmp_path: Path) -> None:
    (long_or_short.parent / "labels.json").write_bytes(b'["short", "long"]')
    server = Server(long_or_short, tmp_path / "log")
    try:
        server.wait_until_ready()
        assert server.ask("POST", "/predict", {"text": "more than ten letters"}).json == {
            "label": "long",
            "score": 0.999983,
            "model": "digits",
            "revision": REVISION,
        }
    finally:
        server.end()
