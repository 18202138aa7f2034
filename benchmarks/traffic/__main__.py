"""Counts the requests that are lost through the built-in router while one thing after another happens.

Brings the demo's one-node cluster up if it isn't, and takes it down again. All events take some twenty minutes.
In parts: `--only` chooses events, and `--go-on` adds them to what was found before.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from benchmarks.command import (
    MISSED,
    SUCCEEDED,
    Report,
    add_choice,
    add_output_options,
    positive,
    run_command,
)
from benchmarks.errors import ScenarioAborted
from benchmarks.machine import described
from benchmarks.progress import Progress
from benchmarks.releases.testbed import testbed_running
from benchmarks.report_page import DOCS, ReportSection
from benchmarks.traffic.bed import Bed, Rates
from benchmarks.traffic.counts import quantile
from benchmarks.traffic.events import EVENTS, KILLS_ENVOY
from benchmarks.traffic.live import live
from benchmarks.traffic.report import report
from benchmarks.traffic.results import Result, joined, read, result, save
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import cache_folder
from tidegate_demo.kubectl import KubectlError

SECTION = ReportSection("traffic", DOCS / "traffic-benchmark.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 when a request is lost without need, 2 when it can't be measured here, 130 after Ctrl-C."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    # Whoever ends us leaves an API server that is stopped, or a cluster without Prometheus, as little as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return run_command(options, SECTION, lambda: _measure(options))


def _measure(options: argparse.Namespace) -> Report:
    place_of_results = cache_folder() / "bench-traffic" / "results.json"
    found = read(place_of_results) if options.go_on or options.join else []
    if not options.join:
        found = _run_all(options, found, lambda results: save(results, place_of_results))
    results = joined(found)
    titles = {name: known.title for name, known in EVENTS.items()}
    # What was in flight in an Envoy that was killed is known to nobody else; a second try has to bring it.
    lost = sum(each.all.lost_with_retry if each.event in KILLS_ENVOY else each.all.lost for each in results)
    document = {"events": [{"event": each.event, **each.all.to_dict()} for each in results]}
    text = report(results, titles, f"{described()}, which run the cluster, the load and the models alike")
    return Report(text, document, MISSED if lost else SUCCEEDED)


def _run_all(options: argparse.Namespace, found: list[Result], keep: Callable[[list[Result]], None]) -> list[Result]:
    progress = Progress(planned=len(options.only) * options.rounds)
    rates = Rates(float(options.kept), float(options.new))
    with testbed_running(progress, None, keep=options.keep_cluster) as testbed, live(testbed, progress, rates) as bed:
        for name in list(options.only) * options.rounds:
            found.append(_run_one(bed, name))
            keep(found)
    return found


def _run_one(bed: Bed, name: str) -> Result:
    bed.progress.step(EVENTS[name].title)
    bed.found, trouble = [], ""
    try:
        with bed.loaded():
            EVENTS[name].run(bed)
    except (ScenarioAborted, ClusterError, KubectlError) as error:
        trouble = str(error)
    ended = datetime.now(UTC).isoformat(timespec="minutes")  # noqa: TID251 - told to people
    seen = result(name, bed.found, bed.rates.kept + bed.rates.new, ended, trouble)
    _tell(bed.progress, seen)
    return seen


def _tell(progress: Progress, seen: Result) -> None:
    p99, late = quantile(seen.all.latency, 0.99) or 0, quantile(seen.steady.late, 0.99) or 0
    progress.note(
        f"     {seen.all.sent:,} requests, {seen.rate:.0f} a second, {seen.all.lost} lost, "
        f"{seen.all.lost_with_retry} with a retry, p99 {p99 * 1000:.0f} ms, sent up to {late * 1000:.0f} ms late; "
        f"{dict(seen.all.faults)}{' ended early: ' + seen.trouble if seen.trouble else ''}"
    )
    for example in seen.examples[:6]:
        progress.note(f"          {example}")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic", description=__doc__)
    add_choice(parser, "--only", tuple(EVENTS), "EVENTS")
    parser.add_argument("--kept", type=positive, default=500, metavar="N", help="a second, over kept connections (500)")
    parser.add_argument("--new", type=positive, default=200, metavar="N", help="with a new connection each (200)")
    parser.add_argument(
        "--rounds", type=positive, default=1, metavar="N", help="how often each event is gone through (1)"
    )
    parser.add_argument("--go-on", action="store_true", help="add to what was found before")
    parser.add_argument("--join", action="store_true", help="measure nothing, and report what was found before")
    parser.add_argument("--keep-cluster", action="store_true", help="leave the cluster up")
    add_output_options(parser, SECTION)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
