"""The init container: downloads the model unless it is installed already, checks it, reports."""

import json
import logging
import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from tidegate_server.errors import BadSetting, FetchFailed, ModelRefused
from tidegate_server.fetch.collect import CollectedModel, CollectOptions, collect, weight_files
from tidegate_server.fetch.install import InstalledModel, describe, find_installed, install, read_record
from tidegate_server.fetch.onnx_checker import check_graph
from tidegate_server.fetch.partial_downloads import PartialDownloads, disk_failures
from tidegate_server.fetch.parts import PIECE_BYTES
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
from tidegate_server.fetch.verify_signature import Signer, cosign_keys, verify, verify_digest
from tidegate_server.inference.model import Model, sha256_of
from tidegate_server.onnx_file import check_file
from tidegate_server.predict.class_names import class_names
from tidegate_server.protocol.signature import Signature
from tidegate_server.settings import Settings, termination_log

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
EXCHANGERS = ("aiobotocore.credentials", "azure.identity", "google.auth")
"""Loggers of who exchanges a pod's identity: they warn in pages of what the failure then says in a sentence."""
Result = TypeVar("Result")


def fetch(environ: Mapping[str, str]) -> int:
    """The exit code, 0 or 1; the report goes to the termination log and to stdout."""
    # The libraries of the clouds log every request with its headers.
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("tidegate_server").setLevel(logging.INFO)
    for name in EXCHANGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        report, code = _job(environ).run(), 0
    except FetchFailed as failure:
        report, code = failure_report(failure), 1
        log.error("%s: %s", failure.reason, failure)
    write_report(report, termination_log(environ))
    sys.stdout.write(f"{json.dumps(report)}\n")
    return code


@dataclass(frozen=True)
class _Described:
    """What a model that can be opened takes and gives."""

    signature: Signature
    labels: Sequence[str] | None
    """Names of the classes; None where their file is broken, which the server will say."""


@dataclass(frozen=True)
class _Job:
    """What is asked for. `signer`: whose signature is required, if any."""

    settings: Settings
    signer: Signer | None
    uri: ResolvedUri
    environ: Mapping[str, str]

    def run(self) -> dict[str, Any]:
        """The report. Raises FetchFailed."""
        if self.uri.text.startswith("image://"):
            return self._use_in_place(self._with_retries(self._list))
        if (installed := self._installed_before()) is not None:
            log.info("%s is there already", installed.model)
            return _report(installed, self._inspect(installed.model))
        return self._fetch_and_install(PartialDownloads(self.settings.model_path, self.uri.printable))

    @property
    def _fingerprint(self) -> str:
        return "" if self.signer is None else self.signer.fingerprint

    @property
    def _files_signer(self) -> Signer | None:
        return self.signer if self.signer is not None and self.signer.is_over_files else None

    def _list(self) -> Listing:
        """Of a registry only what is signed, where that is asked for: not a byte of anything else is downloaded."""
        if self.signer is None or self.signer.is_over_files:
            return self.uri.source(self.uri.text, self.environ)
        keys = cosign_keys(self.signer)
        listing = self.uri.source(self.uri.text, self.environ)
        verify_digest(listing, keys)
        return listing

    def _with_retries(self, attempt: Callable[[], Result], received: Callable[[], int] = lambda: 0) -> Result:
        return with_retries(attempt, self.settings.fetch_retry_seconds, monotonic, sleep, received)

    def _fetch_and_install(self, downloads: PartialDownloads) -> dict[str, Any]:
        settings = self.settings
        sha256, everything = settings.model_sha256 or None, self._files_signer is not None
        connections = settings.fetch_connections
        options = CollectOptions(settings.model_path, sha256, settings.max_model_bytes, everything, connections)
        try:
            collected = self._with_retries(lambda: collect(self._list(), options, downloads), downloads.received_bytes)
            with disk_failures(options.target):
                installed, described = self._verify_and_install(collected, downloads)
        except FetchFailed as failure:
            # What broke in the middle may be gone on with by the container that Kubernetes starts next.
            if failure.transient:
                downloads.discard_unless_resumable()
            else:
                downloads.discard()
            raise
        downloads.discard()
        source = installed.resolved or self.uri.printable
        log.info("fetched %s: %d bytes, sha256 %s", source, installed.size, installed.sha256)
        return _report(installed, described)

    def _verify_and_install(
        self, collected: CollectedModel, downloads: PartialDownloads
    ) -> tuple[InstalledModel, _Described]:
        self._check_files(describe(collected, self.settings.model_path))
        if (signer := self._files_signer) is not None:
            verify(collected, signer, downloads)
        described = self._inspect(collected.folder / collected.model)
        return install(collected, self.settings.model_path, self.uri.printable, self._fingerprint), described

    def _use_in_place(self, listing: Listing) -> dict[str, Any]:
        """A model of the image itself: it is what the image's digest says, so only its own digests are compared."""
        if self._files_signer is not None:
            sentence = "a model in the image is covered by the image's signature; verify that instead"
            raise FetchFailed(UNVERIFIED, sentence)
        settings, model = self.settings, listing.in_place or self.settings.model_path
        described, folder = self._inspect(model), model.parent
        names = {model.name, *weight_files(model), *(name for name in COMPANION_FILES if (folder / name).is_file())}
        digests = {name: sha256_of(folder / name) for name in names}
        size = sum((folder / name).stat().st_size for name in digests)
        if size > settings.max_model_bytes:
            raise FetchFailed(TOO_LARGE, f"the model has {size} bytes, the limit is {settings.max_model_bytes}")
        installed = InstalledModel(model, digests, size, single=settings.model_uri.endswith(".onnx"))
        if settings.model_sha256 not in ("", installed.sha256):
            sentence = (
                f"the sha256 of {model} is {installed.sha256}, not {settings.model_sha256}; correct either of them"
            )
            raise FetchFailed(WRONG_DIGEST, sentence)
        self._check_files(installed)
        return _report(installed, described)

    def _installed_before(self) -> InstalledModel | None:
        """What a restarted pod's volume still holds, if its content is known and is what is asked for."""
        settings, target = self.settings, self.settings.model_path
        if not settings.model_sha256 or not target.is_file():
            return None
        if (record := read_record(target)) is None:
            return self._single_file()
        is_same = (record.source, record.verified) == (self.uri.printable, self._fingerprint)
        installed = find_installed(target, record) if is_same else None
        if installed is None or installed.sha256 != settings.model_sha256:
            return None
        return installed if settings.model_files_sha256 in ("", files_digest(installed.digests)) else None

    def _single_file(self) -> InstalledModel | None:
        """A model of one file has no record; whether there is more to it, its URI says."""
        settings, target = self.settings, self.settings.model_path
        if self.signer is not None or settings.model_files_sha256 or not self.uri.printable.endswith(".onnx"):
            return None
        if sha256_of(target) != settings.model_sha256:
            return None
        return InstalledModel(target, {target.name: settings.model_sha256}, target.stat().st_size, single=True)

    def _check_files(self, installed: InstalledModel) -> None:
        found, wanted = files_digest(installed.digests), self.settings.model_files_sha256
        if wanted and found != wanted:
            raise FetchFailed(
                WRONG_DIGEST,
                f"the sha256 of the list of the model's {len(installed.digests)} files is {found}, not {wanted}; "
                "correct TIDEGATE_MODEL_FILES_SHA256 or the files behind model.uri",
            )

    def _inspect(self, path: Path) -> _Described:
        try:
            check_file(path)
            check_graph(path, self.settings.check_model)
            model = Model.open(path)
        except ModelRefused as error:
            raise FetchFailed(error.reason, str(error)) from error
        return _Described(model.signature, class_names(path.parent, model.signature, model.metadata))


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


def _job(environ: Mapping[str, str]) -> _Job:
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
    return _Job(settings, signer, find_source(settings.model_uri), environ)


def _report(installed: InstalledModel, described: _Described) -> dict[str, Any]:
    return success_report(
        installed.sha256,
        installed.size,
        described.signature,
        installed.files_sha256,
        installed.resolved,
        described.labels,
    )
