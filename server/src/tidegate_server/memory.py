"""What this process holds, and an allocator that doesn't hold on to what nobody uses."""

import ctypes
from contextlib import suppress
from os import sysconf
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h
MAX_ARENAS = 2
MMAP_THRESHOLD_BYTES = 2**18
"""From here on a block has pages of its own, which go back to the system when it is freed."""
TRIM_THRESHOLD_BYTES = 2**20
"""So much may lie unused at the end of a heap."""


def tune_malloc() -> None:
    """Keeps glibc's heaps from growing to the most that they ever held.

    It gives every few threads a heap of their own: here two serve all. It also raises the size from which a block has
    pages of its own to the largest that was ever freed, so that one body of 12 MB puts all later ones into a heap, with
    small blocks between them that keep it from shrinking: here that size is fixed. Called before threads are started;
    on another C library it does nothing.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, MAX_ARENAS)
        libc.mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)


def resident_bytes() -> int:
    """Of this process; 0 on another system than Linux."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * sysconf("SC_PAGE_SIZE")


def physical_bytes() -> int | None:
    """Of the whole machine; None where the system doesn't say."""
    try:
        return sysconf("SC_PHYS_PAGES") * sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
