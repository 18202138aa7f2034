"""What a command of ours can't do, each with one sentence for the person who asked.

TidegateError
├── Unusable       the command line makes no sense; the exit code is 2
└── CannotReplay   there is nothing to replay, or Prometheus doesn't hold it any more
"""

from tidegate.errors import TidegateError


class Unusable(TidegateError):
    """A setting or a number that makes no sense; the message names it."""


class CannotReplay(TidegateError):
    """A rollout that can't be judged again; the message says why."""
