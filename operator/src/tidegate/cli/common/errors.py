"""What a command of ours can't do, each with one sentence for the person who asked.

TidegateError
├── Unusable       the command line makes no sense; the exit code is 2
├── NotDone        the cluster wouldn't, or what was asked for makes no sense at this moment; nothing was changed
└── CannotReplay   there is nothing to replay, or Prometheus doesn't hold it any more
"""

from tidegate.errors import TidegateError


class Unusable(TidegateError):
    """A setting or a number that makes no sense; the message names it."""


class NotDone(TidegateError):
    """What was asked for wasn't done, and nothing was changed; the message says why, and what helps."""


class CannotReplay(TidegateError):
    """A rollout that can't be judged again; the message says why."""
