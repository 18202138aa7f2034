"""The init container: downloads the model unless it is installed already, checks it, reports."""

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
from tidegate_server.fetch.collect import CollectedModel, CollectOptions, collect, weight_files
from tidegate_server.fetch.download import PIECE_BYTES
from tidegate_server.fetch.install import InstalledModel, describe, find_installed, install, read_record
from tidegate_server.fetch.onnx_checker import check_graph
from tidegate_server.fetch.partial_downloads import PartialDownloads, disk_failures
from tidegate_server.fetch.report import (
    TOO_LARGE,
    UNSUPPORTED_URI,
    UNVERIFIED,
    WRONG_DIGEST,
    failure_report,
    success_report,
    write_report,
)
from tidegate_server.fetch.select_files import COMPANION_FILES, files_digest
from tidegate_server.fetch.sources import ResolvedUri, find_source
from tidegate_server.fetch.sources.listing import Listing
from tidegate_server.fetch.verify_signature import Signer, verify
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
    write_report(report, termination_log(environ))
    sys.stdout.write(f"{json.dumps(report)}\n")
    return code


def _fetch(environ: Mapping[str, str]) -> dict[str, Any]:
    settings, signer = _settings(environ)
    uri = find_source(settings.model_uri)
    if (installed := _find_installed(settings, signer, uri)) is not None:
        log.info("%s is there already", installed.model)
        return _report(installed, _inspect(installed.model, settings))
    return _fetch_and_install(uri, settings, signer, environ)


def _fetch_and_install(
    uri: ResolvedUri, settings: Settings, signer: Signer | None, environ: Mapping[str, str]
) -> dict[str, Any]:
    options = CollectOptions(
        settings.model_path, settings.model_sha256 or None, settings.max_model_bytes, signer is not None
    )

    def find() -> Listing:
        return uri.source(uri.text, environ)

    if uri.text.startswith("image://"):
        return _inspect_in_place(with_retries(find, settings.fetch_retry_seconds, monotonic, sleep), settings, signer)
    downloads = PartialDownloads(options.target, uri.printable)

    def attempt() -> CollectedModel:
        return collect(find(), options, downloads)

    try:
        collected = with_retries(attempt, settings.fetch_retry_seconds, monotonic, sleep, downloads.received_bytes)
        with disk_failures(options.target):
            installed, signature = _verify_and_install(collected, uri, settings, signer, downloads)
    except FetchFailed as failure:
        # What broke in the middle may be gone on with by the container that Kubernetes starts next.
        if failure.transient:
            downloads.discard_unless_resumable()
        else:
            downloads.discard()
        raise
    downloads.discard()
    log.info("fetched %s: %d bytes, sha256 %s", installed.resolved or uri.printable, installed.size, installed.sha256)
    return _report(installed, signature)


def _verify_and_install(
    collected: CollectedModel, uri: ResolvedUri, settings: Settings, signer: Signer | None, downloads: PartialDownloads
) -> tuple[InstalledModel, Signature]:
    """Checks the files where they are, and then puts them into their place."""
    _check_files(describe(collected, settings.model_path), settings)
    if signer is not None:
        verify(collected, signer, downloads)
    signature = _inspect(collected.folder / collected.model, settings)
    verified = signer.fingerprint if signer is not None else ""
    return install(collected, settings.model_path, uri.printable, verified), signature


def _inspect_in_place(listing: Listing, settings: Settings, signer: Signer | None) -> dict[str, Any]:
    """A model of the image itself: it is what the image's digest says, so only its own digests are compared."""
    model = listing.in_place or settings.model_path
    if signer is not None:
        raise FetchFailed(UNVERIFIED, "a model in the image is covered by the image's signature; verify that instead")
    signature = _inspect(model, settings)
    names = {model.name, *weight_files(model), *(name for name in COMPANION_FILES if (model.parent / name).is_file())}
    digests = {name: sha256_of(model.parent / name) for name in names}
    size = sum((model.parent / name).stat().st_size for name in digests)
    if size > settings.max_model_bytes:
        raise FetchFailed(TOO_LARGE, f"the model has {size} bytes, the limit is {settings.max_model_bytes}")
    installed = InstalledModel(model, digests, size, single=settings.model_uri.endswith(".onnx"))
    if settings.model_sha256 not in ("", installed.sha256):
        raise FetchFailed(
            WRONG_DIGEST,
            f"the sha256 of {model} is {installed.sha256}, not {settings.model_sha256}; correct either of them",
        )
    _check_files(installed, settings)
    return _report(installed, signature)


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
    deadline, wait, before = now() + seconds, FIRST_PAUSE_SECONDS, received()
    while True:
        try:
            return attempt()
        except FetchFailed as failure:
            if not failure.transient:
                raise
            if received() >= before + PIECE_BYTES:
                deadline, wait, before = now() + seconds, FIRST_PAUSE_SECONDS, received()
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


def _find_installed(settings: Settings, signer: Signer | None, uri: ResolvedUri) -> InstalledModel | None:
    """What a restarted pod's volume still holds, if its content is known and is what is asked for."""
    target = settings.model_path
    if not settings.model_sha256 or not target.is_file() or uri.text.startswith("image://"):
        return None
    record = read_record(target)
    if record is None:
        return _find_single_file(settings, signer, uri)
    asked = (uri.printable, signer.fingerprint if signer is not None else "")
    installed = find_installed(target, record) if (record.source, record.verified) == asked else None
    if installed is None or installed.sha256 != settings.model_sha256:
        return None
    return installed if settings.model_files_sha256 in ("", files_digest(installed.digests)) else None


def _find_single_file(settings: Settings, signer: Signer | None, uri: ResolvedUri) -> InstalledModel | None:
    """A model of one file has no record; whether there is more to it, its URI tells."""
    if signer is not None or settings.model_files_sha256 or not uri.printable.endswith(".onnx"):
        return None
    if sha256_of(settings.model_path) != settings.model_sha256:
        return None
    digests = {settings.model_path.name: settings.model_sha256}
    return InstalledModel(settings.model_path, digests, settings.model_path.stat().st_size, single=True)


def _check_files(installed: InstalledModel, settings: Settings) -> None:
    found, options = files_digest(installed.digests), settings.model_files_sha256
    if options and found != options:
        raise FetchFailed(
            WRONG_DIGEST,
            f"the sha256 of the list of the model's {len(installed.digests)} files is {found}, not {options}; "
            "correct TIDEGATE_MODEL_FILES_SHA256 or the files behind model.uri",
        )


def _inspect(path: Path, settings: Settings) -> Signature:
    try:
        check_file(path)
        check_graph(path, settings.check_model)
        return Model.open(path).signature
    except ModelRefused as error:
        raise FetchFailed(error.reason, str(error)) from error


def _report(installed: InstalledModel, signature: Signature) -> dict[str, Any]:
    return success_report(installed.sha256, installed.size, signature, installed.files_sha256, installed.resolved)
