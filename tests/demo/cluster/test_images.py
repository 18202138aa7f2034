"""When an image is built again, and what goes into it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate_demo.cluster import images
from tidegate_demo.cluster.images import Image, content_digest, ensure_archive


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "main.py").write_text("print(1)\n")
    return folder


def an_image(source: Path) -> Image:
    return Image("docker.io/tidegate/thing:demo", "FROM scratch\n", (source,), on_base=False)


def test_another_time_or_a_compiled_file_changes_nothing(source: Path) -> None:
    before = an_image(source).digest
    os.utime(source / "main.py", (1, 1))
    (source / "__pycache__" / "main.pyc").write_bytes(b"compiled")
    assert an_image(source).digest == before


def test_other_content_another_name_or_another_recipe_is_another_image(source: Path) -> None:
    image = an_image(source)
    seen = [image.digest, replace(image, dockerfile="FROM other\n").digest, replace(image, on_base=True).digest]
    (source / "main.py").write_text("print(2)\n")
    seen.append(image.digest)
    (source / "main.py").rename(source / "other.py")
    seen.append(image.digest)
    assert len(set(seen)) == 5


def test_the_same_content_elsewhere_has_the_same_digest(source: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "src"
    moved.mkdir(parents=True)
    (moved / "main.py").write_text((source / "main.py").read_text())
    assert content_digest("", (source,)) == content_digest("", (moved,))


def test_an_archive_of_the_same_inputs_is_not_built_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "images_folder", lambda: tmp_path)
    image = an_image(source)
    image.archive.write_bytes(b"built before")
    assert ensure_archive(image) == tmp_path / f"thing-{image.digest}.tar"


def test_the_repository_is_where_the_lock_is() -> None:
    assert (images.REPOSITORY / "uv.lock").exists()
