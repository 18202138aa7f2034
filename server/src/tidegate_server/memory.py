"""Keeps the allocator from holding on to what nobody uses."""

import ctypes
from contextlib import suppress

_M_ARENA_MAX = -8  # of malloc.h
ARENAS = 2


def bound_arenas() -> None:
    """glibc gives every few threads a heap of their own, and each keeps the most that it ever held.

    With two heaps a server under mixed load stays at about half the memory, and stays there. Called before threads
    are started; on another C library it does nothing.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
