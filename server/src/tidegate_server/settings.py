"""What the server is told when it starts, from TIDEGATE_* variables, read once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate_server.errors import BadSetting

MEBIBYTE = 2**20
GIBIBYTE = 2**30
TERMINATION_LOG = "/dev/termination-log"


@dataclass(frozen=True)
class Settings:
    """All settings of `fetch` and `serve`."""

    model_path: Path
    model_uri: str
    """Where `fetch` reads the model; empty when `serve` is started on a file that's already here."""
    model_sha256: str
    """Lower case hex; empty when any content is accepted."""
    model_name: str
    model_deployment: str
    """Namespace and name of the ModelDeployment, `shop/sentiment`; a label of every metric."""
    revision: str
    host: str
    port: int
    threads: int
    """Inference requests that are answered at once; the next one is turned away with 503."""
    cpus: int | None
    """CPUs for the runtime; None means: ask the container's quota."""
    max_body_bytes: int
    body_timeout_seconds: float
    """How long a client may take to send a body, and to take in an answer."""
    keepalive_seconds: int
    drain_seconds: float
    drain_deadline_seconds: float
    max_model_bytes: int
    fetch_retry_seconds: float
    """How long transient failures are tried again; then the kubelet's own, slower backoff takes over."""
    termination_log: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads TIDEGATE_* variables. Raises BadSetting with a sentence that names the variable."""
        path = Path(environ.get("TIDEGATE_MODEL_PATH") or "/models/model.onnx")
        name = environ.get("TIDEGATE_MODEL_NAME") or path.stem
        drain = _seconds(environ, "TIDEGATE_DRAIN_SECONDS", 5)
        deadline = _seconds(environ, "TIDEGATE_DRAIN_DEADLINE_SECONDS", 25)
        if deadline < drain:
            raise BadSetting(
                f"TIDEGATE_DRAIN_DEADLINE_SECONDS is {deadline:g}, less than TIDEGATE_DRAIN_SECONDS, which is {drain:g}"
            )
        return cls(
            model_path=path,
            model_uri=environ.get("TIDEGATE_MODEL_URI", ""),
            model_sha256=environ.get("TIDEGATE_MODEL_SHA256", "").strip().lower(),
            model_name=_name(name),
            model_deployment=environ.get("TIDEGATE_MODEL_DEPLOYMENT") or f"local/{name}",
            revision=_name(environ.get("TIDEGATE_REVISION") or "local"),
            host=environ.get("TIDEGATE_HOST") or "0.0.0.0",
            port=_whole(environ, "TIDEGATE_PORT", 8080, least=0, most=65535),
            threads=_whole(environ, "TIDEGATE_THREADS", 32, most=512),
            cpus=_whole(environ, "TIDEGATE_CPUS", 1, most=1024) if environ.get("TIDEGATE_CPUS") else None,
            max_body_bytes=_whole(environ, "TIDEGATE_MAX_BODY_BYTES", 16 * MEBIBYTE),
            body_timeout_seconds=_seconds(environ, "TIDEGATE_BODY_TIMEOUT_SECONDS", 30, least=1),
            keepalive_seconds=_whole(environ, "TIDEGATE_KEEPALIVE_SECONDS", 75),
            drain_seconds=drain,
            drain_deadline_seconds=deadline,
            max_model_bytes=_whole(environ, "TIDEGATE_MAX_MODEL_BYTES", 10 * GIBIBYTE),
            fetch_retry_seconds=_seconds(environ, "TIDEGATE_FETCH_RETRY_SECONDS", 20),
            termination_log=Path(environ.get("TIDEGATE_TERMINATION_LOG") or TERMINATION_LOG),
        )


def _name(text: str) -> str:
    # Names end up in headers and in paths: printable ASCII without separators.
    if not (text.isascii() and text.isprintable()) or set(text) & set("/?#% "):
        raise BadSetting(f"{text!r} can't name a model or a revision; use letters, digits, '-', '_' and '.'")
    return text


def _whole(environ: Mapping[str, str], variable: str, default: int, *, least: int = 1, most: int = 2**62) -> int:
    text = environ.get(variable) or str(default)
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise BadSetting(f"{variable} is {text!r}; it must be a whole number from {least} to {most}")
    return int(text)


def _seconds(environ: Mapping[str, str], variable: str, default: float, *, least: float = 0) -> float:
    text = environ.get(variable) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not least <= seconds <= 86400:  # NaN fails too
        raise BadSetting(f"{variable} is {text!r}; it must be seconds, from {least:g} to 86400")
    return seconds
