"""Draws the results: tables that read as well in a terminal as in Markdown. Pure."""

from benchmarks.markdown import UNKNOWN, bullets, in_ms, table
from benchmarks.server.goals import judge
from benchmarks.server.results import Results, Row
from benchmarks.server.setups import TIDEGATE

QUIET = 0.15


def report(results: Results) -> str:
    """Everything that there is to say about one run."""
    parts = [figures(results), notes(results), goals(results), tried(results), bullets(results.machine)]
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
            line += _cells(results, _find(results, size, server, protocol))
        rows.append(line)
    return table([head, *(row for row in rows if any(row[1:]))])


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


def _find(results: Results, size: str, server: str, protocol: str) -> Row | None:
    found = (row for row in results.rows if (row.size, row.server, row.protocol) == (size, server, protocol))
    return next(found, None)


def _cells(results: Results, row: Row | None) -> list[str]:
    if row is None:
        return [""] * 5
    if row.note:
        return [UNKNOWN] * 5
    mark = " !" if row.failed else ""
    share = _share(results, row.size, row.per_second)
    late = in_ms(row.paced.p99_ms) + (" !" if row.paced.failed else "") if row.paced else ""
    return [_rate(row.per_second) + mark, share, in_ms(row.p50_ms), in_ms(row.p99_ms), late]


def _share(results: Results, size: str, per_second: float) -> str:
    limit = results.limit(size)
    if limit is None:
        return ""
    share = per_second / limit.per_second
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second else UNKNOWN
