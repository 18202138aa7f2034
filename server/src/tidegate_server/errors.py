"""What can go wrong, by who has to act.

ServerError
├── BadSetting      a variable or an option makes no sense; whoever wrote the manifest has to change it
├── ModelRefused    the file can't be served; its `reason` is NotOnnx or UnsupportedModel
├── ModelFailed     the graph failed while running; the detail is for the log, never for a client
├── InvalidRequest  the request can't be answered; its `status` is a 4xx
├── NotFiniteOutput the model answered NaN or infinity, which JSON can't carry
└── FetchFailed     the model file couldn't be fetched; `transient` says whether another attempt soon may help
"""


class ServerError(Exception):
    """Anything that this server says in one sentence."""


class BadSetting(ServerError):
    pass


class ModelRefused(ServerError):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelFailed(ServerError):
    pass


class InvalidRequest(ServerError):
    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class NotFiniteOutput(ServerError):
    def __init__(self, output: str) -> None:
        super().__init__(f"the model answered NaN or infinity in output {output}")


class FetchFailed(ServerError):
    """`transient`: another attempt within seconds may well succeed."""

    def __init__(self, reason: str, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.transient = transient
