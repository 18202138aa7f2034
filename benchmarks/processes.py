"""What processes use, read from /proc. Other work on the machine doesn't change it."""

import os
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_GROUP, _USER, _SYSTEM = 2, 11, 12  # fields of /proc/PID/stat after the name in brackets


def resident_bytes(pid: int) -> int:
    """Memory of the process and all that it started; 0 for one that has ended."""
    return sum(own_bytes(process) for process in (pid, *_descendants(pid)))


def own_bytes(pid: int) -> int:
    """Memory of the process itself; 0 for one that has ended."""
    return _memory(pid, "VmRSS:")


def peak_bytes(pid: int) -> int:
    """The most memory that the process itself has had; 0 for one that has ended."""
    return _memory(pid, "VmHWM:")


def cpu_seconds(pid: int) -> float:
    """User and system time so far of the process and all that it started."""
    stats = [_read(process, "stat") for process in (pid, *_descendants(pid))]
    return sum(_ticks(_fields(stat)) for stat in stats if stat) / _TICKS_PER_SECOND


def group_seconds(group: int) -> float:
    """User and system time so far of the living processes of that group, also of those whose parents are gone."""
    stats = [_read(int(process.name), "stat") for process in Path("/proc").glob("[0-9]*")]
    return sum(ticks_of(stat, group) for stat in stats if stat) / _TICKS_PER_SECOND


def ticks_of(stat: str, group: int) -> int:
    """Of one process' line; 0 when it belongs to another group. A program's name may contain spaces and brackets."""
    fields = _fields(stat)
    return _ticks(fields) if int(fields[_GROUP]) == group else 0


def has_ended(pid: int) -> bool:
    """Also while nobody has taken its exit code yet."""
    stat = _read(pid, "stat")
    return not stat or _fields(stat)[0] == "Z"


def _fields(stat: str) -> list[str]:
    return stat.rpartition(")")[2].split()


def _ticks(fields: list[str]) -> int:
    return int(fields[_USER]) + int(fields[_SYSTEM])


def _memory(pid: int, name: str) -> int:
    for line in _read(pid, "status").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def children(pid: int) -> list[int]:
    """The processes that a process has started; none of one that has ended."""
    return [int(child) for child in _read(pid, f"task/{pid}/children").split()]


def _descendants(pid: int) -> list[int]:
    return [one for child in children(pid) for one in (child, *_descendants(child))]


def _read(pid: int, name: str) -> str:
    """'' for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""
