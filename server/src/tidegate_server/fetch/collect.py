"""Brings what a listing names into one folder beside the model's place: the graph, its weights, and what goes with it.

Of a folder only what the server reads is taken, so that a repository of many variants costs no more than the one;
everything is taken where a signature has to be verified, because it is over everything.
"""

from dataclasses import dataclass
from pathlib import Path

from tidegate_server.errors import FetchFailed, ModelRefused
from tidegate_server.fetch.archive import Room, only_folder, unpack
from tidegate_server.fetch.bounds import MAX_FILES, Allowance
from tidegate_server.fetch.choose import BESIDE, MODEL, SIGNATURE, choose_model
from tidegate_server.fetch.names import safe_name
from tidegate_server.fetch.parts import Parts, disk_failures
from tidegate_server.fetch.report import NOT_FOUND, UNSAFE_CONTENT, UNSUPPORTED_MODEL, WRONG_DIGEST
from tidegate_server.fetch.sources.stream import Listing, SourceFile
from tidegate_server.fetch.transfer import Arrived, transfer
from tidegate_server.onnx_file import external_locations


@dataclass(frozen=True)
class Wanted:
    """`sha256`: of the ONNX file, 64 lower-case hex digits, or None when any content will do.

    `everything`: all files of a folder, not only what the server reads.
    """

    target: Path
    sha256: str | None
    max_bytes: int
    everything: bool = False


@dataclass(frozen=True)
class Collected:
    """All files are in `folder` under their names at the source; `model` is the graph's.

    `resolved`: the URI that will always lead to them, where the one that was given may lead to others.
    """

    folder: Path
    model: str
    files: dict[str, Arrived]
    single: bool
    resolved: str | None = None


def collect(listing: Listing, wanted: Wanted, parts: Parts) -> Collected:
    """Raises FetchFailed, `transient` where another attempt may help and can go on with what is here."""
    if any(file.archive for file in listing.files):
        return _laid_out(*_unpacked(listing, wanted, parts), parts, listing)
    if listing.single:
        file = listing.files[0]
        arrived = transfer(file, parts, Allowance.of(wanted.max_bytes), wanted.sha256)
        _refuse_lone(arrived.place)
        return _laid_out(wanted.target.name, {wanted.target.name: arrived}, parts, listing)
    return _laid_out(*_folder(listing, wanted, parts), parts, listing)


def _folder(listing: Listing, wanted: Wanted, parts: Parts) -> tuple[str, dict[str, Arrived]]:
    known = {safe_name(file.name, "the folder"): file for file in listing.files}
    if len(known) > MAX_FILES:
        raise FetchFailed(UNSAFE_CONTENT, f"the folder has more than {MAX_FILES} files; name the model's own")
    model = choose_model(known) if listing.find is None else MODEL
    allowance = Allowance.of(wanted.max_bytes)
    arrived = {model: transfer(_file(model, known, listing), parts, allowance, wanted.sha256)}
    weights = weights_of(arrived[model].place)
    for name in weights:
        arrived[name] = transfer(_file(name, known, listing), parts, allowance)
    others = list(known) if wanted.everything else [name for name in (*BESIDE, SIGNATURE) if name in known]
    for name in others if listing.find is None else (*BESIDE, SIGNATURE):
        if name not in arrived and (file := _optional(name, known, listing, parts, allowance)):
            arrived[name] = file
    return model, arrived


def _file(name: str, known: dict[str, SourceFile], listing: Listing) -> SourceFile:
    if name in known:
        return known[name]
    if listing.find is not None:
        return listing.find(name)
    raise FetchFailed(
        UNSUPPORTED_MODEL,
        f"the model keeps weights in {name!r}, which isn't in its folder; put it beside the .onnx file",
    )


def _optional(
    name: str, known: dict[str, SourceFile], listing: Listing, parts: Parts, allowance: Allowance
) -> Arrived | None:
    try:
        return transfer(_file(name, known, listing), parts, allowance)
    except FetchFailed as failure:
        # Where nothing can be listed, asking for it is how to find out.
        if listing.find is not None and failure.reason == NOT_FOUND:
            return None
        raise


def weights_of(model: Path) -> tuple[str, ...]:
    """Names of the files that the graph's weights are in, all plain and inside its folder. Raises FetchFailed."""
    try:
        locations = external_locations(model)
    except ModelRefused as error:
        raise FetchFailed(error.reason, str(error)) from error
    return tuple(safe_name(location, "the model's list of files with weights") for location in locations)


def _refuse_lone(model: Path) -> None:
    if weights := weights_of(model):
        raise FetchFailed(
            UNSUPPORTED_MODEL,
            f"the model keeps weights in other files ({weights[0]!r}); let model.uri name the folder that has them all",
        )


def _unpacked(listing: Listing, wanted: Wanted, parts: Parts) -> tuple[str, dict[str, Arrived]]:
    """From archives, and from the plain files that an artifact has beside them."""
    packed = Allowance.of(wanted.max_bytes)
    folder = parts.room("unpacked")
    layered = not listing.single
    room = Room(folder, Allowance.of(wanted.max_bytes), {}, listing.inside, layered)
    for file in listing.files:
        arrived = transfer(file, parts, packed)
        if file.archive is None:
            room.files[safe_name(file.name, "the artifact")] = arrived
            continue
        with disk_failures(wanted.target):
            unpack(arrived.place, file.archive, room)
    return _chosen(room.files, wanted)


def _chosen(files: dict[str, Arrived], wanted: Wanted) -> tuple[str, dict[str, Arrived]]:
    top = only_folder(files)
    inner = {name.removeprefix(f"{top}/") if top else name: file for name, file in files.items()}
    model = choose_model(inner)
    if wanted.sha256 not in (None, inner[model].sha256):
        raise FetchFailed(
            WRONG_DIGEST,
            f"the sha256 of {model} is {inner[model].sha256}, not {wanted.sha256}; "
            "correct model.sha256 or the file behind model.uri",
        )
    weights = weights_of(inner[model].place)
    for name in weights:
        if name not in inner:
            raise FetchFailed(UNSUPPORTED_MODEL, f"the model keeps weights in {name!r}, which the archive doesn't have")
    kept = inner if wanted.everything else (model, *weights, *(name for name in (*BESIDE, SIGNATURE) if name in inner))
    return model, {name: inner[name] for name in kept}


def _laid_out(model: str, files: dict[str, Arrived], parts: Parts, listing: Listing) -> Collected:
    folder = parts.room("whole")
    moved: dict[str, Arrived] = {}
    with disk_failures(folder):
        for name, arrived in files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            moved[name] = Arrived(arrived.place.rename(place), arrived.sha256, arrived.size)
    single = listing.single and listing.files[0].archive is None
    return Collected(folder, model, moved, single, listing.resolved)
