"""A socket's file: made for some, and taken away only where nobody listens to it."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from tidegate_server.errors import BadSetting
from tidegate_server.settings import Settings
from tidegate_server.unix_socket import UnixSocket

VARIABLE = "TIDEGATE_UNIX_SOCKET"


def at(path: Path, mode: int = 0o660) -> UnixSocket:
    return UnixSocket(path, VARIABLE, mode)


def left_behind(path: Path) -> Path:
    """By a server that was killed."""
    with closing(socket.socket(socket.AF_UNIX)) as gone:
        gone.bind(str(path))
        gone.listen()
    return path


def test_a_socket_is_for_those_that_its_mode_names(tmp_path: Path) -> None:
    with closing(at(tmp_path / "s", 0o600).bound()):
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


def test_what_a_killed_server_left_makes_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = left_behind(tmp_path / "s")
    with closing(at(path).bound()) as listener:
        listener.listen()
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.connect(str(path))
    assert caplog.messages == [f"TIDEGATE_UNIX_SOCKET: removed {path}, which a server that is gone has left"]


def test_a_socket_of_a_server_that_listens_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with closing(at(path).bound()) as other:
        other.listen()
        with pytest.raises(BadSetting) as refused:
            at(path).bound()
        assert path.is_socket()
    assert str(refused.value) == (
        f"TIDEGATE_UNIX_SOCKET: {path} is another server's that listens; end it, or name another path"
    )


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("somebody's")
    with pytest.raises(BadSetting) as refused:
        at(path).bound()
    assert (
        str(refused.value) == f"TIDEGATE_UNIX_SOCKET: {path} is there and is no socket; remove it, or name another path"
    )
    assert path.read_text() == "somebody's"


def test_a_path_that_cannot_be_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for path, what in (
        (tmp_path / "none" / "s", "is in a folder that isn't there; make it, or mount it"),
        (tmp_path / ("s" * 108), "is longer than the 107 bytes that a socket's path may have"),
    ):
        with pytest.raises(BadSetting) as refused:
            at(path).bound()
        assert str(refused.value) == f"TIDEGATE_UNIX_SOCKET: {path} {what}"


def test_another_servers_socket_is_not_removed(tmp_path: Path) -> None:
    ours = at(tmp_path / "s")
    with closing(ours.bound()):
        identity = ours.identity()
        ours.path.unlink()
        with closing(socket.socket(socket.AF_UNIX)) as theirs:
            theirs.bind(str(tmp_path / "other"))
            (tmp_path / "other").rename(ours.path)
            ours.remove(identity)
            assert ours.path.is_socket()
            ours.remove(ours.identity())
            assert not ours.path.exists()


def test_a_mode_that_chmod_does_not_know_is_refused() -> None:
    environ = {VARIABLE: "/run/s", "TIDEGATE_UNIX_SOCKET_MODE": "rw-rw----"}
    with pytest.raises(BadSetting) as refused:
        Settings.from_env(environ)
    assert str(refused.value) == (
        "TIDEGATE_UNIX_SOCKET_MODE is 'rw-rw----'; it must be who may connect, as chmod has it, such as 0660"
    )
    known = Settings.from_env({VARIABLE: "/run/s", "TIDEGATE_UNIX_SOCKET_MODE": "0600"})
    assert known.unix_socket == UnixSocket(Path("/run/s"), VARIABLE, 0o600)


def test_tls_is_refused_behind_the_router() -> None:
    environ = {
        "TIDEGATE_TLS_CERT_FILE": "/c",
        "TIDEGATE_TLS_KEY_FILE": "/k",
        "TIDEGATE_UNMARKED_TRAFFIC": "direct",
    }
    with pytest.raises(BadSetting) as refused:
        Settings.from_env(environ)
    assert str(refused.value) == (
        "TIDEGATE_TLS_CERT_FILE is set in a pod behind Tidegate's router, which speaks plain HTTP; "
        "unset it in server.env"
    )
