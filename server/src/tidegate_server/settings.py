"""All settings of the server, from TIDEGATE_* variables, read once at the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tidegate_server.access.settings import AccessSettings
from tidegate_server.access_log import Level, level_from_env
from tidegate_server.environment import is_auto, number, one_of, whole
from tidegate_server.errors import BadSetting
from tidegate_server.tracing import TraceSettings

MEBIBYTE = 2**20
GIBIBYTE = 2**30
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(frozen=True)
class Settings:
    """All settings of `fetch` and `serve`."""

    model_path: Path
    model_uri: str
    """Where `fetch` reads the model; empty when `serve` is started on a file that's already here."""
    model_sha256: str
    """Lower case hex; empty when any content is accepted."""
    model_files_sha256: str
    """Lower case hex of the list of all files' digests; empty when any files beside the model are accepted."""
    model_name: str
    model_deployment: str
    """Namespace and name of the ModelDeployment, `shop/sentiment`; a label of every metric."""
    revision: str
    host: str
    port: int
    grpc_port: int
    admin_port: int
    """Metrics and health, without keys; never inference."""
    threads: int
    """For what isn't answered in the event loop: large JSON bodies, metadata, gRPC."""
    cpus: int | None
    """CPUs for the runtime; None means: ask the container's quota."""
    processes: int | None
    """None means: as many as CPUs for a tiny model, else one."""
    threads_per_run: int | None
    """None means: measure at warm-up."""
    batch_max_rows: int
    """The most rows of a batch; 1 turns batching off. The warm-up may choose fewer."""
    batch_linger_seconds: float | None
    """How long a free run waits for more requests while another is going on; None means: measure at warm-up."""
    max_queue: int
    """Requests that wait for a run; the next one is rejected with 429."""
    max_queue_bytes: int
    request_seconds: float
    """The longest that a request may take, queue and run; then it is answered with 504 and its run is ended."""
    max_elements: int
    """Of all tensors of a request together."""
    max_head_bytes: int
    head_timeout_seconds: float
    max_connections: int
    access: AccessSettings
    max_body_bytes: int
    body_timeout_seconds: float
    """How long a client may take to send a body, and to take in an answer."""
    keepalive_seconds: int
    drain_seconds: float
    drain_deadline_seconds: float
    max_model_bytes: int
    fetch_retry_seconds: float
    """How long transient failures are tried again; then the kubelet's own, slower backoff takes over."""
    check_model: str
    """What `fetch` does when ONNX's own checker finds fault: `refuse`, `warn`, or `off` for not asking it."""
    termination_log: Path
    access_log: Level
    tracing: TraceSettings

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads TIDEGATE_* variables. Raises BadSetting with a sentence that names the variable."""
        path = _model_path(environ)
        name = environ.get("TIDEGATE_MODEL_NAME") or path.stem
        drain = number(environ, "TIDEGATE_DRAIN_SECONDS", 5)
        deadline = number(environ, "TIDEGATE_DRAIN_DEADLINE_SECONDS", 25)
        if deadline < drain:
            raise BadSetting(
                f"TIDEGATE_DRAIN_DEADLINE_SECONDS is {deadline:g}, less than TIDEGATE_DRAIN_SECONDS, which is {drain:g}"
            )
        return cls(
            model_path=path,
            model_uri=environ.get("TIDEGATE_MODEL_URI", ""),
            model_sha256=environ.get("TIDEGATE_MODEL_SHA256", "").strip().lower(),
            model_files_sha256=environ.get("TIDEGATE_MODEL_FILES_SHA256", "").strip().lower(),
            model_name=_name(name),
            model_deployment=environ.get("TIDEGATE_MODEL_DEPLOYMENT") or f"local/{name}",
            revision=_name(environ.get("TIDEGATE_REVISION") or "local"),
            host=environ.get("TIDEGATE_HOST") or "0.0.0.0",
            port=whole(environ, "TIDEGATE_PORT", 8080, least=0, most=65535),
            grpc_port=whole(environ, "TIDEGATE_GRPC_PORT", 8081, least=0, most=65535),
            admin_port=whole(environ, "TIDEGATE_ADMIN_PORT", 8082, least=0, most=65535),
            threads=whole(environ, "TIDEGATE_THREADS", 16, most=512),
            cpus=whole(environ, "TIDEGATE_CPUS", 1, most=1024) if environ.get("TIDEGATE_CPUS") else None,
            processes=_whole_or_auto(environ, "TIDEGATE_PROCESSES", most=64),
            threads_per_run=_whole_or_auto(environ, "TIDEGATE_THREADS_PER_RUN", most=1024),
            batch_max_rows=whole(environ, "TIDEGATE_BATCH_MAX_ROWS", 16, most=4096),
            batch_linger_seconds=(
                None
                if is_auto(environ, "TIDEGATE_BATCH_LINGER_SECONDS")
                else number(environ, "TIDEGATE_BATCH_LINGER_SECONDS", 0)
            ),
            max_queue=whole(environ, "TIDEGATE_MAX_QUEUE", 256, most=100_000),
            max_queue_bytes=whole(environ, "TIDEGATE_MAX_QUEUE_BYTES", 256 * MEBIBYTE),
            request_seconds=number(environ, "TIDEGATE_REQUEST_SECONDS", 30, least=0.001),
            max_elements=whole(environ, "TIDEGATE_MAX_ELEMENTS", 2**24),
            max_head_bytes=whole(environ, "TIDEGATE_MAX_HEAD_BYTES", 32 * 1024, least=1024),
            head_timeout_seconds=number(environ, "TIDEGATE_HEAD_TIMEOUT_SECONDS", 10, least=1),
            max_connections=whole(environ, "TIDEGATE_MAX_CONNECTIONS", 1000),
            access=AccessSettings.from_env(environ),
            access_log=level_from_env(environ),
            tracing=TraceSettings.from_env(environ),
            max_body_bytes=whole(environ, "TIDEGATE_MAX_BODY_BYTES", 16 * MEBIBYTE),
            body_timeout_seconds=number(environ, "TIDEGATE_BODY_TIMEOUT_SECONDS", 30, least=1),
            keepalive_seconds=whole(environ, "TIDEGATE_KEEPALIVE_SECONDS", 75),
            drain_seconds=drain,
            drain_deadline_seconds=deadline,
            max_model_bytes=whole(environ, "TIDEGATE_MAX_MODEL_BYTES", 10 * GIBIBYTE),
            fetch_retry_seconds=number(environ, "TIDEGATE_FETCH_RETRY_SECONDS", 20),
            check_model=one_of(environ, "TIDEGATE_CHECK_MODEL", ("refuse", "warn", "off")),
            termination_log=termination_log(environ),
        )


def termination_log(environ: Mapping[str, str]) -> Path:
    """The file whose content Kubernetes shows once the container has ended."""
    return Path(environ.get("TIDEGATE_TERMINATION_LOG") or "/dev/termination-log")


def path_in_image(uri: str) -> Path:
    """Where image:///models/7 or image:///models/7/digits.onnx has its model."""
    path = Path(unquote(urlsplit(uri).path))
    return path if path.suffix == ".onnx" else path / "model.onnx"


def _model_path(environ: Mapping[str, str]) -> Path:
    if given := environ.get("TIDEGATE_MODEL_PATH"):
        return Path(given)
    uri = environ.get("TIDEGATE_MODEL_URI", "")
    return path_in_image(uri) if uri.startswith("image://") else Path("/models/model.onnx")


def _whole_or_auto(environ: Mapping[str, str], variable: str, *, most: int) -> int | None:
    return None if is_auto(environ, variable) else whole(environ, variable, 1, most=most)


def _name(text: str) -> str:
    # Names end up in headers and in paths: printable ASCII without separators.
    if not (text.isascii() and text.isprintable()) or set(text) & set("/?#% "):
        raise BadSetting(f"{text!r} can't name a model or a revision; use letters, digits, '-', '_' and '.'")
    return text
