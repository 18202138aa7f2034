"""API keys: made, stored as hashes, found again."""

import io
from contextlib import suppress
from hashlib import sha256
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate_server.access.api_keys import MAX_KEYS, key_name, new_key, parse_keys
from tidegate_server.access.new_key import main
from tidegate_server.errors import BadSetting


def test_a_new_key_is_found_by_its_line() -> None:
    mine, other = new_key("shop"), new_key("lab")
    known = parse_keys(f"# who calls us\n\n{other.line}\n  {mine.line}  \r\n".encode())
    assert (key_name(mine.key, known), key_name(other.key, known)) == ("shop", "lab")
    assert key_name(mine.key + "x", known) is None
    assert mine.key not in mine.line


def test_two_keys_of_one_name_are_both_good() -> None:
    old, new = new_key("shop"), new_key("shop")
    known = parse_keys(f"{old.line}\n{new.line}".encode())
    assert [key_name(key.key, known) for key in (old, new)] == ["shop", "shop"]


def test_a_line_is_the_name_and_the_hash_that_sha256sum_gives() -> None:
    line = f"shop:{sha256(b'correct horse battery staple').hexdigest().upper()}"
    assert key_name("correct horse battery staple", parse_keys(line.encode())) == "shop"


def test_no_keys_let_nobody_in() -> None:
    assert parse_keys(b"# nobody yet\n") == {}
    assert key_name("", {}) is None


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("tg_a-plain-key-by-mistake", id="a plain key"),
        pytest.param("shop:tg_a-plain-key-by-mistake", id="a name and a plain key"),
        pytest.param(f"sh op:{'0' * 64}", id="a space in the name"),
        pytest.param(f"shop:{'0' * 63}", id="a hash too short"),
        pytest.param("\ufffd\x00", id="binary"),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_never_shown(line: str) -> None:
    with pytest.raises(BadSetting) as caught:
        parse_keys(f"{new_key('shop').line}\n{line}".encode())
    assert str(caught.value) == ", line 2, isn't NAME:SHA256; make it with 'tidegate-server new-key NAME'"


def test_the_number_of_keys_is_bounded() -> None:
    raw = "\n".join(f"shop:{number:064x}" for number in range(MAX_KEYS + 1)).encode()
    with pytest.raises(BadSetting, match="holds 1001 keys; use tokens for more than 1000 callers"):
        parse_keys(raw)


def test_a_thousand_keys_cost_no_more_than_one() -> None:
    mine = new_key("shop")
    known = parse_keys("\n".join([*(f"lab:{number:064x}" for number in range(MAX_KEYS - 1)), mine.line]).encode())
    began = thread_time()
    for _ in range(1000):
        assert key_name(mine.key, known) == "shop"
    assert thread_time() - began < 0.02


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(raw: bytes) -> None:
    with suppress(BadSetting):
        assert all(len(digest) == 32 for digest in parse_keys(raw))


def test_the_command_gives_the_line_and_shows_the_key_apart() -> None:
    out, err = io.StringIO(), io.StringIO()
    assert main(["shop"], out, err) == 0
    key = err.getvalue().split()[-1]
    assert key_name(key, parse_keys(out.getvalue().encode())) == "shop"
    assert key not in out.getvalue()


@pytest.mark.parametrize("names", [[], ["a", "b"], ["sh op"], ["a" * 65], ["a\nb"]])
def test_the_command_refuses_names_that_cannot_stand_in_the_file(names: list[str]) -> None:
    out, err = io.StringIO(), io.StringIO()
    assert main(names, out, err) == 2
    assert (out.getvalue(), err.getvalue().count("\n")) == ("", 1)
