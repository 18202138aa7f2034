"""A build context: a Dockerfile, and a copy of the model with all that belongs to it."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate.errors import TidegateError
from tidegate.oci.layer import FILE_MODE, FOLDER_MODE

USER = "10001:10001"
"""Of the server's image, and no root in any case."""
SELFTEST = "selftest.json"
MODELS = "models"
LEFT_OUT = ("__pycache__",)


@dataclass(frozen=True)
class Packaged:
    """What goes into an image."""

    name: str
    """Of the model, in paths and answers."""
    base: str
    """The server's image, as a FROM takes it."""
    labels: Mapping[str, str]

    @property
    def inside(self) -> str:
        """The model's folder in the image."""
        return f"/{MODELS}/{self.name}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What the server is told."""
        return {"TIDEGATE_MODEL_NAME": self.name, "TIDEGATE_MODEL_PATH": self.inside}


def copy_model(source: Path, target: Path) -> None:
    """An ONNX file, or a folder with one. What begins with a dot stays behind; links become what they lead to.

    Raises TidegateError.
    """
    if not source.exists():
        raise TidegateError(f"there is no file or folder {source}")
    target.mkdir(parents=True)
    files = [(source, "model.onnx")] if source.is_file() else list(_files(source))
    if not any(name.endswith(".onnx") for _, name in files):
        raise TidegateError(f"{source} has no .onnx file; name the folder of the model, or the file")
    for path, name in files:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") or part in LEFT_OUT for part in parts):
            yield path, "/".join(parts)


def graph_digest(model: Path) -> str:
    """SHA-256 of the ONNX file, in hex; of all in the order of their names where there are more."""
    sha256 = hashlib.sha256()
    for path in sorted(model.rglob("*.onnx")):
        sha256.update(path.read_bytes())
    return sha256.hexdigest()


def dockerfile(packaged: Packaged) -> str:
    """Builds the same image as is written without a builder, but for its digest. Pure."""
    labels = " \\\n      ".join(f"{name}={_quoted(value)}" for name, value in sorted(packaged.labels.items()))
    environment = " \\\n    ".join(f"{name}={_quoted(value)}" for name, value in packaged.environment.items())
    return f"""\
# Made by `tidegate package`: a model in the image of its server.
ARG BASE_IMAGE={packaged.base}
FROM ${{BASE_IMAGE}}
LABEL {labels}
ENV {environment}
COPY --chown=0:0 {MODELS} /{MODELS}
USER {USER}
"""


def _quoted(value: str) -> str:
    """A value without backslashes and line breaks, as a Dockerfile has it."""
    escaped = value.replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def write_context(folder: Path, packaged: Packaged) -> None:
    """The Dockerfile, beside the model. All may read both, whatever this process' umask is: builders keep modes."""
    (folder / "Dockerfile").write_text(dockerfile(packaged), encoding="utf-8")
    for path in (folder, *folder.rglob("*")):
        path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
