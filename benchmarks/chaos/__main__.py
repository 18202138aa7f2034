"""Strikes releases on a real cluster: each component, in each phase, killed, frozen, slow, out of space.

Brings the demo's one-node cluster up if it isn't, and takes it down again. Good models have to be promoted and a
failing one taken back all the same, and no request may be lost but what was under way in a process that was killed.
A release that went wrong leaves a transcript in build/chaos/.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence

from benchmarks.chaos.plan import Release, plan
from benchmarks.chaos.report import report
from benchmarks.chaos.trial import Trial, freshen, transcript, try_out
from benchmarks.command import MISSED, SUCCEEDED, Report, add_output_options, positive, run_command
from benchmarks.machine import described
from benchmarks.progress import Progress
from benchmarks.releases.testbed import testbed_running
from benchmarks.report_page import DOCS, ReportSection
from benchmarks.traffic.bed import Bed, Rates
from benchmarks.traffic.live import live
from tidegate_demo import place

SECTION = ReportSection("chaos", DOCS / "chaos.md")
TRANSCRIPTS = place.REPOSITORY / "build" / "chaos"
IMAGES = 200
"""The failing model fails on a fifth of them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 when a release went wrong, 2 when it can't be tried here, 130 after Ctrl-C."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return run_command(options, SECTION, lambda: _try_all(options))


def _try_all(options: argparse.Namespace) -> Report:
    releases = plan(options.seed, options.faults)
    progress, ends = Progress(planned=len(releases)), time.monotonic() + 60 * options.minutes
    rates, trials = Rates(float(options.kept), float(options.new)), list[Trial]()
    with testbed_running(progress, None, keep=options.keep_cluster) as testbed, live(testbed, progress, rates) as bed:
        bed.images = IMAGES
        for number, release in enumerate(releases, 1):
            if time.monotonic() > ends:
                progress.note(f"     the time is over, {len(releases) - len(trials)} releases are left out")
                break
            trials.append(_try_one(bed, number, release))
    document = {"seed": options.seed, "trials": [_plain(trial) for trial in trials]}
    wrong = any(trial.wrong for trial in trials)
    return Report(report(trials, options.seed, described()), document, MISSED if wrong else SUCCEEDED)


def _try_one(bed: Bed, number: int, release: Release) -> Trial:
    planned = ", ".join(f"{fault.phase}: {fault.component} {fault.kind}" for fault in release.faults)
    bed.progress.step(f"{'a good' if release.is_good else 'the failing'} model; {planned}")
    freshen(bed)
    trial = try_out(bed, number, release)
    bed.progress.note(
        f"     {trial.outcome or 'no outcome'} after {trial.seconds:.0f} s, {trial.counts.sent:,} requests, "
        f"{trial.lost} lost, {trial.lost_again} of them with a second try; {'; '.join(trial.wrong) or 'as it should'}"
    )
    if trial.wrong:
        TRANSCRIPTS.mkdir(parents=True, exist_ok=True)
        place_of_it = TRANSCRIPTS / f"{number}.txt"
        place_of_it.write_text(transcript(bed, trial))
        bed.progress.note(f"     see {place_of_it}")
    return trial


def _plain(trial: Trial) -> dict[str, object]:
    return {
        "release": trial.number,
        "isGood": trial.release.is_good,
        "struck": trial.struck,
        "outcome": trial.outcome,
        "seconds": round(trial.seconds, 1),
        "requests": trial.counts.sent,
        "lost": trial.lost,
        "lostAgain": trial.lost_again,
        "wrong": trial.wrong,
    }


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seed", type=positive, default=1, metavar="N", help="of the order (1)")
    parser.add_argument("--faults", type=positive, default=220, metavar="N", help="how many at most (220)")
    parser.add_argument("--minutes", type=positive, default=60, metavar="N", help="begin no release after (60)")
    parser.add_argument("--kept", type=positive, default=80, metavar="N", help="a second, over kept connections (80)")
    parser.add_argument("--new", type=positive, default=20, metavar="N", help="with a new connection each (20)")
    parser.add_argument("--keep-cluster", action="store_true", help="leave the cluster up")
    add_output_options(parser, SECTION)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
