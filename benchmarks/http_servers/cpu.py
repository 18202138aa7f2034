"""The CPU time of a server and of all processes that it has started. Other work on the machine doesn't change it."""

import os
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_GROUP, _USER, _SYSTEM = 2, 11, 12  # fields of /proc/PID/stat after the name in brackets


def group_seconds(group: int) -> float:
    """User and system time so far of the living processes of that group."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            ticks += ticks_of(stat.read_text(), group)
        except OSError:  # it has ended meanwhile
            continue
    return ticks / _TICKS_PER_SECOND


def ticks_of(stat: str, group: int) -> int:
    """Of one process' line; 0 when it belongs to another group. A program's name may contain spaces and brackets."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[_USER]) + int(fields[_SYSTEM]) if int(fields[_GROUP]) == group else 0
