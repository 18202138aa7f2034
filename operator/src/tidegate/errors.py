"""Every error of the operator's own.

TidegateError
├── InvalidSpec           the user has to change the resource; trying again cannot help
│   ├── ReferenceUnknown  or what the name of its model means
│   ├── ConfigUnusable    or a ConfigMap or Secret that it names
│   └── RouterUnavailable or the cluster has nothing that the router it asks for is made of
├── InvalidControl        an annotation that asks for something makes no sense; it is refused, everything else goes on
├── MalformedObject       an object of the cluster can't be used; that one is left out, everything else goes on
├── ClusterUnavailable    the API server did not answer or refused; the next pass tries again
│   └── WriteRefused      it refused a write, and will again until somebody changes something
│       ├── NameTaken           an object of that name is there, and isn't ours
│       └── PredecessorRemains  it belonged to a ModelDeployment of the same name that was deleted
├── ObjectChanged         somebody wrote an object since it was observed; the next pass, at once, observes it anew
├── LeadershipLost        another operator leads, or may: nothing more is written by this one
├── ObjectGone            the ModelDeployment was deleted; there is nothing left to do for it
├── MetricsUnavailable    Prometheus did not answer; the rollout holds
├── NotEvidence           a router's answer that can't be trusted; it is counted and told, and nothing is judged by it
└── CallFailed            a webhook, or whoever is notified, gave no answer that is of use
"""


class TidegateError(Exception):
    """The root of the tree above."""


class InvalidSpec(TidegateError):
    """A ModelDeployment that the API server let through and that makes no sense; the message names the field."""


class InvalidControl(TidegateError):
    """What somebody asks of a rollout by an annotation can't be read; the message says what to write."""


class ConfigUnusable(InvalidSpec):
    """A ConfigMap or Secret that a ModelDeployment needs isn't there, lacks a key or can't be read; says which."""


class ReferenceUnknown(InvalidSpec):
    """Nobody has said yet what the name of a model means that is to be followed; the message says why."""

    def __init__(self, message: str, *, asked: bool) -> None:
        super().__init__(message)
        self.asked = asked
        """Whether the first answer is still to come."""


class RouterUnavailable(InvalidSpec):
    """The cluster lacks the kinds that the router of a ModelDeployment is written in, or hides them; says which."""


class MalformedObject(TidegateError):
    """An object of an unforeseen shape; the message says which field, and why."""


class ClusterUnavailable(TidegateError):
    """An API call failed; the message says which object and why."""

    def __init__(
        self, message: str, status: int | None = None, retry_after: float | None = None, said: str = ""
    ) -> None:
        super().__init__(message)
        self.said = said or message
        """The server's own sentence."""
        self.status = status
        """The HTTP status, or None when there was no answer at all."""
        self.retry_after = retry_after
        """Seconds that the server asks to wait before the next try; None where it says nothing."""


class WriteRefused(ClusterUnavailable):
    """A write that makes no sense or isn't allowed: quota, an admission webhook, RBAC, an invalid field."""


class NameTaken(WriteRefused):
    """The name is somebody else's: theirs is neither changed nor deleted. The message says whose, and what to do."""


class PredecessorRemains(WriteRefused):
    """The name is still an object's of an earlier ModelDeployment; Kubernetes' garbage collector removes it."""


class ObjectChanged(TidegateError):
    """A write that rested on an older version of its object, and changed nothing; the message names the object."""


class LeadershipLost(TidegateError):
    """A write that was held back, as its writer doesn't lead any more; the message says what isn't written."""


class ObjectGone(TidegateError):
    """A ModelDeployment that was seen is there no more, or another has its name; the message names it."""


class MetricsUnavailable(TidegateError):
    """Prometheus gave no usable answer; the message says at which address and why."""


class NotEvidence(TidegateError):
    """What came in a router's name isn't signed, isn't the answer to what was asked, or makes no sense; says which."""


class CallFailed(TidegateError):
    """A call of a webhook or a receiver of notifications; the message is one sentence without any secret."""

    def __init__(
        self,
        message: str,
        *,
        final: bool = False,
        retry_after: float | None = None,
        status: int = 0,
        challenge: str = "",
    ) -> None:
        super().__init__(message)
        self.status, self.challenge = status, challenge
        """Of an answer that wasn't one of 2xx: its status, and how it wants its caller to log in."""
        self.final = final
        """Whether another try can't help until somebody changes something."""
        self.retry_after = retry_after
        """Seconds that the other side asks to wait before the next try."""


def innermost(error: BaseException) -> str:
    """What is at the bottom of an error of a library, without the objects that it puts before it."""
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rpartition(": ")[2] or type(error).__name__
