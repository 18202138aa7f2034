"""The soak's result as a page's section. Pure."""

from collections import Counter

from benchmarks.markdown import counted, met
from benchmarks.server_trials.memory import sparkline
from benchmarks.server_trials.requests import BAD_KINDS
from benchmarks.server_trials.soak import SoakResult

MEBI = 2**20
SHOWN = 10


def soak_report(soaked: SoakResult) -> str:
    """Markdown."""
    return "\n".join([*_verdicts(soaked), "", *_memory(soaked), "", *_answers(soaked), *_wrong(soaked)])


def _verdicts(soaked: SoakResult) -> list[str]:
    flat, counts = soaked.flatness, soaked.counts
    wrong = len(counts.wrong) + len(soaked.calls.wrong)
    return [
        f"- Memory between minute {soaked.seconds / 300:.3g} and the end: {flat.least / MEBI:.1f} to "
        f"{flat.most / MEBI:.1f} MiB, a spread of {flat.spread:.1%}. **{met(flat.is_flat)}** (limit 5 %). "
        f"The last fifth lies {flat.drift:+.1%} from the first settled one; single readings were "
        f"{flat.least_reading / MEBI:.1f} to {flat.most_reading / MEBI:.1f} MiB",
        f"- Answers that aren't what they should be: {wrong}. **{met(not wrong)}**",
        f"- 5xx: {soaked.server_errors}. **{met(not soaked.server_errors)}**",
        f"- Errors in the server's log that nobody foresaw: {len(soaked.faults)}. **{met(not soaked.faults)}**",
    ]


def _memory(soaked: SoakResult) -> list[str]:
    line = sparkline([sample.bytes for sample in soaked.samples])
    each = soaked.seconds / len(soaked.samples)
    figures = " ".join(f"{sample.bytes / MEBI:.0f}" for sample in soaked.samples)
    return ["```", f"RSS, median of each {each:.3g} s, bars from zero", line, f"MiB: {figures}", "```"]


def _answers(soaked: SoakResult) -> list[str]:
    counts = soaked.counts
    sent = counts.sent.total()
    bad = sum(counts.sent[kind.name] for kind in BAD_KINDS)
    return [
        f"{sent:,} messages in {soaked.seconds / 60:.3g} minutes ({sent / soaked.seconds:,.0f} a second) on 32 "
        f"connections, {bad:,} of them bad ({bad / max(1, sent):.1%}); the server used {soaked.cpu_share:.2f} CPUs. "
        f"Turned away with 429: {counts.turned_away:,}. Scrapes of /metrics: {counts.scrapes}.",
        "",
        f"Answers by status: {counted(counts.answers)}. gRPC calls beside them: {counted(soaked.calls.statuses)}.",
        "",
        f"Messages by kind: {counted(counts.sent)}.",
    ]


def _wrong(soaked: SoakResult) -> list[str]:
    wrong = Counter([*soaked.counts.wrong, *soaked.calls.wrong, *(f"log: {line}" for line in soaked.faults)])
    return ["", *(f"- {count} × {sentence}" for sentence, count in wrong.most_common(SHOWN))] if wrong else []
