"""Krew's manifest names every archive by its address, its digest and its machine."""

import tarfile
from pathlib import Path

import pytest
import yaml

from release.errors import ReleaseError
from release.krew import SHORT, Archive, manifest, version_in
from release.plugin import pack

ARCHIVES = [Archive(f"kubectl-tidegate-0.2.0-linux-{machine}.tar.gz", digit * 64) for machine, digit in
            (("amd64", "a"), ("arm64", "b"))]  # fmt: skip


def test_every_archive_is_a_platform() -> None:
    told = yaml.safe_load(manifest("0.2.0", "owner/name", ARCHIVES))
    folder = "https://github.com/owner/name/releases/download/v0.2.0"
    assert (told["spec"]["version"], version_in(manifest("0.2.0", "owner/name", ARCHIVES))) == ("v0.2.0", "0.2.0")
    assert told["spec"]["platforms"] == [
        {
            "selector": {"matchLabels": {"os": "linux", "arch": machine}},
            "uri": f"{folder}/kubectl-tidegate-0.2.0-linux-{machine}.tar.gz",
            "sha256": digit * 64,
            "bin": "kubectl-tidegate",
        }
        for machine, digit in (("amd64", "a"), ("arm64", "b"))
    ]


def test_the_short_description_is_as_short_as_krews_index_wants() -> None:
    assert len(SHORT) <= 50
    assert not SHORT.endswith(".")


@pytest.mark.parametrize("name", ["kubectl-tidegate-0.1.0-linux-amd64.tar.gz", "tidegate-0.2.0-py3-none-any.whl"])
def test_what_is_no_archive_of_the_version_is_refused(name: str) -> None:
    with pytest.raises(ReleaseError, match=r"is no archive of 0\.2\.0"):
        manifest("0.2.0", "owner/name", [Archive(name, "a" * 64)])


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    bundle, licence = tmp_path / "bundle", tmp_path / "LICENSE"
    (bundle / "_internal").mkdir(parents=True)
    for place in (bundle / "kubectl-tidegate", bundle / "_internal" / "lib.so", licence):
        place.write_text(place.name)
    pack(bundle, licence, tmp_path / "one.tar.gz")
    licence.touch()
    pack(bundle, licence, tmp_path / "other.tar.gz")

    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        assert archive.getnames() == ["_internal", "_internal/lib.so", "kubectl-tidegate", "LICENSE"]
