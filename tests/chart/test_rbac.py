"""Nobody may more than the code calls, and all that it calls is allowed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.conftest import Manifest
from tests.operator.world import SETTINGS, Behaviour, World
from tidegate.controller.checkpoints import Checkpoints
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.observe import WATCHED
from tidegate.controller.reconciler import Reconciler
from tidegate.kube.api import DEPLOYMENTS, EVENTS, METRIC_TEMPLATES, MODEL_DEPLOYMENTS, Resource
from tidegate.kube.cluster import Orphan
from tidegate.metrics.collector import MetricsCollector
from tidegate.model.control import Control, Intent
from tidegate.model.decision import Event
from tidegate.resources.ownership import Owner
from tidegate.traffic_routing import BACKENDS

OF_THAT_NAME = "KubernetesCluster._ours: whose is what has the name of one to be created?"
ORPHANED = "KubernetesCluster.adopt"
AN_EARLIER_OPERATOR = "record_status of an earlier operator, which leads until it is replaced"
BY_TEMPLATES = "MetricTemplates.found: from the first use on"
READ_FOR_CALLS = "webhooks.secrets: only those that webhooks.secrets names"
CALLED = {
    # (group, resource, verb): where it is called
    ("tidegate.dev", "modeldeployments", "list"): "handlers.register: kopf's watch of its kind",
    ("tidegate.dev", "modeldeployments", "watch"): "handlers.register: kopf's watch of its kind",
    ("tidegate.dev", "modeldeployments", "get"): "KubernetesCluster.confirm",
    ("tidegate.dev", "modeldeployments", "patch"): "act: controls that are done or refused",
    ("tidegate.dev", "modeldeployments/status", "update"): "KubernetesCluster.record_status",
    ("tidegate.dev", "modeldeployments/status", "patch"): AN_EARLIER_OPERATOR,
    ("tidegate.dev", "modeldeployments/finalizers", "update"): "owner: blockOwnerDeletion",
    ("tidegate.dev", "metrictemplates", "list"): BY_TEMPLATES,
    ("tidegate.dev", "metrictemplates", "watch"): BY_TEMPLATES,
    ("tidegate.dev", "metrictemplates", "get"): BY_TEMPLATES,
    ("tidegate.dev", "modelroutes", "list"): "observe.WATCHED",
    ("tidegate.dev", "modelroutes", "watch"): "observe.WATCHED",
    ("tidegate.dev", "modelroutes", "create"): "act: ShiftTraffic, the first apply",
    ("tidegate.dev", "modelroutes", "patch"): "act: ShiftTraffic",
    ("tidegate.dev", "modelroutes", "get"): "KubernetesCluster._read_anew",
    ("apps", "deployments", "list"): "observe.WATCHED",
    ("apps", "deployments", "watch"): "observe.WATCHED",
    ("apps", "deployments", "get"): OF_THAT_NAME,
    ("apps", "deployments", "create"): "act: EnsureRevision",
    ("apps", "deployments", "patch"): "act: ScaleRevision, RestartRevision and PinModel",
    ("apps", "deployments", "delete"): "act: RetireRevision",
    ("apps", "controllerrevisions", "list"): "observe.WATCHED",
    ("apps", "controllerrevisions", "watch"): "observe.WATCHED",
    ("apps", "controllerrevisions", "get"): OF_THAT_NAME,
    ("apps", "controllerrevisions", "create"): "act: EnsureRevision",
    ("apps", "controllerrevisions", "patch"): ORPHANED,
    ("apps", "controllerrevisions", "delete"): "act: ForgetRevision",
    ("", "services", "list"): "observe.WATCHED",
    ("", "services", "watch"): "observe.WATCHED",
    ("", "services", "get"): OF_THAT_NAME,
    ("", "services", "create"): "act: EnsureRevision and EnsureClientServices",
    ("", "services", "patch"): "act: the same, of one that leads elsewhere",
    ("", "services", "delete"): "act: RetireRevision",
    ("", "configmaps", "list"): "observe.WATCHED",
    ("", "configmaps", "watch"): "observe.WATCHED",
    ("", "configmaps", "get"): "Checkpoints.kept, and ConfigReader.read",
    ("", "configmaps", "create"): "act: PinModel and EnsureRevision, and Checkpoints.keep and tidy",
    ("", "configmaps", "patch"): "Checkpoints.keep",
    ("", "configmaps", "delete"): "act: ForgetRevision, and Checkpoints.tidy",
    ("", "pods", "list"): "observe.WATCHED",
    ("", "pods", "watch"): "observe.WATCHED",
    ("policy", "poddisruptionbudgets", "list"): "observe.WATCHED",
    ("policy", "poddisruptionbudgets", "watch"): "observe.WATCHED",
    ("policy", "poddisruptionbudgets", "get"): OF_THAT_NAME,
    ("policy", "poddisruptionbudgets", "create"): "act: EnsureBudget",
    ("policy", "poddisruptionbudgets", "patch"): "act: EnsureBudget, of one that differs",
    ("policy", "poddisruptionbudgets", "delete"): "act: DeleteBudget",
    ("", "secrets", "get"): READ_FOR_CALLS,
    ("", "events", "create"): "EventRecorder.emit",
    ("", "events", "patch"): "EventRecorder.emit: one that says the same again",
}
CALLED_BY_THE_ROUTER = {
    ("tidegate.dev", "modelroutes", "list"): "router.agent: its informers",
    ("tidegate.dev", "modelroutes", "watch"): "router.agent: its informers",
    ("discovery.k8s.io", "endpointslices", "list"): "router.agent: its informers",
    ("discovery.k8s.io", "endpointslices", "watch"): "router.agent: its informers",
}
CALLED_BY_A_HEARTBEAT = {
    ("coordination.k8s.io", "leases", "create"): "router.heartbeat",
    ("coordination.k8s.io", "leases", "patch"): "router.heartbeat",
    ("coordination.k8s.io", "leases", "delete"): "Heartbeat.withdraw",
}
CALLED_BY_THE_LEADER = {
    ("coordination.k8s.io", "leases", "list"): "kube.routers",
    ("coordination.k8s.io", "leases", "watch"): "kube.routers",
    ("coordination.k8s.io", "leases", "get"): "Leadership._take_or_renew",
    ("coordination.k8s.io", "leases", "create"): "Leadership._take_or_renew",
    ("coordination.k8s.io", "leases", "update"): "Leadership._take_or_renew",
    ("coordination.k8s.io", "leases", "patch"): "Leadership.stop",
}
CALLED_FOR_THE_KEY = {
    ("", "secrets", "get"): "kube.sampling_key",
    ("", "secrets", "create"): "kube.sampling_key",
}
CALLED_FOR_SECRETS = {
    ("", "secrets", "list"): "ConfigReader",
    ("", "secrets", "watch"): "ConfigReader",
    ("", "secrets", "get"): "ConfigReader.read",
    ("", "secrets", "create"): "act: EnsureRevision",
    ("", "secrets", "delete"): "act: DeleteSnapshot",
}
Call = tuple[str, str, str]
SCHEMA: Mapping[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "crds" / "modeldeployments.yaml").read_text())


def granted(role: Manifest) -> Iterator[Call]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from ((group, resource, verb) for verb in rule["verbs"])


@pytest.mark.helm
@pytest.mark.parametrize(
    ("kind", "name", "called"),
    [
        pytest.param("ClusterRole", "tidegate-system-tidegate-operator", CALLED, id="the operator"),
        pytest.param("ClusterRole", "tidegate-system-tidegate-router", CALLED_BY_THE_ROUTER, id="the router"),
        pytest.param("Role", "tidegate-leader", CALLED_BY_THE_LEADER, id="the leader"),
        pytest.param("Role", "tidegate-sampling-key", CALLED_FOR_THE_KEY, id="the key"),
        pytest.param("Role", "tidegate-heartbeat", CALLED_BY_A_HEARTBEAT, id="a router's own Lease"),
    ],
)
def test_exactly_what_is_called_is_granted_to(
    kind: str, name: str, called: Mapping[Call, str], render: Callable[..., list[Manifest]]
) -> None:
    (role,) = (each for each in render() if (each["kind"], each["metadata"]["name"]) == (kind, name))

    assert set(granted(role)) == set(called)


def _of_operator(manifests: list[Manifest]) -> set[Call]:
    name = "tidegate-system-tidegate-operator"
    return set(granted(next(each for each in manifests if each["metadata"]["name"] == name)))


@pytest.mark.helm
def test_a_router_may_tell_of_its_tls_secret_where_it_has_one(render: Callable[..., list[Manifest]]) -> None:
    manifests = render("--set", "router.tls.secretName=router-tls")
    (role,) = (each for each in manifests if (each["kind"], each["metadata"]["name"]) == ("Role", "tidegate-heartbeat"))
    events = {("", "events", "create"), ("", "events", "patch")}

    assert set(granted(role)) == {*CALLED_BY_A_HEARTBEAT, *events}


@pytest.mark.helm
def test_secrets_of_users_are_granted_only_where_they_are_to_be_followed(
    render: Callable[..., list[Manifest]],
) -> None:
    manifests = render("--set", "config.followSecrets=true")
    before, after = (_of_operator(each) for each in (render(), manifests))
    key = next(each for each in manifests if each["metadata"]["name"] == "tidegate-sampling-key")

    assert after == before | set(CALLED_FOR_SECRETS)
    assert ("", "secrets", "list") not in before
    assert {name for rule in key["rules"] for name in rule.get("resourceNames", ())} == {
        "tidegate-sampling-key",
        "tidegate-config-key",
    }


CALLED_FOR_GATEWAYS = {
    ("gateway.networking.k8s.io", "httproutes", "list"): "observe.followed_kinds",
    ("gateway.networking.k8s.io", "httproutes", "watch"): "observe.followed_kinds",
    ("gateway.networking.k8s.io", "httproutes", "get"): "KubernetesCluster._read_anew",
    ("gateway.networking.k8s.io", "httproutes", "create"): "act: ShiftTraffic, the first apply",
    ("gateway.networking.k8s.io", "httproutes", "patch"): "act: ShiftTraffic",
    ("gateway.networking.k8s.io", "grpcroutes", "list"): "observe.followed_kinds",
    ("gateway.networking.k8s.io", "grpcroutes", "watch"): "observe.followed_kinds",
    ("gateway.networking.k8s.io", "grpcroutes", "get"): "KubernetesCluster._read_anew",
    ("gateway.networking.k8s.io", "grpcroutes", "create"): "act: ShiftTraffic, the first apply",
    ("gateway.networking.k8s.io", "grpcroutes", "patch"): "act: ShiftTraffic",
}


CALLED_FOR_ISTIO = {
    ("networking.istio.io", "virtualservices", "list"): "observe.followed_kinds",
    ("networking.istio.io", "virtualservices", "watch"): "observe.followed_kinds",
    ("networking.istio.io", "virtualservices", "get"): "KubernetesCluster._read_anew",
    ("networking.istio.io", "virtualservices", "create"): "act: ShiftTraffic, the first apply",
    ("networking.istio.io", "virtualservices", "patch"): "act: ShiftTraffic",
}


@pytest.mark.helm
@pytest.mark.parametrize(
    ("value", "variable", "called"),
    [
        pytest.param("gatewayAPI", "TIDEGATE_GATEWAY_API", CALLED_FOR_GATEWAYS, id="the Gateway API"),
        pytest.param("istio", "TIDEGATE_ISTIO", CALLED_FOR_ISTIO, id="Istio"),
    ],
)
def test_routes_are_granted_only_where_they_are_to_be_followed(
    value: str, variable: str, called: Mapping[Call, str], render: Callable[..., list[Manifest]]
) -> None:
    manifests = render("--set", f"{value}.enabled=true")
    before, after = (_of_operator(each) for each in (render(), manifests))
    operator = next(
        each for each in manifests if each["kind"] == "Deployment" and "operator" in each["metadata"]["name"]
    )
    (container,) = operator["spec"]["template"]["spec"]["containers"]

    assert after == before | set(called)
    assert {"name": variable, "value": "true"} in container["env"]


def test_every_kind_of_route_that_may_be_followed_is_granted_by_a_value() -> None:
    optional = [kind for each in BACKENDS.values() for kind in each.kinds if kind.optional]

    assert {(group_of(kind.resource), kind.resource.plural) for kind in optional} == {
        call[:2] for call in (*CALLED_FOR_GATEWAYS, *CALLED_FOR_ISTIO)
    }


def group_of(resource: Resource) -> str:
    return resource.api_version.rpartition("/")[0]


class Recorder:
    """A Cluster that notes each write as the API server would ask for it, and hands it on to the world."""

    def __init__(self, world: World) -> None:
        self.calls: set[Call] = set()
        self.writer = world.writer
        self.model_deployment, self.children, self.routers = world.model_deployment, world.children, world.routers
        self.orphans, self.with_others = world.orphans, world.with_others
        self.everybody, self.unfollowed = world.everybody, world.unfollowed
        self.hold, self.let_go = world.hold, world.let_go
        self.config, self.read_config = world.config, world.read_config
        self.metric_templates = world.metric_templates
        self._world = world

    def stored(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        self._note(resource, "get")
        return self._world.stored(resource, namespace, name)

    def confirm(self, namespace: str, name: str, uid: str) -> None:
        self._note(MODEL_DEPLOYMENTS, "get")
        self._world.confirm(namespace, name, uid)

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        self._note(resource, "create")
        self._world.create(resource, manifest)

    def repair(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        self._note(resource, "create")
        self._note(resource, "patch")
        self._world.repair(resource, manifest)

    def apply(self, resource: Resource, manifest: Mapping[str, Any], version: str) -> None:
        for verb in ("create", "patch", "get"):
            self._note(resource, verb)
        self._world.apply(resource, manifest, version)

    def patch(self, resource: Resource, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        self._note(resource, "patch")
        self._world.patch(resource, namespace, name, operations)

    def adopt(self, orphan: Orphan, owner: Owner) -> None:
        self._note(orphan.resource, "patch")
        self._world.adopt(orphan, owner)

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        self._note(DEPLOYMENTS, "patch")
        self._world.scale(namespace, deployment, replicas)

    def annotate(self, namespace: str, deployment: str, annotation: str, value: str) -> None:
        self._note(DEPLOYMENTS, "patch")
        self._world.annotate(namespace, deployment, annotation, value)

    def annotate_pods(self, namespace: str, deployment: str, annotation: str, value: str) -> None:
        self._note(DEPLOYMENTS, "patch")
        self._world.annotate_pods(namespace, deployment, annotation, value)

    def remove_annotation(self, namespace: str, name: str, annotation: str, value: str) -> None:
        self._note(MODEL_DEPLOYMENTS, "patch")
        self._world.remove_annotation(namespace, name, annotation, value)

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        self._note(resource, "delete")
        self._world.delete(resource, namespace, name)

    def record_status(self, namespace: str, name: str, status: Mapping[str, Any], version: str) -> None:
        self.calls.add((group_of(MODEL_DEPLOYMENTS), f"{MODEL_DEPLOYMENTS.plural}/status", "update"))
        self._world.record_status(namespace, name, status, version)

    def emit(self, about: Mapping[str, Any], event: Event, now: datetime) -> None:
        self._note(EVENTS, "create")
        self._world.emit(about, event, now)

    def _note(self, resource: Resource, verb: str) -> None:
        self.calls.add((group_of(resource), resource.plural, verb))


def test_whole_rollouts_call_exactly_the_writes_of_the_table() -> None:
    schema = SCHEMA["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    world = World(schema, {f"http://models/{number}": Behaviour() for number in range(3)})
    recorder = Recorder(world)
    world._reconciler = Reconciler(
        recorder,
        RolloutJudge(MetricsCollector(world, kept=Checkpoints(recorder).kept)),
        SETTINGS,
        lambda seen, decision: None,
    )
    steps = {"canary": {"steps": [{"weight": 50}]}}
    for number in range(3):
        world.kubectl_apply(
            model={"uri": f"http://models/{number}"}, replicas=2, strategy=steps, revisionHistoryLimit=0
        )
        world.run(150)
    world.kubectl_annotate(Intent(Control.RESTART, world.status["stable"]["revision"]))
    world.run(10)

    seldom = (READ_FOR_CALLS, BY_TEMPLATES, OF_THAT_NAME, ORPHANED, AN_EARLIER_OPERATOR, CALLED["", "events", "patch"])
    writes = {call for call, where in CALLED.items() if call[2] not in ("list", "watch") and where not in seldom}
    assert recorder.calls == writes - {("tidegate.dev", "modeldeployments/finalizers", "update")}


def test_what_is_watched_is_what_the_table_lists() -> None:
    kinds = (*(kind.resource for kind in WATCHED), MODEL_DEPLOYMENTS, METRIC_TEMPLATES)
    watched = {(group_of(resource), resource.plural) for resource in kinds}

    assert {call[:2] for call in CALLED if call[2] == "watch"} == watched
    assert {call[:2] for call in CALLED if call[2] == "list"} == watched
