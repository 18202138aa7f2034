"""Image layouts: folders, or archives of them, with an index and all blobs by their digests."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.oci.image import INDEX, INDEXES, MANIFEST, Image, NotAnImage, chosen, digest_of, encoded, parsed

NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"
"""By which containerd and Docker name what they load."""
CHUNK = 2**20


class Layout:
    """One in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path) -> "Layout":
        """An empty one."""
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_bytes(encoded({"imageLayoutVersion": "1.0.0"}))
        return cls(folder)

    @classmethod
    def open(cls, path: Path, scratch: Path) -> "Layout":
        """A folder, or an archive, which is unpacked into an empty folder. Raises NotAnImage."""
        if path.is_file():
            try:
                with tarfile.open(path) as archive:
                    archive.extractall(scratch, filter="data")
            except (tarfile.TarError, OSError) as error:
                raise NotAnImage(f"{path} can't be unpacked: {error}") from error
            path = scratch
        if not (path / "index.json").is_file():
            raise NotAnImage(f"{path} is no OCI image layout: it has no index.json")
        return cls(path)

    def blob(self, digest: str) -> Path:
        """Where it lies."""
        return self.folder / "blobs" / Path(*digest.split(":", 1))

    def read(self, digest: str) -> Mapping[str, Any]:
        """A JSON blob. Raises NotAnImage where it isn't there, or is another."""
        try:
            return parsed(self.blob(digest).read_bytes(), digest, str(self.folder))
        except OSError as error:
            raise NotAnImage(f"{self.folder} lacks {digest}: {error.strerror}") from error

    def write(self, content: bytes) -> str:
        """Its digest."""
        digest = digest_of(content)
        self.blob(digest).write_bytes(content)
        return digest

    def image(self, architecture: str) -> Image:
        """Its only one for that architecture. Raises NotAnImage."""
        found: Mapping[str, Any] = json.loads((self.folder / "index.json").read_bytes())
        while True:
            descriptor = chosen(found, architecture, str(self.folder))
            found = self.read(descriptor["digest"])
            if not (descriptor.get("mediaType") in INDEXES or "manifests" in found):
                return Image(descriptor["digest"], found, self.read(found["config"]["digest"]))

    def name(self, manifest: bytes, full_name: str) -> str:
        """Writes the manifest, and an index with it alone. Returns its digest."""
        digest = self.write(manifest)
        notes = {NAME: full_name.rpartition(":")[2], FULL_NAME: full_name}
        descriptor = {"mediaType": MANIFEST, "digest": digest, "size": len(manifest), "annotations": notes}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}
        (self.folder / "index.json").write_bytes(encoded(index))
        return digest

    def wrong_blobs(self, image: Image) -> list[str]:
        """Those that aren't there, or whose content has another digest."""
        return [digest for digest in image.blobs if not _is(self.blob(digest), digest)]

    def write_archive(self, target: Path) -> None:
        """As a tar with the same bytes for the same layout."""
        with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
            for path in sorted(self.folder.rglob("*")):
                info = tarfile.TarInfo(path.relative_to(self.folder).as_posix())
                if path.is_dir():
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(info)
                    continue
                info.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(info, content)


def copy_blobs(source: Layout, target: Layout, image: Image) -> None:
    """All that an image consists of. Raises NotAnImage where something is missing or broken."""
    for digest in image.blobs:
        if not _is(source.blob(digest), digest):
            raise NotAnImage(f"{source.folder} has no {digest}, or another content under that name; export it again")
        shutil.copyfile(source.blob(digest), target.blob(digest))


def _is(path: Path, digest: str) -> bool:
    if not path.is_file():
        return False
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
    return digest == f"sha256:{sha256.hexdigest()}"
