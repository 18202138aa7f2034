"""What can go wrong, by who has to act.

ServerError
├── BadSetting      a variable or an option makes no sense; whoever wrote the manifest has to change it
├── ModelRefused    the file can't be served; its `reason` is one word for machines
├── FetchFailed     the model file couldn't be fetched; `transient` says whether another attempt soon may help
├── ModelFailed     the graph failed while running; the detail is for the log, never for a client
└── RequestError    ends one request, with a `status` of HTTP and a sentence for the client
    ├── InvalidRequest  can't be answered; 400 or another 4xx
    ├── NotAllowed      no key or token that is good for this; 401 or 403
    ├── Overloaded      too much waits already; `retry_after_seconds` says when to try again; 429
    ├── CallerLeft      nobody waits for the outputs any more; 499, which nobody reads
    ├── DeadlinePassed  the outputs weren't there in time; 504
    ├── NotReady        the server is ending; 503
    └── NotFiniteOutput the model gave NaN or infinity, which JSON can't carry; 500
"""


def one_line(error: BaseException, max_characters: int = 500) -> str:
    """A library's own words, on one line of bounded length."""
    return " ".join(str(error).split())[:max_characters]


class ServerError(Exception):
    """Anything that this server says in one sentence."""


class BadSetting(ServerError):
    """Whoever set the variable has to act."""

    def __init__(self, message: str, *, permanent: bool = True) -> None:
        """`permanent` is False where waiting may help: a Secret may be mounted a moment later."""
        super().__init__(message)
        self.permanent = permanent


class ModelRefused(ServerError):
    """Whoever made the model has to act."""

    def __init__(self, reason: str, message: str) -> None:
        """`reason` is one word in CamelCase."""
        super().__init__(message)
        self.reason = reason


class FetchFailed(ServerError):
    """Whoever runs the source, or wrote the URI, has to act."""

    def __init__(self, reason: str, message: str, *, transient: bool = False) -> None:
        """`transient`: another attempt within seconds may well succeed."""
        super().__init__(message)
        self.reason = reason
        self.transient = transient


class ModelFailed(ServerError):
    """The graph failed on this input."""


class RequestError(ServerError):
    """`status` is HTTP's."""

    status = 500
    retry_after_seconds: int | None = None

    def __init__(self, message: str, status: int | None = None) -> None:
        """`status` where it isn't the usual one of the class."""
        super().__init__(message)
        if status is not None:
            self.status = status


class InvalidRequest(RequestError):
    """The client has to send something else."""

    status = 400


class NotAllowed(RequestError):
    """The client has to send other credentials."""

    status = 401


class Overloaded(RequestError):
    """The client has to wait."""

    status = 429

    def __init__(self, retry_after_seconds: int, why: str = "too many requests wait already") -> None:
        """How long until it's worth trying again."""
        super().__init__(f"{why}; try again in {retry_after_seconds} s")
        self.retry_after_seconds: int = retry_after_seconds


class CallerLeft(RequestError):
    """Nobody has to act."""

    status = 499

    def __init__(self) -> None:
        """Always the same sentence."""
        super().__init__("the client has gone, so the run was given up")


class DeadlinePassed(RequestError):
    """The client has to allow more time, or send less."""

    status = 504

    def __init__(self, seconds: float) -> None:
        """The time that the request had."""
        super().__init__(f"the answer wasn't there within {seconds:g} s, so the run was given up")


class NotReady(RequestError):
    """The client has to connect to another server."""

    status, retry_after_seconds = 503, 1

    def __init__(self) -> None:
        """Always the same sentence."""
        super().__init__("the server is ending; ask another one")


class NotFiniteOutput(RequestError):
    """Whoever made the model has to act."""

    def __init__(self, output: str) -> None:
        """The output tensor's name."""
        super().__init__(f"the model answered NaN or infinity in output {output}")
