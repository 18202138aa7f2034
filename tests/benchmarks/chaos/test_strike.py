"""Where a volume that is filled is found."""

from pathlib import Path

import pytest

from benchmarks.chaos.strike import shared_volume
from benchmarks.errors import ScenarioAborted

ROOT = "504 503 0:60 / / rw,relatime - overlay overlay rw"
VOLUME = "526 504 0:60 / /run/tidegate/xds rw,relatime - tmpfs tmpfs rw,size=65536k"


def process(proc: Path, *mounts: str) -> Path:
    (proc / "7").mkdir()
    (proc / "7" / "mountinfo").write_text("\n".join(mounts) + "\n")
    return proc


def test_a_volume_is_found_where_the_kernel_has_it_mounted(tmp_path: Path) -> None:
    proc = process(tmp_path, ROOT, VOLUME)

    assert shared_volume(7, proc) == proc / "7" / "root" / "run/tidegate/xds"


def test_a_process_without_the_volume_is_not_struck(tmp_path: Path) -> None:
    proc = process(tmp_path, ROOT)

    with pytest.raises(ScenarioAborted, match="process 7 has no volume at /run/tidegate/xds"):
        shared_volume(7, proc)
