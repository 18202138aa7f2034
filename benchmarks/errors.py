"""What ends a measurement before it has a result; each message is one sentence for people, and says what to do.

BenchmarkError          nothing can be measured as it was asked for
└── ScenarioAborted     one scenario can't go on; the releases that it still owes count as failed
"""


class BenchmarkError(Exception):
    """Something that a measurement needs is missing or gave a wrong answer, or a report has no place to go."""


class ScenarioAborted(BenchmarkError):
    """A scenario can't go on; the others can."""
