"""image:///models/7 — a model that is in one image with the server, or in one that the pod has as a volume.

Nothing is copied; it stays where it is.
"""

from collections.abc import Mapping
from pathlib import Path

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import NOT_FOUND, UNSUPPORTED_URI
from tidegate_server.fetch.sources.listing import Listing
from tidegate_server.fetch.sources.local import local_path
from tidegate_server.settings import path_in_image


def find(uri: str, environ: Mapping[str, str]) -> Listing:
    """The path in the image. Raises FetchFailed."""
    local_path(uri)
    model = path_in_image(uri)
    given = environ.get("TIDEGATE_MODEL_PATH")
    if given and Path(given) != model:
        sentence = f"TIDEGATE_MODEL_PATH is {given}, but {uri} leaves the model at {model}; set only one"
        raise FetchFailed(UNSUPPORTED_URI, sentence)
    if not _is_there(model):
        raise FetchFailed(NOT_FOUND, f"the image has no {model}; name the .onnx file, or its folder if it's model.onnx")
    return Listing((), in_place=model)


def _is_there(model: Path) -> bool:
    try:
        if not model.is_file():
            return False
        with model.open("rb"):
            return True
    except OSError as error:
        # A volume of somebody else's image has their rights, and no group of the pod's changes them.
        sentence = f"can't read {model}: {error.strerror}; everybody must have the right to read it, and what it's in"
        raise FetchFailed(UNSUPPORTED_URI, sentence) from error
