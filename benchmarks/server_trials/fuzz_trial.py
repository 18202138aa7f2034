"""The fuzzers together: schemathesis on the documents, our own in the reader, and our own on the wire."""

import io
import re
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from benchmarks.markdown import counted, met, table
from benchmarks.progress import Progress
from benchmarks.server_trials.amount import Amount
from benchmarks.server_trials.fuzz import MOST_GROWTH, FuzzResult, fuzz_wire
from benchmarks.server_trials.schema import Conformance, conformance
from tests.server.protocol import fuzz as reader

SHOWN = 10
MEBIBYTE = 2**20
LONGEST_SHOWN = 200


@dataclass(frozen=True)
class FuzzingResult:
    """`read` is what the reader's fuzzer said; its exit code is 0 when it found nothing."""

    documents: tuple[Conformance, ...]
    wire: FuzzResult
    read: str
    read_code: int

    @property
    def is_good(self) -> bool:
        """None of the fuzzers found anything."""
        return all(one.is_good for one in self.documents) and self.wire.is_good and not self.read_code

    @property
    def cases(self) -> int:
        """Of all fuzzers together."""
        found = re.search(r"(\d+) cases", self.read)
        in_reader = int(found[1]) if found else 0
        return sum(one.cases for one in self.documents) + self.wire.cases.total() + in_reader


def try_fuzzing(
    folder: Path, amount: Amount, reader_seconds: float, examples: int, seed: int, progress: Progress
) -> FuzzingResult:
    """So much on the wire, and so long in the reader. Raises BenchmarkError."""
    progress.note("mutated bodies in the reader")
    said = io.StringIO()
    with redirect_stdout(said):
        code = reader.run(reader_seconds, seed)
    documents = tuple(conformance(folder, examples, seed, progress))
    return FuzzingResult(documents, fuzz_wire(folder, amount, seed, progress), said.getvalue().strip(), code)


def fuzzing_report(fuzzing: FuzzingResult) -> str:
    """Markdown."""
    wire = fuzzing.wire
    documents = [
        [one.model, str(one.operations), f"{one.cases:,}", "nothing" if one.is_good else "see below"]
        for one in fuzzing.documents
    ]
    rules = f"by rule: {counted(wire.by_rule)}; " if wire.by_rule else ""
    return "\n".join(
        [
            f"**{met(fuzzing.is_good)}**: {fuzzing.cases:,} cases.",
            "",
            table([["schemathesis, a server with", "operations", "cases", "found"], *documents]),
            "",
            f"In the reader itself: {fuzzing.read or 'it failed'}.",
            "",
            f"On the wire, to {wire.servers} servers with models of different signatures: {wire.cases.total():,} cases "
            f"({counted(wire.cases)}). Answers: {counted(wire.answers)}; {rules}none to {wire.unanswered:,}, which "
            f"were cut off or no HTTP. After each few hundred cases a valid question was asked: {wire.checks} times. "
            f"Wrong answers: {len(wire.wrong)}; errors in the servers' logs that nobody foresaw: {len(wire.faults)}. "
            f"No server's memory grew by more than {wire.growth / MEBIBYTE:.0f} MiB "
            f"(limit {MOST_GROWTH / MEBIBYTE:.0f}).",
            *_complaints(fuzzing),
        ]
    )


def _complaints(fuzzing: FuzzingResult) -> list[str]:
    lines = []
    for one in fuzzing.documents:
        if not one.is_good:
            lines += ["", f"{one.model}:", "", "```", one.complaint, *one.faults, "```"]
    wrong = Counter(sentence for sentence, _ in fuzzing.wire.wrong)
    example = dict(fuzzing.wire.wrong)
    lines += [
        f"- {count} × {sentence}: `{example[sentence][:LONGEST_SHOWN]!r}`"
        for sentence, count in wrong.most_common(SHOWN)
    ]
    return [*lines, *(f"- log: {line}" for line in fuzzing.wire.faults[:SHOWN])]
