"""pvc://CLAIM/path — a model on a PersistentVolumeClaim, which is mounted read-only at TIDEGATE_PVC_MOUNT.

Whoever else writes to the claim must not be able to make us read the pod's other files: no part of the path is a link.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import NOT_FOUND, UNSUPPORTED_URI
from tidegate_server.fetch.safe_names import safe_name, unsafe
from tidegate_server.fetch.sources.listing import Listing
from tidegate_server.fetch.sources.local import list_path

DEFAULT_MOUNT = "/mnt/models"


def find(uri: str, environ: Mapping[str, str]) -> Listing:
    """The file or folder on the claim. Raises FetchFailed."""
    mount = Path(environ.get("TIDEGATE_PVC_MOUNT") or DEFAULT_MOUNT)
    parts = urlsplit(uri)
    if not parts.netloc:
        raise FetchFailed(UNSUPPORTED_URI, "the model's URI names no claim; write pvc://CLAIM/path")
    if not mount.is_dir():
        raise FetchFailed(NOT_FOUND, f"the claim {parts.netloc} isn't mounted at {mount}")
    path = mount
    name = unquote(parts.path).strip("/")
    for part in safe_name(name, "the claim's path").split("/") if name else ():
        path = path / part
        if path.is_symlink():
            raise unsafe(name, f"the claim {parts.netloc}", f"{part!r} is a symbolic link")
    return list_path(path, mount)
