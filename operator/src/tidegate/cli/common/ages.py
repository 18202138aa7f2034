"""How long ago something was, as kubectl's column AGE has it. Pure."""

from datetime import datetime, timedelta


def age(since: datetime | None, now: datetime) -> str:
    """`71s`, `5m12s`, `3h20m`, `2d4h`, `40d`; `?` where nobody knows."""
    return "?" if since is None else span(max(now - since, timedelta()))


def span(length: timedelta) -> str:
    """Two units at most, and the small one only where it counts."""
    seconds = int(length.total_seconds())
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    return _two(days, "d", hours % 24, "h") if days < 8 else f"{days}d"


def _two(large: int, one: str, small: int, other: str) -> str:
    return f"{large}{one}{small}{other}" if small else f"{large}{one}"
