"""What the benchmark says in one sentence and ends with."""


class BenchmarkError(Exception):
    """Nothing can be simulated as it was asked for, or the report has no place to go."""
