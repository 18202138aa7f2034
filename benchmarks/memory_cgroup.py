"""A cgroup with a limit of memory, seen by what runs in it as a container sees its own. Needs root on Linux."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from benchmarks.errors import BenchmarkError

ROOT = Path("/sys/fs/cgroup")
PATIENCE_SECONDS = 5.0
# In a mount namespace of its own, so that the files of the limit lie where a container has them.
_ENTER = 'echo $$ > "$1/cgroup.procs" && mount --bind "$1" "$2" && shift 2 && exec "$@"'


@dataclass(frozen=True)
class MemoryCgroup:
    """`folder` is where the kernel has it, and `seen_at` where what runs in it looks for its limit."""

    folder: Path
    seen_at: Path

    def wrapped(self, command: list[str]) -> list[str]:
        """The command, to run inside, under the process that starts it."""
        return ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self.folder), str(self.seen_at), *command]

    def peak_bytes(self) -> int:
        """The most that was charged to it, with the files that were read; 0 where the kernel doesn't say."""
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            with suppress(OSError):
                return int((self.folder / name).read_text())
        return 0


@contextmanager
def memory_cgroup(limit: int) -> Iterator[MemoryCgroup]:
    """One with so many bytes, which is gone afterwards. Raises BenchmarkError where none can be made."""
    is_v1 = (ROOT / "memory").is_dir()
    seen_at = ROOT / "memory" if is_v1 else ROOT
    folder = seen_at / f"tidegate-trial-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise BenchmarkError(f"a limit of memory needs root and a cgroup of its own: {error}") from None
    try:
        _set_limit(folder, limit, "memory.limit_in_bytes" if is_v1 else "memory.max")
        yield MemoryCgroup(folder, seen_at)
    finally:
        _remove(folder)


def _set_limit(folder: Path, limit: int, name: str) -> None:
    try:
        (folder / name).write_text(str(limit))
    except OSError as error:
        raise BenchmarkError(f"cgroups can't limit memory here: {error}") from None


def _remove(folder: Path) -> None:
    """What ran in it takes a moment to leave."""
    for _ in range(int(PATIENCE_SECONDS / 0.1)):
        with suppress(OSError):
            folder.rmdir()
            return
        sleep(0.1)
    raise BenchmarkError(f"{folder} can't be removed: something still runs in it")
