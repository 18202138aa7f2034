"""Verifies a model's signature (`model.sig`, of the OpenSSF's model signing), where the settings ask for it.

The signature is over all files of the model's folder, so all of them are brought, and none is used that it isn't over.
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from socket import gaierror
from typing import TYPE_CHECKING, Any

from tidegate_server.environment import one_of
from tidegate_server.errors import BadSetting, FetchFailed, one_line
from tidegate_server.fetch.collect import CollectedModel
from tidegate_server.fetch.partial_downloads import PartialDownloads
from tidegate_server.fetch.report import NOT_FOUND, UNREACHABLE, UNSUPPORTED_URI, UNVERIFIED
from tidegate_server.fetch.select_files import SIGNATURE
from tidegate_server.fetch.sources.listing import Listing

if TYPE_CHECKING:
    from tidegate_server.fetch.cosign_keys import PublicKey

COSIGN = "cosign"
METHODS = ("key", "certificate", "sigstore", COSIGN)
_PEM = "-----BEGIN "


@dataclass(frozen=True)
class Signer:
    """Whose signature is wanted. `key` and `certificates`: a path, or PEM itself."""

    method: str
    key: str = ""
    certificates: str = ""
    identity: str = ""
    provider: str = ""
    trust_config: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Signer | None":
        """None when no signature is wanted. Raises BadSetting with a sentence that names the variable."""
        given = {name: environ.get(f"TIDEGATE_SIGNATURE_{name.upper()}", "").strip() for name in cls.__annotations__}
        method = given["method"]
        if not method:
            if extra := [name for name, value in given.items() if value]:
                raise BadSetting(
                    f"TIDEGATE_SIGNATURE_{extra[0].upper()} is set, but TIDEGATE_SIGNATURE_METHOD isn't; "
                    f"set it to one of {', '.join(METHODS)}"
                )
            return None
        one_of({"TIDEGATE_SIGNATURE_METHOD": method}, "TIDEGATE_SIGNATURE_METHOD", METHODS)
        needed = {"key": ("key",), "certificate": ("certificates",), "sigstore": ("identity", "provider")}
        for name in needed.get(method, ("key",)):
            if not given[name]:
                raise BadSetting(f"TIDEGATE_SIGNATURE_{name.upper()} is missing; the method {method} needs it")
        return cls(**given)

    @property
    def is_over_files(self) -> bool:
        """Whether the signature is over all files of a folder; else it is over a digest in a registry."""
        return self.method != COSIGN

    @property
    def fingerprint(self) -> str:
        """Of these settings, keys included, so that a later run knows whether it wants the same."""
        parts = (self.method, _content(self.key), _content(self.certificates), self.identity, self.provider)
        return hashlib.sha256("\0".join((*parts, _content(self.trust_config))).encode()).hexdigest()


def cosign_keys(signer: Signer) -> tuple["PublicKey", ...]:
    """The keys of which one has to have signed. Raises FetchFailed where there are none."""
    # Its library takes time to import, and most models aren't signed.
    from tidegate_server.fetch.cosign_keys import read_keys

    if not signer.key.startswith(_PEM) and not Path(signer.key).exists():
        # Not for good: a Secret may be made a moment after what names it.
        sentence = f"model.signedBy: there is no public key at {signer.key}; make the Secret or ConfigMap with that key"
        raise FetchFailed(NOT_FOUND, sentence)
    return read_keys(_content(signer.key))


def verify_digest(listing: Listing, keys: Sequence["PublicKey"]) -> None:
    """Before anything is downloaded. Raises FetchFailed unless cosign has signed what is listed by one of the keys."""
    from tidegate_server.fetch.cosign_keys import require_signature

    if listing.signed is None:
        sentence = (
            "model.signedBy is for oci:// alone, as cosign's signatures lie in a registry; "
            "sign a folder with model_signing, and say so by TIDEGATE_SIGNATURE_METHOD=key"
        )
        raise FetchFailed(UNSUPPORTED_URI, sentence)
    require_signature(listing.signed.digest, listing.signed.signatures(), keys)


def verify(collected: CollectedModel, signer: Signer, downloads: PartialDownloads) -> None:
    """Raises FetchFailed with the reason Unverified for files that aren't, all of them, signed by `signer`."""
    if collected.single:
        sentence = f"a signature is wanted, but model.uri names one file; name the folder that {SIGNATURE} is in too"
        raise FetchFailed(UNVERIFIED, sentence)
    if SIGNATURE not in collected.files:
        raise FetchFailed(UNVERIFIED, f"the model isn't signed: there is no {SIGNATURE} beside it")
    # The signature can't be over itself, so it is out of the folder while that is compared.
    signature = collected.files[SIGNATURE].path.rename(downloads.folder / SIGNATURE)
    try:
        _check_signature(signer, collected.folder, signature, downloads)
        _check_covered(collected, signature)
    finally:
        signature.rename(collected.files[SIGNATURE].path)


def _check_signature(signer: Signer, folder: Path, signature: Path, downloads: PartialDownloads) -> None:
    try:
        config = import_module("model_signing.verifying").Config()
    except ImportError as error:
        missing = (
            f"a signature is wanted, which needs the Python package {error.name}; install tidegate-server[sources]"
        )
        raise FetchFailed(UNSUPPORTED_URI, missing) from error
    try:
        _configured(config, signer, downloads).verify(folder, signature)
    except FetchFailed:
        raise
    except Exception as error:  # the library and those below it have no common base
        if _is_unreachable(error):
            raise FetchFailed(UNREACHABLE, "can't reach sigstore to learn whom it trusts", transient=True) from error
        words = _words(error)
        sentence = f"the model's signature isn't what TIDEGATE_SIGNATURE_* asks for: {words or type(error).__name__}"
        raise FetchFailed(UNVERIFIED, sentence) from error


def _is_unreachable(error: BaseException | None) -> bool:
    """Whether the network is at the bottom of it: only sigstore's method needs one."""
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError | gaierror) or "MaxRetryError" in type(error).__name__:
            return True
        error = error.__cause__ or error.__context__
    return False


def _words(error: Exception) -> str:
    words = one_line(error, 10_000)
    if changed := re.findall(r"Hash mismatch for ..?([^'\\]{1,100})", words):
        return f"not what was signed: {', '.join(changed[:5])}"
    return words[:300]


def _configured(config: Any, signer: Signer, downloads: PartialDownloads) -> Any:
    if signer.method == "key":
        return config.use_elliptic_key_verifier(public_key=_file(signer.key, "key.pem", downloads))
    if signer.method == "certificate":
        return config.use_certificate_verifier(certificate_chain=_certificates(signer.certificates, downloads))
    _provide_cache_folder(downloads)
    trust = Path(signer.trust_config) if signer.trust_config else None
    return config.use_sigstore_verifier(identity=signer.identity, oidc_issuer=signer.provider, trust_config=trust)


def _provide_cache_folder(downloads: PartialDownloads) -> None:
    """The library keeps what sigstore trusts in the home folder, which in a pod nobody may write to."""
    if not os.access(os.environ.get("HOME") or "/", os.W_OK):
        for variable in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
            os.environ.setdefault(variable, str(downloads.folder))


def _certificates(given: str, downloads: PartialDownloads) -> list[Path]:
    """One file a certificate: the library reads only the first one of a file."""
    text = _content(given)
    found = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    if not found:
        raise FetchFailed(UNVERIFIED, "TIDEGATE_SIGNATURE_CERTIFICATES holds no certificate in PEM form")
    return [_file(f"{pem}\n", f"certificate-{number}.pem", downloads) for number, pem in enumerate(found)]


def _file(given: str, name: str, downloads: PartialDownloads) -> Path:
    if not given.startswith(_PEM):
        return Path(given)
    path = downloads.folder / name
    path.write_text(given)
    return path


def _content(given: str) -> str:
    if not given or given.startswith(_PEM):
        return given
    try:
        return Path(given).read_text()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise FetchFailed(UNVERIFIED, f"can't read {given}, which TIDEGATE_SIGNATURE_* names: {why}") from error


def _check_covered(collected: CollectedModel, signature: Path) -> None:
    """Signing may leave files out, and then says nothing of them when it's verified."""
    signed = _signed_names(signature)
    for name in sorted(collected.files):
        if name != SIGNATURE and name not in signed:
            raise FetchFailed(UNVERIFIED, f"the signature isn't over {name!r}; sign the whole folder, or take it out")


def _signed_names(signature: Path) -> frozenset[str]:
    """Of a bundle whose signature has been verified: what it says was signed."""
    try:
        bundle = json.loads(signature.read_text())
        statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        return frozenset(os.path.normpath(resource["name"]) for resource in statement["predicate"]["resources"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise FetchFailed(UNVERIFIED, f"{SIGNATURE} doesn't list what was signed") from error
