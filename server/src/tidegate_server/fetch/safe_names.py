"""Names of files as sources and archives give them: only plain relative ones go on."""

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import UNSAFE_CONTENT
from tidegate_server.onnx_file import why_unsafe


def safe_name(name: str, where: str) -> str:
    """The name itself. `where` it is from: `the archive`. Raises FetchFailed for one that may lead out of a folder."""
    if wrong := why_unsafe(name):
        raise unsafe(name, where, wrong)
    return name


def unsafe(name: str, where: str, wrong: str) -> FetchFailed:
    """The refusal of a file: `wrong` says why, as in `it is a symbolic link`."""
    return FetchFailed(UNSAFE_CONTENT, f"{where} holds {name[:100]!r}, and {wrong}; leave it out")
