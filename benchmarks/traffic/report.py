"""The table of the page. Pure."""

from collections.abc import Mapping, Sequence

from benchmarks.markdown import table
from benchmarks.traffic.counts import Counts, quantile, total
from benchmarks.traffic.results import Result

KEEPS_UP = 0.99
"""A load that sent less than this of what it was asked for has measured something else, and says so."""
LATE_SECONDS = 1.0


def report(results: Sequence[Result], titles: Mapping[str, str], machine: str) -> str:
    """One line per event and one for all of them."""
    head = ("event", "requests", "a second", "lost", "lost with one retry", "p99", "what became of the lost ones")
    rows = [_row(titles.get(each.event, each.event), each.all, f"{each.rate:.0f}") for each in results]
    everything = total(each.all for each in results)
    rows.append(_row("**all of them**", everything, ""))
    notes = [note for each in results for note in _notes(titles.get(each.event, each.event), each)]
    seconds = sum(each.seconds for each in results)
    began = f"On {machine}; {seconds / 60:.0f} minutes under load, the last of them ended {_last(results)}."
    told = ["", *(f"- {note}" for note in notes)] if notes else []
    return "\n".join([began, "", table([head, *rows], labels=1), *told, ""])


def _row(title: str, counts: Counts, rate: str) -> tuple[str, ...]:
    faults = ", ".join(f"{number} {fault}" for fault, number in counts.faults.most_common())
    return (title, f"{counts.sent:,}", rate, f"{counts.lost}", f"{counts.lost_with_retry}", _p99(counts), faults)


def _p99(counts: Counts) -> str:
    seconds = quantile(counts.latency, 0.99)
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"


def _notes(title: str, each: Result) -> list[str]:
    notes = []
    if each.rate < KEEPS_UP * each.asked:
        notes.append(f"{title}: {each.asked:.0f} requests a second were asked for, {each.rate:.0f} were sent")
    late = quantile(each.steady.late, 0.99)
    if late is not None and late > LATE_SECONDS:
        notes.append(f"{title}: one request in a hundred was sent {late:.1f} s late or more")
    if each.trouble:
        notes.append(f"{title}: {each.trouble}")
    return notes


def _last(results: Sequence[Result]) -> str:
    return max((each.ended for each in results), default="never")
