"""What ends a measurement, or one scenario of it, before it has a result."""


class CannotMeasure(Exception):
    """It can't be measured here; the message says why and what to do."""


class ScenarioBroken(Exception):
    """A scenario can't go on; the releases that it still owes count as failed."""
