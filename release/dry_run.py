"""A whole release of a copy of this checkout, published nowhere: what is built, and which version each part says."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from release import chart, krew, plugin, sbom, wheels
from release.changelog import released, section
from release.errors import ReleaseError
from release.parts import KREW, write_krew, write_notes, write_sums
from release.platforms import MANYLINUX, installable
from release.programs import run, uv
from release.version import checked, differing, set_version, version_of
from tidegate_demo.cluster.progress import step


@dataclass(frozen=True)
class Wanted:
    """`root` is the checkout, `out` an empty folder, and `python` has what wheels are built with."""

    root: Path
    version: str
    day: date
    out: Path
    python: Path
    helm: Path
    repository: str
    images: str
    compiled: bool = True


@dataclass(frozen=True)
class Made:
    """One part of the release, the version that it says itself, and what of it there is."""

    part: str
    version: str
    what: str


def dry_run(wanted: Wanted) -> list[Made]:
    """Builds everything into `out`. Raises ReleaseError, also where a part says another version than `wanted`."""
    checked(wanted.version)
    if any(wanted.out.iterdir()):
        raise ReleaseError(f"{wanted.out} isn't empty; remove it, or name another folder by --out")
    before = _state(wanted.root)
    with TemporaryDirectory(prefix="tidegate-release-") as scratch:
        source = Path(scratch, "source")
        copy(wanted.root, source)
        made = list(_parts(wanted, source, Path(scratch)))
    if wrong := differing(wanted.version, {each.part: each.version for each in made}):
        raise ReleaseError("; ".join(wrong))
    if _state(wanted.root) != before:
        raise ReleaseError("the checkout was changed by its release; `git status` says where")
    return made


def copy(root: Path, target: Path) -> None:
    """Brings what git knows of in a checkout, as it is now, and what is new and not ignored, to `target`."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], root)
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name, follow_symlinks=False)


def _state(root: Path) -> str:
    return run(["git", "status", "--porcelain"], root) + run(["git", "diff"], root)


def _parts(wanted: Wanted, source: Path, scratch: Path) -> Iterator[Made]:
    version, out = wanted.version, wanted.out
    with step(f"Setting the version {version} in a copy of the checkout"):
        yield from _bumped(wanted, source)
    with step("Building the wheels"):
        built = wheels.build_wheels(source, wanted.python, out, compiled=wanted.compiled)
    yield from (Made(_kind(each), wheels.version_in(each), _told(each)) for each in built)
    with step("Writing the bills of materials"):
        told = sbom.write_sboms(source, version, out)
    yield from (Made("SBOM", sbom.version_in(each), _told(each)) for each in told)
    with step("Packing the chart"):
        archive = chart.package(source, wanted.helm, out)
    yield Made("chart", chart.version_in(archive, wanted.helm, out), _told(archive))
    with step("Building kubectl's plugin"):
        wheel = next(out.glob("tidegate-*.whl"))
        packed = plugin.build_plugin(source, wheel, wanted.python, version, out)
        yield Made("plugin, as it says when run", plugin.version_in(packed), _told(packed))
    manifest = write_krew(out, version, wanted.repository)
    yield Made("Krew's manifest", krew.version_in(manifest.read_text()), KREW)
    notes = write_notes(out, source / "CHANGELOG.md", version, wanted.repository, wanted.images)
    yield Made("notes", version, _told(notes))
    with step("Looking for wheels of what the images install"):
        yield from (Made(f"image of {each}", version, what) for each, what in _images(source, scratch).items())
    sums = write_sums(out)
    yield Made("digests", version, f"{sums.name} of {len(sums.read_text().splitlines())} files")


def _bumped(wanted: Wanted, source: Path) -> Iterator[Made]:
    changelog = source / "CHANGELOG.md"
    set_version(source, wanted.version)
    changelog.write_text(released(changelog.read_text(), wanted.version, wanted.day))
    run([uv(), "lock", "--quiet"], source)
    points = section(changelog.read_text(), wanted.version).count("\n- ") + 1
    yield Made("pyproject.toml", version_of(source), "and the lock")
    yield Made("CHANGELOG.md", wanted.version, f"{points} points")


def _images(source: Path, scratch: Path) -> Mapping[str, str]:
    """By package: for which machines it can be installed without a compiler."""
    found = {}
    for package in sbom.PACKAGES:
        each = [f"{machine}: {installable(source, package, machine, scratch)}" for machine in MANYLINUX]
        found[package] = f"not built; packages that have a wheel for {', for '.join(each)}"
    return found


def _kind(wheel: Path) -> str:
    name, compiled = wheel.name.partition("-")[0].replace("_", "-"), not wheel.name.endswith("-none-any.whl")
    return f"wheel of {name}{', compiled' if compiled else ''}"


def _told(path: Path) -> str:
    return f"{path.name} ({path.stat().st_size / 2**20:.1f} MiB)"
