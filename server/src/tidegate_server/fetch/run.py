"""The init container's whole work: bring the model unless it is there already, check it, report."""

import json
import logging
import random
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from tidegate_server.errors import BadSetting, FetchFailed, ModelRefused
from tidegate_server.fetch.checker import check_graph
from tidegate_server.fetch.choose import BESIDE, files_digest
from tidegate_server.fetch.collect import Collected, Wanted, collect, weights_of
from tidegate_server.fetch.landing import Landed, describe, land, landed_before, read_record
from tidegate_server.fetch.parts import Parts, disk_failures
from tidegate_server.fetch.report import (
    TOO_LARGE,
    UNSUPPORTED_URI,
    UNVERIFIED,
    WRONG_DIGEST,
    failure_report,
    leave,
    success_report,
)
from tidegate_server.fetch.sources import Origin, find_source
from tidegate_server.fetch.sources.stream import Listing
from tidegate_server.fetch.transfer import PIECE_BYTES
from tidegate_server.fetch.verify import Signer, verify
from tidegate_server.inference.model import Model, sha256_of
from tidegate_server.onnx_file import check_file
from tidegate_server.protocol.signature import Signature
from tidegate_server.settings import Settings, termination_log

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
Result = TypeVar("Result")


def fetch(environ: Mapping[str, str]) -> int:
    """The exit code, 0 or 1; the report goes to the termination log and to stdout."""
    # The libraries of the clouds tell every request with its headers.
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("tidegate_server").setLevel(logging.INFO)
    try:
        report, code = _fetch(environ), 0
    except FetchFailed as failure:
        report, code = failure_report(failure), 1
        log.error("%s: %s", failure.reason, failure)
    leave(report, termination_log(environ))
    sys.stdout.write(f"{json.dumps(report)}\n")
    return code


def _fetch(environ: Mapping[str, str]) -> dict[str, Any]:
    settings, signer = _settings(environ)
    origin = find_source(settings.model_uri)
    if (landed := _is_there(settings, signer, origin)) is not None:
        log.info("%s is there already", landed.model)
        return _report(landed, _inspect(landed.model, settings))
    return _bring(origin, settings, signer, environ)


def _bring(origin: Origin, settings: Settings, signer: Signer | None, environ: Mapping[str, str]) -> dict[str, Any]:
    wanted = Wanted(settings.model_path, settings.model_sha256 or None, settings.max_model_bytes, signer is not None)

    def find() -> Listing:
        return origin.source(origin.uri, environ)

    if origin.uri.startswith("image://"):
        return _in_place(with_retries(find, settings.fetch_retry_seconds, monotonic, sleep), settings, signer)
    parts = Parts(wanted.target, origin.printable)

    def attempt() -> Collected:
        return collect(find(), wanted, parts)

    try:
        collected = with_retries(attempt, settings.fetch_retry_seconds, monotonic, sleep, parts.received)
        with disk_failures(wanted.target):
            landed, signature = _settle(collected, origin, settings, signer, parts)
    except FetchFailed as failure:
        # What broke in the middle may be gone on with by the container that Kubernetes starts next.
        if failure.transient:
            parts.discard_unless_resumable()
        else:
            parts.discard()
        raise
    parts.discard()
    log.info("fetched %s: %d bytes, sha256 %s", landed.resolved or origin.printable, landed.size, landed.sha256)
    return _report(landed, signature)


def _settle(
    collected: Collected, origin: Origin, settings: Settings, signer: Signer | None, parts: Parts
) -> tuple[Landed, Signature]:
    """Checks the files where they are, and then puts them into their place."""
    _check_files(describe(collected, settings.model_path), settings)
    if signer is not None:
        verify(collected, signer, parts)
    signature = _inspect(collected.folder / collected.model, settings)
    verified = signer.fingerprint if signer is not None else ""
    return land(collected, settings.model_path, origin.printable, verified), signature


def _in_place(listing: Listing, settings: Settings, signer: Signer | None) -> dict[str, Any]:
    """A model of the image itself: it is what the image's digest says, so only its own digests are compared."""
    model = listing.in_place or settings.model_path
    if signer is not None:
        raise FetchFailed(UNVERIFIED, "a model in the image is covered by the image's signature; verify that instead")
    signature = _inspect(model, settings)
    names = {model.name, *weights_of(model), *(name for name in BESIDE if (model.parent / name).is_file())}
    digests = {name: sha256_of(model.parent / name) for name in names}
    size = sum((model.parent / name).stat().st_size for name in digests)
    if size > settings.max_model_bytes:
        raise FetchFailed(TOO_LARGE, f"the model has {size} bytes, the limit is {settings.max_model_bytes}")
    landed = Landed(model, digests, size, single=settings.model_uri.endswith(".onnx"))
    if settings.model_sha256 not in ("", landed.sha256):
        raise FetchFailed(
            WRONG_DIGEST,
            f"the sha256 of {model} is {landed.sha256}, not {settings.model_sha256}; correct either of them",
        )
    _check_files(landed, settings)
    return _report(landed, signature)


def with_retries(
    attempt: Callable[[], Result],
    seconds: float,
    now: Callable[[], float],
    pause: Callable[[float], None],
    received: Callable[[], int] = lambda: 0,
) -> Result:
    """Tries again after transient failures, with growing pauses, as long as a pause ends within `seconds`.

    `received`: bytes so far. Whoever gets on is given the whole time again: a long download may break often.
    """
    deadline, wait, had = now() + seconds, FIRST_PAUSE_SECONDS, received()
    while True:
        try:
            return attempt()
        except FetchFailed as failure:
            if not failure.transient:
                raise
            if received() >= had + PIECE_BYTES:
                deadline, wait, had = now() + seconds, FIRST_PAUSE_SECONDS, received()
            if now() + wait > deadline:
                raise
            log.warning("%s; trying again in %.1f s", failure, wait)
        # Pods of one revision start together; their retries shouldn't.
        pause(wait * random.uniform(0.8, 1.0))
        wait *= 2


def _settings(environ: Mapping[str, str]) -> tuple[Settings, Signer | None]:
    try:
        settings, signer = Settings.from_env(environ), Signer.from_env(environ)
    except BadSetting as error:
        raise FetchFailed(UNSUPPORTED_URI, str(error)) from error
    if not settings.model_uri:
        raise FetchFailed(UNSUPPORTED_URI, "TIDEGATE_MODEL_URI is missing; it says where the model is")
    for variable, sha256 in (
        ("TIDEGATE_MODEL_SHA256", settings.model_sha256),
        ("TIDEGATE_MODEL_FILES_SHA256", settings.model_files_sha256),
    ):
        if sha256 and not re.fullmatch("[0-9a-f]{64}", sha256):
            raise FetchFailed(WRONG_DIGEST, f"{variable} isn't a sha256; it must be 64 hex digits")
    return settings, signer


def _is_there(settings: Settings, signer: Signer | None, origin: Origin) -> Landed | None:
    """What a restarted pod's volume still holds, if its content is known and is what is asked for."""
    target = settings.model_path
    if not settings.model_sha256 or not target.is_file() or origin.uri.startswith("image://"):
        return None
    record = read_record(target)
    if record is None:
        return _lone(settings, signer, origin)
    asked = (origin.printable, signer.fingerprint if signer is not None else "")
    landed = landed_before(target, record) if (record.source, record.verified) == asked else None
    if landed is None or landed.sha256 != settings.model_sha256:
        return None
    return landed if settings.model_files_sha256 in ("", files_digest(landed.digests)) else None


def _lone(settings: Settings, signer: Signer | None, origin: Origin) -> Landed | None:
    """A model of one file has no record; whether there is more to it, its URI tells."""
    if signer is not None or settings.model_files_sha256 or not origin.printable.endswith(".onnx"):
        return None
    if sha256_of(settings.model_path) != settings.model_sha256:
        return None
    digests = {settings.model_path.name: settings.model_sha256}
    return Landed(settings.model_path, digests, settings.model_path.stat().st_size, single=True)


def _check_files(landed: Landed, settings: Settings) -> None:
    found, wanted = files_digest(landed.digests), settings.model_files_sha256
    if wanted and found != wanted:
        raise FetchFailed(
            WRONG_DIGEST,
            f"the sha256 of the list of the model's {len(landed.digests)} files is {found}, not {wanted}; "
            "correct TIDEGATE_MODEL_FILES_SHA256 or the files behind model.uri",
        )


def _inspect(path: Path, settings: Settings) -> Signature:
    try:
        check_file(path)
        check_graph(path, settings.check_model)
        return Model.open(path).signature
    except ModelRefused as error:
        raise FetchFailed(error.reason, str(error)) from error


def _report(landed: Landed, signature: Signature) -> dict[str, Any]:
    return success_report(landed.sha256, landed.size, signature, landed.files_sha256, landed.resolved)
