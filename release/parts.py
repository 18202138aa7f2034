"""What is put beside the built files, once all of them are in one folder: Krew's manifest, the notes, the digests."""

import hashlib
from pathlib import Path

from release.krew import ARCHIVE, Archive, manifest
from release.notes import SUMS, notes, sums

KREW, NOTES = "tidegate.yaml", "NOTES.md"


def write_krew(folder: Path, version: str, repository: str) -> Path:
    """Of the plugin's archives in the folder. Raises ReleaseError."""
    archives = [Archive(each.name, sha256(each)) for each in sorted(folder.iterdir()) if ARCHIVE.fullmatch(each.name)]
    place = folder / KREW
    place.write_text(manifest(version, repository, archives))
    return place


def write_notes(folder: Path, changelog: Path, version: str, repository: str, images: str) -> Path:
    """Raises ReleaseError."""
    place = folder / NOTES
    place.write_text(notes(changelog.read_text(), version, repository, images))
    return place


def write_sums(folder: Path) -> Path:
    """Of all files in the folder but the notes, which GitHub shows, and itself."""
    place = folder / SUMS
    files = [each for each in folder.iterdir() if each.is_file() and each.name not in (SUMS, NOTES)]
    place.write_text(sums({each: sha256(each) for each in files}))
    return place


def sha256(path: Path) -> str:
    """In hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
