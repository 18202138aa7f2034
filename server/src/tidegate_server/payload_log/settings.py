"""Whether bodies are logged, where to, and which, from TIDEGATE_LOG_* variables."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from tidegate_server.environment import Environ, number, one_of, whole
from tidegate_server.errors import BadSetting

Mode = Literal["all", "request", "response"]
Format = Literal["binary", "structured", "batch"]
MODES: tuple[Mode, ...] = ("all", "request", "response")
FORMATS: tuple[Format, ...] = ("binary", "structured", "batch")
SINK = "TIDEGATE_LOG_SINK"
DEFAULT_BODY_BYTES, MOST_BODY_BYTES = 2**16, 2**22


@dataclass(frozen=True)
class LogSettings:
    """What goes to the sink."""

    sink: str
    mode: Mode = "all"
    format: Format = "binary"
    ratio: float = 1.0
    """The share of requests whose bodies are logged."""
    max_body_bytes: int = DEFAULT_BODY_BYTES
    """Of larger bodies only the size is told."""

    @classmethod
    def from_env(cls, environ: Environ) -> "LogSettings | None":
        """None without a sink. Raises BadSetting with a sentence that names the variable."""
        sink = environ.get(SINK, "")
        mode: Mode = one_of(environ, "TIDEGATE_LOG_MODE", MODES)  # type: ignore[assignment]
        form: Format = one_of(environ, "TIDEGATE_LOG_FORMAT", FORMATS)  # type: ignore[assignment]
        ratio = number(environ, "TIDEGATE_LOG_RATIO", 1.0, most=1, unit="a share")
        body = whole(environ, "TIDEGATE_LOG_MAX_BODY_BYTES", DEFAULT_BODY_BYTES, most=MOST_BODY_BYTES)
        return cls(_address(sink), mode, form, ratio, body) if sink else None


def _address(sink: str) -> str:
    """Nothing of it is repeated: an address may hold a secret."""
    try:
        parts = urlsplit(sink)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not (sink.isascii() and sink.isprintable()) or " " in sink:
        raise BadSetting(f"{SINK} isn't an address; it must be http://HOST/PATH or https://HOST/PATH")
    if parts.username or parts.password:
        raise BadSetting(f"{SINK} holds a user or a password, and the sink is asked without; take it out")
    return sink
