"""How many CPUs and how much memory the container may use; the runtime's default is all that the host has."""

import os
from math import ceil, floor
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
NO_LIMIT = 2**60
CPUS_UNASKED = 4
"""Used where they are there, however little was asked for."""


def cpu_quota(root: Path = CGROUP_ROOT) -> float | None:
    """CPUs as a fraction, for cgroup v2 and v1; None without a limit or where there are no cgroups."""
    unified = _text(root / "cpu.max").split()
    if len(unified) == 2:
        return _ratio(*unified)
    return _ratio(_text(root / "cpu/cpu.cfs_quota_us"), _text(root / "cpu/cpu.cfs_period_us"))


def available_cores() -> int:
    """Those that this process may run on: a node may give its containers cores of their own."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cpus(quota: float | None, cores: int, request: float | None = None) -> int:
    """Whole CPUs: a thread more than the quota would be throttled for most of each period.

    Without a quota, where a `request` is known, as many as that, and a few in any case: most of a large node's cores
    are there for its other pods.
    """
    if quota is not None:
        return max(1, min(cores, floor(quota)))
    return cores if request is None else min(cores, max(ceil(request), CPUS_UNASKED))


def memory_limit(root: Path = CGROUP_ROOT) -> int | None:
    """Bytes, for cgroup v2 and v1; None without a limit or where there are no cgroups."""
    text = _text(root / "memory.max") or _text(root / "memory/memory.limit_in_bytes")
    # v2 says "max" and v1 a number near 2**63 for "no limit".
    return int(text) if text.isdigit() and int(text) < NO_LIMIT else None


def _ratio(quota: str, period: str) -> float | None:
    # v2 says "max" and v1 says -1 for "no limit".
    if not quota.isdigit() or not period.isdigit() or not int(period):
        return None
    return int(quota) / int(period) or None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
