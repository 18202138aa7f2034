"""Draws the results: tables that read as well in a terminal as in Markdown. Pure."""

from statistics import median

from benchmarks.markdown import UNKNOWN, bullets, in_ms, table
from benchmarks.server.goals import judge
from benchmarks.server.results import Results, Row, ratios
from benchmarks.server.setups import BEFORE, TIDEGATE

QUIET = 0.15


def report(results: Results) -> str:
    """Everything that there is to say about one run."""
    parts = [
        figures(results),
        beside_before(results),
        notes(results),
        goals(results),
        tried(results),
        bullets(results.machine),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def figures(results: Results) -> str:
    """One row per server and protocol, one group of columns per model."""
    sizes = results.sizes()
    columns = ("requests/s", "of raw", "p50 ms", "p99 ms", "p99 at 70 %")
    head = ["", *(f"{size}: {column}" if column == columns[0] else column for size in sizes for column in columns)]
    rows = [["raw, one row a run"], ["raw, several rows a run"]]
    for size in sizes:
        for line, found in zip(rows, (results.limit(size), results.batched(size)), strict=True):
            share = _share(results, size, found.per_second) if found else ""
            line += (
                [_rate(found.per_second), share, in_ms(found.p50_ms), in_ms(found.p99_ms), ""] if found else [""] * 5
            )
    for server, protocol in dict.fromkeys((row.server, row.protocol) for row in results.rows):
        line = [f"{server}, {protocol}"]
        for size in sizes:
            line += _cells(results, results.row(size, server, protocol))
        rows.append(line)
    return table([head, *(row for row in rows if any(row[1:]))])


def beside_before(results: Results) -> str:
    """This code beside the baseline, round by round. Empty without one."""
    head = ["model", "protocol", "before: requests/s", "now", "now / before", "p99 ms before", "now", "floor"]
    rows = []
    for row in results.rows:
        before = results.row(row.size, BEFORE, row.protocol)
        times = ratios(row, before) if row.server == TIDEGATE and before else []
        if before and times:
            rows.append(
                [
                    row.size,
                    row.protocol,
                    _rate(before.per_second),
                    _rate(row.per_second),
                    f"{median(times):.2f}× ({min(times):.2f} to {max(times):.2f})",
                    *map(in_ms, (before.p99_ms, row.p99_ms, row.floor_ms)),
                ]
            )
    return table([head, *rows], labels=2)


def notes(results: Results) -> str:
    """Which setting each figure is of, and why figures are missing, don't count or can't be relied on."""
    limits = [limit for size in results.sizes() if (limit := results.limit(size)) is not None]
    lines = [
        f"- {limit.size}: the bare runtime's own rounds differ by {limit.spread:.0%}, "
        "so the machine had other work to do: measure again"
        for limit in limits
        if limit.spread > QUIET
    ]
    for server in dict.fromkeys(row.server for row in results.rows if row.server != TIDEGATE):
        settings = {row.size: row.setting for row in results.rows if row.server == server}
        lines.append(f"- {server}'s setting: " + "; ".join(f"{s}: {said}" for s, said in settings.items()))
    for (server, note), names in _missing(results).items():
        lines.append(f"- {server}, {', '.join(names)}: {note}")
    for row in results.rows:
        if row.failed:
            lines.append(f"- {row.server}, {row.protocol}, {row.size}: {row.failed} requests FAILED, marked with !")
    return "\n".join(lines)


def _missing(results: Results) -> dict[tuple[str, str], list[str]]:
    """Which models and protocols have no figures, by server and reason."""
    missing: dict[tuple[str, str], list[str]] = {}
    for row in results.rows:
        if row.note:
            missing.setdefault((row.server, row.note), []).append(f"{row.size} {row.protocol}".strip())
    return missing


def goals(results: Results) -> str:
    """Empty when nothing can be judged."""
    lines = [[goal.size, goal.protocol, goal.words, goal.seen, goal.verdict] for goal in judge(results)]
    return table([["model", "protocol", "goal", "seen", ""], *lines])


def tried(results: Results) -> str:
    """The peers' settings, each measured for two seconds to find the best."""
    if not results.tried:
        return ""
    sizes = list(dict.fromkeys(row.size for row in results.tried))
    rows = []
    for server, setting in dict.fromkeys((row.server, row.setting) for row in results.tried):
        cells = {row.size: row for row in results.tried if (row.server, row.setting) == (server, setting)}
        rows.append([f"{server}, {setting}", *(_rate(cells[s].per_second) if s in cells else "" for s in sizes)])
    return table([["setting tried", *(f"{size}: requests/s" for size in sizes)], *rows])


def _cells(results: Results, row: Row | None) -> list[str]:
    if row is None:
        return [""] * 5
    if row.note:
        return [UNKNOWN] * 5
    mark = " !" if row.failed else ""
    share = _share(results, row.size, row.per_second)
    return [_rate(row.per_second) + mark, share, in_ms(row.p50_ms), _late(row.p99_ms, row.floor_ms), _paced(row)]


def _paced(row: Row) -> str:
    if row.paced is None:
        return ""
    return _late(row.paced.p99_ms, row.paced_floor_ms) + (" !" if row.paced.failed else "")


def _late(ms: float, floor_ms: float) -> str:
    """With the machine's own jitter beside it, where that was measured."""
    return f"{in_ms(ms)} ({in_ms(floor_ms)})" if floor_ms else in_ms(ms)


def _share(results: Results, size: str, per_second: float) -> str:
    limit = results.limit(size)
    if limit is None:
        return ""
    share = per_second / limit.per_second
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second else UNKNOWN
