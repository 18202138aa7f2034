"""Certificates are read at the start and again when they change; a bad pair never takes the place of a good one."""

import logging
import os
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.server.certificates import FROM, Pair, pair
from tidegate_server.access.certificates import Certificates
from tidegate_server.access.settings import TlsSettings
from tidegate_server.errors import BadSetting

GOOD, OTHER = pair("good"), pair("other")


def opened(folder: Path, given: Pair) -> Certificates:
    return Certificates(TlsSettings(*given.write(folder)))


def encrypted(key: bytes) -> bytes:
    loaded = load_pem_private_key(key, None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def renewed(folder: Path, given: Pair) -> None:
    """As a rotation does it, with times that differ however coarse the clock of files is."""
    for number, path in enumerate(given.write(folder)):
        os.utime(path, ns=(0, number + hash(given) % 10**9))


def test_a_pair_is_read_with_the_time_of_its_end(tmp_path: Path) -> None:
    lasting = pair(life=timedelta(days=36_000))
    current = opened(tmp_path, lasting).current
    assert (current.chain, current.key) == (lasting.cert, lasting.key)
    assert current.expires == (FROM + timedelta(days=36_000)).astimezone(UTC).timestamp()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param(
            lambda cert, key: key.write_bytes(OTHER.key),
            "TIDEGATE_TLS_KEY_FILE: {key} isn't the key of the first certificate in TIDEGATE_TLS_CERT_FILE; "
            "give the pair that belongs together",
            id="another's key",
        ),
        pytest.param(
            lambda cert, key: key.write_bytes(encrypted(GOOD.key)),
            "TIDEGATE_TLS_KEY_FILE: {key} is encrypted; give the key without a password",
            id="a key with a password",
        ),
        pytest.param(
            lambda cert, key: key.write_bytes(b"-----BEGIN PRIVATE KEY-----\n"),
            "TIDEGATE_TLS_KEY_FILE: {key} holds no private key in PEM",
            id="half a key",
        ),
        pytest.param(
            lambda cert, key: cert.write_bytes(b""),
            "TIDEGATE_TLS_CERT_FILE: {cert} holds no certificate in PEM; it must begin with the server's own",
            id="an empty certificate",
        ),
        pytest.param(
            lambda cert, key: cert.unlink(),
            "TIDEGATE_TLS_CERT_FILE: {cert} can't be read (No such file or directory)",
            id="no certificate",
        ),
        pytest.param(
            lambda cert, key: key.write_bytes(b"a" * (2**20 + 1)),
            "TIDEGATE_TLS_KEY_FILE: {key} is larger than 1 MiB; that's no certificate and no key",
            id="a large file",
        ),
    ],
)
def test_a_bad_pair_is_refused_in_one_sentence(
    tmp_path: Path, spoil: Callable[[Path, Path], object], sentence: str
) -> None:
    cert, key = GOOD.write(tmp_path)
    spoil(cert, key)
    with pytest.raises(BadSetting) as refused:
        Certificates(TlsSettings(cert, key))
    assert str(refused.value) == sentence.format(cert=cert, key=key)


@pytest.mark.parametrize("given", ["TIDEGATE_TLS_CERT_FILE", "TIDEGATE_TLS_KEY_FILE"])
def test_one_file_without_the_other_is_refused(given: str) -> None:
    (missing,) = {"TIDEGATE_TLS_CERT_FILE", "TIDEGATE_TLS_KEY_FILE"} - {given}
    with pytest.raises(BadSetting) as refused:
        TlsSettings.from_env({given: "/tls/file"})
    assert str(refused.value) == f"{given} is set and {missing} isn't; set both, or neither for plain HTTP"
    assert TlsSettings.from_env({}) is None


def test_a_renewed_pair_is_taken_once_it_has_settled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificates = opened(tmp_path, GOOD)
    with caplog.at_level(logging.INFO):
        renewed(tmp_path, OTHER)
        certificates.look()
        assert certificates.current.chain == GOOD.cert
        certificates.look()
    assert (certificates.current.chain, certificates.failures) == (OTHER.cert, 0)
    assert caplog.messages == [
        "TIDEGATE_TLS_CERT_FILE has changed: the new certificate is good until 2119-12-08T00:00:00+00:00"
    ]


def test_a_bad_pair_at_a_rotation_leaves_the_old_one_in_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificates = opened(tmp_path, GOOD)
    renewed(tmp_path, Pair(OTHER.cert, GOOD.key))
    for _ in range(4):
        certificates.look()
    assert (certificates.current.chain, certificates.failures) == (GOOD.cert, 1)
    assert caplog.messages == [
        f"TIDEGATE_TLS_KEY_FILE: {tmp_path}/tls.key isn't the key of the first certificate in TIDEGATE_TLS_CERT_FILE; "
        "give the pair that belongs together; the certificate before it stays in use until 2119-12-08T00:00:00+00:00"
    ]
    renewed(tmp_path, OTHER)
    for _ in range(2):
        certificates.look()
    assert (certificates.current.chain, certificates.failures) == (OTHER.cert, 1)


def test_an_expired_certificate_is_shown_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened(tmp_path, pair(life=timedelta(days=1)))
    assert caplog.messages == [
        "TIDEGATE_TLS_CERT_FILE: the certificate has expired at 2020-01-02T00:00:00+00:00; renew it"
    ]
