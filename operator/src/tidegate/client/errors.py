"""What a client raises beside NotDone and ClusterUnavailable.

NotDone
└── Refused      the operator won't do what it was asked for; its sentence says why
TidegateError
├── NotAnswered  the operator has said nothing within the time; what was asked for stands
└── NotSettled   a release is still under way after the time
"""

from tidegate.cli.common.errors import NotDone
from tidegate.errors import TidegateError
from tidegate.view.rollout_view import RolloutView


class Refused(NotDone):
    """What was asked for makes no sense to the operator, and changed nothing."""


class NotAnswered(TidegateError):
    """The operator doesn't run, or nobody leads: it acts as soon as it does."""


class NotSettled(TidegateError):
    """`view` is what was seen last."""

    def __init__(self, message: str, view: RolloutView) -> None:
        super().__init__(message)
        self.view = view
