"""What is wanted signed by cosign and isn't, made here by its formats and kept in a real registry."""

import json
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.server.fetch.conftest import Bring, contents
from tests.server.fetch.cosign_signatures import (
    BUNDLE,
    PrivateKey,
    a_bundle,
    a_simple_payload,
    attach_bundles,
    attach_simple,
    public,
)
from tests.server.fetch.oci_registry import INDEX, MANIFEST, Registry, a_registry, digest_of
from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.cosign import read_bundle
from tidegate_server.fetch.cosign_keys import read_keys, require_signature
from tidegate_server.fetch.sources.http_client import BadStatus
from tidegate_server.fetch.sources.oci_signatures import find_signatures


@pytest.fixture(scope="module")
def registry(store_program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with a_registry(store_program("registry"), tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(params=["ECDSA P-256", "Ed25519"])
def key(request: pytest.FixtureRequest) -> PrivateKey:
    return Ed25519PrivateKey.generate() if request.param == "Ed25519" else new_key(SECP256R1())


@pytest.fixture
def theirs() -> PrivateKey:
    return new_key(SECP256R1())


@pytest.fixture
def digest(registry: Registry, whole: Path, request: pytest.FixtureRequest) -> str:
    """Of an artifact that no other test has."""
    return registry.push_files("shop/digits", "7", {**contents(whole), "NAME": request.node.name.encode()})


@pytest.fixture
def bring_signed(bring: Bring, registry: Registry) -> Callable[..., Any]:
    """`fetch` of the tag, where a signature by one of the keys is wanted."""

    def run(*keys: PrivateKey, **more: str) -> Any:
        wanted = {"TIDEGATE_SIGNATURE_METHOD": "cosign", "TIDEGATE_SIGNATURE_KEY": public(*keys)}
        return bring(registry.uri("shop/digits:7"), **{**wanted, **more})

    return run


@pytest.mark.sources
def test_what_one_of_the_keys_signed_is_brought(
    bring_signed: Callable[..., Any], registry: Registry, digest: str, key: PrivateKey, theirs: PrivateKey, whole: Path
) -> None:
    attach_bundles(registry, digest, b"nonsense", a_bundle(theirs, digest), a_bundle(key, digest))
    ended = bring_signed(new_key(SECP256R1()), key)
    assert (ended.reason, ended.shown) == ("brought", contents(whole))
    pin = {"TIDEGATE_MODEL_SHA256": ended.report["sha256"]}
    again = bring_signed(new_key(SECP256R1()), key, **pin)
    assert again.reason == "brought"
    # What one key has let in isn't what another one was asked for.
    assert bring_signed(new_key(SECP256R1()), **pin).reason == "Unverified"


@pytest.mark.sources
def test_a_signature_under_the_older_tag_is_good(
    bring_signed: Callable[..., Any], registry: Registry, digest: str, key: PrivateKey
) -> None:
    attach_simple(registry, digest, key, a_simple_payload(digest))
    assert bring_signed(key).reason == "brought"


OTHER = "sha256:" + "ab" * 32


@pytest.mark.sources
@pytest.mark.parametrize(
    ("attach", "said"),
    [
        pytest.param(lambda *_: None, "isn't signed, its registry has no signature by cosign; sign it", id="unsigned"),
        pytest.param(
            lambda registry, digest, _, theirs: attach_bundles(registry, digest, a_bundle(theirs, digest)),
            "is signed by somebody else, none of its 1 signatures is by a key that is wanted; have it signed",
            id="by somebody else",
        ),
        pytest.param(
            lambda registry, digest, _, theirs: attach_simple(registry, digest, theirs, a_simple_payload(digest)),
            "is signed by somebody else",
            id="by somebody else, in the older form",
        ),
        pytest.param(
            lambda registry, digest, ours, _: attach_bundles(registry, digest, a_bundle(ours, OTHER)),
            f"is over {OTHER}, not over it; sign it",
            id="of another digest",
        ),
        pytest.param(
            lambda registry, digest, ours, _: attach_simple(registry, digest, ours, a_simple_payload(OTHER)),
            f"is over {OTHER}, not over it; sign it",
            id="of another digest, in the older form",
        ),
        pytest.param(
            lambda registry, digest, ours, _: attach_bundles(
                registry, digest, a_bundle(ours, digest, "https://slsa.dev/provenance/v1")
            ),
            "isn't signed",
            id="attested by the key, but not signed",
        ),
        pytest.param(
            lambda registry, digest, ours, _: attach_simple(registry, digest, ours, a_simple_payload(digest, "atomic")),
            "isn't signed",
            id="signed as another kind of thing",
        ),
        pytest.param(
            lambda registry, digest, *_: attach_bundles(
                registry, digest, b"{}", b"[" * 100_000, b'{"dsseEnvelope": 7}'
            ),
            "isn't signed",
            id="nonsense",
        ),
    ],
)
def test_what_no_key_signed_is_stopped_before_a_byte_of_it_comes(
    bring_signed: Callable[..., Any],
    registry: Registry,
    digest: str,
    theirs: PrivateKey,
    attach: Callable[..., None],
    said: str,
) -> None:
    ours = new_key(SECP256R1())
    attach(registry, digest, ours, theirs)
    ended = bring_signed(ours)
    assert (ended.code, ended.reason, ended.report["permanent"], ended.left) == (1, "Unverified", True, [])
    assert ended.report["message"].startswith("model.signedBy: ")
    assert said in ended.report["message"]


@pytest.mark.sources
def test_a_statement_under_the_signature_of_another_is_stopped(
    bring_signed: Callable[..., Any], registry: Registry, digest: str, key: PrivateKey
) -> None:
    right, other = (json.loads(a_bundle(key, each)) for each in (digest, OTHER))
    right["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"]
    attach_bundles(registry, digest, json.dumps(right).encode())
    assert "signed by somebody else" in bring_signed(key).report["message"]


def test_a_key_that_is_not_there_yet_may_come(bring: Bring, tmp_path: Path) -> None:
    environ = {"TIDEGATE_SIGNATURE_METHOD": "cosign", "TIDEGATE_SIGNATURE_KEY": str(tmp_path / "cosign.pub")}
    ended = bring("oci://127.0.0.1:9/shop/digits:7", **environ)
    assert (ended.reason, ended.report["permanent"]) == ("NotFound", False)
    assert f"there is no public key at {tmp_path}/cosign.pub; make the Secret" in ended.report["message"]


def test_only_a_registry_has_signatures_of_cosign(bring: Bring, whole: Path, theirs: PrivateKey) -> None:
    environ = {"TIDEGATE_SIGNATURE_METHOD": "cosign", "TIDEGATE_SIGNATURE_KEY": public(theirs)}
    ended = bring(whole.as_uri(), **environ)
    assert (ended.reason, ended.left) == ("UnsupportedUri", [])
    assert "model.signedBy is for oci:// alone" in ended.report["message"]


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        pytest.param("", "there is no public key", id="nothing"),
        pytest.param(public(new_key(SECP384R1())), "neither ECDSA P-256 nor Ed25519", id="another curve"),
        pytest.param(
            new_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "it has a private key",
            id="the private key",
        ),
        pytest.param(
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "PUBLIC KEY that can't be read", id="broken"
        ),
        pytest.param(public(Ed25519PrivateKey.generate()) * 33, "33 keys, and 32 at most", id="too many"),
    ],
)
def test_keys_that_are_no_use_are_refused(pem: str, said: str) -> None:
    with pytest.raises(FetchFailed, match=said):
        read_keys(pem)


def test_a_text_of_beginnings_alone_is_read_at_once() -> None:
    began = monotonic()
    with pytest.raises(FetchFailed, match="there is no public key"):
        read_keys("-----BEGIN PUBLIC KEY-----\n" * 40_000)
    assert monotonic() - began < 5


def test_a_bundle_of_many_signatures_is_passed_over(theirs: PrivateKey) -> None:
    bundle = json.loads(a_bundle(theirs, OTHER))
    bundle["dsseEnvelope"]["signatures"] *= 2
    assert read_bundle(json.dumps(bundle).encode()) == ()


def test_a_bundle_of_another_payload_is_passed_over(theirs: PrivateKey) -> None:
    bundle: Mapping[str, Any] = json.loads(a_bundle(theirs, OTHER))
    changed = {**bundle, "dsseEnvelope": {**bundle["dsseEnvelope"], "payloadType": "text/plain"}}
    assert (len(read_bundle(json.dumps(bundle).encode())), read_bundle(json.dumps(changed).encode())) == (1, ())


class Referrers:
    """A repository whose registry has the API for referrers, or fails at it."""

    def __init__(self, listed: Mapping[str, Any] | int, blobs: Mapping[str, bytes]) -> None:
        self._listed, self._blobs = listed, blobs

    def manifest(self, version: str) -> tuple[dict[str, Any], str]:
        if version not in self._blobs:
            raise BadStatus(404, Message())
        return json.loads(self._blobs[version]), version

    def read(self, path: str, _headers: Mapping[str, str], _limit: int) -> bytes:
        kind, _, name = path.partition("?")[0].partition("/")
        if kind == "blobs":
            return self._blobs[name]
        assert (kind, name) == ("referrers", OTHER)
        if isinstance(self._listed, int):
            raise BadStatus(self._listed, Message())
        return json.dumps(self._listed).encode()


@pytest.fixture
def with_bundle(theirs: PrivateKey) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The answer of the API, and blobs by digest."""
    bundle = a_bundle(theirs, OTHER)
    layer = {"mediaType": BUNDLE, "digest": digest_of(bundle), "size": len(bundle)}
    manifest = json.dumps({"mediaType": MANIFEST, "layers": [layer]}).encode()
    listed = {"mediaType": MANIFEST, "digest": digest_of(manifest), "size": len(manifest), "artifactType": BUNDLE}
    document = {**listed, "artifactType": "application/spdx+json", "digest": OTHER}
    blobs = {digest_of(bundle): bundle, digest_of(manifest): manifest}
    return {"mediaType": INDEX, "manifests": [document, listed, "nonsense", {}]}, blobs


def test_referrers_are_asked_where_the_registry_knows_them(
    with_bundle: tuple[dict[str, Any], dict[str, bytes]], theirs: PrivateKey
) -> None:
    found = list(find_signatures(Referrers(*with_bundle), OTHER))
    assert [each.digests for each in found] == [{OTHER}]
    require_signature(OTHER, found, read_keys(public(theirs)))


def test_of_a_referrer_one_layer_is_looked_at(
    with_bundle: tuple[dict[str, Any], dict[str, bytes]],
) -> None:
    listed, blobs = with_bundle
    (bundle, content), (name, manifest) = blobs.items()
    more = json.loads(manifest)
    more["layers"] *= 1000
    found = find_signatures(Referrers(listed, {bundle: content, name: json.dumps(more).encode()}), OTHER)
    assert len(list(found)) == 1


@pytest.mark.parametrize("answer", [404, 400, 405, {"errors": "no such page"}, {"manifests": None}, {"manifests": []}])
def test_a_registry_without_referrers_has_them_under_a_tag(
    with_bundle: tuple[dict[str, Any], dict[str, bytes]], answer: Any
) -> None:
    listed, blobs = with_bundle
    tagged = {**blobs, OTHER.replace(":", "-"): json.dumps(listed).encode()}
    assert len(list(find_signatures(Referrers(answer, tagged), OTHER))) == 1


@pytest.mark.parametrize(("status", "transient"), [(503, True), (403, False)])
def test_a_registry_that_does_not_answer_says_nothing_of_signatures(status: int, transient: bool) -> None:
    with pytest.raises(FetchFailed) as failure:
        list(find_signatures(Referrers(status, {}), OTHER))
    assert (failure.value.reason, failure.value.transient) == ("Unreachable", transient)


def test_one_signature_that_is_gone_hides_no_other(with_bundle: tuple[dict[str, Any], dict[str, bytes]]) -> None:
    listed, blobs = with_bundle
    gone = {**listed["manifests"][1], "digest": "sha256:" + "cd" * 32}
    listed = {**listed, "manifests": [gone, *listed["manifests"]]}
    assert len(list(find_signatures(Referrers(listed, blobs), OTHER))) == 1


def test_a_signature_with_another_digest_than_its_name_is_refused(
    with_bundle: tuple[dict[str, Any], dict[str, bytes]],
) -> None:
    listed, blobs = with_bundle
    first = next(iter(blobs))
    with pytest.raises(FetchFailed, match="has another digest"):
        list(find_signatures(Referrers(listed, {**blobs, first: b"{}"}), OTHER))
