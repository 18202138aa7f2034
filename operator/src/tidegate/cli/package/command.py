"""`tidegate package`: a model and its server as one image, made without a daemon."""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tidegate.cli.common.arguments import exit_code, parser_of
from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.output import write_line
from tidegate.cli.common.progress import progress_message
from tidegate.errors import TidegateError
from tidegate.oci.image import MACHINES, Image
from tidegate.oci.layout import Layout
from tidegate.oci.registry import Repository
from tidegate.packaging.build import Base, Builder, build_image, open_base, write_image
from tidegate.packaging.context import MODELS, Packaged, copy_model, graph_digest, write_context
from tidegate.packaging.selftest import check_model

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?")
TAGGED = re.compile(r"(?P<place>[^@\s]+/)?(?P<name>[a-z0-9._-]+):(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
PLATFORM = re.compile(r"linux/([a-z0-9]+)")

DESCRIPTION = """
Puts a model into the image of its server: an ONNX file, or a folder with one and what belongs to it (tokenizer.json,
labels.json …). The model is opened and asked its self-test first. Needs neither Docker nor a daemon.
""".strip()
EPILOG = """
exit codes: 0 the image is there; 1 it isn't: the model can't be served, the base or the registry can't be had;
2 the command line makes no sense.

  tidegate package model/ -t registry.example/shop/digits:7 --push
""".strip()


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    arguments = _parser().parse_args(argv)
    return exit_code("tidegate package", lambda: run(arguments, environ))


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Makes what the command line asks for. Raises TidegateError."""
    tag = _tag(arguments)
    if not (arguments.output or arguments.push or arguments.context):
        raise Unusable("nothing is asked for: give --output FILE.tar, --push, or --context FOLDER")
    with tempfile.TemporaryDirectory(prefix="tidegate-") as scratch:
        told = _packaged(arguments, tag, Path(scratch), environ)
    write_line(sys.stdout, json.dumps(told, indent=2) if arguments.output_format == "json" else _text(told))
    return 0


def _packaged(
    arguments: argparse.Namespace, tag: "re.Match[str]", scratch: Path, environ: Mapping[str, str]
) -> dict[str, Any]:
    context, name = scratch / "context", _name(arguments, tag)
    _given_labels(arguments)  # what makes no sense is said before anything takes its time
    copy_model(arguments.model, context / MODELS / name)
    with progress_message("tidegate package: asks the model its self-test …"):
        tested = check_model(context / MODELS / name)
    base = _base(arguments, scratch)
    packaged = Packaged(name, _from(arguments, base), _labels(arguments, tag, context / MODELS / name, base))
    write_context(context, packaged)
    if arguments.context:
        _place_context(context, arguments.context)
    told = {"image": arguments.tag, "model": f"image://{packaged.inside}", "selftest": tested}
    if arguments.context:
        told["context"] = str(arguments.context)
    if base is None:
        return told
    with progress_message(f"tidegate package: writes {arguments.tag} …"):
        image, layout = _built(arguments, base, context, packaged, scratch, environ)
    told["digest"] = image.digest
    if arguments.output:
        layout.write_archive(arguments.output)
        told["archive"] = str(arguments.output)
    if arguments.push:
        with progress_message(f"tidegate package: pushes {arguments.tag} …"):
            manifest = layout.blob(image.digest).read_bytes()
            Repository(arguments.tag).push(layout, manifest, image)
        told["pushed"] = f"{arguments.tag.rpartition(':')[0]}@{image.digest}"
    return told


def _built(
    arguments: argparse.Namespace,
    base: Base,
    context: Path,
    packaged: Packaged,
    scratch: Path,
    environ: Mapping[str, str],
) -> tuple[Image, Layout]:
    target = scratch / "image"
    if arguments.builder is Builder.OWN:
        image = write_image(base, context, packaged, _created(environ), arguments.tag, target)
        return image, Layout(target)
    archive = scratch / "built.tar"
    build_image(arguments.builder, base, context, arguments.tag, archive)
    target.mkdir()
    layout = Layout.open(archive, target)
    return layout.image(_architecture(arguments)), layout


def _base(arguments: argparse.Namespace, scratch: Path) -> Base | None:
    """None where only a context is asked for."""
    if not (arguments.output or arguments.push):
        return None
    unpacked = scratch / "base"
    unpacked.mkdir()
    with progress_message(f"tidegate package: looks at {arguments.base} …"):
        return open_base(arguments.base, _architecture(arguments), unpacked)


def _from(arguments: argparse.Namespace, base: Base | None) -> str:
    """What the Dockerfile begins with: by its digest, where that is known."""
    given: str = arguments.base
    if base is None or base.layout or "@" in given:
        return given
    return f"{given}@{base.image.digest}"


def _labels(arguments: argparse.Namespace, tag: "re.Match[str]", model: Path, base: Base | None) -> Mapping[str, str]:
    ours = {
        "org.opencontainers.image.title": model.name,
        "org.opencontainers.image.version": tag["tag"],
        "dev.tidegate.model.sha256": graph_digest(model),
    }
    if base:
        ours["org.opencontainers.image.base.digest"] = base.image.digest
    if base and not base.layout:
        ours["org.opencontainers.image.base.name"] = base.reference.partition("@")[0]
    return {**ours, **_given_labels(arguments)}


def _given_labels(arguments: argparse.Namespace) -> Mapping[str, str]:
    found = {}
    for each in arguments.label:
        name, separator, value = each.partition("=")
        # What ends a line or a string of a Dockerfile would say something else there than here.
        if not separator or not LABEL.fullmatch(name) or not value.isprintable() or "\\" in value:
            raise Unusable(f"--label {each!r}: it has to be NAME=VALUE, on one line and without backslashes")
        found[name] = value
    return found


def _tag(arguments: argparse.Namespace) -> "re.Match[str]":
    found = TAGGED.fullmatch(arguments.tag)
    if found is None:
        raise Unusable(f"--tag {arguments.tag}: it has to be NAME:TAG, as in registry.example/shop/digits:7")
    return found


def _name(arguments: argparse.Namespace, tag: "re.Match[str]") -> str:
    name = arguments.name or tag["name"]
    if not NAME.fullmatch(name):
        raise Unusable(f"--name: {name!r} is no name of a model; use lower case letters, digits and '-'")
    return str(name)


def _architecture(arguments: argparse.Namespace) -> str:
    if not arguments.platform:
        return MACHINES.get(os.uname().machine, os.uname().machine)
    found = PLATFORM.fullmatch(arguments.platform)
    if found is None:
        raise Unusable(f"--platform {arguments.platform}: it has to be linux/ARCHITECTURE, as in linux/arm64")
    return found[1]


def _created(environ: Mapping[str, str]) -> str:
    """The same for the same input: the time is SOURCE_DATE_EPOCH's, which pipelines set to that of the commit."""
    given = environ.get("SOURCE_DATE_EPOCH", "0")
    if not given.isdigit():
        raise Unusable(f"SOURCE_DATE_EPOCH is {given!r}, which is no number of seconds")
    return datetime.fromtimestamp(int(given), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _place_context(context: Path, target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise TidegateError(f"--context: {target} is there and not an empty folder; name another, or remove it")
    shutil.copytree(context, target, dirs_exist_ok=True)


def _text(told: Mapping[str, Any]) -> str:
    lines = [told["selftest"]]
    if "context" in told:
        lines.append(f"The context is in {told['context']}: docker build -t {told['image']} {told['context']}")
    if "archive" in told:
        lines.append(f"{told['archive']} is {told['image']}: docker load -i {told['archive']}")
    if "pushed" in told:
        lines.append(f"Pushed: {told['pushed']}")
    if "digest" in told:
        lines.append(f"Digest: {told['digest']}")
    lines.append(f"In a ModelDeployment: model.uri {told['model']}, server.image {told.get('pushed', told['image'])}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("tidegate package", DESCRIPTION, EPILOG)
    parser.add_argument("model", type=Path, metavar="DIR", help="the model's folder, or its ONNX file")
    parser.add_argument("-t", "--tag", required=True, metavar="IMAGE", help="the image's name: NAME:TAG")
    parser.add_argument("--name", metavar="NAME", help="of the model in paths; the image's, if left out")
    parser.add_argument(
        "--base",
        default=f"docker.io/tidegate/server:{version('tidegate')}",
        metavar="IMAGE",
        help="of the server: a reference, best with @sha256:…, or oci:PATH for a layout on this machine; %(default)s",
    )
    parser.add_argument("--platform", metavar="linux/ARCH", help="of the base; this machine's, if left out")
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="repeats")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.tar", help="write the image as an OCI archive")
    parser.add_argument("--push", action="store_true", help="push it, with the login of docker's config.json")
    parser.add_argument("--context", type=Path, metavar="FOLDER", help="write Dockerfile and files, to build elsewhere")
    parser.add_argument(
        "--builder",
        type=Builder,
        choices=list(Builder),
        default=Builder.OWN,
        help="own: needs none, and gives the same digest for the same input; or buildah or buildkit",
    )
    parser.add_argument("--output-format", choices=("text", "json"), default="text", help="of what is told")
    return parser
