"""What can go wrong, by who has to act.

ServerError
├── BadSetting      a variable or an option makes no sense; whoever wrote the manifest has to change it
├── ModelRefused    the file can't be served; its `reason` is one word for machines
├── ModelFailed     the graph failed while running; the detail is for the log, never for a client
├── InvalidRequest  the request can't be answered; its `status` is a 4xx
├── NotAllowed      the caller didn't show a key or a token that is good for this; its `status` is 401 or 403
├── Overloaded      too much waits already; `retry_after_seconds` says when to try again
├── DeadlinePassed  the answer wasn't there in time
├── NotReady        the server is ending
├── NotFiniteOutput the model answered NaN or infinity, which JSON can't carry
└── FetchFailed     the model file couldn't be fetched; `transient` says whether another attempt soon may help
"""


class ServerError(Exception):
    """Anything that this server says in one sentence."""


class BadSetting(ServerError):
    """`permanent` is False where waiting may help: a Secret may be mounted a moment later."""

    def __init__(self, message: str, *, permanent: bool = True) -> None:
        super().__init__(message)
        self.permanent = permanent


class ModelRefused(ServerError):
    """The file can't be served. `reason` is one word in CamelCase."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelFailed(ServerError):
    """The graph failed on this input."""


class InvalidRequest(ServerError):
    """`status` as of HTTP: 400, 404, 413 or 415."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class NotAllowed(ServerError):
    """`status` as of HTTP: 401 without credentials that are known, 403 without the scope."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class Overloaded(ServerError):
    """As many requests wait as may; HTTP's 429."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many requests wait already; try again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class DeadlinePassed(ServerError):
    """`seconds` was the time that the request had; HTTP's 504."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the answer wasn't there within {seconds:g} s, so the run was given up")


class NotReady(ServerError):
    """The server drains; HTTP's 503."""

    def __init__(self) -> None:
        super().__init__("the server is ending; ask another one")


class NotFiniteOutput(ServerError):
    """`output` is the tensor's name; HTTP's 500."""

    def __init__(self, output: str) -> None:
        super().__init__(f"the model answered NaN or infinity in output {output}")


class FetchFailed(ServerError):
    """`reason` is one word in CamelCase; `transient`: another attempt within seconds may well succeed."""

    def __init__(self, reason: str, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.transient = transient
