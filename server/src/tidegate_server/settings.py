"""All settings of the server, from TIDEGATE_* variables, read once at the start."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tidegate_server.access.settings import TLS_CERT, AccessSettings, TlsSettings
from tidegate_server.access_log import LEVELS, Level
from tidegate_server.environment import Environ, auto, number, one_of, text, whole
from tidegate_server.errors import BadSetting
from tidegate_server.inference.providers import VARIABLE, Provider, parse_providers
from tidegate_server.inference.session_options import SessionOptions, session_options
from tidegate_server.payload_log.settings import LogSettings
from tidegate_server.protocol.limits import NOT_FINITE, Limits, NotFinite
from tidegate_server.request_samples.settings import SampleSettings
from tidegate_server.tracing import TraceSettings
from tidegate_server.unix_socket import UnixSocket

KIBIBYTE, MEBIBYTE, GIBIBYTE = 2**10, 2**20, 2**30
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def _variable(name: str, read: Callable[..., Any], *arguments: Any, **bounds: Any) -> Any:
    """A field whose value `read` takes from TIDEGATE_`name`."""
    return field(metadata={"read": lambda environ: read(environ, f"TIDEGATE_{name}", *arguments, **bounds)})


def termination_log(environ: Environ) -> Path:
    """The file whose content Kubernetes shows once the container has ended."""
    return Path(environ.get("TIDEGATE_TERMINATION_LOG") or "/dev/termination-log")


def path_in_image(uri: str) -> Path:
    """Where image:///models/7 or image:///models/7/digits.onnx has its model."""
    path = Path(unquote(urlsplit(uri).path))
    return path if path.suffix == ".onnx" else path / "model.onnx"


def _model_path(environ: Environ) -> Path:
    if given := environ.get("TIDEGATE_MODEL_PATH"):
        path = Path(given)
        return _graph_in(path) if path.is_dir() else path
    uri = environ.get("TIDEGATE_MODEL_URI", "")
    return path_in_image(uri) if uri.startswith("image://") else Path("/models/model.onnx")


def _graph_in(folder: Path) -> Path:
    """model.onnx, or the only .onnx file, of the folder or of its `onnx`, where transformers.js has it."""
    graphs = sorted(folder.glob("*.onnx")) or sorted((folder / "onnx").glob("*.onnx"))
    named = [graph for graph in graphs if graph.stem == "model"] or graphs
    if len(named) == 1:
        return named[0]
    found = f"has {len(graphs)} .onnx files and none is model.onnx" if graphs else "has no .onnx file"
    raise BadSetting(f"the model is to be in the folder {folder}, which {found}; name the file")


def _model_name(environ: Environ) -> str:
    path, given = _model_path(environ), Path(environ.get("TIDEGATE_MODEL_PATH") or "")
    # A folder says more than the name that every graph has in its folder.
    is_folder = path.stem == "model" and given != path and given.is_dir()
    return _safe_name(environ, "TIDEGATE_MODEL_NAME", given.resolve().name if is_folder else path.stem)


def _model_deployment(environ: Environ) -> str:
    return environ.get("TIDEGATE_MODEL_DEPLOYMENT") or f"local/{_model_name(environ)}"


def _safe_name(environ: Environ, variable: str, default: str) -> str:
    name = environ.get(variable) or default
    # Names end up in headers and in paths: printable ASCII without separators.
    if not (name.isascii() and name.isprintable()) or set(name) & set("/?#% "):
        hint = "; give it one with --name" if variable == "TIDEGATE_MODEL_NAME" else ""
        raise BadSetting(f"{name!r} can't be {variable}; use letters, digits, '-', '_' and '.'{hint}")
    return name


def _port(environ: Environ) -> int:
    """Vertex AI says by a variable of its own where it will ask."""
    variable = "AIP_HTTP_PORT" if environ.get("AIP_HTTP_PORT") and not environ.get("TIDEGATE_PORT") else "TIDEGATE_PORT"
    return whole(environ, variable, 8080, least=0, most=65535)


def _path(environ: Environ, variable: str) -> str:
    path = environ.get(variable, "")
    if path and not (path.startswith("/") and path.isascii() and path.isprintable() and not set(path) & set("?#%<> ")):
        raise BadSetting(f"{variable} is {path!r}; it must be a path such as /predict")
    return path


def _unix_socket(environ: Environ, variable: str) -> UnixSocket | None:
    if not (path := environ.get(variable)):
        return None
    mode = environ.get(SOCKET_MODE) or "0660"
    if not re.fullmatch("0?[0-7]{3}", mode):
        raise BadSetting(f"{SOCKET_MODE} is {mode!r}; it must be who may connect, as chmod has it, such as 0660")
    return UnixSocket(Path(path), variable, int(mode, 8))


def _sha256(environ: Environ, variable: str) -> str:
    return environ.get(variable, "").strip().lower()


SOCKET_MODE = "TIDEGATE_UNIX_SOCKET_MODE"
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")


def _origins(environ: Environ, variable: str) -> tuple[str, ...]:
    """Of `https://app.example, http://localhost:3000`, or `*`."""
    given = tuple(origin for each in environ.get(variable, "").split(",") if (origin := each.strip()))
    for origin in given:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise BadSetting(f"{variable} holds {origin!r}; it must be '*', or origins such as https://app.example")
    return given


DRAIN_MARGIN_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of `fetch` and `serve`: variable, default and bounds."""

    model_path: Path = field(metadata={"read": _model_path})
    model_uri: str = _variable("MODEL_URI", text)
    """Where `fetch` reads the model; empty when `serve` is started on a file that's already here."""
    model_sha256: str = _variable("MODEL_SHA256", _sha256)
    """Lower case hex; empty when any content is accepted."""
    model_files_sha256: str = _variable("MODEL_FILES_SHA256", _sha256)
    """Lower case hex of the list of all files' digests; empty when any files beside the model are accepted."""
    model_name: str = field(metadata={"read": _model_name})
    model_deployment: str = field(metadata={"read": _model_deployment})
    """Namespace and name of the ModelDeployment, `shop/sentiment`; a label of every metric."""
    revision: str = _variable("REVISION", _safe_name, "local")
    unmarked_traffic: str = _variable("UNMARKED_TRAFFIC", one_of, ("live", "direct"))
    """How a request came that no router has marked. Behind Tidegate's router it came past that: `direct`."""
    host: str = _variable("HOST", text, "0.0.0.0")
    port: int = field(metadata={"read": _port})
    vertex_predict_path: str = field(metadata={"read": partial(_path, variable="AIP_PREDICT_ROUTE")})
    """Where Vertex AI sends its requests; empty elsewhere, as the next one."""
    vertex_health_path: str = field(metadata={"read": partial(_path, variable="AIP_HEALTH_ROUTE")})
    grpc_port: int = _variable("GRPC_PORT", whole, 8081, least=0, most=65535)
    admin_port: int = _variable("ADMIN_PORT", whole, 8082, least=0, most=65535)
    """Metrics and health, without keys; never inference."""
    tls: TlsSettings | None = field(metadata={"read": TlsSettings.from_env})
    """Of HTTP and gRPC, not of the admin port; None for plain text."""
    unix_socket: UnixSocket | None = field(metadata={"read": partial(_unix_socket, variable="TIDEGATE_UNIX_SOCKET")})
    """Where HTTP is served besides, without TLS; the next one is gRPC's."""
    grpc_unix_socket: UnixSocket | None = field(
        metadata={"read": partial(_unix_socket, variable="TIDEGATE_GRPC_UNIX_SOCKET")}
    )
    threads: int = _variable("THREADS", whole, 16, most=512)
    """For what isn't handled on the event loop: large JSON bodies, metadata, gRPC."""
    cpus: int | None = _variable("CPUS", auto, whole, 1, most=1024)
    """CPUs for the runtime; None means: the container's quota."""
    cpu_request: float | None = _variable("CPU_REQUEST", auto, number, 0, most=1024, unit="CPUs")
    """What Kubernetes keeps free for the container; it counts where there is no quota. None means: not known."""
    processes: int | None = _variable("PROCESSES", auto, whole, 1, most=64)
    """None means: as many as CPUs for a tiny model, else one."""
    threads_per_run: int | None = _variable("THREADS_PER_RUN", auto, whole, 1, most=1024)
    """None means: measure at warm-up."""
    providers: tuple[Provider, ...] = field(
        metadata={"read": lambda environ: parse_providers(environ.get(VARIABLE, ""))}
    )
    """What computes the model before the CPU does; nothing unless set."""
    provider_check: str = _variable("PROVIDER_CHECK", one_of, ("Auto", "refuse", "warn", "off"))
    """What follows where a provider computes otherwise than the CPU; `off`: it isn't looked at.

    `Auto`: refused, but for numbers that are a little off and inputs that no client should send; those are told.
    """
    session_options: SessionOptions = field(metadata={"read": session_options})
    """What differs from how the model is opened as usual."""
    batch_max_rows: int = _variable("BATCH_MAX_ROWS", whole, 16, most=4096)
    """The most rows of a batch; 1 turns batching off. The warm-up may choose fewer."""
    batch_linger_seconds: float | None = _variable("BATCH_LINGER_SECONDS", auto, number, 0)
    """How long a free run waits for more requests while another is going on; None means: measure at warm-up."""
    max_queue: int = _variable("MAX_QUEUE", whole, 256, most=100_000)
    """Requests that wait for a run; the next one is rejected with 429."""
    max_queue_bytes: int = _variable("MAX_QUEUE_BYTES", whole, 256 * MEBIBYTE)
    request_seconds: float = _variable("REQUEST_SECONDS", number, 30, least=0.001)
    """The longest that a request may take, queue and run; then its response is 504 and its run is ended."""
    max_held_bytes: int | None = _variable("MAX_HELD_BYTES", auto, whole, 1)
    """Of requests and answers in memory at once; None means: a quarter of the container's memory."""
    max_elements: int = _variable("MAX_ELEMENTS", whole, 2**24)
    """Of all tensors of a request together."""
    missing_values: str = _variable("MISSING_VALUES", one_of, ("Auto", "allow", "refuse"))
    """Whether null and NaN in JSON are let in as NaN; `Auto`: where the graph has trees, imputers or IsNaN."""
    not_finite: NotFinite = field(
        metadata={"read": partial(one_of, variable="TIDEGATE_NOT_FINITE", choices=NOT_FINITE)}
    )
    """What answers in JSON have in place of NaN and infinity."""
    max_head_bytes: int = _variable("MAX_HEAD_BYTES", whole, 32 * KIBIBYTE, least=KIBIBYTE)
    head_timeout_seconds: float = _variable("HEAD_TIMEOUT_SECONDS", number, 10, least=1)
    max_connections: int = _variable("MAX_CONNECTIONS", whole, 1000)
    cors_origins: tuple[str, ...] = _variable("CORS_ORIGINS", _origins)
    """Pages that may ask from a browser; none unless set."""
    access: AccessSettings = field(metadata={"read": AccessSettings.from_env})
    max_body_bytes: int = _variable("MAX_BODY_BYTES", whole, 16 * MEBIBYTE)
    body_timeout_seconds: float = _variable("BODY_TIMEOUT_SECONDS", number, 30, least=1)
    """How long a client may take to send a body, and to take in a response."""
    keepalive_seconds: int = _variable("KEEPALIVE_SECONDS", whole, 75)
    drain_seconds: float = _variable("DRAIN_SECONDS", number, 5)
    drain_deadline: float | None = _variable("DRAIN_DEADLINE_SECONDS", auto, number, 0)
    """None means: as long as a request may take that comes at the end of `drain_seconds`."""
    max_model_bytes: int = _variable("MAX_MODEL_BYTES", whole, 10 * GIBIBYTE)
    fetch_retry_seconds: float = _variable("FETCH_RETRY_SECONDS", number, 20)
    """How long transient failures are tried again; then the kubelet's own, slower backoff takes over."""
    fetch_connections: int = _variable("FETCH_CONNECTIONS", whole, 4, most=32)
    """Over which a large file comes at once, where its source gives parts of it."""
    check_model: str = _variable("CHECK_MODEL", one_of, ("Auto", "refuse", "warn", "off"))
    """What `fetch` does when ONNX's own checker finds fault: `refuse`, `warn`, or `off` for not running it.

    `Auto`: what the runtime opens all the same is let in with a warning, as `serve` would.
    """
    termination_log: Path = field(metadata={"read": termination_log})
    access_log: Level = field(metadata={"read": partial(one_of, variable="TIDEGATE_ACCESS_LOG", choices=LEVELS)})
    payload_log: LogSettings | None = field(metadata={"read": LogSettings.from_env})
    """None where no bodies are logged."""
    request_samples: SampleSettings | None = field(metadata={"read": SampleSettings.from_env})
    """None where no requests are kept."""
    tracing: TraceSettings = field(metadata={"read": TraceSettings.from_env})

    @classmethod
    def from_env(cls, environ: Environ) -> "Settings":
        """Raises BadSetting with a sentence that names the variable."""
        settings = cls(**{each.name: each.metadata["read"](environ) for each in fields(cls)})
        settings.require_sense()
        return settings

    def require_sense(self) -> None:
        """Raises BadSetting for settings that contradict each other."""
        drain, deadline = self.drain_seconds, self.drain_deadline
        if deadline is not None and deadline < drain:
            raise BadSetting(
                f"TIDEGATE_DRAIN_DEADLINE_SECONDS is {deadline:g}, less than TIDEGATE_DRAIN_SECONDS, which is {drain:g}"
            )
        if self.tls is not None and self.unmarked_traffic == "direct":
            raise BadSetting(
                f"{TLS_CERT} is set in a pod behind Tidegate's router, which speaks plain HTTP; unset it in server.env"
            )

    def limits(self, *, takes_missing_values: bool) -> Limits:
        """Of one request to a model that has, or hasn't, operators that expect NaN."""
        allow_nan = takes_missing_values if self.missing_values == "Auto" else self.missing_values == "allow"
        return Limits(max_elements=self.max_elements, allow_nan=allow_nan, not_finite=self.not_finite)

    @property
    def drain_deadline_seconds(self) -> float:
        """Seconds after SIGTERM at which what is still in flight is given up."""
        if self.drain_deadline is not None:
            return self.drain_deadline
        return self.drain_seconds + self.request_seconds + DRAIN_MARGIN_SECONDS
