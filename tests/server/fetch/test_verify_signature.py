"""Signatures of models, made here by the library that others sign with: real keys, real certificates."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from model_signing import hashing, signing

from tests.server.fetch.conftest import Bring, Web, contents
from tests.server.fetch.test_archive import pack


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pairs of keys, `a` and `b`, and a certificate of `a`'s that an authority signed."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("a", "b", "ca"):
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{folder}/{name}.pem")
        _openssl("ec", "-in", f"{folder}/{name}.pem", "-pubout", "-out", f"{folder}/{name}.pub.pem")
    _openssl("req", "-x509", "-key", f"{folder}/ca.pem", "-subj", "/CN=tests", "-days", "2", "-out", f"{folder}/ca.crt")
    _openssl("req", "-new", "-key", f"{folder}/a.pem", "-subj", "/CN=signer", "-out", f"{folder}/a.csr")
    extensions = folder / "extensions"
    extensions.write_text(
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\nbasicConstraints=CA:FALSE\n"
    )
    authority = ["-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.pem", "-CAcreateserial", "-days", "2"]
    request = ["-in", f"{folder}/a.csr", "-out", f"{folder}/a.crt", "-extfile", str(extensions)]
    _openssl("x509", "-req", *request, *authority)
    return folder


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def sign(folder: Path, keys: Path, name: str = "a") -> None:
    config = signing.Config().use_elliptic_key_signer(private_key=keys / f"{name}.pem")
    config.sign(folder, folder / "model.sig")


def by_key(keys: Path, name: str = "a") -> dict[str, str]:
    return {"TIDEGATE_SIGNATURE_METHOD": "key", "TIDEGATE_SIGNATURE_KEY": str(keys / f"{name}.pub.pem")}


def test_a_signed_folder_is_brought_with_everything_that_was_signed(bring: Bring, whole: Path, keys: Path) -> None:
    (whole / "README.md").write_text("signed too")
    sign(whole, keys)
    ended = bring(whole.as_uri(), **by_key(keys))
    assert (ended.reason, ended.shown) == ("brought", contents(whole))


def test_the_key_may_be_in_the_variable_itself(bring: Bring, whole: Path, keys: Path) -> None:
    sign(whole, keys)
    pem = (keys / "a.pub.pem").read_text()
    ended = bring(whole.as_uri(), TIDEGATE_SIGNATURE_METHOD="key", TIDEGATE_SIGNATURE_KEY=pem)
    assert ended.reason == "brought"


def test_the_only_graph_keeps_its_name_until_it_is_verified(
    bring: Bring, linear: Path, tmp_path: Path, keys: Path
) -> None:
    (tmp_path / "m").mkdir()
    shutil.copy(linear, tmp_path / "m" / "digits.onnx")
    sign(tmp_path / "m", keys)
    pin = {"TIDEGATE_MODEL_SHA256": hashlib.sha256(linear.read_bytes()).hexdigest()}
    first = bring((tmp_path / "m").as_uri(), **by_key(keys), **pin)
    assert (first.reason, sorted(first.shown)) == ("brought", ["model.onnx", "model.sig"])
    again = bring((tmp_path / "m").as_uri(), **by_key(keys), **pin)
    assert (again.report, "is there already" in again.log) == (first.report, True)
    # What was verified with one key isn't what another one was asked for.
    assert bring((tmp_path / "m").as_uri(), **by_key(keys, "b"), **pin).reason == "Unverified"


def test_a_signed_archive_and_a_signed_folder_on_a_web_server(
    bring: Bring, whole: Path, keys: Path, web: Web, tmp_path: Path
) -> None:
    sign(whole, keys)
    files = contents(whole)
    assert bring(pack(whole, tmp_path / "m.tgz", "top/").as_uri(), **by_key(keys)).shown == files
    web.files = {f"/m/{name}": content for name, content in files.items()}
    assert bring(web.uri("/m/"), **by_key(keys)).shown == files


def test_a_certificate_of_the_authority_is_good(bring: Bring, whole: Path, keys: Path) -> None:
    config = signing.Config().use_certificate_signer(
        private_key=keys / "a.pem", signing_certificate=keys / "a.crt", certificate_chain=[keys / "ca.crt"]
    )
    config.sign(whole, whole / "model.sig")
    method = {"TIDEGATE_SIGNATURE_METHOD": "certificate"}
    good = bring(whole.as_uri(), **method, TIDEGATE_SIGNATURE_CERTIFICATES=str(keys / "ca.crt"))
    assert good.reason == "brought"
    _openssl(
        "req", "-x509", "-key", str(keys / "b.pem"), "-subj", "/CN=else", "-days", "2", "-out", str(keys / "b.crt")
    )
    bad = bring(whole.as_uri(), **method, TIDEGATE_SIGNATURE_CERTIFICATES=(keys / "b.crt").read_text())
    assert (bad.reason, bad.report["permanent"]) == ("Unverified", True)


def change(folder: Path, _keys: Path) -> None:
    (folder / "labels.json").write_text('["yes", "no"]')


def add(folder: Path, _keys: Path) -> None:
    (folder / "more.txt").write_text("added after it was signed")


def take(folder: Path, _keys: Path) -> None:
    (folder / "tokenizer.json").unlink()


def sign_anew(folder: Path, keys: Path) -> None:
    (folder / "model.sig").unlink()
    sign(folder, keys, "b")


def remove(folder: Path, _keys: Path) -> None:
    (folder / "model.sig").unlink()


def spoil(folder: Path, _keys: Path) -> None:
    (folder / "model.sig").write_text("{}")


def leave_out(folder: Path, keys: Path) -> None:
    (folder / "model.sig").unlink()
    config = signing.Config().use_elliptic_key_signer(private_key=keys / "a.pem")
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=[folder / "labels.json"]))
    config.sign(folder, folder / "model.sig")


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        pytest.param(change, "not what was signed: labels.json", id="a changed file"),
        pytest.param(add, "Extra files", id="an added file"),
        pytest.param(take, "Missing files", id="a missing file"),
        pytest.param(sign_anew, "isn't what TIDEGATE_SIGNATURE_* asks for", id="another key"),
        pytest.param(remove, "isn't signed", id="no signature"),
        pytest.param(spoil, "isn't what TIDEGATE_SIGNATURE_* asks for", id="no proper signature"),
        pytest.param(leave_out, "isn't over 'labels.json'", id="a file that wasn't signed"),
    ],
)
def test_what_is_not_signed_as_asked_is_refused(
    bring: Bring, whole: Path, keys: Path, tamper: Callable[[Path, Path], None], words: str
) -> None:
    sign(whole, keys)
    tamper(whole, keys)
    ended = bring(whole.as_uri(), **by_key(keys))
    assert (ended.reason, ended.report["permanent"], ended.left) == ("Unverified", True, [])
    assert words in ended.report["message"]


def test_one_file_has_no_place_for_a_signature(bring: Bring, linear: Path, keys: Path) -> None:
    ended = bring(linear.as_uri(), **by_key(keys))
    assert (ended.reason, "names one file" in ended.report["message"]) == ("Unverified", True)


def test_a_signature_by_a_key_is_none_by_an_identity(bring_alone: Bring, whole: Path, keys: Path) -> None:
    """The public log and its authority can't be asked here; that nothing passes without them can be seen."""
    sign(whole, keys)
    ended = bring_alone(
        whole.as_uri(),
        TIDEGATE_SIGNATURE_METHOD="sigstore",
        TIDEGATE_SIGNATURE_IDENTITY="me@example.com",
        TIDEGATE_SIGNATURE_PROVIDER="https://accounts.example.com",
    )
    assert ended.reason in ("Unverified", "Unreachable")
    assert ended.left == []


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"METHOD": "pgp"}, "must be one of key, certificate, sigstore"),
        ({"METHOD": "key"}, "TIDEGATE_SIGNATURE_KEY is missing"),
        ({"METHOD": "sigstore", "IDENTITY": "x"}, "TIDEGATE_SIGNATURE_PROVIDER is missing"),
        ({"KEY": "/key.pem"}, "TIDEGATE_SIGNATURE_METHOD isn't"),
    ],
)
def test_half_a_setting_is_refused_by_name(bring: Bring, whole: Path, environment: dict[str, str], words: str) -> None:
    ended = bring(whole.as_uri(), **{f"TIDEGATE_SIGNATURE_{name}": value for name, value in environment.items()})
    assert (ended.code, words in ended.report["message"]) == (1, True)


def test_a_key_that_is_nowhere_is_named(bring: Bring, whole: Path, keys: Path) -> None:
    sign(whole, keys)
    ended = bring(whole.as_uri(), TIDEGATE_SIGNATURE_METHOD="key", TIDEGATE_SIGNATURE_KEY="/no/key.pem")
    assert (ended.reason, "/no/key.pem" in ended.report["message"]) == ("Unverified", True)
