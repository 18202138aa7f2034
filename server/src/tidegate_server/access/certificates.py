"""The certificate that the server shows, read again when its files change: cert-manager renews them while it runs."""

import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import time  # noqa: TID251 - the shell that gives the certificates their clock

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tidegate_server.access.settings import TLS_CERT, TLS_KEY, TlsSettings
from tidegate_server.errors import BadSetting

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 2**20
HTTP1 = "http/1.1"

_Stamp = tuple[int, ...] | None


@dataclass(frozen=True)
class Certificate:
    """A chain with its key, as PEM, and what HTTP makes of them."""

    chain: bytes
    key: bytes
    context: ssl.SSLContext
    expires: float
    """Unix seconds."""


class Certificates:
    """`current` is the newest good one; any thread may read it. `look` is to be called about once a second."""

    def __init__(self, settings: TlsSettings) -> None:
        """Raises BadSetting when the files can't be used now."""
        self._settings = settings
        self._used = self._seen = self._stamps()
        self.current = self._read()
        self.failures = 0
        """How often a changed pair couldn't be used."""
        _warn_of_end(self.current)

    @classmethod
    def from_settings(cls, settings: TlsSettings | None) -> "Certificates | None":
        """None where no certificate is wanted. Raises BadSetting."""
        return None if settings is None else cls(settings)

    def look(self) -> None:
        """Reads a changed pair once both files have stayed as they are for two looks: they change one by one."""
        stamps = self._stamps()
        has_settled, self._seen = stamps == self._seen, stamps
        if stamps == self._used or not has_settled:
            return
        self._used = stamps
        try:
            self.current = self._read()
        except BadSetting as error:
            self.failures += 1
            log.error("%s; the certificate before it stays in use until %s", error, _date(self.current.expires))
            return
        log.info("%s has changed: the new certificate is good until %s", TLS_CERT, _date(self.current.expires))
        _warn_of_end(self.current)

    def _stamps(self) -> tuple[_Stamp, _Stamp]:
        return _stamp(self._settings.cert_file), _stamp(self._settings.key_file)

    def _read(self) -> Certificate:
        cert_file, key_file = self._settings.cert_file, self._settings.key_file
        chain, key = _content(TLS_CERT, cert_file), _content(TLS_KEY, key_file)
        leaf = _leaf(chain, f"{TLS_CERT}: {cert_file}")
        _require_key_of(leaf, key, f"{TLS_KEY}: {key_file}")
        return Certificate(chain, key, _context(chain, key), leaf.not_valid_after_utc.timestamp())


def _stamp(path: Path) -> _Stamp:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino


def _content(variable: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _not_yet(f"{variable}: {path} can't be read ({error.strerror})") from None
    if len(raw) > MAX_FILE_BYTES:
        raise _not_yet(f"{variable}: {path} is larger than 1 MiB; that's no certificate and no key")
    return raw


def _leaf(chain: bytes, where: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        raise _not_yet(f"{where} holds no certificate in PEM; it must begin with the server's own") from None


def _require_key_of(leaf: x509.Certificate, key: bytes, where: str) -> None:
    try:
        public = load_pem_private_key(key, None).public_key()
        fits = leaf.public_key() == public
    except TypeError:
        raise _not_yet(f"{where} is encrypted; give the key without a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _not_yet(f"{where} holds no private key in PEM") from None
    if not fits:
        raise _not_yet(
            f"{where} isn't the key of the first certificate in {TLS_CERT}; give the pair that belongs together"
        )


def _context(chain: bytes, key: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([HTTP1])
    try:
        # The library takes names of files only, and what is there may be another pair by now.
        with _in_memory(chain) as cert_file, _in_memory(key) as key_file:
            context.load_cert_chain(cert_file, key_file)
    except ssl.SSLError as error:
        raise _not_yet(f"{TLS_CERT}: OpenSSL refuses the certificate ({error.reason}); make another") from None
    return context


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    with ExitStack() as stack:
        descriptor = os.memfd_create("pem")
        stack.callback(os.close, descriptor)
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"


def _warn_of_end(certificate: Certificate) -> None:
    if certificate.expires <= time():
        log.warning("%s: the certificate has expired at %s; renew it", TLS_CERT, _date(certificate.expires))


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _not_yet(sentence: str) -> BadSetting:
    """A Secret may be mounted, or be whole, a moment later."""
    return BadSetting(sentence, permanent=False)
