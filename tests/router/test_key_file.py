"""A key that is put in place, or changed, is taken without a restart, and the one before it for some minutes more."""

from pathlib import Path

import pytest

from tidegate.router import key_file
from tidegate.router.key_file import OVERLAP_SECONDS, KeyFile

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as one number that a test sets."""
    now = [1000.0]
    monkeypatch.setattr(key_file, "monotonic", lambda: now[0])
    return now


def test_there_is_no_key_before_it_is_mounted(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "key")
    before = keys.keys()
    (tmp_path / "key").write_bytes(OLD)

    assert (before, keys.keys()) == ((), (OLD,))


def test_a_key_that_is_too_short_is_none(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"x" * 15)

    assert KeyFile(tmp_path / "key").keys() == ()


def test_both_keys_are_taken_for_a_while_after_a_change(tmp_path: Path, clock: list[float]) -> None:
    keys = KeyFile(tmp_path / "key")
    (tmp_path / "key").write_bytes(OLD)
    keys.keys()
    clock[0] += 3600
    (tmp_path / "key").write_bytes(NEW)

    assert keys.keys() == (NEW, OLD)
    clock[0] += OVERLAP_SECONDS - 1
    assert keys.keys() == (NEW, OLD)
    clock[0] += 1
    assert keys.keys() == (NEW,)


def test_a_key_that_goes_is_taken_for_a_while_too(tmp_path: Path, clock: list[float]) -> None:
    keys = KeyFile(tmp_path / "key")
    (tmp_path / "key").write_bytes(OLD)
    keys.keys()
    (tmp_path / "key").unlink()

    assert keys.keys() == (OLD,)
    clock[0] += OVERLAP_SECONDS
    assert keys.keys() == ()
