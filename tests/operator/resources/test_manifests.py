"""Every manifest that is written, as a file that a person can review.

`make golden` writes them anew; the difference is then part of the change.
"""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.operator.model.test_route_policy import policies
from tidegate.errors import MalformedObject
from tidegate.model.agreement import AgreementCheck, RequestSamples, agreement_gate
from tidegate.model.config import ConfigContent, ConfigKind
from tidegate.model.delivery import Delivery
from tidegate.model.gate import GateSpec
from tidegate.model.revision import Snapshot
from tidegate.model.route_policy import RoutePolicy
from tidegate.model.signers import Signers
from tidegate.model.spec import Batching, Model, Server
from tidegate.model.traffic import Mirror, RouteSettings, RouteState, Sticky, TrafficSplit
from tidegate.resources.config_copy import copy_manifest
from tidegate.resources.disruption_budget import budget_manifest
from tidegate.resources.gate_job import OwnImage, job_manifest
from tidegate.resources.model_route import bounded, read_route, route_manifest
from tidegate.resources.ownership import Owner
from tidegate.resources.pod import grace_seconds
from tidegate.resources.revision import (
    controller_revision_manifest,
    deployment_manifest,
    pin_manifest,
    service_manifest,
)
from tidegate.traffic_routing.builtin import alias_service_manifest, read_state

GOLDEN = Path(__file__).parent / "golden"
IDS = ("shop", "digits", "11111111-2222-3333-4444-555555555555")
REVISION = "digits-6f9c1d2e"
RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
FREE = Snapshot(Model("http://models/1.onnx", None), Server(None, RESOURCES, ()), "tidegate/server:1", 8082)
PINNED = Snapshot(
    Model("file:///models/1.onnx", "ab" * 32),
    Server("mine:1", RESOURCES, (("THREADS", "2"), ("TIDEGATE_REVISION", "not mine"))),
    "mine:1",
    8082,
)
GATE = GateSpec.parse(
    {
        "name": "tests",
        "at": "Promotion",
        "job": {
            "image": "registry.example.com/tests:1",
            "command": ["pytest"],
            "args": ["-q"],
            "env": [{"name": "SUITE", "value": "quick"}],
            "resources": RESOURCES,
            "serviceAccount": "tests",
            "retries": 1,
        },
    }
)
# As the operator wrote it before servers had a port for metrics and health.
OLD = replace(FREE, admin_port=None)
EVERYTHING = Snapshot(
    Model(
        "oci://registry.example.com/models/digits:7", None, "registry-login", (("HTTPS_PROXY", "http://proxy:3128"),)
    ),
    Server(
        None,
        RESOURCES,
        (),
        2,
        Batching(32, timedelta(milliseconds=2)),
        "clients",
        request_samples=RequestSamples("samples", 100),
    ),
    "tidegate/server:1",
    8082,
)
ON_A_CLAIM = replace(FREE, model=Model("pvc://models/digits/7", None, "unused"))
FITTED = replace(
    FREE,
    server=replace(
        FREE.server,
        pod_template=yaml.safe_load(
            (Path(__file__).parents[3] / "examples" / "pod-template" / "modeldeployment.yaml").read_text()
        )["spec"]["server"]["podTemplate"],
    ),
)
CONFIGURED = replace(
    FREE,
    server=replace(
        FREE.server,
        env=(("GREETING", "$(LIMIT)"),),
        env_refs=(
            {"name": "LIMIT", "valueFrom": {"configMapKeyRef": {"name": "thresholds", "key": "LIMIT"}}},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "TOKEN", "optional": True}}},
        ),
        env_from=({"prefix": "WORDS_", "configMapRef": {"name": "words"}}, {"secretRef": {"name": "not-followed"}}),
        pod_template={
            "volumes": [
                {"name": "words", "configMap": {"name": "words", "items": [{"key": "A", "path": "a.txt"}]}},
                {"name": "token", "secret": {"secretName": "token"}},
            ],
            "volumeMounts": [
                {"name": "words", "mountPath": "/etc/words"},
                {"name": "token", "mountPath": "/etc/token"},
            ],
        },
        config=(
            ConfigContent(ConfigKind.CONFIG_MAP, "thresholds", "ab" * 16),
            ConfigContent(ConfigKind.CONFIG_MAP, "words", "cd" * 16),
            ConfigContent(ConfigKind.SECRET, "token", "ef" * 16),
        ),
    ),
)
THRESHOLDS = {"metadata": {"name": "thresholds"}, "data": {"LIMIT": "0.5", "OWNER": "me"}, "binaryData": {"B": "AA=="}}
TOKEN = {"metadata": {"name": "token"}, "type": "example.com/token", "data": {"TOKEN": "MQ=="}}
IN_THE_IMAGE = replace(FREE, model=Model("image:///models/7", None), image="shop/digits:7")
ON_AN_IMAGE = replace(
    FREE,
    model=Model(f"oci://registry.example.com/digits@sha256:{'ab' * 32}", None, "login", delivery=Delivery.IMAGE_VOLUME),
)
SPLIT = TrafficSplit.between("digits-81aa0b4c", REVISION, 25)


@pytest.mark.parametrize(
    ("request_seconds", "grace"),
    [
        pytest.param(None, 60, id="the server's own limit of 30 s"),
        pytest.param("2", 60, id="never less than that"),
        pytest.param("600", 630, id="ten minutes"),
        pytest.param("0.5e3", 530, id="as the server reads it"),
        pytest.param("1e9", 3660, id="an hour at most"),
        pytest.param("nan", 60, id="a number that is none"),
        pytest.param("soon", 60, id="no number: the server refuses it"),
    ],
)
def test_a_pod_is_given_as_long_as_a_request_may_take(request_seconds: str | None, grace: int) -> None:
    env = () if request_seconds is None else (("TIDEGATE_REQUEST_SECONDS", request_seconds),)
    snapshot = Snapshot(Model("http://models/1", None), Server(None, {}, env), "server:1", 8082)

    assert grace_seconds(snapshot) == grace


@pytest.mark.parametrize("said", ["16", None])
def test_the_server_is_told_the_cpus_that_its_pod_requests_unless_somebody_says_otherwise(said: str | None) -> None:
    env = () if said is None else (("TIDEGATE_CPU_REQUEST", said),)
    snapshot = Snapshot(Model("http://models/1", None), Server(None, {}, env), "server:1", 8082)
    (container,) = deployment_manifest(*IDS, REVISION, snapshot, 1, "Always")["spec"]["template"]["spec"]["containers"]

    asked = {"valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1"}}}
    found = [each for each in container["env"] if each["name"] == "TIDEGATE_CPU_REQUEST"]
    assert found == [{"name": "TIDEGATE_CPU_REQUEST", **(asked if said is None else {"value": said})}]


@pytest.mark.parametrize(
    ("name", "manifest"),
    [
        ("controller-revision", controller_revision_manifest(*IDS, REVISION, FREE, 7)),
        ("deployment", deployment_manifest(*IDS, REVISION, FREE, 3, "IfNotPresent")),
        ("deployment-of-a-pinned-model", deployment_manifest(*IDS, REVISION, PINNED, 1, "Always")),
        ("deployment-of-an-old-server", deployment_manifest(*IDS, REVISION, OLD, 1, "IfNotPresent")),
        ("deployment-with-everything", deployment_manifest(*IDS, REVISION, EVERYTHING, 1, "IfNotPresent")),
        ("deployment-of-a-model-on-a-claim", deployment_manifest(*IDS, REVISION, ON_A_CLAIM, 1, "IfNotPresent")),
        (
            "deployment-with-an-image-volume",
            deployment_manifest(*IDS, REVISION, ON_AN_IMAGE, 1, "IfNotPresent"),
        ),
        ("deployment-of-a-model-in-the-image", deployment_manifest(*IDS, REVISION, IN_THE_IMAGE, 1, "IfNotPresent")),
        ("deployment-with-a-pod-template", deployment_manifest(*IDS, REVISION, FITTED, 1, "IfNotPresent")),
        ("deployment-with-config", deployment_manifest(*IDS, REVISION, CONFIGURED, 1, "IfNotPresent")),
        ("controller-revision-with-config", controller_revision_manifest(*IDS, REVISION, CONFIGURED, 10)),
        (
            "copy-of-a-config-map",
            copy_manifest(*IDS, REVISION, 0, ConfigKind.CONFIG_MAP, THRESHOLDS, ("LIMIT",)),
        ),
        ("copy-of-a-secret", copy_manifest(*IDS, REVISION, 2, ConfigKind.SECRET, TOKEN, ())),
        ("controller-revision-with-a-pod-template", controller_revision_manifest(*IDS, REVISION, FITTED, 9)),
        ("controller-revision-with-everything", controller_revision_manifest(*IDS, REVISION, EVERYTHING, 8)),
        ("service", service_manifest(*IDS, REVISION)),
        ("pod-disruption-budget", budget_manifest(*IDS, REVISION)),
        ("pin", pin_manifest(*IDS, REVISION, "ab" * 32, None)),
        ("pin-of-several-files", pin_manifest(*IDS, REVISION, "ab" * 32, "cd" * 32)),
        ("route", route_manifest(*IDS, SPLIT, RouteSettings("x-preview", timedelta(seconds=60)))),
        (
            "gate-job",
            job_manifest(Owner(*IDS), ("digits-5ab1e000", REVISION), GATE, "tests/3/1", "2026-01-01T11:55:00Z", b"{}"),
        ),
        (
            "agreement-job",
            job_manifest(
                Owner(*IDS),
                ("digits-5ab1e000", REVISION),
                agreement_gate(AgreementCheck(), RequestSamples("samples")),
                "agreement/1/1",
                "2026-01-01T11:55:00Z",
                b"{}",
                own=OwnImage("tidegate/operator:1", FITTED.server.pod_template),
            ),
        ),
        ("alias-service", alias_service_manifest(Owner(*IDS), "tidegate-router.tidegate.svc.cluster.local")),
    ],
)
def test_the_manifest_is_the_golden_one(name: str, manifest: dict[str, Any]) -> None:
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("TIDEGATE_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.dump(manifest, Dumper=Plain, sort_keys=False))

    assert yaml.safe_load(path.read_text()) == manifest


class Plain(yaml.SafeDumper):
    """Without anchors: a value that occurs twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.parametrize("snapshot", [FREE, PINNED, OLD, EVERYTHING, ON_A_CLAIM, IN_THE_IMAGE, ON_AN_IMAGE, FITTED])
def test_secrets_are_seen_by_the_container_that_needs_them_only(snapshot: Snapshot) -> None:
    pod = deployment_manifest(*IDS, REVISION, snapshot, 1, "Always")["spec"]["template"]["spec"]
    (fetch,), (serve,) = pod["initContainers"], pod["containers"]

    def mounted(container: dict[str, Any]) -> set[str]:
        return {mount["name"] for mount in container["volumeMounts"]}

    assert "envFrom" not in serve
    assert mounted(serve) <= {"models", "tmp", "api-keys", "request-samples", "shared-memory", "kernels"}
    assert mounted(fetch) <= {"models", "tmp", "claim", "credentials"}
    assert mounted(fetch) | mounted(serve) == {volume["name"] for volume in pod["volumes"]}


def test_where_the_platform_gives_user_and_groups_pods_state_none() -> None:
    pod = deployment_manifest(*IDS, REVISION, FREE, 1, "Always", fixed_ids=False)["spec"]["template"]["spec"]
    gate = job_manifest(
        Owner(*IDS), ("digits-5ab1e000", REVISION), GATE, "q", "2026-01-01T11:55:00Z", b"{}", fixed_ids=False
    )
    given = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}

    assert pod["securityContext"] == given
    assert gate["spec"]["template"]["spec"]["securityContext"] == given


def test_an_identity_in_a_cloud_is_for_the_container_that_fetches() -> None:
    snapshot = replace(FREE, model=replace(FREE.model, service_account="models"))
    manifest = deployment_manifest(*IDS, REVISION, snapshot, 1, "Always")
    template = manifest["spec"]["template"]

    assert (template["spec"]["serviceAccountName"], template["spec"]["automountServiceAccountToken"]) == (
        "models",
        False,
    )
    assert template["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert (
        template["metadata"]["annotations"].items()
        >= {
            "azure.workload.identity/skip-containers": "server",
            "eks.amazonaws.com/skip-containers": "server",
        }.items()
    )
    assert "azure.workload.identity/use" not in manifest["spec"]["selector"]["matchLabels"]


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        pytest.param(ConfigKind.SECRET, {"secret": {"secretName": "signers"}}, id="a Secret"),
        pytest.param(ConfigKind.CONFIG_MAP, {"configMap": {"name": "signers"}}, id="a ConfigMap"),
    ],
)
def test_the_keys_of_who_has_to_sign_are_for_the_container_that_fetches(
    kind: ConfigKind, source: dict[str, dict[str, Any]]
) -> None:
    model = Model("oci://registry/digits:7", None, signed_by=Signers(kind, "signers"))
    spec = deployment_manifest(*IDS, REVISION, replace(FREE, model=model), 1, "Always")["spec"]["template"]["spec"]
    ((what, whence),) = source.items()
    items = [{"key": "cosign.pub", "path": "cosign.pub"}]

    (volume,) = (each for each in spec["volumes"] if each["name"] == "signers")
    assert volume == {"name": "signers", what: {**whence, "items": items, "optional": True, "defaultMode": 0o440}}
    mount = {"name": "signers", "mountPath": "/var/run/tidegate/signers", "readOnly": True}
    (fetch,), (serve,) = spec["initContainers"], spec["containers"]
    assert (mount in fetch["volumeMounts"], "signers" in str(serve)) == (True, False)
    assert [each for each in fetch["env"] if "SIGNATURE" in each["name"]] == [
        {"name": "TIDEGATE_SIGNATURE_METHOD", "value": "cosign"},
        {"name": "TIDEGATE_SIGNATURE_KEY", "value": "/var/run/tidegate/signers/cosign.pub"},
    ]


def test_without_an_identity_a_pod_is_what_it_was() -> None:
    template = deployment_manifest(*IDS, REVISION, FREE, 1, "Always")["spec"]["template"]

    assert "serviceAccountName" not in template["spec"]
    assert not any("identity" in name or "eks" in name for name in template["metadata"]["annotations"])


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        pytest.param(
            "oci://registry/digits:7",
            {"TIDEGATE_REGISTRY_AUTH": "/var/run/tidegate/credentials/.dockerconfigjson"},
            id="a registry",
        ),
        pytest.param(
            "gs://bucket/digits/7",
            {"GOOGLE_APPLICATION_CREDENTIALS": "/var/run/tidegate/credentials/service-account.json"},
            id="Google's storage",
        ),
        pytest.param("s3://bucket/digits/7", {}, id="no other: it's all in variables"),
    ],
)
def test_a_login_is_a_file_for(uri: str, told: dict[str, str]) -> None:
    snapshot = replace(FREE, model=Model(uri, None, "login"))
    pod = deployment_manifest(*IDS, REVISION, snapshot, 1, "Always")["spec"]["template"]["spec"]
    (fetch,) = pod["initContainers"]
    files = {each["name"]: each["value"] for each in fetch["env"] if each.get("value", "").startswith("/var/run")}

    assert files == told
    assert fetch["envFrom"] == [{"secretRef": {"name": "login"}}]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        pytest.param("image:///models/7", "/models/7/model.onnx", id="a folder: its model.onnx"),
        pytest.param("image:///models/7/", "/models/7/model.onnx", id="a folder with a slash: the same"),
        pytest.param("image:///models/7/digits.onnx", "/models/7/digits.onnx", id="a file: itself"),
        pytest.param("image:///my%20models", "/my models/model.onnx", id="an escaped blank: a blank"),
    ],
)
def test_in_the_image_the_model_is_at(uri: str, path: str) -> None:
    snapshot = replace(FREE, model=Model(uri, None))
    pod = deployment_manifest(*IDS, REVISION, snapshot, 1, "Always")["spec"]["template"]["spec"]
    told = {"name": "TIDEGATE_MODEL_PATH", "value": path}

    assert all(told in container["env"] for container in (*pod["initContainers"], *pod["containers"]))


@pytest.mark.parametrize(
    ("inside", "path"),
    [
        pytest.param("", "/mnt/models/image/models/model.onnx", id="by itself: /models"),
        pytest.param("/srv/7", "/mnt/models/image/srv/7/model.onnx", id="a folder: its model.onnx"),
        pytest.param("/srv/digits.onnx", "/mnt/models/image/srv/digits.onnx", id="a file: itself"),
    ],
)
def test_in_a_mounted_image_the_model_is_at(inside: str, path: str) -> None:
    snapshot = replace(FREE, model=replace(ON_AN_IMAGE.model, uri=f"{ON_AN_IMAGE.model.uri}{inside}"))
    pod = deployment_manifest(*IDS, REVISION, snapshot, 1, "Always")["spec"]["template"]["spec"]
    told = {"name": "TIDEGATE_MODEL_PATH", "value": path}

    assert all(told in container["env"] for container in (*pod["initContainers"], *pod["containers"]))


def test_the_login_of_a_mounted_image_is_the_nodes_alone_beside_the_users_own() -> None:
    template = {"imagePullSecrets": [{"name": "mine"}, {"name": "login"}]}
    snapshot = replace(ON_AN_IMAGE, server=replace(ON_AN_IMAGE.server, pod_template=template))
    pod = deployment_manifest(*IDS, REVISION, snapshot, 1, "Always")["spec"]["template"]["spec"]

    assert pod["imagePullSecrets"] == [{"name": "mine"}, {"name": "login"}]
    assert [volume["name"] for volume in pod["volumes"]] == ["models", "tmp"]
    assert all("envFrom" not in each for each in (*pod["initContainers"], *pod["containers"]))


@st.composite
def splits(draw: st.DrawFn) -> TrafficSplit:
    """Up to eight revisions whose weights add to 100."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=7)))
    weights = [after - before for before, after in zip([0, *cuts], [*cuts, 100], strict=True)]
    revisions = [f"digits-{index:08x}" for index in range(len(weights))]
    mirror = draw(st.none() | st.builds(Mirror, st.sampled_from(revisions), st.integers(1, 100)))
    return TrafficSplit(tuple(zip(revisions, weights, strict=True)), mirror)


@given(splits(), policies, st.booleans())
def test_settings_read_back_from_their_route(split: TrafficSplit, policy: RoutePolicy, grpc: bool) -> None:
    settings = RouteSettings("x-preview", timedelta(seconds=60), grpc=grpc, policy=policy)

    assert read_route(route_manifest(*IDS, split, settings)).settings == settings


def test_a_route_of_an_older_operator_is_read_and_what_a_newer_one_adds_is_passed_over() -> None:
    plain = RouteSettings("x-preview", timedelta(seconds=60))
    manifest = route_manifest(*IDS, SPLIT, plain)
    manifest["spec"]["somethingNew"] = {"percent": 5}

    assert set(route_manifest(*IDS, SPLIT, plain)["spec"]) == {"previewHeader", "timeoutSeconds", "backends"}
    assert read_route(manifest).settings == plain


def test_a_route_with_a_policy_that_makes_no_sense_is_malformed() -> None:
    manifest = route_manifest(*IDS, SPLIT, RouteSettings("x-preview", timedelta(seconds=60)))
    manifest["spec"]["retries"] = {"attempts": -1}

    with pytest.raises(MalformedObject, match=r"spec\.retries\.attempts: -1 is not a whole number from 0 to 5"):
        read_route(manifest)


@given(splits())
def test_a_split_reads_back_from_its_route(split: TrafficSplit) -> None:
    manifest = route_manifest(*IDS, split, RouteSettings("x-preview", timedelta(seconds=1)))

    assert read_route(manifest).split == split


@pytest.mark.parametrize(
    "backends",
    [
        pytest.param([("a", 50), ("b", 49)], id="weights that add to 99"),
        pytest.param([("a", 150), ("b", -50)], id="weights outside 0 to 100"),
        pytest.param([("a", 50), ("a", 50)], id="one revision twice"),
        pytest.param([], id="no backend at all"),
    ],
)
def test_no_split_is_read_from(backends: list[tuple[str, int]]) -> None:
    listed = [{"revision": revision, "weight": weight} for revision, weight in backends]

    manifest = route_manifest(*IDS, SPLIT, RouteSettings("x-preview", timedelta(seconds=1)))
    manifest["spec"]["backends"] = listed

    with pytest.raises(MalformedObject, match=r"weights add|whole number|listed twice|needs 1 to 8"):
        read_route(manifest)
    assert read_state(manifest) == RouteState()


@pytest.mark.parametrize(
    "sticky", [Sticky(header="x-user"), Sticky(cookie="tidegate"), Sticky(cookie="t", ttl=timedelta(days=30))], ids=repr
)
def test_by_what_users_are_known_reads_back_from_its_route(sticky: Sticky) -> None:
    settings = RouteSettings("x-preview", timedelta(seconds=1), sticky=sticky)
    assert read_route(route_manifest(*IDS, SPLIT, settings)).settings == settings


@pytest.mark.parametrize(
    "mirror", [{"revision": "somebody", "percent": 20}, {"revision": "a", "percent": 0}, {"revision": "a"}, "a"]
)
def test_no_split_is_read_where_copies_go(mirror: object) -> None:
    manifest = route_manifest(*IDS, TrafficSplit.only("a"), RouteSettings("x-preview", timedelta(seconds=1)))
    manifest["spec"]["mirror"] = mirror
    with pytest.raises(MalformedObject, match=r"mirror"):
        read_route(manifest)


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(timedelta(), 1), (timedelta(seconds=90), 90), (timedelta(hours=2), 3600)],
    ids=["none at all: one second", "90 s", "beyond the CRD's bound: an hour"],
)
def test_a_timeout_of(timeout: timedelta, seconds: int) -> None:
    settings = bounded(RouteSettings("x-preview", timeout))
    manifest = route_manifest(*IDS, SPLIT, settings)

    assert manifest["spec"]["timeoutSeconds"] == seconds
    assert read_route(manifest).settings == settings
