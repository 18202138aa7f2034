"""Each thing that a server can do wrong is seen, and named by its row."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.operator.verification.conftest import Verify
from tests.operator.verification.small_server import MODEL, SmallServer, speaking

LACKING = {"binary tensors": "lacks"}
"""What even the right small server hasn't got."""


def wrong(states: dict[str, str]) -> dict[str, str]:
    return {check: state for check, state in states.items() if state in ("lacks", "failed")}


def test_a_server_that_does_all_in_json_lacks_binary_tensors_alone(verify: Verify) -> None:
    with SmallServer().serving() as server:
        seen = verify(server.url)
    assert (seen.code, wrong(seen.states)) == (0, LACKING), seen.said


@pytest.mark.parametrize(
    ("fault", "check", "state", "said"),
    [
        ("no health", "ready", "lacks", "404"),
        ("never ready", "ready", "failed", "503"),
        ("no signature", "model metadata", "lacks", "names no inputs"),
        ("no signature", "a right request", "failed", "--requests FILE"),
        (
            "another datatype",
            "outputs as the metadata says",
            "failed",
            "rows INT32[1], and the metadata says rows INT64",
        ),
        ("too few values", "a right request", "failed", "y has 1 values, and its shape [1, 2] wants 2"),
        ("another name", "a right request", "failed", "model_name is 'other', and the model is double"),
        ("another value each time", "the same question, the same answer", "lacks", "another"),
        ("no id", "id", "lacks", "doesn't have the request's"),
        ("another error shape", "a body that isn't JSON", "lacks", "no sentence in `error`"),
        ("fails on mistakes", "a body that isn't JSON", "failed", "500"),
        ("takes mistakes", "text where numbers belong", "failed", "it was taken"),
        ("hangs up on mistakes", "an unknown datatype", "failed", "no answer"),
    ],
)
def test_what_is_wrong_has_its_row(verify: Verify, fault: str, check: str, state: str, said: str) -> None:
    with SmallServer(fault).serving() as server:
        seen = verify(server.url)
    assert (seen.states[check], said in seen.said[check]) == (state, True), seen.said[check]
    assert seen.code == (1 if "failed" in seen.states.values() else 0)


def test_a_server_that_names_no_model_is_reported_all_the_same(verify: Verify, tmp_path: Path) -> None:
    junit, markdown = tmp_path / "r.xml", tmp_path / "r.md"
    with SmallServer("no list").serving() as server:
        seen = verify(server.url, "--junit", str(junit), "--markdown", str(markdown))

    assert (seen.code, seen.states) == (1, {"port": "ok", "model": "failed", "all else": "not asked"})
    assert "name one by --model NAME" in seen.said["model"]
    assert ["--model NAME" in file.read_text() for file in (junit, markdown)] == [True, True]


def test_strict_makes_what_is_lacking_a_failure(verify: Verify) -> None:
    with SmallServer().serving() as server:
        assert verify(server.url, "--strict").code == 1


def test_the_latency_is_held_against_its_limit(verify: Verify) -> None:
    pace = ("--rate", "10", "--seconds", "1", "--max-p99", "150ms")
    with SmallServer("slow").serving() as server:
        seen = verify(server.url, *pace)
    assert (seen.states["latency"], "p99 is beyond --max-p99 150 ms" in seen.said["latency"]) == ("failed", True)


@pytest.mark.parametrize(
    ("faults", "key", "expected"),
    [
        ((), "right", {"no credentials": "ok", "wrong credentials": "ok", "right credentials": "ok"}),
        ((), "other", {"no credentials": "ok", "wrong credentials": "ok", "right credentials": "failed"}),
        (("open",), "right", {"no credentials": "failed", "wrong credentials": "failed", "right credentials": "ok"}),
        ((), "", {"credentials": "failed"}),
    ],
    ids=["a server that asks", "a key that it doesn't take", "a server that lets anybody in", "no key for it"],
)
def test_credentials_are_tried_right_wrong_and_missing(
    verify: Verify, faults: tuple[str, ...], key: str, expected: dict[str, str]
) -> None:
    server = SmallServer(*faults)
    server.key = "right"
    with server.serving():
        seen = verify(server.url, "--model", MODEL, key=key)
    found = {check: state for check, state in seen.states.items() if check.endswith("credentials")}
    assert found == expected, seen.said


def test_where_nobody_listens_nothing_else_is_asked(verify: Verify) -> None:
    with SmallServer().serving() as server:
        gone = server.url
    seen = verify(gone)
    assert (seen.code, seen.states) == (1, {"port": "failed", "all else": "not asked"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("/nothing",), "GET /v2: 404"),
        (("/nothing", "--model", MODEL), f"GET /v2/models/{MODEL}: 404"),
    ],
    ids=["a path where nothing is", "a path where nothing is, of a named model"],
)
def test_who_answers_otherwise_than_the_protocol_is_told_with_what_was_seen(
    verify: Verify, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    path, *options = arguments
    xml = tmp_path / "checks.xml"
    with SmallServer().serving() as server:
        address = server.url + path
        seen = verify(address, *options, "--junit", str(xml))
    assert (seen.code, seen.states) == (1, {"port": "ok", "protocol": "failed", "all else": "not asked"})
    assert said in seen.said["protocol"]
    assert seen.said["protocol"].endswith(f"is {address} the server's address?")
    assert ElementTree.parse(xml).getroot().attrib["failures"] == "1"  # noqa: S314 - our own


@pytest.mark.parametrize(
    ("scheme", "words", "said"),
    [
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "no answer: TLS handshake failed: [SSL: "),
        ("http", b"SSH-2.0-other\r\n", "no answer: 'SSH-2.0-other' is no HTTP/1.1;"),
        ("http", b"\x15\x03\x01\x00\x02\x02\x16", r"no answer: '\x15\x03\x01\x00\x02\x02\x16' is no HTTP/1.1;"),
    ],
    ids=["TLS to a port without", "a program that speaks no HTTP", "no TLS to a port with it"],
)
def test_a_port_of_something_else_is_told_with_what_was_seen(
    verify: Verify, tmp_path: Path, scheme: str, words: bytes, said: str
) -> None:
    xml = tmp_path / "checks.xml"
    with speaking(words) as port:
        seen = verify(f"{scheme}://127.0.0.1:{port}", "--junit", str(xml))
    assert (seen.code, seen.states) == (1, {"port": "ok", "protocol": "failed", "all else": "not asked"})
    assert said in seen.said["protocol"], seen.said
    assert ElementTree.parse(xml).getroot().attrib["failures"] == "1"  # noqa: S314 - our own


def test_a_server_that_has_inference_alone_is_asked_its_requests(verify: Verify, tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    rows = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    requests.write_text(json.dumps({"inputs": [rows]}))
    with SmallServer("no health", "no metadata").serving() as server:
        seen = verify(server.url, "--model", MODEL, "--requests", str(requests))
    assert (seen.code, seen.states["recorded requests"]) == (0, "ok"), seen.said


def test_a_file_to_write_is_left_alone_where_nothing_is_asked(verify: Verify, tmp_path: Path) -> None:
    old, new = tmp_path / "old.md", tmp_path / "new.xml"
    old.write_text("as before")
    verify("http://127.0.0.1:1", "--markdown", str(old), "--junit", str(new), "--requests", "missing.jsonl")
    assert (old.read_text(), new.exists()) == ("as before", False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ftp://host",), "is no address such as http://127.0.0.1:8080"),
        (("http://127.0.0.1:1", "--header", "Host"), "--header Host: it has to be 'NAME: VALUE'"),
        (("http://127.0.0.1:1", "--key-file", "/nowhere"), "--key-file: /nowhere can't be read"),
        (("http://127.0.0.1:1", "--max-p99", "soon"), "is not a duration"),
        (("http://127.0.0.1:1", "--junit", "/nowhere/x.xml"), "--junit: /nowhere/x.xml can't be written: No such file"),
        (("http://127.0.0.1:1", "--markdown", "/"), "--markdown: / can't be written: Is a directory"),
        (
            ("http://127.0.0.1:1", "--requests", "missing.jsonl"),
            "verify: --requests: missing.jsonl can't be read: No such file or directory\n",
        ),
        (("http://127.0.0.1:1", "--requests", "/dev/null"), "--requests: /dev/null has no requests"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_one_sentence(
    verify: Verify, arguments: tuple[str, ...], said: str
) -> None:
    seen = verify(*arguments)
    assert (seen.code, seen.states, said in seen.error) == (2, {}, True), seen.error


def test_files_for_pull_requests_and_ci_systems_have_a_row_for_each_check(verify: Verify, tmp_path: Path) -> None:
    markdown, xml = tmp_path / "checks.md", tmp_path / "checks.xml"
    with SmallServer("fails on mistakes").serving() as server:
        seen = verify(server.url, "--markdown", str(markdown), "--junit", str(xml))
    suite = ElementTree.parse(xml).getroot()  # noqa: S314 - our own
    assert [case.attrib["name"] for case in suite] == list(seen.states)
    assert suite.attrib["failures"] == str(list(seen.states.values()).count("failed"))
    text = markdown.read_text()
    assert text.startswith("### Checks: failed\n")
    assert all(f"| {check} | {state} |" in text for check, state in seen.states.items())
