"""Every error of the operator's own.

TidegateError
├── InvalidSpec           the user has to change the resource; trying again cannot help
├── MalformedObject       an object of the cluster can't be used; that one is left out, everything else goes on
├── ClusterUnavailable    the API server did not answer or refused; the next pass tries again
├── ObjectChanged         somebody wrote an object since it was observed; the next pass, at once, observes it anew
├── LeadershipLost        another operator leads, or may: nothing more is written by this one
├── ObjectGone            the ModelDeployment was deleted; there is nothing left to do for it
└── MetricsUnavailable    Prometheus did not answer; the rollout holds
"""


class TidegateError(Exception):
    """The root of the tree above."""


class InvalidSpec(TidegateError):
    """A ModelDeployment that the API server let through and that makes no sense; the message names the field."""


class MalformedObject(TidegateError):
    """An object of an unforeseen shape; the message says which field, and why."""


class ClusterUnavailable(TidegateError):
    """An API call failed; the message says which object and why."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status, or None when there was no answer at all."""


class ObjectChanged(TidegateError):
    """A write that rested on an older version of its object, and changed nothing; the message names the object."""


class LeadershipLost(TidegateError):
    """A write that was held back, as its writer doesn't lead any more; the message says what isn't written."""


class ObjectGone(TidegateError):
    """A ModelDeployment that was seen is there no more, or another has its name; the message names it."""


class MetricsUnavailable(TidegateError):
    """Prometheus gave no usable answer; the message says at which address and why."""
