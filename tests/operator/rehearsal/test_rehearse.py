"""The command with real model servers and a real Envoy: the verdict is the exit code, and nothing is left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.router
EXAMPLES = Path(__file__).parents[3] / "examples" / "rehearsal"
REQUESTS = ("--requests", str(EXAMPLES / "requests.jsonl"), "--rate", "60", "--warm-up", "3s")


def rehearse(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tidegate", "rehearse", *arguments, "--output", "json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_failing_model_is_rolled_back_with_its_evidence(tmp_path: Path) -> None:
    junit, markdown, picture, record = (tmp_path / name for name in ("r.xml", "r.md", "r.svg", "r.json"))
    files = f"--junit={junit}", f"--markdown={markdown}", f"--picture={picture}", f"--record={record}"

    ended = rehearse(str(EXAMPLES / "stable.onnx"), str(EXAMPLES / "failing.onnx"), *REQUESTS, *files)

    told = json.loads(ended.stdout)
    assert (ended.returncode, told["outcome"], told["reason"][:9]) == (1, "RolledBack", "ErrorRate"), ended.stderr
    assert (told["users"]["refused"], told["exposure"]["failed"] > 0) == (0, True)
    assert 'failures="1"' in junit.read_text()
    assert told["message"] in markdown.read_text()
    assert picture.read_text().startswith("<svg")
    replayed = subprocess.run(
        [sys.executable, "-m", "tidegate", "replay", "--record", str(record)], capture_output=True
    )
    assert replayed.returncode == 0, "the same verdict, from the kept record"


@pytest.mark.parametrize(
    ("stable", "candidate", "code", "said"),
    [
        ("stable.onnx", "../sentiment/model", 1, "clients of stable would break: it takes the inputs"),
        ("stable.onnx", "requests.jsonl", 1, "the file isn't an ONNX model"),
        ("requests.jsonl", "stable.onnx", 1, "can't be served: the file isn't an ONNX model"),
        ("stable.onnx", "nowhere.onnx", 2, "CANDIDATE: there is no file or folder"),
    ],
    ids=["another signature", "a candidate that is no model", "a stable that is no model", "no file"],
)
def test_what_can_not_be_released_ends_in_a_sentence_before_any_traffic(
    stable: str, candidate: str, code: int, said: str
) -> None:
    ended = rehearse(str(EXAMPLES / stable), str(EXAMPLES / candidate), *REQUESTS)
    assert (ended.returncode, said in ended.stdout + ended.stderr) == (code, True), ended.stderr


def test_labels_that_have_changed_places_end_it_before_any_traffic(tmp_path: Path) -> None:
    model = EXAMPLES.parent / "sentiment" / "model"
    swapped = shutil.copytree(model, tmp_path / "swapped", ignore=shutil.ignore_patterns("selftest.json"))
    (swapped / "labels.json").write_text('["positive", "negative"]')

    ended = rehearse(str(model), str(swapped), "--rate", "20", "--warm-up", "3s")

    told = json.loads(ended.stdout)
    assert (ended.returncode, told["reason"], told["exposure"]["requests"]) == (1, "SignatureChanged", 0), ended.stderr
    assert "its labels are in another order: class 0 is 'positive', on stable it is 'negative'" in told["message"]


def test_a_candidate_that_answers_otherwise_ends_before_any_traffic() -> None:
    stable, other = str(EXAMPLES / "stable.onnx"), str(EXAMPLES / "better.onnx")

    ended = rehearse(stable, other, *REQUESTS, "--agreement", "classes")

    told = json.loads(ended.stdout)
    assert (ended.returncode, told["exposure"]["requests"]) == (1, 0), ended.stderr
    assert "the gate agreement ends it: the candidate answers" in told["message"]
    agreement = told["agreement"]
    assert (agreement["answer"], agreement["noisy"], list(agreement["kinds"])) == ("Differs", 0, ["class"])
    assert agreement["message"] in told["message"]


def test_the_same_model_is_shown_to_answer_alike_and_gets_traffic() -> None:
    model = str(EXAMPLES / "stable.onnx")

    ended = rehearse(model, model, *REQUESTS, "--agreement", "values", "--timeout", "2m")

    told = json.loads(ended.stdout)
    assert (told["agreement"]["answer"], told["agreement"]["differed"]) == ("Agrees", 0), ended.stderr
    assert "agreement" not in told["reason"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_ends_it_ends_all_that_it_has_started(tmp_path: Path, number: signal.Signals, code: int) -> None:
    model = str(EXAMPLES / "stable.onnx")
    command = [sys.executable, "-m", "tidegate", "rehearse", model, model, *REQUESTS]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout is not None
        while "without traffic" not in running.stdout.readline():
            assert running.poll() is None
        started = _with(tmp_path)
        running.send_signal(number)
        assert running.wait(60) == code
    assert started
    assert (_with(tmp_path), list(tmp_path.iterdir())) == ([], [])


def _with(folder: Path) -> Sequence[int]:
    """The processes that name a folder in their arguments or their environment, but for the rehearsal itself."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if f"{folder}/tidegate-".encode() in text:
            found.append(int(process.name))
    return found
