"""Downloads what a listing names into one folder beside the target: the graph, its weights, and what goes with it.

Of a folder only what the server reads is taken, so that a repository of many variants costs no more than the one;
everything is taken where a signature has to be verified, because it is over everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate_server.errors import FetchFailed, ModelRefused
from tidegate_server.fetch.archive import ExtractTarget, only_folder, unpack
from tidegate_server.fetch.download import LocalFile, download
from tidegate_server.fetch.limits import MAX_FILES, ByteBudget
from tidegate_server.fetch.partial_downloads import PartialDownloads, disk_failures
from tidegate_server.fetch.report import NOT_FOUND, UNSAFE_CONTENT, UNSUPPORTED_MODEL, WRONG_DIGEST
from tidegate_server.fetch.safe_names import safe_name
from tidegate_server.fetch.select_files import MODEL, OPTIONAL_FILES, select_graph
from tidegate_server.fetch.sources.listing import Listing, SourceFile
from tidegate_server.onnx_file import external_locations


@dataclass(frozen=True)
class CollectOptions:
    """`sha256`: of the ONNX file, 64 lower-case hex digits, or None for any content. `max_bytes`: of all files.

    `everything`: all files of a folder, not only what the server reads. `connections`: for a large file at once.
    """

    target: Path
    sha256: str | None
    max_bytes: int
    everything: bool = False
    connections: int = 1


@dataclass(frozen=True)
class CollectedModel:
    """A model before it is installed: files are in `folder` under their names at the source; `model` is the graph's.

    `resolved`: the URI that will always lead to them, where the one that was given may lead to others.
    """

    folder: Path
    model: str
    files: dict[str, LocalFile]
    single: bool
    resolved: str | None = None


def collect(listing: Listing, options: CollectOptions, downloads: PartialDownloads) -> CollectedModel:
    """Downloads and unpacks. Raises FetchFailed, `transient` where another attempt may help, and resumes."""
    is_archive = any(file.archive for file in listing.files)
    if is_archive:
        model, files = _extract_all(listing, options, downloads)
    elif listing.single:
        model, only = options.target.name, listing.files[0]
        budget = ByteBudget.of(options.max_bytes)
        files = {model: download(only, downloads, budget, options.sha256, options.connections)}
        _require_no_weights(files[model].path)
    else:
        model, files = _download_folder(listing, options, downloads)
    folder = downloads.new_folder("whole")
    with disk_failures(folder):
        files = {name: _move(file, folder / name) for name, file in files.items()}
    return CollectedModel(folder, model, files, listing.single and not is_archive, listing.resolved)


def _download_folder(
    listing: Listing, options: CollectOptions, downloads: PartialDownloads
) -> tuple[str, dict[str, LocalFile]]:
    by_name = {safe_name(file.name, "the folder"): file for file in listing.files}
    if len(by_name) > MAX_FILES:
        raise FetchFailed(UNSAFE_CONTENT, f"the folder has more than {MAX_FILES} files; name the model's own")
    budget = ByteBudget.of(options.max_bytes)

    def get(name: str, sha256: str | None = None) -> LocalFile:
        return download(_file(name, by_name, listing), downloads, budget, sha256, options.connections)

    model = select_graph(by_name) if listing.find is None else MODEL
    files = {model: get(model, options.sha256)}
    files |= {name: get(name) for name in weight_files(files[model].path)}
    others = by_name if options.everything else [name for name in OPTIONAL_FILES if name in by_name]
    for name in others if listing.find is None else OPTIONAL_FILES:
        try:
            files |= {} if name in files else {name: get(name)}
        except FetchFailed as failure:
            # Where nothing can be listed, asking for it is how to find out.
            if listing.find is None or failure.reason != NOT_FOUND:
                raise
    return model, files


def _file(name: str, by_name: dict[str, SourceFile], listing: Listing) -> SourceFile:
    if name in by_name:
        return by_name[name]
    if listing.find is not None:
        return listing.find(name)
    sentence = f"the model keeps weights in {name!r}, which isn't in its folder; put it beside the .onnx file"
    raise FetchFailed(UNSUPPORTED_MODEL, sentence)


def weight_files(model: Path) -> tuple[str, ...]:
    """Names of the files that the graph's weights are in, all plain and inside its folder. Raises FetchFailed."""
    try:
        locations = external_locations(model)
    except ModelRefused as error:
        raise FetchFailed(error.reason, str(error)) from error
    return tuple(safe_name(location, "the model's list of files with weights") for location in locations)


def _require_no_weights(model: Path) -> None:
    if weights := weight_files(model):
        raise FetchFailed(
            UNSUPPORTED_MODEL,
            f"the model keeps weights in other files ({weights[0]!r}); let model.uri name the folder that has them all",
        )


def _extract_all(
    listing: Listing, options: CollectOptions, downloads: PartialDownloads
) -> tuple[str, dict[str, LocalFile]]:
    """From archives, and from the plain files that an artifact has beside them."""
    packed = ByteBudget.of(options.max_bytes)
    wanted = [file for file in listing.files if options.everything or not file.aside]
    here = [(file, download(file, downloads, packed, connections=options.connections)) for file in wanted]
    files = _extract(here, listing, listing.usual or listing.inside, options, downloads)
    if listing.usual and not files:
        try:
            files = _extract(here, listing, listing.inside, options, downloads)
        except FetchFailed as failure:
            sentence = f"the image has no folder /{listing.usual}, and of its other files {failure}; "
            sentence += "name the model's folder behind the tag or digest, as in oci://REGISTRY/REPOSITORY:TAG/FOLDER"
            raise FetchFailed(failure.reason, sentence) from failure
    return _select_extracted(files, options)


def _extract(
    here: Sequence[tuple[SourceFile, LocalFile]],
    listing: Listing,
    inside: str,
    options: CollectOptions,
    downloads: PartialDownloads,
) -> dict[str, LocalFile]:
    folder = downloads.new_folder("unpacked")
    layered = not listing.single
    target = ExtractTarget(folder, ByteBudget.of(options.max_bytes), {}, inside, layered)
    for file, local_file in here:
        if file.archive is None:
            target.files[safe_name(file.name, "the artifact")] = local_file
            continue
        with disk_failures(options.target):
            unpack(local_file.path, file.archive, target)
    return target.files


def _select_extracted(files: dict[str, LocalFile], options: CollectOptions) -> tuple[str, dict[str, LocalFile]]:
    top = only_folder(files)
    inner = {name.removeprefix(f"{top}/") if top else name: file for name, file in files.items()}
    model = select_graph(inner)
    if options.sha256 not in (None, inner[model].sha256):
        raise FetchFailed(
            WRONG_DIGEST,
            f"the sha256 of {model} is {inner[model].sha256}, not {options.sha256}; "
            "correct model.sha256 or the file behind model.uri",
        )
    weights = weight_files(inner[model].path)
    for name in weights:
        if name not in inner:
            raise FetchFailed(UNSUPPORTED_MODEL, f"the model keeps weights in {name!r}, which the archive doesn't have")
    needed = (model, *weights, *(name for name in OPTIONAL_FILES if name in inner))
    return model, {name: inner[name] for name in (inner if options.everything else needed)}


def _move(file: LocalFile, path: Path) -> LocalFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    return LocalFile(file.path.rename(path), file.sha256, file.size)
