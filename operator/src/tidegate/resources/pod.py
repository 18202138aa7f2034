"""A revision's pod: an init container that fetches and checks the model, and the server that alone stays.

Who sees what is decided here: credentials, claims and proxies are the fetching container's, API keys the server's.
"""

import math
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from tidegate.model.agreement import KEY as SAMPLES_KEY
from tidegate.model.config import ConfigKind
from tidegate.model.delivery import Delivery, MountedImage
from tidegate.model.revision import Snapshot
from tidegate.model.spec import Batching, Model, Server
from tidegate.resources import pod_config, pod_template
from tidegate.resources.names import (
    ADMIN_PORT_NAME,
    API_KEYS_FOLDER,
    CLAIM_FOLDER,
    CREDENTIALS_FOLDER,
    FETCH,
    FILES_PIN_KEY,
    GRPC_PORT,
    GRPC_PORT_NAME,
    MODEL_FOLDER,
    MOUNTED_IMAGE,
    PIN_KEY,
    PORT_NAME,
    REQUEST_SAMPLES_FOLDER,
    SERVE,
    SERVER_PORT,
    SERVER_UID,
    SIGNERS_FOLDER,
    pod_selector,
)

Manifest = dict[str, Any]
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
FIXED_IDS = {"runAsUser": SERVER_UID, "runAsGroup": SERVER_UID, "fsGroup": SERVER_UID}
"""The user of the images, and the group by which volumes are read; left out where the platform gives a pod its own."""
REQUEST_SECONDS = "TIDEGATE_REQUEST_SECONDS"
"""The server's setting: how long a request may take. It gives up none earlier when it ends."""
CPU_REQUEST = "TIDEGATE_CPU_REQUEST"
"""The server's setting: the CPUs that it goes by where the container has no limit, instead of the node's."""
LEAST_GRACE_SECONDS, LONGEST_GRACE_SECONDS = 60, 3660
SECRET_MODE = 0o440
"""Readable by the pod's group, which the server runs as."""


_CPU_REQUEST: Manifest = {
    "name": CPU_REQUEST,
    # As the pod has it in the end: a LimitRange or an autoscaler may have changed what the template says.
    "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1"}},
}


class _Volume(NamedTuple):
    """A volume and where it is mounted; `by` names the only container that sees it, None stands for both."""

    name: str
    source: Manifest
    path: str
    by: str | None = None
    read_only: bool = True


class _Login(NamedTuple):
    """A key of a Secret that is mounted as a file, and the variable that says where."""

    secret: str
    key: str
    variable: str


_LOGIN_FILES = {
    "oci": (".dockerconfigjson", "TIDEGATE_REGISTRY_AUTH"),
    "gs": ("service-account.json", "GOOGLE_APPLICATION_CREDENTIALS"),
}


def grace_seconds(snapshot: Snapshot) -> int:
    """How long a pod may take to end: as long as the longest request, and a little more. An idle one ends at once."""
    return pod_template.grace_seconds(snapshot.server.pod_template, _request_grace_seconds(snapshot))


def _request_grace_seconds(snapshot: Snapshot) -> int:
    try:
        longest = float(dict(snapshot.server.env).get(REQUEST_SECONDS, "0"))
        return max(LEAST_GRACE_SECONDS, min(LONGEST_GRACE_SECONDS, math.ceil(longest) + 30))
    except (ValueError, OverflowError):
        return LEAST_GRACE_SECONDS  # the server says what is wrong with it


def pod_spec(
    namespace: str, name: str, revision: str, snapshot: Snapshot, pull_policy: str, *, fixed_ids: bool = True
) -> Manifest:
    """Everything of the pod but its metadata. Without `fixed_ids` the platform gives user and groups."""
    common: Manifest = {"image": snapshot.image, "imagePullPolicy": pull_policy, "securityContext": HARDENED}
    volumes = _volumes(snapshot)
    template, own_pods = snapshot.server.pod_template, pod_selector(name, revision)
    copies = pod_config.copies(revision, snapshot.server)
    return {
        **pod_template.pod_fields(template, own_pods),
        **_pull_secrets(snapshot),
        **_service_account(snapshot.model),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds(snapshot),
        "securityContext": {
            "runAsNonRoot": True,
            **(FIXED_IDS if fixed_ids else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
            **pod_template.groups(template),
        },
        "initContainers": [
            {
                "name": FETCH,
                **common,
                "args": ["fetch"],
                **_credentials(snapshot.model),
                "env": _fetch_env(revision, snapshot),
                "volumeMounts": _mounts(volumes, FETCH),
                "resources": dict(snapshot.server.resources),
            }
        ],
        "containers": [
            {
                "name": SERVE,
                **common,
                "args": ["serve"],
                **_env_from(snapshot, copies),
                "env": _serve_env(namespace, name, revision, snapshot),
                "ports": _ports(snapshot),
                "volumeMounts": [*_mounts(volumes, SERVE), *pod_template.mounts(template)],
                "resources": dict(snapshot.server.resources),
                **_probes(snapshot),
            }
        ],
        "volumes": [
            *({"name": each.name, **each.source} for each in volumes),
            *pod_config.volumes(snapshot.server, copies),
        ],
        "topologySpreadConstraints": pod_template.spread_constraints(template, own_pods),
    }


def identity_metadata(model: Model) -> tuple[dict[str, str], dict[str, str]]:
    """Labels and annotations of a pod that has an identity in a cloud: it is for the container that fetches alone.

    Azure's webhook looks at pods with its label only, Amazon's at those whose ServiceAccount has a role; both leave out
    the containers that are named. Google's metadata server tells no containers apart.
    """
    if model.service_account is None:
        return {}, {}
    skipped = {f"{webhook}/skip-containers": SERVE for webhook in ("azure.workload.identity", "eks.amazonaws.com")}
    return {"azure.workload.identity/use": "true"}, skipped


def _service_account(model: Model) -> Manifest:
    return {} if model.service_account is None else {"serviceAccountName": model.service_account}


def _volumes(snapshot: Snapshot) -> tuple[_Volume, ...]:
    model = snapshot.model
    volumes = [_Volume("tmp", {"emptyDir": {}}, "/tmp", read_only=False)]  # noqa: S108 - in the pod, not a file of ours
    if model.delivery is Delivery.IMAGE_VOLUME:
        image = {"reference": MountedImage.parse(model.uri).reference, "pullPolicy": "IfNotPresent"}
        volumes.insert(0, _Volume("models", {"image": image}, MOUNTED_IMAGE))
    elif _path_in_image(model) is None:
        volumes.insert(0, _Volume("models", {"emptyDir": {}}, MODEL_FOLDER, read_only=False))
    if claim := _claim(model):
        source = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        volumes.append(_Volume("claim", source, CLAIM_FOLDER, by=FETCH))
    if login := _login(model):
        volumes.append(_Volume("credentials", _one_key(login.secret, login.key), CREDENTIALS_FOLDER, by=FETCH))
    if signers := model.signed_by:
        source = _one_key(signers.name, signers.key, signers.kind)
        volumes.append(_Volume("signers", source, SIGNERS_FOLDER, by=FETCH))
    if keys := snapshot.server.api_keys_secret:
        volumes.append(_Volume("api-keys", _one_key(keys, "keys"), API_KEYS_FOLDER, by=SERVE))
    if samples := snapshot.server.request_samples:
        source = _one_key(samples.key_secret, SAMPLES_KEY)
        volumes.append(_Volume("request-samples", source, REQUEST_SAMPLES_FOLDER, by=SERVE))
    return tuple(volumes)


def _one_key(name: str, key: str, kind: ConfigKind = ConfigKind.SECRET) -> Manifest:
    # Optional, because whoever reads the file says in a sentence that it isn't there; a pod that waits for a volume
    # says nothing. Nobody goes on without it.
    items = [{"key": key, "path": key}]
    common = {"items": items, "optional": True, "defaultMode": SECRET_MODE}
    if kind is ConfigKind.SECRET:
        return {"secret": {"secretName": name, **common}}
    return {"configMap": {"name": name, **common}}


def _mounts(volumes: tuple[_Volume, ...], container: str) -> list[Manifest]:
    mounts = []
    for volume in volumes:
        if volume.by not in (None, container):
            continue
        read_only = volume.read_only or (volume.name == "models" and container == SERVE)
        mounts.append(
            {"name": volume.name, "mountPath": volume.path, **({"readOnly": True} if read_only else {})},
        )
    return mounts


def _ports(snapshot: Snapshot) -> list[Manifest]:
    requests = {"name": PORT_NAME, "containerPort": SERVER_PORT}
    if snapshot.admin_port is None:
        return [requests]
    return [
        requests,
        {"name": GRPC_PORT_NAME, "containerPort": GRPC_PORT},
        {"name": ADMIN_PORT_NAME, "containerPort": snapshot.admin_port},
    ]


def _probes(snapshot: Snapshot) -> Manifest:
    admin = PORT_NAME if snapshot.admin_port is None else ADMIN_PORT_NAME
    ours = {
        "startup": _probe("/v2/health/live", admin, period=1, failures=300),
        "readiness": _probe("/v2/health/ready", admin, period=2, failures=3),
        "liveness": _probe("/v2/health/live", admin, period=10, failures=6),
    }
    template = snapshot.server.pod_template
    return {f"{which}Probe": pod_template.timed(probe, template, which) for which, probe in ours.items()}


def _probe(path: str, port: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }


def _credentials(model: Model) -> Manifest:
    secret = model.credentials_secret
    is_fetched = model.delivery is Delivery.FETCH
    return {"envFrom": [{"secretRef": {"name": secret}}]} if secret and is_fetched else {}


def _pull_secrets(snapshot: Snapshot) -> Manifest:
    """The login of an image that the node mounts, beside the user's own."""
    secret = snapshot.model.credentials_secret
    if secret is None or snapshot.model.delivery is Delivery.FETCH:
        return {}
    given = [each for each in snapshot.server.pod_template.get("imagePullSecrets", ()) if each["name"] != secret]
    return {"imagePullSecrets": [*given, {"name": secret}]}


def _fetch_env(revision: str, snapshot: Snapshot) -> list[Manifest]:
    model = snapshot.model
    ours: dict[str, Manifest] = {"TIDEGATE_MODEL_URI": {"value": _uri_in_pod(model)}}
    if model.sha256:
        ours["TIDEGATE_MODEL_SHA256"] = {"value": model.sha256}
    else:
        ours["TIDEGATE_MODEL_SHA256"] = _pinned(revision, PIN_KEY)
    ours["TIDEGATE_MODEL_FILES_SHA256"] = _pinned(revision, FILES_PIN_KEY)
    if path := _path_in_image(model):
        ours["TIDEGATE_MODEL_PATH"] = {"value": path}
    if _claim(model):
        ours["TIDEGATE_PVC_MOUNT"] = {"value": CLAIM_FOLDER}
    if login := _login(model):
        ours[login.variable] = {"value": f"{CREDENTIALS_FOLDER}/{login.key}"}
    if signers := model.signed_by:
        # A server that is too old to know this method refuses it, and serves nothing that wasn't verified.
        ours["TIDEGATE_SIGNATURE_METHOD"] = {"value": "cosign"}
        ours["TIDEGATE_SIGNATURE_KEY"] = {"value": f"{SIGNERS_FOLDER}/{signers.key}"}
    users = [{"name": key, "value": value} for key, value in model.fetch_env if key not in ours]
    return [*users, *({"name": key, **value} for key, value in ours.items())]


def _pinned(revision: str, key: str) -> Manifest:
    return {"valueFrom": {"configMapKeyRef": {"name": revision, "key": key, "optional": True}}}


def _serve_env(namespace: str, name: str, revision: str, snapshot: Snapshot) -> list[Manifest]:
    server = snapshot.server
    ours = server_variables(namespace, name, revision, server)
    if path := _path_in_image(snapshot.model):
        ours["TIDEGATE_MODEL_PATH"] = path
    if server.api_keys_secret:
        ours["TIDEGATE_API_KEYS_FILE"] = f"{API_KEYS_FOLDER}/keys"
    if server.request_samples:
        ours["TIDEGATE_REQUEST_SAMPLES"] = str(server.request_samples.keep)
        ours["TIDEGATE_REQUEST_SAMPLES_KEY_FILE"] = f"{REQUEST_SAMPLES_FOLDER}/{SAMPLES_KEY}"
    # Those of ConfigMaps and Secrets come first: a plain value may refer to one, and none of them refers to anything.
    refs = pod_config.env_refs(server, pod_config.copies(revision, server))
    users = [*refs, *({"name": key, "value": value} for key, value in server.env)]
    users = [each for each in users if each["name"] not in ours]
    values = [*users, *({"name": key, "value": value} for key, value in ours.items())]
    return values if any(each["name"] == CPU_REQUEST for each in users) else [*values, _CPU_REQUEST]


def server_variables(namespace: str, name: str, revision: str, server: Server) -> dict[str, str]:
    """What tells a model server whose it is and how it runs, wherever that is."""
    told = {
        "TIDEGATE_MODEL_NAME": name,
        "TIDEGATE_MODEL_DEPLOYMENT": f"{namespace}/{name}",
        "TIDEGATE_REVISION": revision,
        "TIDEGATE_UNMARKED_TRAFFIC": "direct",  # the routers mark what is live, and what is a preview
    }
    if server.threads is not None:
        told["TIDEGATE_THREADS_PER_RUN"] = str(server.threads)
    return told | _batching(server.batching)


def _env_from(snapshot: Snapshot, copies: pod_config.Copies) -> Manifest:
    sources = pod_config.env_from(snapshot.server, copies)
    return {"envFrom": sources} if sources else {}


def _batching(batching: Batching) -> dict[str, str]:
    variables = {}
    if batching.max_rows != Batching.max_rows:
        variables["TIDEGATE_BATCH_MAX_ROWS"] = str(batching.max_rows)
    if batching.max_delay is not None:
        variables["TIDEGATE_BATCH_LINGER_SECONDS"] = f"{batching.max_delay.total_seconds():g}"
    return variables


def _claim(model: Model) -> str | None:
    parts = urlsplit(model.uri)
    return parts.netloc if parts.scheme == "pvc" else None


def _login(model: Model) -> _Login | None:
    """The login that has to be a file; that of the other sources is all environment variables."""
    scheme = urlsplit(model.uri).scheme
    if model.credentials_secret is None or scheme not in _LOGIN_FILES or model.delivery is not Delivery.FETCH:
        return None
    return _Login(model.credentials_secret, *_LOGIN_FILES[scheme])


def _uri_in_pod(model: Model) -> str:
    """The model's URI as its pods are told it: in a volume it is where an image of their own would have it."""
    if model.delivery is Delivery.FETCH:
        return model.uri
    return f"image://{MOUNTED_IMAGE}{MountedImage.parse(model.uri).inside}"


def _path_in_image(model: Model) -> str | None:
    """Where an image, the server's own or one that is mounted, has the model; None for one that is fetched."""
    parts = urlsplit(_uri_in_pod(model))
    if parts.scheme != "image":
        return None
    path = unquote(parts.path)
    return path if path.endswith(".onnx") else f"{path.rstrip('/')}/model.onnx"
