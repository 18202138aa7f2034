"""`kubectl tidegate` as a program that needs no Python: made by PyInstaller, packed for Krew."""

import gzip
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from release.programs import run, uv
from release.sbom import requirements
from tidegate_demo.cluster.programs import architecture

NAME = "kubectl-tidegate"
PYINSTALLER = "pyinstaller==6.22.3"
MAIN = "import sys\n\nfrom tidegate.__main__ import main\n\nsys.exit(main())\n"


def build_plugin(root: Path, wheel: Path, python: Path, version: str, out: Path) -> Path:
    """The archive for this machine: the program and the folder of what it loads. Raises ReleaseError."""
    with TemporaryDirectory(prefix="tidegate-plugin-") as folder:
        scratch = Path(folder)
        bundle = _bundle(root, wheel, python, scratch)
        archive = out / f"{NAME}-{version}-linux-{architecture()}.tar.gz"
        pack(bundle, root / "LICENSE", archive)
        return archive


def _bundle(root: Path, wheel: Path, python: Path, scratch: Path) -> Path:
    environment, main = scratch / "environment", scratch / f"{NAME}.py"
    run([uv(), "venv", "--quiet", "--python", python, environment], root)
    own = environment / "bin" / "python"
    wanted = scratch / "requirements.txt"
    wanted.write_text(requirements(root, "tidegate", "--extra", "lint"))
    # In the lock's versions, and the wheel that is released.
    install: list[str | Path] = [uv(), "pip", "install", "--quiet", "--python", own]
    run([*install, "--no-deps", "--requirement", wanted, wheel], root)
    run([*install, PYINSTALLER], root)
    main.write_text(MAIN)
    places = ("--distpath", scratch / "dist", "--workpath", scratch / "work", "--specpath", scratch)
    # Commands are imported by name when they are chosen, which PyInstaller can't see.
    all_of_it = ("--collect-all", "tidegate", "--copy-metadata", "tidegate")
    pyinstaller = environment / "bin" / "pyinstaller"
    run([pyinstaller, "--noconfirm", "--log-level", "WARN", "--name", NAME, *places, *all_of_it, main], scratch)
    return scratch / "dist" / NAME


def pack(bundle: Path, licence: Path, archive: Path) -> None:
    """The folder's files and the licence, without their times and owners."""
    with (
        archive.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in (*sorted(bundle.rglob("*")), licence):
            name = "LICENSE" if path == licence else path.relative_to(bundle).as_posix()
            tar.add(path, name, recursive=False, filter=_plain)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mtime = info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def version_in(archive: Path) -> str:
    """As the program says it that lies in the archive. Raises ReleaseError where it doesn't run."""
    with TemporaryDirectory(prefix="tidegate-plugin-") as folder:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        return run([Path(folder, NAME), "version", "--client"], Path(folder)).split()[-1]
