"""Every name, label and port that is ever written."""

from datetime import datetime

Name = tuple[str, str]
"""Namespace and name of a route."""

GROUP = "tidegate.dev"
VERSION = "v1alpha1"
MANAGED_BY = "app.kubernetes.io/managed-by"
MODEL_DEPLOYMENT = f"{GROUP}/model-deployment"
REVISION = f"{GROUP}/revision"
PINNED = f"{GROUP}/pinned-sha256"
"""On a Deployment: the digest that its pods are held to. Kept here so that no ConfigMap ever has to be read."""
COPY_OF = f"{GROUP}/copy-of"
"""On a revision's copy of a ConfigMap or Secret: the name of that one."""
RESTARTED_AT = f"{GROUP}/restarted-at"
"""On a Deployment's pods: when somebody asked for them to be replaced."""
WRITTEN_BY = f"{GROUP}/written-by"
"""On a route: the operator that wrote it, as `model.traffic.Writer` has it."""
LEAVING = f"{GROUP}/leaving"
"""On a route of the Gateway API: revisions that are listed at 0 until no router can know them any more."""
LENT = f"{GROUP}/lent-rules"
"""On a route of a user's: the rules that ModelDeployments have, and what is to be in them again."""
RETURNS_RULES = f"{GROUP}/returns-rules"
"""A finalizer of a ModelDeployment that has a rule of a user's route: it goes when the rule is given back."""
FIELD_MANAGER = "tidegate"
SELECTOR = f"{MANAGED_BY}=tidegate"
"""The label selector of everything that belongs to a ModelDeployment."""

SERVER_PORT = 8080
GRPC_PORT = 8081
ADMIN_PORT = 8082
"""Metrics and health; never a request for an answer."""
PORT_NAME = "http"
"""The routers know a revision's port by this name."""
GRPC_PORT_NAME = "grpc"
ADMIN_PORT_NAME = "admin"
MODEL_FOLDER = "/models"
CLAIM_FOLDER = "/mnt/models"
MOUNTED_IMAGE = "/mnt/models/image"
"""Where the node mounts an image that has the model."""
CREDENTIALS_FOLDER = "/var/run/tidegate/credentials"
SIGNERS_FOLDER = "/var/run/tidegate/signers"
API_KEYS_FOLDER = "/var/run/tidegate/api-keys"
REQUEST_SAMPLES_FOLDER = "/var/run/tidegate/request-samples"
TRAFFIC_HEADER = "x-tidegate-traffic"
"""Tells the model server how a request came: `live`, drawn by weight, `preview`, or `shadow`, a copy of a live one.

What a client says is lost.
"""
SERVER_UID = 10001
PIN_KEY = "sha256"
FILES_PIN_KEY = "files_sha256"
EVIDENCE_KEY = "evidence"
"""In a checkpoint: what has been shown of a candidate."""
RECORD_KEY = "record"
"""In a checkpoint, and in what is kept of a rollout that has ended: what its verdicts were made from."""
FETCH = "fetch"
SERVE = "server"


def labels(name: str, revision: str | None = None) -> dict[str, str]:
    """Labels of what belongs to a ModelDeployment, and to one revision of it."""
    common = {MANAGED_BY: "tidegate", "app.kubernetes.io/name": "model-server", MODEL_DEPLOYMENT: name}
    return common if revision is None else {**common, REVISION: revision}


def config_copy_name(revision: str, number: int) -> str:
    """A revision's copy of the ConfigMap or Secret that is the n-th of those that it uses."""
    return f"{revision}-config-{number}"


def checkpoint_name(revision: str) -> str:
    """The ConfigMap that keeps the evidence about a candidate."""
    return f"{revision}-checkpoint"


def record_name(revision: str, started_at: datetime) -> str:
    """The ConfigMap that keeps what the verdicts of a rollout that has ended were made from."""
    return f"{revision}-record-{int(started_at.timestamp())}"


def recorded_since(name: str, revision: str) -> int | None:
    """When the rollout began whose record has this name, in seconds since 1970; None of another name."""
    begun = name.removeprefix(f"{revision}-record-")
    return int(begun) if begun != name and begun.isdecimal() else None


def pod_selector(name: str, revision: str) -> dict[str, str]:
    """What selects a revision's pods; never edited once written."""
    return {MODEL_DEPLOYMENT: name, REVISION: revision}


def router_cluster(namespace: str, name: str, revision: str) -> str:
    """A revision's name in the router's counters."""
    return f"{namespace}/{name}/{revision}"


GRPC_SUFFIX = "/grpc"
"""Calls by gRPC are counted under the revision's name and this; those by the preview header under both."""
PREVIEW_SUFFIX = "/preview"
"""Requests that came by the preview header are counted under the revision's name and this."""
MIRROR_SUFFIX = "/mirror"
"""The same of copies of requests, whose answers nobody gets."""
MATCH_SUFFIX = "/match"
"""The same of requests that came by a step's rules."""
