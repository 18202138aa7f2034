"""`tidegate dashboard` from the command line: what it prints, where it listens, and what it refuses."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.operator.dashboard.fake_api import FakeApi
from tidegate.cli.common.kubeconfig import connect
from tidegate.dashboard import command
from tidegate.dashboard.serving import PORT, Dashboard, Wanted

PROGRAM = [sys.executable, "-m", "tidegate", "dashboard"]


def test_it_prints_an_address_with_a_key_and_ends_well_when_it_is_told_to(api: FakeApi, tmp_path: Path) -> None:
    told = [*PROGRAM, "--kubeconfig", str(api.kubeconfig(tmp_path)), "--port", "0", "--prefix", "/tidegate"]
    with subprocess.Popen(told, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/tidegate/sign-in\?ticket=[\w-]{32}", address)
            assert requests.get(address, timeout=10).url.endswith("/tidegate/")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(
            ["--prefix", "no-path"], 2, "--prefix is 'no-path'; it must be a path such as /tidegate", id="prefix"
        ),
        pytest.param(["--kubeconfig", "/nowhere"], 1, "no cluster: /nowhere isn't there", id="no cluster"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    arguments: list[str], code: int, said: str, api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = ["--kubeconfig", str(api.kubeconfig(tmp_path))]

    assert command.main([*kubeconfig, *arguments]) == code
    assert said in capsys.readouterr().err


def test_a_port_that_is_taken_is_named_where_it_was_asked_for(
    api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = command.main(["--kubeconfig", str(api.kubeconfig(tmp_path)), "--port", str(port)])

    assert code == 2
    assert f"127.0.0.1:{port} can't be listened at" in capsys.readouterr().err


def test_without_a_port_asked_for_any_free_one_does(api: FakeApi, tmp_path: Path) -> None:
    connection = connect(str(api.kubeconfig(tmp_path)), None)
    first, second = (Dashboard(connection, Wanted(pages=1)) for _ in range(2))
    ports = {first.server.port, second.server.port}
    first.server.stop()
    second.server.stop()

    assert len(ports) == 2
    assert PORT in ports or first.server.port != second.server.port


def test_in_a_cluster_it_refuses_a_certificate_that_would_be_believed_before_anybodys_token(
    api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = api.kubeconfig(tmp_path)
    document = json.loads(kubeconfig.read_text())
    document["users"][0]["user"]["client-certificate-data"] = "LS0t"
    kubeconfig.write_text(json.dumps(document))

    assert command.main(["--kubeconfig", str(kubeconfig), "--in-cluster"]) == 2
    assert "a certificate would be believed before anybody's token" in capsys.readouterr().err


def test_without_flask_it_says_what_to_install(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name="flask")

    monkeypatch.setattr(command, "import_module", missing)

    assert command.main(["--kubeconfig", str(api.kubeconfig(tmp_path))]) == 2
    assert "flask is missing; the page needs pip install 'tidegate[dashboard]'" in capsys.readouterr().err


def test_whoever_may_list_one_namespace_alone_sees_that_one(api: FakeApi, tmp_path: Path) -> None:
    api.forbids_lists = True
    kubeconfig = str(api.kubeconfig(tmp_path))
    arguments = command._parser().parse_args(["--kubeconfig", kubeconfig])

    assert command._namespaces(arguments, connect(kubeconfig, None)) == ("shop",)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "w"}, True),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "far"}, False),
        ({}, sys.platform == "darwin"),
    ],
)
def test_a_browser_is_opened_where_there_is_a_display(environ: dict[str, str], expected: bool) -> None:
    assert command._has_display(environ) is expected
