"""What the API server refuses, and what it says then: the first help that a user gets."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from tests.operator.kstatus import compute
from tidegate.model.route_policy import CircuitBreaker, OutlierDetection, RateLimit, RateUnit, Retries, RoutePolicy
from tidegate.model.slices import Slice
from tidegate.model.traffic import RouteSettings, TrafficSplit
from tidegate.resources.crd_schema import with_defaults
from tidegate.resources.model_route import read_route, route_manifest

pytestmark = pytest.mark.apiserver
Kubectl = Callable[..., CompletedProcess[str]]
MODEL = {"uri": "http://models/1.onnx"}


@pytest.fixture
def apply(kubectl: Kubectl, api_server: Path, namespace: str) -> Callable[..., CompletedProcess[str]]:
    """kubectl apply of one object."""

    def run(kind: str, spec: dict[str, Any], name: str = "digits", *flags: str) -> CompletedProcess[str]:
        manifest = {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
        return kubectl(api_server, "apply", "-f", "-", *flags, given=json.dumps(manifest))

    return run


def canary(*weights: Any) -> dict[str, Any]:
    return {"strategy": {"canary": {"steps": [{"weight": weight} for weight in weights]}}}


MIRRORED: dict[str, Any] = {"strategy": {"canary": {"steps": [{"mirror": {"percent": 20}}, {"weight": 50}]}}}
RULES = [{"headers": [{"name": "x-team", "exact": "beta"}]}]
MATCHED: dict[str, Any] = {"strategy": {"canary": {"steps": [{"match": RULES}, {"weight": 50}]}}}
TENANTS = {"name": "tenant", "header": "X-Tenant", "values": ["acme", "umbrella"]}
RULE = {"routeRef": {"name": "shop", "rule": "digits"}}


def gateway(**fields: Any) -> dict[str, Any]:
    return {"router": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "public"}], **fields}}


def istio(**fields: Any) -> dict[str, Any]:
    return {"router": "Istio", "istio": {"hosts": ["digits"], "gateways": ["edge/public"], **fields}}


LENT_ROUTE = {"router": "Istio", "istio": {"virtualService": {"name": "shop", "route": "digits"}}}


def analysis(**fields: Any) -> dict[str, Any]:
    return {"analysis": fields}


def query(**fields: Any) -> dict[str, Any]:
    return {"name": "accuracy", "query": 'right{revision="{{candidate}}"}', **fields}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"modle": {}}, 'unknown field "spec.modle"', id="an unknown field"),
        pytest.param(
            analysis(errorRate={"max": "1%"}), 'unknown field "spec.analysis.errorRate.max"', id="one deep inside"
        ),
        pytest.param(
            {"strategy": {"canary": {}, "blueGreen": {}}},
            "spec.strategy must have exactly one of canary and blueGreen",
            id="two strategies",
        ),
        pytest.param(
            {"traffic": {"router": "GatewayAPI"}},
            "spec.traffic.gatewayAPI has to be given where spec.traffic.router is GatewayAPI",
            id="a Gateway that nobody names",
        ),
        pytest.param(
            {"traffic": {"router": "GatewayAPI", "gatewayAPI": {"parentRefs": []}}},
            "spec.traffic.gatewayAPI.parentRefs",
            id="no Gateways",
        ),
        pytest.param(
            {"traffic": gateway(hostnames=["https://digits"])},
            "spec.traffic.gatewayAPI.hostnames",
            id="an address as a hostname",
        ),
        pytest.param(
            {"traffic": {"router": "GatewayAPI", "gatewayAPI": {}}},
            "spec.traffic.gatewayAPI must have exactly one of parentRefs and routeRef",
            id="neither a Gateway nor a rule",
        ),
        pytest.param(
            {"traffic": gateway(routeRef={"name": "shop", "rule": "digits"})},
            "spec.traffic.gatewayAPI must have exactly one of parentRefs and routeRef",
            id="a Gateway and a rule",
        ),
        pytest.param(
            {"traffic": {"router": "GatewayAPI", "gatewayAPI": {**RULE, "hostnames": ["digits"]}}},
            "spec.traffic.gatewayAPI.hostnames and grpcHostnames can't be set beside routeRef",
            id="hostnames of somebody else's route",
        ),
        pytest.param(
            {"traffic": {**gateway(hostnames=["digits"]), "grpc": True}},
            "spec.traffic.gatewayAPI.grpcHostnames goes with spec.traffic.grpc: give both",
            id="calls by gRPC without hosts",
        ),
        pytest.param(
            {"traffic": gateway(hostnames=["digits"], grpcHostnames=["calls"])},
            "spec.traffic.gatewayAPI.grpcHostnames goes with spec.traffic.grpc: give both",
            id="hosts for calls by gRPC that aren't split",
        ),
        pytest.param(
            {"traffic": {**gateway(hostnames=["a", "b"], grpcHostnames=["b"]), "grpc": True}},
            "spec.traffic.gatewayAPI.hostnames must name other hosts than grpcHostnames",
            id="one host for two kinds of routes",
        ),
        pytest.param(
            {"traffic": {"router": "Istio"}},
            "spec.traffic.istio has to be given where spec.traffic.router is Istio",
            id="hosts of Istio's that nobody names",
        ),
        pytest.param(
            {"traffic": istio(virtualService={"name": "shop", "route": "digits"})},
            "spec.traffic.istio must have exactly one of hosts and virtualService",
            id="hosts and a route of a VirtualService",
        ),
        pytest.param(
            {"traffic": {"router": "Istio", "istio": {"hosts": ["digits"]}}},
            "spec.traffic.istio.gateways goes with hosts",
            id="hosts that no Gateway takes",
        ),
        pytest.param(
            {"traffic": istio(gateways=["edge/public", "mesh"])},
            "spec.traffic.istio.gateways can't have mesh",
            id="sidecars",
        ),
        pytest.param(
            {"traffic": {**LENT_ROUTE, "grpc": True}},
            "spec.traffic.grpc can't be true beside spec.traffic.istio.virtualService",
            id="calls by gRPC by one route",
        ),
        pytest.param(
            {**MIRRORED, "traffic": istio()},
            "a step of spec.strategy.canary.steps can have a mirror or match only where spec.traffic.router is Builtin",
            id="copies by Istio",
        ),
        pytest.param({"strategy": {}}, "spec.strategy must have exactly one of canary and blueGreen", id="no strategy"),
        pytest.param(
            {"analysis": {"source": "Routers", "requestsFrom": "Servers"}},
            "spec.analysis.source can be Routers only where requestsFrom is Router",
            id="model servers read directly",
        ),
        pytest.param(
            analysis(requestsFrom="Istio"),
            "spec.analysis.requestsFrom can be Istio only where spec.traffic.router is Istio or GatewayAPI",
            id="Istio counts for the built-in router",
        ),
        pytest.param(
            {**MIRRORED, "traffic": {"grpc": True}},
            "a step of spec.strategy.canary.steps can have a mirror or match only where spec.traffic.router is Builtin",
            id="copies of calls by gRPC",
        ),
        pytest.param(
            {**MIRRORED, "traffic": gateway()},
            "a step of spec.strategy.canary.steps can have a mirror or match only where spec.traffic.router is Builtin",
            id="copies by a Gateway",
        ),
        pytest.param(
            {**MIRRORED, **analysis(requestsFrom="Servers")},
            "a step of spec.strategy.canary.steps can have a mirror only where spec.analysis.requestsFrom is Router",
            id="copies that model servers count",
        ),
        pytest.param(
            {"strategy": {"canary": {"steps": [{"weight": 5}, {"mirror": {"percent": 5}}]}}},
            "the steps of spec.strategy.canary.steps with a mirror must come before those with a weight",
            id="a shadow step after traffic",
        ),
        pytest.param(
            {**MATCHED, "traffic": {"grpc": True}},
            "a step of spec.strategy.canary.steps can have a mirror or match only where spec.traffic.router is Builtin",
            id="a group of calls by gRPC",
        ),
        pytest.param(
            {**MATCHED, "traffic": gateway()},
            "a step of spec.strategy.canary.steps can have a mirror or match only where spec.traffic.router is Builtin",
            id="a group by a Gateway",
        ),
        pytest.param(
            {"strategy": {"canary": {"steps": [{"mirror": {"percent": 5}, "match": RULES}]}}},
            "must have a mirror alone, or a weight, match or both",
            id="a mirror and a match",
        ),
        pytest.param(
            {"traffic": {"sticky": {"header": "x-user", "cookie": {"name": "user"}}}},
            "spec.traffic.sticky must have exactly one of header and cookie",
            id="users known by two things",
        ),
        pytest.param(
            {"traffic": {"sticky": {"header": "x-request-id"}}},
            "spec.traffic.sticky.header must be a header that has a user's id",
            id="users known by what each request has anew",
        ),
        pytest.param(
            {"traffic": {"sticky": {"cookie": {"name": "user", "ttl": "9601h"}}}},
            "must be a duration of whole seconds, minutes or hours such as 90s, 2m or 1h30m, up to 9600h",
            id="a cookie that browsers don't keep",
        ),
        pytest.param(
            {"traffic": {"grpc": True, "sticky": {"cookie": {"name": "user"}}}},
            "spec.traffic.sticky must have a header and no cookie where spec.traffic.grpc is true",
            id="cookies of calls by gRPC",
        ),
        pytest.param(
            {"traffic": {**gateway(), "sticky": {"header": "x-user"}}},
            "spec.traffic.sticky can be set only where spec.traffic.router is Builtin",
            id="users who stay behind a Gateway",
        ),
        pytest.param(
            canary(50, 25), "the weights of spec.strategy.canary.steps must ascend", id="weights that descend"
        ),
        pytest.param(canary(25, 25), "the weights of spec.strategy.canary.steps must ascend", id="weights twice"),
        pytest.param(
            {"traffic": {"rateLimit": {"requests": 100, "burst": 50}}},
            "burst must be at least requests",
            id="a burst that is less than the rate",
        ),
        pytest.param({"traffic": {"rateLimit": {"burst": 50}}}, "rateLimit.requests: Required", id="a rate of nothing"),
        pytest.param(
            {"traffic": {"retries": {"attempts": 6}}},
            "spec.traffic.retries.attempts: Invalid value: 6",
            id="retries without end",
        ),
        pytest.param(
            {"traffic": {"outlierDetection": {"interval": "1h"}}},
            "must be a duration from 1s to 5m",
            id="ejections that are looked at each hour",
        ),
        pytest.param(
            {"traffic": {"idleTimeout": "0s"}},
            "must be a duration from 1s to 1h",
            id="streams that may never be silent",
        ),
        pytest.param({"traffic": {"grpc": "yes"}}, "spec.traffic.grpc", id="a word for true"),
        pytest.param(
            {"gates": [{"name": "ci", "at": "Start"}]},
            "a gate of spec.gates must have exactly one of url, urlSecret, job and registry",
            id="a gate without an address",
        ),
        pytest.param(
            {"gates": [{"name": "ci", "at": "Start", "url": "https://alice:sesame@ci.example.com/"}]},
            "must begin with https:// or http:// and a host, without a user's name or password",
            id="a gate with a password",
        ),
        pytest.param(
            {"gates": [{"name": "ci", "at": "Start", "url": "file:///etc/passwd"}]},
            "must begin with https:// or http://",
            id="a gate that is a file",
        ),
        pytest.param(
            {"gates": [{"name": "ci", "at": "Promotion", "url": "https://ci.example.com/", "steps": [1]}]},
            "steps of a gate of spec.gates make sense only with at Step",
            id="steps of a promotion",
        ),
        pytest.param(
            {"gates": [{"name": "ci", "at": "Start", "url": "https://ci.example.com/", "timeout": "2m"}]},
            "must be a duration from 1s to 1m",
            id="a gate that is waited for too long",
        ),
        pytest.param(
            {"gates": [{"name": "ci", "at": "End", "job": {"image": "tests:1"}}]},
            "a gate of spec.gates at End is told by HTTP; a Job can't be",
            id="a Job that is told",
        ),
        pytest.param(
            {"gates": [{"name": "ci", "at": "Start", "job": {"image": "tests:1", "deadline": "48h"}}]},
            "must be a duration from 10s to 24h",
            id="a Job of two days",
        ),
        pytest.param(
            {"model": {"uri": "models:/digits/7", "follow": {"every": "1m"}}},
            "spec.model.follow needs a spec.model.uri that may mean another model tomorrow",
            id="a version that is followed",
        ),
        pytest.param(
            {
                "model": {
                    "uri": f"oci://registry/digits@sha256:{'ab' * 32}",
                    "delivery": "ImageVolume",
                    "signedBy": {"secret": "signers"},
                }
            },
            "spec.model.signedBy can't be set beside spec.model.delivery ImageVolume",
            id="a signature that nobody would look at",
        ),
        *(
            pytest.param(
                {"model": {"uri": uri, "delivery": "ImageVolume", **more}},
                "spec.model.delivery ImageVolume needs a spec.model.uri with a digest",
                id=f"an image volume of {what}",
            )
            for what, uri, more in (
                ("a tag", "oci://registry/digits:7", {}),
                ("a file", "https://models/1.onnx", {}),
                ("a branch that is followed", "hf://owner/digits", {"follow": {"every": "1m"}}),
                ("a path that leads out", f"oci://registry/digits@sha256:{'ab' * 32}/../etc", {}),
            )
        ),
        pytest.param(
            {"model": {**MODEL, "delivery": "Mount"}}, "spec.model.delivery", id="a delivery that isn't known"
        ),
        pytest.param(
            {"model": {"uri": "models:/digits@champion", "follow": {"every": "1s"}}},
            "must be a duration from 10s to 24h",
            id="a name that is looked at each second",
        ),
        pytest.param(
            {"model": {"uri": "models:/digits@champion", "follow": {"every": "1m"}, "sha256": "0" * 64}},
            "spec.model.sha256 can't be set beside spec.model.follow",
            id="one digest for all that a name may mean",
        ),
        pytest.param(
            {"gates": [{"name": "approved", "at": "Start", "registry": {}}]},
            "a gate of spec.gates with registry needs .* with models:/, .*; take the gate out in the same change",
            id="a registry's approval of what isn't in it",
        ),
        pytest.param(
            {"notifications": [{"name": "registry", "format": "ModelVersionTags"}]},
            "format ModelVersionTags needs .* with models:/, .*; take it out in the same change",
            id="tags of what isn't in a registry",
        ),
        pytest.param(
            {
                "model": {"uri": "models:/digits/7"},
                "notifications": [{"name": "r", "format": "ModelVersionTags", "url": "https://a.example.com/"}],
            },
            "goes to the registry that spec.model.uri names",
            id="tags with an address",
        ),
        pytest.param(
            {"notifications": [{"name": "ops", "url": "https://a.example.com/", "urlSecret": {"name": "b"}}]},
            "each of spec.notifications must have exactly one of url and urlSecret",
            id="a receiver with two addresses",
        ),
        pytest.param(
            {"notifications": [{"name": "ops", "url": "https://a.example.com/", "when": ["Sung"]}]},
            r'Unsupported value: "Sung"',
            id="what can't be told",
        ),
        pytest.param(canary(0, 25), r"spec\.strategy\.canary\.steps\[0\]\.weight", id="a weight of 0"),
        pytest.param(canary(25, 100), r"spec\.strategy\.canary\.steps\[1\]\.weight", id="a weight of 100"),
        pytest.param(canary(), r"spec\.strategy\.canary\.steps", id="no steps"),
        pytest.param(
            {"model": {**MODEL, "sha256": "AB" * 32}},
            "spec.model.sha256 must be 64 hexadecimal",
            id="big letters",
        ),
        pytest.param(
            {"model": {**MODEL, "sha256": "ab12"}}, "spec.model.sha256 must be 64 hexadecimal", id="a digest cut short"
        ),
        pytest.param(
            {"model": {"uri": "ftp://models/1.onnx"}},
            "spec.model.uri must begin with file://, pvc://, http://, https://, s3://, gs://, az://, hf://, oci://, "
            "image:// or models:/",
            id="a scheme that isn't known",
        ),
        pytest.param(
            {"model": {"uri": "models:/digits/Production"}},
            "spec.model.uri with models:/ must name a version or an alias",
            id="a stage of a registered model",
        ),
        pytest.param(
            {"model": {"uri": "pvc:///models/7"}},
            "spec.model.uri with pvc:// must name a PersistentVolumeClaim",
            id="a claim without a name",
        ),
        pytest.param(
            {"model": {"uri": "image://models/7"}},
            "spec.model.uri with image:// must be a path in spec.server.image",
            id="an image's name for a path in it",
        ),
        pytest.param(
            {"model": {**MODEL, "credentialsSecret": "My_Secret"}},
            r"spec\.model\.credentialsSecret.*must be the name of a Secret",
            id="credentials by no Secret's name",
        ),
        pytest.param(
            {"model": {**MODEL, "serviceAccount": "My_Account"}},
            r"spec\.model\.serviceAccount.*must be the name of a ServiceAccount",
            id="an identity by no ServiceAccount's name",
        ),
        pytest.param(
            {"model": {**MODEL, "signedBy": {"secret": "signers"}}},
            "spec.model.signedBy is for a spec.model.uri with oci:// alone",
            id="signers of what is in no registry",
        ),
        pytest.param(
            {"model": {"uri": "oci://registry/a:1", "signedBy": {}}},
            r"spec\.model\.signedBy.*must have exactly one of configMap and secret",
            id="signers of nowhere",
        ),
        pytest.param(
            {"model": {"uri": "oci://registry/a:1", "signedBy": {"secret": "a", "key": ".."}}},
            r"spec\.model\.signedBy\.key.*must be the key of a Secret or ConfigMap",
            id="signers under no key",
        ),
        pytest.param(
            {"model": {"uri": "oci://registry/a:1", "signedBy": {"configMap": "My_Keys"}}},
            r"spec\.model\.signedBy\.configMap.*must be the name of a ConfigMap",
            id="signers by no ConfigMap's name",
        ),
        pytest.param(
            {
                "model": {
                    "uri": "oci://registry/a:1",
                    "signedBy": {"secret": "a"},
                    "fetchEnv": [{"name": "TIDEGATE_SIGNATURE_METHOD", "value": "key"}],
                }
            },
            "spec.model.fetchEnv can't have TIDEGATE_SIGNATURE_",
            id="signers, and others by a variable",
        ),
        pytest.param(
            {"model": {**MODEL, "fetchEnv": [{"name": "HTTPS-PROXY", "value": "a"}]}},
            r"spec\.model\.fetchEnv\[0\]\.name",
            id="a variable of no variable's name",
        ),
        pytest.param({"server": {"threads": 0}}, "spec.server.threads must be Auto or a whole number", id="no thread"),
        pytest.param(
            {"server": {"threads": "4"}}, "spec.server.threads must be Auto or a whole number", id="in quotes"
        ),
        pytest.param({"server": {"batching": {"maxRows": 0}}}, r"spec\.server\.batching\.maxRows", id="empty batches"),
        pytest.param(
            {"server": {"batching": {"maxDelay": "1m"}}},
            "spec.server.batching.maxDelay must be Auto or a duration up to 10s",
            id="a batch that waits for minutes",
        ),
        pytest.param(
            {"server": {"batching": {"maxDelay": "99999s"}}},
            "spec.server.batching.maxDelay must be Auto or a duration up to 10s",
            id="a batch that waits for a day",
        ),
        pytest.param(
            {"server": {"auth": {"apiKeysSecret": "a/b"}}},
            r"spec\.server\.auth\.apiKeysSecret.*must be the name of a Secret",
            id="API keys by no Secret's name",
        ),
        pytest.param(
            {"server": {"requestSamples": {"keep": 0, "keySecret": "samples"}}},
            r"spec\.server\.requestSamples\.keep.*greater than or equal to 1",
            id="samples that are none",
        ),
        pytest.param(
            {"analysis": {"agreement": {}}},
            r"spec\.analysis\.agreement needs spec\.server\.requestSamples",
            id="answers to compare without requests",
        ),
        pytest.param(
            {
                "server": {"requestSamples": {"keySecret": "samples"}},
                "analysis": {"agreement": {}},
                "gates": [{"name": "agreement", "at": "Start", "url": "https://ci.example.com"}],
            },
            r"can't be named agreement beside spec\.analysis\.agreement",
            id="two gates named agreement",
        ),
        *(
            pytest.param({"server": {"podTemplate": template}}, message, id=f"in a pod template {name}")
            for name, template, message in (
                ("the revision's label", {"labels": {"tidegate.dev/revision": "a"}}, "which are Tidegate's own"),
                ("our name", {"labels": {"app.kubernetes.io/name": "a"}}, "which are Tidegate's own"),
                ("a label with a blank", {"labels": {"team": "my team"}}, "must be labels as Kubernetes has them"),
                ("a label's name with a blank", {"labels": {"my team": "a"}}, "must be labels as Kubernetes has them"),
                ("another metrics port", {"annotations": {"prometheus.io/port": "1"}}, "which are Tidegate's own"),
                ("an account's bad name", {"serviceAccountName": "My_Account"}, "must be the name of a ServiceAccount"),
                ("root's group", {"securityContext": {"fsGroup": 0}}, r"securityContext\.fsGroup"),
                ("a user", {"securityContext": {"runAsUser": 0}}, 'unknown field.*runAsUser"'),
                ("a container", {"containers": [{"name": "a"}]}, 'unknown field "spec.server.podTemplate.containers"'),
                ("another question", {"probes": {"startup": {"exec": {}}}}, 'unknown field.*startup.exec"'),
                ("a short end", {"terminationGracePeriodSeconds": 5}, "terminationGracePeriodSeconds"),
                (
                    "the node's files",
                    {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]},
                    "unknown field.*hostPath",
                ),
                ("a volume of no kind", {"volumes": [{"name": "a"}]}, "must have exactly one of configMap, secret"),
                (
                    "a volume of two kinds",
                    {"volumes": [{"name": "a", "emptyDir": {}, "configMap": {"name": "b"}}]},
                    "must have exactly one of configMap, secret",
                ),
                *(
                    (
                        f"our volume {name}",
                        {"volumes": [{"name": name, "emptyDir": {}}]},
                        "must not be named models, tmp",
                    )
                    for name in ("models", "signers", "request-samples")
                ),
                (
                    "a mount of nothing",
                    {"volumeMounts": [{"name": "a", "mountPath": "/a"}]},
                    "must each name one of podTemplate.volumes",
                ),
                *(
                    (
                        f"a mount at {path}",
                        {
                            "volumes": [{"name": "a", "emptyDir": {}}],
                            "volumeMounts": [{"name": "a", "mountPath": path}],
                        },
                        message,
                    )
                    for path, message in (
                        ("/", "must be an absolute path below /"),
                        ("a/b", "must be an absolute path below /"),
                        ("/a/../models", "must be an absolute path below /"),
                        ("/tmp", "must not be /tmp"),  # noqa: S108 - in a pod
                        ("/models/7", "must not be /tmp"),
                        ("/var/run/tidegate/api-keys", "must not be /tmp"),
                    )
                ),
                ("an unknown effect", {"tolerations": [{"effect": "Never"}]}, r"tolerations\[0\]\.effect"),
                (
                    "an affinity that is misspelt",
                    {"affinity": {"nodeAffinity": {"required": {}}}},
                    'unknown field.*nodeAffinity.required"',
                ),
            )
        ),
        pytest.param(
            {
                "model": {**MODEL, "serviceAccount": "models"},
                "server": {"podTemplate": {"serviceAccountName": "vision"}},
            },
            "serviceAccountName can't be set beside spec.model.serviceAccount",
            id="two accounts",
        ),
        pytest.param(
            {
                "model": {**MODEL, "serviceAccount": "models"},
                "server": {"podTemplate": {"annotations": {"eks.amazonaws.com/skip-containers": "fetch"}}},
            },
            "can't say which containers have no identity",
            id="an identity for the server",
        ),
        *(
            pytest.param({"server": server}, message, id=f"{name}")
            for name, server, message in (
                (
                    "a variable of two origins",
                    {"env": [{"name": "A", "value": "b", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}]},
                    "must have exactly one of value and valueFrom",
                ),
                ("a variable of no origin", {"env": [{"name": "A"}]}, "must have exactly one of value and valueFrom"),
                (
                    "a variable from nowhere",
                    {"env": [{"name": "A", "valueFrom": {}}]},
                    "must have exactly one of configMapKeyRef and secretKeyRef",
                ),
                (
                    "a variable from a pod's field",
                    {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
                    'unknown field.*fieldRef"',
                ),
                (
                    "a ConfigMap without the key",
                    {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a"}}}]},
                    r"configMapKeyRef\.key: Required value",
                ),
                ("variables from nowhere", {"envFrom": [{}]}, "must have exactly one of configMapRef and secretRef"),
                ("a ConfigMap's bad name", {"envFrom": [{"configMapRef": {"name": "My Map"}}]}, "must be the name of"),
                ("a revision's bad name", {"configRevision": "Digits 7"}, "configRevision"),
            )
        ),
        pytest.param({"model": {}}, r"spec\.model\.uri: Required value", id="no address"),
        *(
            pytest.param(
                {"traffic": {"previewHeader": name}},
                "spec.traffic.previewHeader must be a header that nothing else sends",
                id=f"{name} for previews",
            )
            for name in ("content-type", "host", "transfer-encoding", "x-forwarded-for", "grpc-timeout")
        ),
        *(
            pytest.param(
                {"server": {"resources": {"requests": {"cpu": amount}}}},
                "must be a Kubernetes quantity such as 500m, 2 or 1Gi",
                id=f"{amount!r} of a CPU",
            )
            for amount in ("half", "1 Gi", "0,5", -1, "")
        ),
        pytest.param(
            {"server": {"resources": {"requests": {"cpu": 0.5}}}},
            r"spec\.server\.resources\.requests\.cpu in body must be of type integer,string: \"number\"",
            id="half a CPU without quotes",
        ),
        pytest.param({"traffic": {"timeout": "1 minute"}}, r"spec\.traffic\.timeout.*must be a duration", id="words"),
        pytest.param({"progressDeadline": "90"}, r"spec\.progressDeadline.*must be a duration", id="no unit"),
        pytest.param(analysis(interval="500ms"), r"spec\.analysis\.interval must be a duration from 1s", id="often"),
        pytest.param(analysis(interval="1h"), r"spec\.analysis\.interval must be a duration from 1s", id="too seldom"),
        pytest.param(
            analysis(errorRate={"tolerate": {"ratio": "3"}}),
            "spec.analysis.errorRate.accept must be no stricter than tolerate",
            id="accepted errors stricter than tolerated",
        ),
        pytest.param(
            analysis(latency={"accept": "10%"}),
            "spec.analysis.latency.accept must not be below tolerate",
            id="accepted latency stricter than tolerated",
        ),
        pytest.param(
            analysis(errorRate={"tolerate": {"ratio": 1.25}}),
            r"spec\.analysis\.errorRate\.tolerate\.ratio.*must be of type string",
            id="a ratio without quotes",
        ),
        pytest.param(
            analysis(errorRate={"ceiling": "0%"}),
            "spec.analysis.errorRate.ceiling must be a percentage",
            id="0 %",
        ),
        pytest.param(
            analysis(confidence={"falseRollback": "0%"}),
            r"spec\.analysis\.confidence\.falseRollback.*must be a percentage",
            id="never wrong",
        ),
        pytest.param(analysis(onInconclusive="Panic"), r"spec\.analysis\.onInconclusive", id="an unknown policy"),
        pytest.param(analysis(latency={"quantiles": [100]}), r"spec\.analysis\.latency\.quantiles\[0\]", id="p100"),
        pytest.param(
            analysis(latency={"ceiling": {"p99": "1m"}}),
            "must be a duration above zero and up to 10s",
            id="a late ceiling",
        ),
        pytest.param(
            analysis(latency={"ceiling": {"p98": "1s"}}), 'unknown field "spec.analysis.latency.ceiling.p98"', id="p98"
        ),
        pytest.param(
            analysis(dispersion="0.5"), "spec.analysis.dispersion must be Auto or a number", id="half a clump"
        ),
        pytest.param(analysis(predictions={"onDrift": "Panic"}), r"spec\.analysis\.predictions\.onDrift", id="drift"),
        pytest.param(
            {**analysis(slices=[TENANTS]), "traffic": {"sticky": {"header": "x-user"}}},
            "can be set only where spec.traffic.router is Builtin, and without spec.traffic.sticky",
            id="slices of users who stay",
        ),
        pytest.param(
            analysis(slices=[TENANTS], requestsFrom="Servers"),
            "spec.analysis.slices can be set only where spec.analysis.requestsFrom is Router",
            id="slices that nobody counts",
        ),
        pytest.param(
            analysis(slices=[{**TENANTS, "name": name, "values": list("abcdefgh")} for name in ("tenant", "team")]),
            "must make at most 64 combinations of values",
            id="more groups than are counted",
        ),
        pytest.param(analysis(slices=[{**TENANTS, "values": ["other"]}]), "leave it out", id="a group of the others"),
        pytest.param(analysis(slices=[{**TENANTS, "values": []}]), r"slices\[0\]\.values", id="a slice without values"),
        pytest.param(analysis(signature="Ignore"), r"spec\.analysis\.signature", id="a policy for signatures"),
        pytest.param(analysis(queries=[query()]), "must have min, max or both", id="a query without a limit"),
        pytest.param(
            analysis(queries=[query(query="up", min="1")]), "must name {{candidate}}", id="a query about nobody"
        ),
        pytest.param(
            analysis(queries=[query(min="0.9.1")]), "must be a number such as 0.95", id="a limit that is none"
        ),
        pytest.param(
            {"strategy": {"canary": {"steps": [{"weight": 5, "analysis": {"queries": ["accuracy"]}}]}}},
            "must name only queries that spec.analysis.queries has",
            id="a step with a query that there isn't",
        ),
        pytest.param(
            {"strategy": {"blueGreen": {"postPromotionAnalysis": {"queries": ["accuracy"]}}}},
            "must name only queries that spec.analysis.queries has",
            id="a switch with a query that there isn't",
        ),
        pytest.param(
            analysis(queries=[query(min="1", dryRun=True, onFailure="Hold")]),
            "must not have both dryRun and onFailure",
            id="a dry run that does something",
        ),
        pytest.param(analysis(queries=[query(min="1")] * 2), "Duplicate value", id="two queries of one name"),
        pytest.param({"replicas": -1}, r"spec\.replicas", id="less than no replicas"),
        pytest.param(
            {"strategy": {"canary": {"steps": [{"weight": 5, "replicas": "120%"}]}}}, r"replicas", id="more than all"
        ),
        pytest.param({"strategy": {"canary": {"maxSurge": 0}}}, r"maxSurge", id="no surge"),
        pytest.param({"strategy": {"canary": {"maxSurge": "2 pods"}}}, r"maxSurge", id="a surge in words"),
    ],
)
def test_refused_is(spec: dict[str, Any], message: str, apply: Callable[..., CompletedProcess[str]]) -> None:
    done = apply("ModelDeployment", {"model": MODEL, **spec}, "digits", "--validate=strict")

    assert done.returncode == 1
    assert re.search(message, done.stderr), done.stderr


@pytest.mark.parametrize(
    "spec",
    [
        *(
            pytest.param({"model": {"uri": uri}}, id=uri.partition(":")[0])
            for uri in (
                "file:///models/1.onnx",
                "pvc://models",
                "pvc://my.claim-1/digits/7",
                "http://models/1.onnx",
                "https://models/1",
                "s3://bucket/digits/7",
                "gs://bucket/digits/7",
                "az://container/digits/7",
                "hf://owner/digits@main",
                "oci://registry:5000/digits@sha256:1",
                "image:///models/7",
                "models:/digits/7",
                "models:/digits%20of%20hands@champion",
            )
        ),
        *(
            pytest.param(
                {
                    "model": {"uri": uri, "follow": {"every": "1m"}},
                },
                id=f"{uri} followed",
            )
            for uri in ("models:/digits@champion", "oci://registry:5000/digits:stable", "hf://owner/digits")
        ),
        *(
            pytest.param({"model": {"uri": uri, "delivery": "ImageVolume", **more}}, id=f"an image volume of {what}")
            for what, uri, more in (
                ("a digest", f"oci://registry:5000/shop/digits@sha256:{'ab' * 32}", {}),
                ("a digest's folder", f"oci://registry/digits@sha256:{'ab' * 32}/srv/7", {}),
                ("a tag that is followed", "oci://registry/digits:stable", {"follow": {"every": "1m"}}),
            )
        ),
        pytest.param(
            {
                "model": {"uri": "models:/digits@champion"},
                "gates": [{"name": "approved", "at": "Start", "registry": {"tag": "stage", "value": "production"}}],
                "notifications": [{"name": "registry", "format": "ModelVersionTags"}],
            },
            id="a registry that approves and is told",
        ),
        pytest.param({"traffic": {**istio(), "grpc": True}, **analysis(requestsFrom="Istio")}, id="Istio's Gateways"),
        pytest.param({"traffic": LENT_ROUTE}, id="a route of a VirtualService"),
        pytest.param({"traffic": gateway()}, id="a Gateway alone"),
        pytest.param({"traffic": gateway(), **analysis(requestsFrom="Istio")}, id="a Gateway of Istio's"),
        pytest.param({"traffic": {"router": "GatewayAPI", "gatewayAPI": RULE}}, id="a rule of a route"),
        pytest.param({"traffic": gateway(hostnames=["*.example.com", "digits"])}, id="hostnames"),
        pytest.param(
            {"traffic": {**gateway(hostnames=["digits"], grpcHostnames=["calls"]), "grpc": True}},
            id="calls by gRPC through a Gateway",
        ),
        pytest.param({"server": {"threads": 64, "batching": {"maxRows": 1, "maxDelay": "0ms"}}}, id="the bounds"),
        pytest.param({"server": {"threads": "Auto", "batching": {"maxDelay": "Auto"}}}, id="Auto, in words"),
        *(
            pytest.param({"server": {"resources": {"requests": {"cpu": amount}}}}, id=f"{amount!r} of a CPU")
            for amount in (1, "0.5", ".5", "1.", "1e3", "1E-1", "500000u", "100n", "1Pi", "2Ei")
        ),
        pytest.param({"server": {"auth": {"apiKeysSecret": "clients"}}}, id="API keys"),
        pytest.param(
            {"server": {"requestSamples": {"keySecret": "samples"}}, "analysis": {"agreement": {}}},
            id="live requests that are compared",
        ),
        pytest.param(
            {
                "server": {
                    "env": [
                        {"name": "A", "value": ""},
                        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b.txt"}}},
                        {"name": "C", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b", "optional": True}}},
                    ],
                    "envFrom": [{"prefix": "A_", "configMapRef": {"name": "a"}}, {"secretRef": {"name": "a.b"}}],
                    "configRevision": "digits-6f9c1d2e",
                }
            },
            id="config",
        ),
        pytest.param(
            {
                "model": {**MODEL, "serviceAccount": "models"},
                "server": {
                    "podTemplate": {
                        "labels": {"team": "vision", "example.com/stage": ""},
                        "annotations": {"example.com/owner": "me", "sidecar.istio.io/inject": "true"},
                        "securityContext": {"supplementalGroups": [44]},
                        "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "secret": {"secretName": "b"}}],
                        "volumeMounts": [
                            {"name": "a", "mountPath": "/dev/shm"},  # noqa: S108 - in a pod
                            {"name": "b", "mountPath": "/etc/b/c.txt", "subPath": "c.txt"},
                        ],
                    }
                },
            },
            id="a pod template",
        ),
        pytest.param({"model": {**MODEL, "credentialsSecret": "models-read"}}, id="credentials"),
        pytest.param({"model": {**MODEL, "serviceAccount": "models.read-1"}}, id="an identity"),
        pytest.param(
            {"model": {"uri": "oci://registry/a:1", "signedBy": {"secret": "signers"}, "follow": {"every": "1m"}}},
            id="signers in a Secret",
        ),
        pytest.param(
            {"model": {"uri": "oci://registry/a:1", "signedBy": {"configMap": "signers", "key": "shop.pem"}}},
            id="signers in a ConfigMap",
        ),
        pytest.param(
            {"model": {**MODEL, "fetchEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]}}, id="a proxy"
        ),
    ],
)
def test_taken_is(spec: dict[str, Any], apply: Callable[..., CompletedProcess[str]]) -> None:
    done = apply("ModelDeployment", {"model": MODEL, **spec}, "digits", "--validate=strict")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("d" * 51, "metadata.name must have at most 50 characters", id="too long"),
        pytest.param("1-digits", "metadata.name must be a DNS label that begins with a letter", id="a digit first"),
        pytest.param("dig.its", "metadata.name must be a DNS label that begins with a letter", id="with a dot"),
    ],
)
def test_refused_is_a_name(name: str, message: str, apply: Callable[..., CompletedProcess[str]]) -> None:
    done = apply("ModelDeployment", {"model": MODEL}, name)

    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("backends", "message"),
    [
        pytest.param([("a", 50), ("b", 49)], "the weights of spec.backends must add to 100", id="weights of 99"),
        pytest.param([("a", 50), ("a", 50)], "a revision stands twice in spec.backends", id="one revision twice"),
        pytest.param([], r"spec\.backends", id="no backends"),
    ],
)
def test_refused_is_a_route_with(
    backends: list[tuple[str, int]], message: str, apply: Callable[..., CompletedProcess[str]]
) -> None:
    listed = [{"revision": revision, "weight": weight} for revision, weight in backends]
    done = apply("ModelRoute", {"backends": listed})

    assert done.returncode == 1
    assert re.search(message, done.stderr), done.stderr


def test_a_route_with_every_setting_is_taken_and_reads_back(
    apply: Callable[..., CompletedProcess[str]], kubectl: Kubectl, api_server: Path, namespace: str
) -> None:
    policy = RoutePolicy(
        timedelta(minutes=2),
        Retries(1, 20),
        RateLimit(100, RateUnit.MINUTE, 200),
        CircuitBreaker(10, None, 30),
        OutlierDetection(),
    )
    slices = (Slice("tenant", "x-tenant", ("acme", "umbrella")),)
    settings = RouteSettings("x-preview", timedelta(seconds=60), grpc=True, policy=policy, slices=slices)
    manifest = route_manifest(namespace, "digits", "1", TrafficSplit.only("digits-1"), settings)

    done = apply("ModelRoute", manifest["spec"], "digits", "--server-side", "--field-manager=tidegate")
    assert done.returncode == 0, done.stderr
    there = kubectl(api_server, "get", "modelroute", "digits", "-n", namespace, "-o", "json").stdout
    assert read_route(json.loads(there)).settings == settings


def test_an_entry_that_somebody_else_added_does_not_keep_the_operator_from_setting_the_split(
    apply: Callable[..., CompletedProcess[str]],
) -> None:
    def split(**weights: int) -> dict[str, Any]:
        return {"backends": [{"revision": revision, "weight": weight} for revision, weight in weights.items()]}

    ours = ("--server-side", "--field-manager=tidegate", "--force-conflicts")
    theirs = ("--server-side", "--field-manager=somebody", "--force-conflicts")

    assert apply("ModelRoute", split(a=95, b=5), "digits", *ours).returncode == 0
    assert apply("ModelRoute", split(a=85, b=5, c=10), "digits", *theirs).returncode == 0
    back = apply("ModelRoute", split(a=100), "digits", *ours)
    assert back.returncode == 0, back.stderr


@pytest.mark.parametrize(
    ("kind", "spec", "columns"),
    [
        pytest.param(
            "ModelDeployment",
            {"model": MODEL},
            ["NAME", "STABLE", "CANDIDATE", "WEIGHT", "STEP", "STATUS", "AGE"],
            id="ModelDeployment",
        ),
        pytest.param(
            "ModelRoute", {"backends": [{"revision": "a", "weight": 100}]}, ["NAME", "BACKENDS", "AGE"], id="ModelRoute"
        ),
    ],
)
def test_kubectl_get_prints_the_columns_of(
    kind: str,
    spec: dict[str, Any],
    columns: list[str],
    apply: Callable[..., CompletedProcess[str]],
    kubectl: Kubectl,
    api_server: Path,
    namespace: str,
) -> None:
    assert apply(kind, spec).returncode == 0
    printed = kubectl(api_server, "get", f"{kind.lower()}s", "-n", namespace).stdout

    assert printed.splitlines()[0].split() == columns


def test_the_stored_defaults_are_those_that_the_other_tests_use(
    apply: Callable[..., CompletedProcess[str]],
    kubectl: Kubectl,
    api_server: Path,
    namespace: str,
    spec_schema: dict[str, Any],
) -> None:
    assert apply("ModelDeployment", {"model": MODEL}).returncode == 0
    printed = kubectl(api_server, "get", "mdep", "digits", "-n", namespace, "-o", "yaml").stdout

    assert yaml.safe_load(printed)["spec"] == with_defaults(spec_schema, {"model": MODEL})


def test_a_model_that_nobody_has_looked_at_yet_is_in_progress(
    apply: Callable[..., CompletedProcess[str]], kubectl: Kubectl, api_server: Path, namespace: str
) -> None:
    assert apply("ModelDeployment", {"model": MODEL}).returncode == 0
    printed = kubectl(api_server, "get", "mdep", "digits", "-n", namespace, "-o", "yaml").stdout

    assert compute(yaml.safe_load(printed)) == "InProgress"
