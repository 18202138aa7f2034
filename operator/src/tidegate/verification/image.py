"""The image that an endpoint came from, as it was published: its digest, user, labels and content."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.errors import TidegateError
from tidegate.oci.image import MACHINES, Image
from tidegate.oci.layout import Layout
from tidegate.oci.registry import Repository
from tidegate.verification.row import Row, failed, lacks, ok

LAYOUT = "oci:"
"""Before a path to a layout, or to an archive of one."""
EXPECTED_LABELS = ("org.opencontainers.image.title", "org.opencontainers.image.version", "dev.tidegate.model.sha256")
SECRETS = ("PASSWORD", "SECRET", "TOKEN", "APIKEY", "API_KEY", "PRIVATE_KEY")
"""In the name of a variable that has no place in an image."""
ROOTS = ("", "0", "root")


@dataclass(frozen=True)
class Published:
    """`digest` is '' where any will do; of `labels`, a value that is None may be any."""

    reference: str
    digest: str = ""
    labels: Mapping[str, str | None] | None = None


def checks(published: Published) -> Iterator[Row]:
    """Never raises: an image that can't be had is a row."""
    with tempfile.TemporaryDirectory(prefix="tidegate-") as scratch:
        try:
            image, wrong = _found(published.reference, Path(scratch))
        except TidegateError as error:
            yield failed("image", str(error))
            return
    yield ok("image", f"{published.reference}: {len(image.manifest['layers'])} layers")
    yield _digest(published, image)
    yield failed("image content", f"{wrong[0]} is missing or broken") if wrong else ok("image content", "all is there")
    yield _user(image)
    yield from _labels(published, image)
    yield _entrypoint(image)
    yield _secrets(image)


def _found(reference: str, scratch: Path) -> tuple[Image, Sequence[str]]:
    """The image, and the digests of what it lacks."""
    architecture = MACHINES.get(os.uname().machine, os.uname().machine)
    if reference.startswith(LAYOUT):
        layout = Layout.open(Path(reference.removeprefix(LAYOUT)), scratch)
        image = layout.image(architecture)
        return image, layout.wrong_blobs(image)
    repository = Repository(reference)
    image = repository.image(architecture)
    return image, repository.missing_blobs(image)


def _digest(published: Published, image: Image) -> Row:
    check = "image digest"
    if published.digest and published.digest != image.digest:
        return failed(check, f"it is {image.digest}, not {published.digest}")
    return ok(check, image.digest)


def _user(image: Image) -> Row:
    check, user = "image user", str(image.settings.get("User") or "")
    if user.partition(":")[0] in ROOTS:
        return failed(check, f"it runs as root (user {user!r}); set a USER of a number above 0")
    if not user.partition(":")[0].isdigit():
        return lacks(check, f"{user} is a name, which Kubernetes can't tell from root's; set a number")
    return ok(check, user)


def _labels(published: Published, image: Image) -> Iterator[Row]:
    for name in EXPECTED_LABELS:
        if name not in (published.labels or {}):
            check, value = f"label {name}", image.labels.get(name)
            yield ok(check, value) if value else lacks(check, "the image doesn't have it")
    for name, wanted in (published.labels or {}).items():
        check, value = f"label {name}", image.labels.get(name)
        right = value is not None and wanted in (None, value)
        yield ok(check, str(value)) if right else failed(check, f"it is {value!r}, not {wanted!r}")


def _entrypoint(image: Image) -> Row:
    command = [*(image.settings.get("Entrypoint") or ()), *(image.settings.get("Cmd") or ())]
    return ok("entrypoint", " ".join(command)) if command else failed("entrypoint", "it starts nothing")


def _secrets(image: Image) -> Row:
    check = "no secrets in variables"
    found = [
        name for name, value in image.environment.items() if value and any(each in name.upper() for each in SECRETS)
    ]
    return failed(check, f"{', '.join(found)} can be read by whoever has the image") if found else ok(check, "none")
