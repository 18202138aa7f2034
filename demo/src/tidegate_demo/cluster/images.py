"""Builds the demo's images without Docker and without a registry, and loads them into the node's containerd.

An image is built once for each content of its inputs: its archive in the cache carries a digest of them in its name.
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import PAUSE_IMAGE, Layout, cache_folder
from tidegate_demo.cluster.locks import alone
from tidegate_demo.cluster.packages import IMAGE_COMMANDS, ensure_commands
from tidegate_demo.cluster.programs import PROMETHEUS, obtain
from tidegate_demo.cluster.progress import step

REPOSITORY = Path(__file__).parents[4]  # images.py lies in demo/src/tidegate_demo/cluster
OPERATOR_IMAGE = "docker.io/tidegate/operator:demo"
SERVER_IMAGE = "docker.io/tidegate/server:demo"
OUR_IMAGES = ((SERVER_IMAGE, "server"), (OPERATOR_IMAGE, "operator"))  # and the member each one is made of
PROMETHEUS_IMAGE = "docker.io/tidegate/prometheus:demo"
SUITE = "bookworm"
BASE_PACKAGES = ("ca-certificates", "locales", "python3", "python3-venv")
HOST_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
STORAGE_LIMIT = 6_000_000_000  # bytes of build layers to keep for the next build
# Part of every digest: raise it when the way of building changes.
RECIPE = "1"
# What both of our own images are built from; the members' sources come on top.
WORKSPACE = (
    "pyproject.toml",
    "uv.lock",
    "LICENSE",
    ".dockerignore",
    "operator/pyproject.toml",
    "operator/README.md",
    "server/pyproject.toml",
    "server/README.md",
    "server/hatch_build.py",
    "demo/pyproject.toml",
    "crds/metrictemplates.yaml",
    "crds/modeldeployments.yaml",
)

Prepare = Callable[[Path], None]


@dataclass(frozen=True)
class Image:
    """An image, what it is made from, and where to build it.

    `inputs` are files and folders; their contents make the digest. `dockerfile` is the text of it. `prepare` fills an
    empty folder with the build context; without it, `repository` is the context.
    """

    name: str
    dockerfile: str
    inputs: tuple[Path, ...]
    on_base: bool = True
    prepare: Prepare | None = None
    repository: Path = REPOSITORY

    @property
    def short_name(self) -> str:
        return self.name.rsplit("/", 1)[1].partition(":")[0]

    @property
    def digest(self) -> str:
        """16 hex digits that change with anything that the image is made from."""
        base = f"{SUITE} {' '.join(BASE_PACKAGES)}" if self.on_base else "scratch"
        head = "\0".join((RECIPE, self.name, self.dockerfile, base))
        return content_digest(head, self.inputs)

    @property
    def archive(self) -> Path:
        return images_folder() / f"{self.short_name}-{self.digest}.tar"


def images_folder() -> Path:
    return cache_folder() / "images"


def content_digest(head: str, inputs: Iterable[Path]) -> str:
    """A digest of a text and of the names and contents of files and folders; of their times and owners it isn't."""
    digest = hashlib.sha256(head.encode())
    for top in inputs:
        for file in _files_of(top):
            relative = file.relative_to(top.parent).as_posix()
            digest.update(f"\0{relative}\0{hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    return digest.hexdigest()[:16]


def _files_of(top: Path) -> Sequence[Path]:
    if top.is_file():
        return (top,)
    return sorted(file for file in top.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def pause_image() -> Image:
    source = Path(__file__).parent / "recipes" / "pause.c"

    def prepare(context: Path) -> None:
        _run("cc", "-static", "-Os", "-s", "-o", str(context / "pause"), str(source))

    dockerfile = 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n'
    return Image(PAUSE_IMAGE, dockerfile, (source,), on_base=False, prepare=prepare)


def prometheus_image() -> Image:
    """Prometheus with the libraries it is linked with, if any, and nothing else."""
    program = obtain(PROMETHEUS)

    def prepare(context: Path) -> None:
        for file in (program, *linked_libraries(program)):
            # /lib is a link to /usr/lib on the machine, and plain folders in the image.
            target = context / "root" / ("bin/prometheus" if file == program else str(file).lstrip("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        (context / "root" / "tmp").mkdir()

    dockerfile = 'FROM scratch\nCOPY root /\nUSER 65534:65534\nENTRYPOINT ["/bin/prometheus"]\n'
    return Image(PROMETHEUS_IMAGE, dockerfile, (program,), on_base=False, prepare=prepare)


def linked_libraries(program: Path) -> tuple[Path, ...]:
    """The libraries and the loader that a program needs; none for a static one, of which `ldd` complains."""
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    words = (word for line in done.stdout.splitlines() for word in line.split())
    return tuple(Path(word) for word in words if word.startswith("/")) if done.returncode == 0 else ()


def workspace_image(name: str, member: str, repository: Path = REPOSITORY) -> Image:
    """One of our own images, from its Dockerfile in the repository, or in the files of another commit."""
    dockerfile = repository / f"Dockerfile.{member}"
    if not dockerfile.exists():
        raise ClusterError(f"{dockerfile} is missing: the images are built from a checkout of the repository")
    inputs = [repository / name for name in WORKSPACE if (repository / name).exists()]
    return Image(name, dockerfile.read_text(), (*inputs, repository / member / "src"), repository=repository)


def node_images() -> tuple[Image, ...]:
    """Every image that the demo needs on a node without a registry; the pause image first."""
    return (pause_image(), prometheus_image(), *our_images())


def our_images() -> tuple[Image, ...]:
    return tuple(workspace_image(name, member) for name, member in OUR_IMAGES)


def docker_build(name: str, member: str) -> None:
    """Builds one of our own images with Docker, which keeps it under its name."""
    with step(f"Building {name}"):
        _run("docker", "build", "--tag", name, "--file", str(REPOSITORY / f"Dockerfile.{member}"), str(REPOSITORY))


def ensure_archive(image: Image) -> Path:
    """The image's archive, built if no archive of these very inputs is in the cache; older ones are removed."""
    archive = image.archive
    if archive.exists():
        return archive
    ensure_commands(IMAGE_COMMANDS)
    with alone(images_folder() / ".lock", "building images"):
        if not archive.exists():
            _tidy_storage()
            if image.on_base:
                _ensure_base()
            with step(f"Building {image.name.removeprefix('docker.io/')}"):
                _build(image, archive)
    for older in archive.parent.glob(f"{image.short_name}-*.tar"):
        if older != archive:
            older.unlink()
    return archive


def load(images: Sequence[Image], layout: Layout, ctr: Path) -> Mapping[str, str]:
    """Brings the images into the node. Returns the digest of each one's inputs by the image's name."""
    there = _ctr(layout, ctr, "images", "ls", "-q").splitlines()
    records = layout.state / "images"
    records.mkdir(exist_ok=True)
    for image in images:
        record = records / image.short_name
        if image.name in there and record.exists() and record.read_text() == image.digest:
            continue
        archive = ensure_archive(image)
        with step(f"Loading {image.name.removeprefix('docker.io/')}"):
            _ctr(layout, ctr, "images", "import", str(archive))
        record.write_text(image.digest)
    return {image.name: image.digest for image in images}


def _ctr(layout: Layout, ctr: Path, *arguments: str) -> str:
    return _run(str(ctr), "--address", str(layout.containerd_socket), "--namespace", "k8s.io", *arguments)


def _build(image: Image, archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tidegate-image-") as scratch:
        dockerfile = Path(scratch, "Dockerfile")
        dockerfile.write_text(image.dockerfile)
        context = image.repository
        if image.prepare is not None:
            context = Path(scratch, "context")
            context.mkdir()
            image.prepare(context)
        base = ("--build-arg", f"BASE_IMAGE={base_name()}") if image.on_base else ()
        files = ("--file", str(dockerfile), "--tag", image.name, str(context))
        _buildah("build", *_build_flags(), *base, *files)
    unfinished = archive.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    _buildah("push", "--quiet", image.name, f"docker-archive:{unfinished}:{image.name}")
    unfinished.rename(archive)


def _build_flags() -> tuple[str, ...]:
    """Flags of a build that needs neither a daemon nor a network of its own."""
    mounts = [f"{source}:{target}:{mode}" for source, target, mode in _build_mounts()]
    volumes = [part for mount in mounts for part in ("--volume", mount)]
    # Without a registry there is nothing to pull; asking for it would only wait for an answer.
    return ("--isolation=chroot", "--network=host", "--layers", "--pull=false", "--quiet", *volumes)


def _build_mounts() -> list[tuple[Path, str, str]]:
    """Downloads that builds share, and the certificates that this machine trusts (it may sit behind a proxy).

    They come as files that pip and uv read by themselves: nothing of it stays in the image or has to be in the
    Dockerfile.
    """
    downloads = images_folder() / "downloads"
    settings = images_folder() / "settings"
    for folder in (downloads, settings):
        folder.mkdir(parents=True, exist_ok=True)
    mounts = [(downloads, "/root/.cache", "rw")]
    if not HOST_CERTIFICATES.exists():
        return mounts
    (settings / "pip.conf").write_text(f"[global]\ncert = {HOST_CERTIFICATES}\n")
    (settings / "uv.toml").write_text('system-certs = true\nlink-mode = "copy"\n')
    mounts.append((HOST_CERTIFICATES.resolve(), str(HOST_CERTIFICATES), "ro"))
    mounts.append((settings / "pip.conf", "/etc/pip.conf", "ro"))
    mounts.append((settings / "uv.toml", "/etc/uv/uv.toml", "ro"))
    return mounts


def base_name() -> str:
    """The name of our base image, a small Debian; it changes with what is in it."""
    return f"localhost/tidegate/base:{SUITE}-{content_digest(' '.join(BASE_PACKAGES), ())}"


def _ensure_base() -> None:
    if base_name() in _buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines():
        return
    tarball = images_folder() / f"base-{SUITE}-{content_digest(' '.join(BASE_PACKAGES), ())}.tar"
    if not tarball.exists():
        with step(f"Making a Debian {SUITE} base image (a minute or two, once)"):
            _make_base(tarball)
    with tempfile.TemporaryDirectory(prefix="tidegate-image-", dir=tarball.parent) as scratch:
        Path(scratch, "base.tar").hardlink_to(tarball)
        dockerfile = Path(scratch, "Dockerfile")
        dockerfile.write_text("FROM scratch\nADD base.tar /\n")
        _buildah("build", "--isolation=chroot", "--quiet", "--tag", base_name(), "--file", str(dockerfile), scratch)


def _make_base(tarball: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tidegate-base-", dir=tarball.parent) as scratch:
        include = f"--include={','.join(BASE_PACKAGES)}"
        _run("debootstrap", "--variant=minbase", include, SUITE, f"{scratch}/root")
        shutil.rmtree(f"{scratch}/root/var/cache/apt", ignore_errors=True)
        shutil.rmtree(f"{scratch}/root/var/lib/apt/lists", ignore_errors=True)
        _run("tar", "--create", "--numeric-owner", f"--file={scratch}/base.tar", f"--directory={scratch}/root", ".")
        Path(scratch, "base.tar").rename(tarball)


def _tidy_storage() -> None:
    """Removes what an interrupted build left, and all earlier layers once they take too much of the disk."""
    _buildah("rm", "--all")
    storage = images_folder() / "storage"
    if storage.exists() and int(_run("du", "--summarize", "--bytes", str(storage)).split()[0]) > STORAGE_LIMIT:
        _buildah("rmi", "--all", "--force")


def _buildah(*arguments: str) -> str:
    storage = images_folder() / "storage"
    places = ("--root", str(storage / "root"), "--runroot", str(storage / "run"))
    return _run("buildah", *places, "--storage-driver", "overlay", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise ClusterError(f"`{' '.join(command)[:200]}` failed:\n{last}")
    return done.stdout
