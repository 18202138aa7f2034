"""`python -m release COMMAND`: each step of a release by itself, and all of them as a dry run."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from release import chart, plugin, sbom, wheels
from release.changelog import released, section
from release.dry_run import Made, Wanted, dry_run
from release.errors import ReleaseError
from release.parts import write_krew, write_notes, write_sums
from release.version import checked, set_version, version_of

ROOT = Path(__file__).resolve().parents[1]
PYTHON = Path(sys.executable)
REPOSITORY, IMAGES = "tidegate/tidegate", "docker.io/tidegate"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 1 where it can't be done, with one sentence."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except ReleaseError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a person reads it
        return 1
    return 0


def _version(arguments: argparse.Namespace) -> None:
    today = datetime.now(UTC).date()  # noqa: TID251 - the day of the release
    changelog = ROOT / "CHANGELOG.md"
    text = released(changelog.read_text(), checked(arguments.version), today)
    set_version(ROOT, arguments.version)
    changelog.write_text(text)


def _check(arguments: argparse.Namespace) -> None:
    """Before anything is built for a tag."""
    tagged = arguments.tag.removeprefix("v")
    if version_of(ROOT) != tagged:
        raise ReleaseError(
            f"the tag says {tagged} and pyproject.toml {version_of(ROOT)}; tag the commit of the release"
        )
    section((ROOT / "CHANGELOG.md").read_text(), tagged)


def _wheels(arguments: argparse.Namespace) -> None:
    _say(wheels.build_wheels(ROOT, PYTHON, _made(arguments.out), compiled=arguments.compiled))


def _plugin(arguments: argparse.Namespace) -> None:
    with TemporaryDirectory(prefix="tidegate-wheels-") as scratch:
        wheel = wheels.build_wheels(ROOT, PYTHON, Path(scratch), compiled=False)[0]
        built = plugin.build_plugin(ROOT, wheel, PYTHON, version_of(ROOT), _made(arguments.out))
    plugin.version_in(built)
    _say([built])


def _chart(arguments: argparse.Namespace) -> None:
    archive = chart.package(ROOT, _helm(), _made(arguments.out))
    if arguments.push:
        digest = chart.push(archive, _helm(), arguments.push)
        print(digest)  # noqa: T201 - a script reads it
    else:
        _say([archive])


def _files(arguments: argparse.Namespace) -> None:
    """What stands beside the files that other jobs have built."""
    out, version = _made(arguments.out), version_of(ROOT)
    _say(
        [
            *sbom.write_sboms(ROOT, version, out),
            write_krew(out, version, arguments.repository),
            write_notes(out, ROOT / "CHANGELOG.md", version, arguments.repository, arguments.images),
            write_sums(out),
        ]
    )


def _dry_run(arguments: argparse.Namespace) -> None:
    today = datetime.now(UTC).date()  # noqa: TID251 - the day of the release
    version = arguments.version or version_of(ROOT)
    out = _made(arguments.out or ROOT / "build" / "release" / version)
    wanted = Wanted(
        root=ROOT,
        version=version,
        day=today,
        out=out,
        python=PYTHON,
        helm=_helm(),
        repository=arguments.repository,
        images=arguments.images,
        compiled=arguments.compiled,
    )
    made = dry_run(wanted)
    print(table(made))  # noqa: T201 - a person reads it
    print(f"All in {out}; nothing was published, and the checkout is as it was.")  # noqa: T201


def table(made: Sequence[Made]) -> str:
    """For people: what there is, and which version it says."""
    rows = [("PART", "VERSION", "WHAT"), *((each.part, each.version, each.what) for each in made)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{part:{widths[0]}}  {version:{widths[1]}}  {what}" for part, version, what in rows)


def _helm() -> Path:
    from tidegate_demo.cluster.programs import HELM, obtain

    return obtain(HELM)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _say(paths: Sequence[Path]) -> None:
    for path in paths:
        print(path)  # noqa: T201 - a script reads it


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    version = commands.add_parser("version", help="set it in the checkout, and give it its section in the changelog")
    version.add_argument("version")
    version.set_defaults(run=_version)
    check = commands.add_parser("check", help="whether a tag is of the version that the checkout has")
    check.add_argument("tag")
    check.set_defaults(run=_check)
    built = _step(commands, "wheels", "build them", _wheels)
    built.add_argument(
        "--compiled", action="store_true", help="the server's also compiled, for this Python and machine"
    )
    _step(commands, "plugin", "pack `kubectl tidegate` for this machine", _plugin)
    packed = _step(commands, "chart", "pack it", _chart)
    packed.add_argument("--push", metavar="REGISTRY/FOLDER", help="and push it there; prints its digest")
    _published(_step(commands, "files", "write SBOMs, Krew's manifest, notes and digests beside what is built", _files))
    dry = commands.add_parser("dry-run", help="all of it in a copy of the checkout; publishes nothing")
    dry.add_argument("version", nargs="?", default="", help="the checkout's, if left out")
    dry.add_argument("--out", type=Path, metavar="FOLDER", help="build/release/VERSION, if left out")
    dry.add_argument("--without-compiled", dest="compiled", action="store_false", help="which takes minutes")
    _published(dry)
    dry.set_defaults(run=_dry_run)
    return parser


def _step(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str, run: object
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.set_defaults(run=run)
    return parser


def _published(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", default=REPOSITORY, metavar="OWNER/NAME", help="on GitHub")
    parser.add_argument("--images", default=IMAGES, metavar="REGISTRY/FOLDER", help="where the images are published")


if __name__ == "__main__":
    sys.exit(main())
