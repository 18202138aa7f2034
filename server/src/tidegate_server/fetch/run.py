"""The init container's whole work: download unless it is there already, check, report."""

import json
import logging
import random
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from tidegate_server.errors import BadSetting, FetchFailed, ModelRefused
from tidegate_server.fetch.download import Downloaded, Wanted, accept, discard, download
from tidegate_server.fetch.report import UNSUPPORTED_URI, WRONG_DIGEST, failure_report, leave, success_report
from tidegate_server.fetch.sources import find_source, printable
from tidegate_server.model import Model, sha256_of
from tidegate_server.settings import TERMINATION_LOG, Settings
from tidegate_server.signature import Signature

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5


def fetch(environ: Mapping[str, str]) -> int:
    """The exit code, 0 or 1; the report goes to the termination log and to stdout."""
    try:
        report, code = _fetch(environ), 0
    except FetchFailed as failure:
        report, code = failure_report(failure), 1
        log.error("%s: %s", failure.reason, failure)
    leave(report, Path(environ.get("TIDEGATE_TERMINATION_LOG") or TERMINATION_LOG))
    sys.stdout.write(f"{json.dumps(report)}\n")
    return code


def _fetch(environ: Mapping[str, str]) -> dict[str, Any]:
    settings = _settings(environ)
    wanted = Wanted(settings.model_path, settings.model_sha256 or None, settings.max_model_bytes)
    origin = find_source(settings.model_uri)
    if _is_there(wanted):
        log.info("%s is there already", wanted.target)
        return success_report(settings.model_sha256, wanted.target.stat().st_size, _inspect(wanted.target))
    downloaded = with_retries(lambda: download(origin, wanted), settings.fetch_retry_seconds, monotonic, sleep)
    try:
        signature = _inspect(downloaded.part)
    except FetchFailed:
        discard(downloaded.part)
        raise
    accept(downloaded, wanted.target)
    log.info("fetched %s: %d bytes, sha256 %s", printable(origin.uri), downloaded.size, downloaded.sha256)
    return success_report(downloaded.sha256, downloaded.size, signature)


def with_retries(
    attempt: Callable[[], Downloaded], seconds: float, now: Callable[[], float], pause: Callable[[float], None]
) -> Downloaded:
    """Tries again after transient failures, with growing pauses, as long as a pause ends within `seconds`."""
    deadline, wait = now() + seconds, FIRST_PAUSE_SECONDS
    while True:
        try:
            return attempt()
        except FetchFailed as failure:
            if not failure.transient or now() + wait > deadline:
                raise
            log.warning("%s; trying again in %.1f s", failure, wait)
        # Pods of one revision start together; their retries shouldn't.
        pause(wait * random.uniform(0.8, 1.0))
        wait *= 2


def _settings(environ: Mapping[str, str]) -> Settings:
    try:
        settings = Settings.from_env(environ)
    except BadSetting as error:
        raise FetchFailed(UNSUPPORTED_URI, str(error)) from error
    if not settings.model_uri:
        raise FetchFailed(UNSUPPORTED_URI, "TIDEGATE_MODEL_URI is missing; it says where the model is")
    if settings.model_sha256 and not re.fullmatch("[0-9a-f]{64}", settings.model_sha256):
        raise FetchFailed(WRONG_DIGEST, "TIDEGATE_MODEL_SHA256 isn't a sha256; it must be 64 hex digits")
    return settings


def _is_there(wanted: Wanted) -> bool:
    """A restarted pod's volume still holds the file."""
    return wanted.sha256 is not None and wanted.target.is_file() and sha256_of(wanted.target) == wanted.sha256


def _inspect(path: Path) -> Signature:
    try:
        return Model.open(path).signature
    except ModelRefused as error:
        raise FetchFailed(error.reason, str(error)) from error
