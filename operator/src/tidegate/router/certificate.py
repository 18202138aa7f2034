"""The certificate that a Secret brings: read where it is mounted, tried, and kept while the next one is no good."""

import hashlib
import logging
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

CERTIFICATE, KEY = "tls.crt", "tls.key"
"""As in every Secret of type kubernetes.io/tls."""
LOOK_SECONDS = 5.0
"""How often it is looked whether the Secret has changed; the kubelet brings a change within about a minute."""


class Certificate(NamedTuple):
    """Both are PEM: the certificate with those that signed it, and its key."""

    chain: bytes
    key: bytes


class CertificateUnusable(Exception):
    """Why what is there can't be served, in one sentence."""


def read_certificate(folder: Path) -> Certificate:
    """What is mounted now. Raises CertificateUnusable."""
    # The kubelet swaps one link for both files: read through the folder behind it, they belong together.
    behind = (folder / "..data").resolve() if (folder / "..data").exists() else folder
    try:
        found = Certificate((behind / CERTIFICATE).read_bytes(), (behind / KEY).read_bytes())
    except OSError as error:
        missing = Path(error.filename or "").name
        raise CertificateUnusable(
            f"there is no {missing} in {folder}; is there a Secret of type kubernetes.io/tls?"
        ) from error
    _try(behind)
    return found


def _try(folder: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            folder / CERTIFICATE, folder / KEY, password=_no_password
        )
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise CertificateUnusable(
            f"{CERTIFICATE} and {KEY} can't be served together: {reason}; both must be PEM, without a password, and "
            "the key that of the first certificate"
        ) from error


def _no_password() -> str:
    raise ValueError("the key has a password")


class CertificateWatch:
    """Looks after the folder in a thread. `changed` is called from there with each certificate that can be served.

    `told` is called with why what is there can't be, once, and with '' when it can again. Neither may wait.
    """

    def __init__(
        self,
        folder: Path,
        changed: Callable[[Certificate], None],
        told: Callable[[str], None] = lambda _: None,
        seconds: float = LOOK_SECONDS,
    ) -> None:
        self._folder, self._changed, self._told, self._seconds = folder, changed, told, seconds
        self._served: Certificate | None = None
        self._said = ""
        self._stopped = threading.Event()

    @property
    def problem(self) -> str:
        """Why what is mounted now isn't served; empty where it is."""
        return self._said

    def start(self) -> None:
        """Looks once, and goes on in a thread."""
        self.look()
        threading.Thread(target=self._run, name="certificate", daemon=True).start()

    def stop(self) -> None:
        """Looks no more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self.look()

    def look(self) -> None:
        """Takes in what is mounted now; says once what is wrong with it."""
        try:
            found = read_certificate(self._folder)
        except CertificateUnusable as error:
            self._complain(str(error))
            return
        if self._said:
            self._said = ""
            self._told("")
        if found != self._served:
            self._served = found
            logger.info("TLS: serving the certificate with the digest %s", hashlib.sha256(found.chain).hexdigest()[:16])
            self._changed(found)

    def _complain(self, sentence: str) -> None:
        if sentence == self._said:
            return
        self._said = sentence
        goes_on = "going on with the one before" if self._served else "no connection can be made until there is one"
        logger.error("TLS: %s; %s", sentence, goes_on)
        self._told(f"{sentence}; {goes_on}")
