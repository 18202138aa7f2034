"""What the benchmark says in one sentence and ends with."""


class BenchmarkError(Exception):
    """Something that a measurement needs is missing or gave a wrong answer."""
