"""A small base image as a layout, and the command as a person runs it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.oci.image import CONFIG, LAYER, MACHINES, MANIFEST, Image, encoded
from tidegate.oci.layer import write_layer
from tidegate.oci.layout import Layout

EXAMPLES = Path(__file__).parents[3] / "examples" / "rehearsal"
SETTINGS = {"User": "0", "Env": ["PATH=/bin", "LANG=C"], "Entrypoint": ["tidegate-server"], "Cmd": ["serve"]}


def write_base(folder: Path, architecture: str | None = None) -> Path:
    """A layout with one layer, which has one file."""
    layout, root = Layout.create(folder / "base"), folder / "root"
    root.mkdir()
    (root / "hello").write_text("hello")
    layer = write_layer(root, "/opt", folder / "layer")
    (folder / "layer").rename(layout.blob(layer.digest))
    config = encoded(
        {
            "architecture": architecture or MACHINES.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "config": {**SETTINGS, "Labels": {"of": "the base"}},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": layout.write(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size}],
    }
    layout.name(encoded(manifest), "base:1")
    return layout.folder


def opened(archive: Path, scratch: Path) -> tuple[Image, Layout]:
    """The image in an archive, for this machine."""
    scratch.mkdir()
    layout = Layout.open(archive, scratch)
    return layout.image(MACHINES.get(os.uname().machine, os.uname().machine)), layout


def told(text: str) -> Mapping[str, Any]:
    """What the command says with --output-format json."""
    found: Mapping[str, Any] = json.loads(text)
    return found
