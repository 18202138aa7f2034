"""What ends a trial before it has a result."""


class TrialError(Exception):
    """It can't be tried here; the message says why and what to do."""
