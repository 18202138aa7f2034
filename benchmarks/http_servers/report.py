"""Draws the comparison: how fast, and what is true of each server. Pure."""

from collections.abc import Callable

from benchmarks.http_servers.results import Ending, Facts, Idle, Results, Slow, Speed, TooLarge
from benchmarks.markdown import UNKNOWN, bullets, in_ms, table
from benchmarks.server.report import QUIET

IDLE_WANTED = 60.0


def report(results: Results) -> str:
    """Everything that there is to say about one run."""
    parts = (speeds(results), facts(results), endings(results), notes(results), bullets(results.machine))
    return "\n\n".join(part for part in parts if part) + "\n"


def speeds(results: Results) -> str:
    """The CPU time of a request is the column that other work on the machine changes least."""
    rows = [row for row in results.rows if row.speed is not None]
    head = ["", "requests/s", "CPU µs a request", "p50 ms", "p99 ms", "p99 ms at 70 %"]
    return table([head, *([row.label, *_speed(row.speed)] for row in rows if row.speed)])


def facts(results: Results) -> str:
    """What was found of each server, probe by probe."""
    head = [
        "",
        "chunked",
        "over 16 MiB",
        "40 bodies that don't come",
        "40 heads, a byte a second",
        "idle for 62 s",
    ]
    cells: list[Callable[[Facts], str]] = [
        lambda facts: _chunked(facts.chunked),
        lambda facts: _too_large(facts.declared, facts.undeclared),
        lambda facts: _slow(facts.bodies),
        lambda facts: _slow(facts.heads),
        lambda facts: _idle(facts.idle),
    ]
    rows = [[row.label, *(cell(row.facts) for cell in cells)] for row in results.rows if row.facts]
    return table([head, *rows])


def endings(results: Results) -> str:
    """What SIGTERM under load cost."""
    head = ["SIGTERM under load", "connections told to close", "new connections answered", "requests lost"]
    rows = [[row.label, *_ending(row.ending)] for row in results.rows if row.ending]
    return table([head, *rows])


def notes(results: Results) -> str:
    """Why figures are missing or can't be relied on, and which setting bounds idle connections."""
    noise = []
    if results.spread > QUIET:
        noise.append(
            f"- The handler's own rounds differ by {results.spread:.0%}, so the machine had other work to do: "
            "compare CPU times and facts, and measure again for the rest"
        )
    lines = noise + [f"- {row.label}: {row.note}" for row in results.rows if row.note]
    settings = {row.label.partition(",")[0]: row.idle_setting or "nothing" for row in results.rows if row.facts}
    if settings:
        lines.append("- How long an idle connection is kept is set by " + "; ".join(map(": ".join, settings.items())))
    for row in results.rows:
        if row.speed and (failed := row.speed.failed + (row.speed.paced.failed if row.speed.paced else 0)):
            lines.append(f"- {row.label}: {failed} requests FAILED while its speed was measured")
    return "\n".join(lines)


def _speed(speed: Speed) -> list[str]:
    late = in_ms(speed.paced.p99_ms) if speed.paced else UNKNOWN
    return [
        f"{speed.per_second:,.0f}",
        f"{speed.cpu_us:.1f}",
        in_ms(speed.p50_ms),
        in_ms(speed.p99_ms),
        late,
    ]


def _chunked(seen: str | None) -> str:
    if seen is None:
        return UNKNOWN
    return f"no: {seen}" if seen else "yes"


def _too_large(declared: TooLarge | None, undeclared: TooLarge | None) -> str:
    """The length may be told in the head, or nowhere when the body comes in chunks; both have to be refused."""
    if declared is None or undeclared is None:
        return UNKNOWN
    if declared.refused and undeclared.refused:
        return "refused"
    told, in_chunks = _body(declared), _body(undeclared)
    return told if told == in_chunks else f"{told}, in chunks {in_chunks}"


def _body(seen: TooLarge) -> str:
    if seen.refused:
        return "refused"
    if seen.status == 0 and seen.sent < seen.of:
        return "cut off"
    return "taken"


def _slow(seen: Slow | None) -> str:
    """First whether others were answered within a second, then whether the slow ones were ended."""
    if seen is None:
        return UNKNOWN
    others = "answered" if seen.late == 0 else f"{seen.late} of {seen.asked} LATE"
    if seen.ended == seen.held:
        return f"{others}, ended in {seen.last_ended:.0f} s"
    return f"{others}, {seen.held - seen.ended} not ended"


def _idle(seen: Idle | None) -> str:
    if seen is None:
        return UNKNOWN
    if seen.closed_after is not None:
        return f"closed after {seen.closed_after:.0f} s"
    return "kept" if seen.watched >= IDLE_WANTED else f"kept for {seen.watched:.0f} s, then not watched"


def _ending(ending: Ending) -> list[str]:
    lost = f"{ending.lost} of {ending.asked:,}"
    if ending.lost:
        lost += f": {ending.refused} refused, {ending.broken} broken"
    told = f"{ending.told} of {ending.connections}"
    return [told, f"{ending.new_answered} of {ending.new_asked}", lost]
