"""From a context to an image: written here, without a builder, or by BuildKit or buildah."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tidegate.errors import TidegateError
from tidegate.oci.image import Image, Settings, extended
from tidegate.oci.layer import write_layer
from tidegate.oci.layout import Layout, copy_blobs
from tidegate.oci.registry import Repository
from tidegate.packaging.context import MODELS, USER, Packaged

LAYOUT = "oci:"
"""Before a path to a layout, or to an archive of one, in the place of a reference."""


class Builder(StrEnum):
    """What makes the image."""

    OWN = "own"
    BUILDAH = "buildah"
    BUILDKIT = "buildkit"


@dataclass(frozen=True)
class Base:
    """The server's image. `repository` is None where it lies on this machine, in `layout`."""

    reference: str
    image: Image
    layout: Layout | None
    repository: Repository | None


def open_base(reference: str, architecture: str, scratch: Path) -> Base:
    """Raises TidegateError."""
    if reference.startswith(LAYOUT):
        layout = Layout.open(Path(reference.removeprefix(LAYOUT)), scratch)
        return Base(reference, layout.image(architecture), layout, None)
    repository = Repository(reference)
    return Base(reference, repository.image(architecture), None, repository)


def write_image(base: Base, context: Path, packaged: Packaged, created: str, name: str, target: Path) -> Image:
    """A layout at `target` with the base and one layer more. Needs no daemon, and runs nothing."""
    layout = Layout.create(target)
    if base.layout:
        copy_blobs(base.layout, layout, base.image)
    elif base.repository:
        base.repository.fetch(base.image, layout)
    unnamed = target / "layer"
    layer = write_layer(context / MODELS, f"/{MODELS}", unnamed)
    unnamed.rename(layout.blob(layer.digest))
    by = f"tidegate package: {packaged.inside}"
    settings = Settings(USER, packaged.environment, packaged.labels, created, by)
    manifest, config = extended(base.image, layer, settings)
    layout.blob(base.image.manifest["config"]["digest"]).unlink()
    layout.write(config)
    digest = layout.name(manifest, name)
    return Image(digest, json.loads(manifest), json.loads(config))


def build_image(builder: Builder, base: Base, context: Path, name: str, target: Path) -> None:
    """An archive of a layout at `target`, by another program. Raises TidegateError."""
    argument = f"BASE_IMAGE={_as_from(base)}"
    if builder is Builder.BUILDKIT:
        output = f"type=oci,dest={target},name={name}"
        local = ("--local", f"context={context}", "--local", f"dockerfile={context}")
        _run(
            "buildctl",
            "build",
            "--frontend",
            "dockerfile.v0",
            *local,
            "--opt",
            f"build-arg:{argument}",
            "--output",
            output,
        )
        return
    _run(
        "buildah", "build", "--isolation=chroot", "--timestamp=0", "--build-arg", argument, "--tag", name, str(context)
    )
    _run("buildah", "push", name, f"oci-archive:{target}:{name}")


def _as_from(base: Base) -> str:
    if not base.layout:
        return base.reference
    path = Path(base.reference.removeprefix(LAYOUT))
    return f"{LAYOUT if path.is_dir() else 'oci-archive:'}{path}"


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise TidegateError(f"{command[0]} isn't installed here; leave --builder out, which needs none") from error
    if done.returncode:
        raise TidegateError(f"{command[0]} failed: {_last(done.stderr.splitlines())}")


def _last(lines: Sequence[str]) -> str:
    return " / ".join(line.strip() for line in lines[-3:] if line.strip()) or "it says nothing"
