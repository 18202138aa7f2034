"""hf://ORG/REPO[@REVISION][/path] — a repository of models on the Hugging Face Hub, or on what speaks its language.

A revision is resolved to its commit once, and everything is read from that. The files themselves come over plain HTTP:
so they are hashed while they come, and resumed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import unquote

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import NOT_FOUND, UNREACHABLE, UNSUPPORTED_URI
from tidegate_server.fetch.select_files import COMPANION_FILES
from tidegate_server.fetch.sources.http_client import SILENCE_SECONDS, TRANSIENT_STATUS, GetRequest, open_at
from tidegate_server.fetch.sources.listing import Listing, SourceFile, Stream, single

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class HubPath:
    """`path`: of a file or a folder in the repository, empty for all of it."""

    repository: str
    revision: str
    path: str


def find(uri: str, environ: Mapping[str, str]) -> Listing:
    """The files of a repository at one commit. Raises FetchFailed."""
    hub_path = parse(uri)
    endpoint = (environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    token = environ.get("HF_TOKEN") or None
    info = _info(hub_path, endpoint, token)
    files = {file.rfilename: _file(file, hub_path, info.sha, endpoint, token) for file in info.siblings or ()}
    path = f"/{hub_path.path}" if hub_path.path else ""
    resolved = f"hf://{hub_path.repository}@{info.sha}{path}"
    if hub_path.path in files:
        return replace(single(replace(files[hub_path.path], name=hub_path.path.rpartition("/")[2])), resolved=resolved)
    inner = _folder(files, hub_path.path)
    if not inner:
        raise FetchFailed(NOT_FOUND, f"the repository {hub_path.repository} has no {hub_path.path!r}; check model.uri")
    return Listing(tuple(inner.values()), resolved=resolved)


def parse(uri: str) -> HubPath:
    """Raises FetchFailed for a URI that names no repository."""
    rest = uri.partition("://")[2].partition("?")[0].strip("/")
    parts = [unquote(part) for part in rest.split("/")]
    if len(parts) < 2 or not parts[0] or not parts[1] or "@" in parts[0]:
        raise FetchFailed(UNSUPPORTED_URI, "the model's URI names no repository; write hf://ORG/REPO[@REVISION]/path")
    repository, _, revision = parts[1].partition("@")
    return HubPath(f"{parts[0]}/{repository}", revision or "main", "/".join(parts[2:]))


def _folder(files: Mapping[str, SourceFile], path: str) -> dict[str, SourceFile]:
    """The files of a folder. Exporters put the graph into `onnx/` and leave the tokenizer above it: it comes along."""
    prefix = f"{path}/" if path else ""
    if not path and "onnx/model.onnx" in files and not any(n.endswith(".onnx") and "/" not in n for n in files):
        prefix = "onnx/"
    inner = {name.removeprefix(prefix): file for name, file in files.items() if name.startswith(prefix)}
    if inner:
        inner = {**{name: files[name] for name in COMPANION_FILES if name in files}, **inner}
    return {name: replace(file, name=name) for name, file in inner.items()}


def _info(hub_path: HubPath, endpoint: str, token: str | None) -> Any:
    try:
        api = HfApi(endpoint=endpoint, token=token or False, user_agent="tidegate")
        return api.model_info(
            hub_path.repository, revision=hub_path.revision, files_metadata=True, timeout=SILENCE_SECONDS
        )
    except (RevisionNotFoundError, RepositoryNotFoundError) as error:
        # The Hub answers the same for what isn't there and for what one mustn't see.
        words = f"there is no {hub_path.repository} at revision {hub_path.revision}, or HF_TOKEN mustn't read it"
        raise FetchFailed(NOT_FOUND, f"{words}; check model.uri") from error
    except HFValidationError as error:
        raise FetchFailed(UNSUPPORTED_URI, f"{hub_path.repository!r} can't be a repository's name") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        if status in (401, 403):
            raise FetchFailed(UNREACHABLE, f"the Hub refused access ({status}); check HF_TOKEN") from error
        words = f"the Hub answered {status or 'nothing proper'}"
        raise FetchFailed(UNREACHABLE, words, transient=status in TRANSIENT_STATUS) from error
    except Exception as error:  # the HTTP client below the library has its own classes
        raise FetchFailed(UNREACHABLE, f"can't reach the Hub ({type(error).__name__})", transient=True) from error


def _file(file: Any, hub_path: HubPath, commit: str, endpoint: str, token: str | None) -> SourceFile:
    url = hf_hub_url(hub_path.repository, file.rfilename, revision=commit, endpoint=endpoint)
    request = GetRequest(url, private={"Authorization": f"Bearer {token}"} if token else {})
    sha256 = file.lfs.sha256 if file.lfs is not None else None
    version = f"{commit}/{file.blob_id or sha256 or file.rfilename}"
    return SourceFile(file.rfilename, partial(_open, request, version), file.size, version, sha256)


@contextmanager
def _open(
    request: GetRequest, version: str, offset: int, _before: str | None, end: int | None = None
) -> Iterator[Stream]:
    """The address has the commit in it, so nothing behind it ever changes: no condition is needed for the rest."""
    with open_at(request, offset, None, end) as stream:
        yield replace(stream, version=version)
