"""`tidegate compare` beside two small HTTP servers: exit codes, where addresses and keys come from, what is refused."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.small_http import listening, say
from tidegate.cli.common.two_servers import leave_behind
from tidegate.cli.compare.command import main

REQUESTS = "".join(f'{{"text": "{number}"}}\n' for number in range(25))


@dataclass
class Model:
    """A server that answers each text with itself as the label; `otherwise` are texts that it answers otherwise."""

    otherwise: frozenset[str] = frozenset()
    key: str = ""
    url: str = ""
    seen: set[tuple[str, str]] = field(default_factory=set)
    kept: list[str] = field(default_factory=list)
    """Texts of live requests, each of which is had once."""

    def samples(self, authorization: str) -> tuple[int, bytes]:
        """A few at a time, as a server gives them that keeps some."""
        if authorization != "Bearer 0123456789abcdef":
            return 401, b"{}"
        taken, self.kept = self.kept[:40], self.kept[40:]
        return 200, json.dumps({"samples": [sample(text) for text in taken]}).encode()


def sample(text: str) -> dict[str, str]:
    body = b64encode(json.dumps({"text": text}).encode()).decode()
    return {"target": "/live/predict", "contentType": "application/json", "jsonBytes": "", "body": body}


@contextmanager
def serving(model: Model) -> Iterator[Model]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            if self.path.startswith("/v2/request-samples"):
                say(self, *model.samples(self.headers["Authorization"]))
                return
            text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
            model.seen.add((self.path, self.headers["x-tidegate-traffic"]))
            is_allowed = not model.key or self.headers["Authorization"] == f"Bearer {model.key}"
            label = "another" if text in model.otherwise else text
            say(self, 200 if is_allowed else 401, json.dumps({"label": label}).encode())

        def do_GET(self) -> None:
            say(self, 200 if self.path == "/requests" else 404, REQUESTS.encode())

    with listening(Handler) as port:
        model.url = f"http://127.0.0.1:{port}"
        yield model


@pytest.fixture
def requests(tmp_path: Path) -> str:
    path = tmp_path / "requests.jsonl"
    path.write_text(REQUESTS)
    return str(path)


def test_two_that_answer_alike(requests: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Model()) as stable, serving(Model()) as candidate:
        code = main([stable.url, f"{candidate.url}/shop/digits/", "--requests", requests])
    out = capsys.readouterr().out
    assert (code, out.startswith("Agrees: the candidate answers 0 of 371 requests otherwise than stable")) == (0, True)
    assert (stable.seen, candidate.seen) == ({("/predict", "preview")}, {("/shop/digits/predict", "preview")})


def test_one_that_answers_one_request_of_twenty_five_otherwise(
    requests: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Model()) as stable, serving(Model(frozenset({"7"}))) as candidate:
        code = main([stable.url, candidate.url, "--requests", requests, "--output", "json"])
    told = json.loads(capsys.readouterr().out)
    assert (code, told["answer"], told["first"], told["kinds"]) == (3, "Differs", 8, {"class": told["differed"]})


def test_so_many_may_be_answered_otherwise_as_one_says(requests: str) -> None:
    with serving(Model()) as stable, serving(Model(frozenset({"7"}))) as candidate:
        options = ["--requests", requests, "--tolerate", "5%", "--accept", "15%"]
        assert main([stable.url, candidate.url, *options]) == 0


def test_too_few_requests_are_no_answer(requests: str) -> None:
    with serving(Model()) as stable, serving(Model()) as candidate:
        assert main([stable.url, candidate.url, "--requests", requests, "--most", "20"]) == 124


def test_a_job_that_is_a_gate_needs_no_addresses_and_reads_the_requests_from_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(Model(key="secret")) as stable, serving(Model(key="secret")) as candidate:
        monkeypatch.setenv("TIDEGATE_STABLE_URL", stable.url)
        monkeypatch.setenv("TIDEGATE_CANDIDATE_URL", candidate.url)
        monkeypatch.setenv("TIDEGATE_TOKEN", "secret")
        assert main(["--requests", f"{stable.url}/requests"]) == 0


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("TIDEGATE_SAMPLES_KEY", "0123456789abcdef")
    return ["--live", "--rate", "1000"]


def test_each_live_request_is_asked_once_of_the_candidate(
    live: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [str(number) for number in range(500)]
    with serving(Model(kept=texts)) as stable, serving(Model()) as candidate:
        monkeypatch.setenv("TIDEGATE_SAMPLES_URL", stable.url)
        code = main([stable.url, candidate.url, *live])
    out = capsys.readouterr().out
    assert (code, out.startswith("Agrees: the candidate answers 0 of 371 requests otherwise than stable")) == (0, True)
    assert candidate.seen == {("/live/predict", "preview")}


def test_a_candidate_that_answers_live_requests_otherwise(live: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [str(number) for number in range(500)]
    with serving(Model(kept=texts)) as stable, serving(Model(frozenset(texts[::9]))) as candidate:
        monkeypatch.setenv("TIDEGATE_SAMPLES_URL", stable.url)
        assert main([stable.url, candidate.url, *live]) == 3


def test_too_few_live_requests_within_the_time_are_no_answer(
    live: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Model(kept=["1", "2"])) as stable, serving(Model()) as candidate:
        monkeypatch.setenv("TIDEGATE_SAMPLES_URL", stable.url)
        code = main([stable.url, candidate.url, *live, "--within", "1s"])
    out = capsys.readouterr().out
    assert (code, "isn't plain: the candidate answers 0 of 2 requests" in out) == (124, True)


def test_nothing_that_says_why_there_are_no_samples_is_taken_for_an_answer(
    live: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEGATE_SAMPLES_KEY", "another key of 16")
    with serving(Model()) as stable:
        monkeypatch.setenv("TIDEGATE_SAMPLES_URL", stable.url)
        code = main([stable.url, stable.url, *live])
    said = f"tidegate compare: {stable.url} gives no samples of requests: the key isn't theirs\n"
    assert (code, capsys.readouterr().err) == (2, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--requests", "{requests}"], "STABLE, or the variable TIDEGATE_STABLE_URL, is '', which is no address"),
        (["ftp://a", "http://b", "--requests", "{requests}"], "is 'ftp://a', which is no address such as http://"),
        (["http://a", "http://b", "--requests", "nowhere.jsonl"], "nowhere.jsonl can't be read: "),
        (["http://a", "http://b", "--requests", "http://127.0.0.1:1/x"], "http://127.0.0.1:1/x can't be read: "),
        (["http://a", "http://b", "--requests", "{requests}", "--tolerate", "2%"], "tolerate must be below accept"),
        (
            ["http://a", "http://b", "--live"],
            "--live: the variable TIDEGATE_SAMPLES_KEY has to have the key of stable's",
        ),
    ],
    ids=["no address", "another scheme", "no file", "nobody there", "margins", "no key"],
)
def test_what_makes_no_sense_is_told_in_a_sentence(
    arguments: list[str], said: str, requests: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([each.replace("{requests}", requests) for each in arguments]) == 2
    assert said in capsys.readouterr().err


def test_in_a_job_that_is_a_gate_the_sentence_is_left_for_the_status(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    leave_behind("Agrees: all of it", {}, path)
    assert not path.exists()
    leave_behind("Agrees: all of it", {"TIDEGATE_REVIEW": "{}"}, path)
    leave_behind("nowhere", {"TIDEGATE_REVIEW": "{}"}, tmp_path / "no" / "folder")
    assert path.read_text() == "Agrees: all of it"
