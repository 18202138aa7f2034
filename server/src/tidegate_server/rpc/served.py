"""What the door needs of the rest of the server, in its own words."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Array


class Counts(Protocol):
    def began(self) -> None: ...

    def answered(self, protocol: str, code: int, seconds: float, encode_seconds: float = 0.0) -> None: ...

    def failed(self, reason: str) -> None: ...

    def statistics(self) -> dict[str, Any]: ...


class Served(Protocol):
    """The model and what runs it. `run` waits, and raises the errors of errors.py."""

    @property
    def signature(self) -> Signature: ...

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str: ...

    @property
    def metrics(self) -> Counts: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def labels(self) -> Sequence[str]: ...

    def ready(self) -> bool: ...

    def knows(self, name: str, version: str | None) -> bool: ...

    def run(self, request: InferRequest) -> Mapping[str, Array]: ...


class Guard(Protocol):
    """Raises NotAllowed unless the metadata holds a key or a token that is good for inference."""

    def check(self, metadata: Mapping[str, str]) -> object: ...
