"""A spec is parsed once, with the CRD's defaults; the CRD and the model say the same."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from tidegate.errors import InvalidSpec
from tidegate.model.config import ConfigKind
from tidegate.model.istio import Istio
from tidegate.model.reasons import Policy
from tidegate.model.route_policy import Retries, RoutePolicy
from tidegate.model.signers import Signers
from tidegate.model.spec import (
    Analysis,
    Batching,
    BlueGreen,
    Canary,
    CanaryStep,
    ErrorRate,
    Latency,
    Margin,
    Model,
    ModelDeploymentSpec,
    PredictionDrift,
    Server,
)
from tidegate.model.traffic import RouteSettings, Sticky
from tidegate.resources.crd_schema import with_defaults

ASpec = Callable[..., ModelDeploymentSpec]
DEFAULT_RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}


def test_the_smallest_spec_has_every_default(a_spec: ASpec) -> None:
    assert a_spec() == ModelDeploymentSpec(
        replicas=1,
        paused=False,
        model=Model("http://models/1.onnx", None),
        server=Server(None, DEFAULT_RESOURCES, ()),
        router="Builtin",
        route_settings=RouteSettings("x-tidegate-revision", timedelta(seconds=60)),
        strategy=Canary(tuple(CanaryStep(weight, timedelta()) for weight in (5, 25, 50))),
        analysis=Analysis(
            interval=timedelta(seconds=5),
            false_rollback=0.01,
            false_promotion=0.05,
            error_rate=ErrorRate(tolerate=Margin(1.25, 0.001), accept=Margin(2.0, 0.005), ceiling=0.05),
            latency=Latency(0.2, 0.44, timedelta(milliseconds=5), (50, 90, 95, 99)),
            predictions=PredictionDrift(0.05, 0.25, Policy.HOLD),
            queries=(),
            requests_from="Router",
            overdispersion=None,
            on_inconclusive=Policy.HOLD,
            on_metrics_unavailable=Policy.HOLD,
            deadline=timedelta(hours=1),
        ),
        progress_deadline=timedelta(minutes=10),
        revision_history_limit=5,
    )


def test_blue_green_has_its_own_defaults(a_spec: ASpec) -> None:
    assert a_spec(strategy={"blueGreen": {}}).strategy == BlueGreen(timedelta(seconds=30), timedelta(minutes=5))


def test_what_is_given_is_taken(a_spec: ASpec) -> None:
    spec = a_spec(
        strategy={"canary": {"steps": [{"weight": 1, "minDuration": "1m30s"}]}},
        server={
            "image": "mine:1",
            "env": [{"name": "A", "value": "b"}],
            "resources": {},
            "threads": 4,
            "batching": {"maxRows": 32, "maxDelay": "2ms"},
            "auth": {"apiKeysSecret": "clients"},
        },
        model={
            "uri": "s3://models/m.onnx",
            "sha256": "ab" * 32,
            "credentialsSecret": "models-read",
            "fetchEnv": [{"name": "AWS_REGION", "value": "eu-1"}],
            "serviceAccount": "models",
        },
        analysis={"latency": {"quantiles": [99, 50]}},
    )

    assert spec.strategy == Canary((CanaryStep(1, timedelta(seconds=90)),))
    assert spec.server == Server("mine:1", {}, (("A", "b"),), 4, Batching(32, timedelta(milliseconds=2)), "clients")
    assert spec.model == Model("s3://models/m.onnx", "ab" * 32, "models-read", (("AWS_REGION", "eu-1"),), "models")
    assert spec.analysis.latency.quantiles == (50, 99)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"timeout": "soon"}, "'soon' is not a duration", id="a duration that is none"),
        pytest.param({"timeout": 60}, "expected string", id="a number for a duration"),
    ],
)
def test_invalid_is(spec_schema: Mapping[str, Any], change: Mapping[str, Any], message: str) -> None:
    raw = with_defaults(spec_schema, {"model": {"uri": "http://models/1"}, "traffic": change})

    with pytest.raises(InvalidSpec, match=message):
        ModelDeploymentSpec.parse(raw)


@pytest.mark.parametrize(
    ("given", "signers"),
    [
        pytest.param({"secret": "signers"}, Signers(ConfigKind.SECRET, "signers", "cosign.pub"), id="a Secret"),
        pytest.param(
            {"configMap": "a", "key": "b.pem"}, Signers(ConfigKind.CONFIG_MAP, "a", "b.pem"), id="a ConfigMap"
        ),
    ],
)
def test_who_has_to_sign_a_model_is_taken(a_spec: ASpec, given: dict[str, str], signers: Signers) -> None:
    spec = a_spec(model={"uri": "oci://registry/digits:7", "signedBy": given})

    assert (spec.model.signed_by, signers.to_spec()) == (signers, given)


@pytest.mark.parametrize(
    ("uri", "given", "said"),
    [
        pytest.param(
            "s3://m/7", {"secret": "a"}, "signedBy is for a spec.model.uri with oci:// alone", id="no registry"
        ),
        pytest.param("oci://m/7", {}, "must have exactly one of configMap and secret", id="neither"),
        pytest.param("oci://m/7", {"secret": "a", "configMap": "b"}, "must have exactly one of", id="both"),
    ],
)
def test_who_has_to_sign_is_refused(a_spec: ASpec, uri: str, given: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSpec, match=said):
        a_spec(model={"uri": uri, "signedBy": given})


def test_servers_are_not_read_directly(a_spec: ASpec) -> None:
    with pytest.raises(InvalidSpec, match=r"source is Routers, but spec\.analysis\.requestsFrom is Servers"):
        a_spec(analysis={"source": "Routers", "requestsFrom": "Servers"})


def test_a_shadow_step_has_no_weight_and_comes_first(a_spec: ASpec) -> None:
    steps = [{"mirror": {"percent": 20}, "minDuration": "1m"}, {"weight": 50}]
    spec = a_spec(strategy={"canary": {"steps": steps}})
    shadow = CanaryStep(0, timedelta(minutes=1), mirror=20)
    assert spec.strategy == Canary((shadow, CanaryStep(50, timedelta())))
    with pytest.raises(InvalidSpec, match="a step with a mirror comes after one with traffic; put what is only"):
        a_spec(strategy={"canary": {"steps": steps[::-1]}})


def test_users_are_known_by_a_header_or_by_a_cookie(a_spec: ASpec) -> None:
    cookie = {"cookie": {"name": "tidegate", "ttl": "720h"}}
    assert a_spec(traffic={"sticky": {"header": "x-user"}}).route_settings.sticky == Sticky(header="x-user")
    assert a_spec(traffic={"sticky": cookie}).route_settings.sticky == Sticky(cookie="tidegate", ttl=timedelta(days=30))
    with pytest.raises(InvalidSpec, match=r"spec\.traffic\.sticky must have exactly one of header and cookie"):
        a_spec(traffic={"sticky": {**cookie, "header": "x-user"}})
    with pytest.raises(InvalidSpec, match=r"sticky\.header: x-envoy-user doesn't tell users apart"):
        a_spec(traffic={"sticky": {"header": "x-envoy-user"}})
    with pytest.raises(InvalidSpec, match=r"sticky\.cookie: clients that call by gRPC keep no cookies"):
        a_spec(traffic={"grpc": True, "sticky": cookie})


def test_servers_do_not_tell_copies_from_requests(a_spec: ASpec) -> None:
    steps = [{"mirror": {"percent": 20}}, {"weight": 50}]
    with pytest.raises(InvalidSpec, match=r"steps has a mirror, but spec\.analysis\.requestsFrom is Servers"):
        a_spec(strategy={"canary": {"steps": steps}}, analysis={"requestsFrom": "Servers"})


@pytest.mark.parametrize(
    "first", [{"mirror": {"percent": 20}}, {"match": [{"headers": [{"name": "a", "exact": "b"}]}]}]
)
def test_calls_by_grpc_are_neither_copied_nor_matched(first: Mapping[str, Any], a_spec: ASpec) -> None:
    with pytest.raises(InvalidSpec, match=r"steps has a mirror or a match, but spec\.traffic\.grpc is true: calls by"):
        a_spec(strategy={"canary": {"steps": [first, {"weight": 50}]}}, traffic={"grpc": True})


def test_a_field_that_an_older_crd_lacks_has_its_default(spec_schema: Mapping[str, Any]) -> None:
    raw = with_defaults(spec_schema, {"model": {"uri": "http://models/1"}})
    whole = ModelDeploymentSpec.parse(raw)
    del raw["analysis"]["deadline"]

    assert ModelDeploymentSpec.parse(raw) == whole


def test_a_field_that_has_no_default_is_named_where_it_is_missing() -> None:
    with pytest.raises(InvalidSpec, match="spec lacks the field 'uri'; is the CRD older than the operator"):
        ModelDeploymentSpec.parse({"model": {}})


@pytest.mark.parametrize("name", ["content-type", "host", "connection", "x-envoy-retries", "grpc-timeout"])
def test_a_header_that_requests_have_anyway_is_no_preview_header(name: str, a_spec: ASpec) -> None:
    with pytest.raises(InvalidSpec, match=rf"spec\.traffic\.previewHeader: requests have {name} for another purpose"):
        a_spec(traffic={"previewHeader": name})


def test_guards_and_grpc_are_read(a_spec: ASpec) -> None:
    spec = a_spec(traffic={"grpc": True, "retries": {"attempts": 0}})
    expected = RouteSettings(
        "x-tidegate-revision", timedelta(seconds=60), grpc=True, policy=RoutePolicy(retries=Retries(0))
    )

    assert spec.route_settings == expected


@pytest.mark.parametrize(
    ("traffic", "named"),
    [
        pytest.param({"rateLimit": {"requests": 5}, "retries": {}}, "retries, rateLimit", id="guards"),
    ],
)
def test_what_an_http_route_cannot_say_is_refused(traffic: dict[str, Any], named: str, a_spec: ASpec) -> None:
    with pytest.raises(InvalidSpec, match=rf"^spec\.traffic: {named} is of the built-in router"):
        a_spec(traffic={"router": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "public"}]}, **traffic})


@pytest.mark.parametrize(
    ("grpc", "gateway", "sentence"),
    [
        pytest.param(True, {"hostnames": ["digits"]}, "grpcHostnames goes with spec.traffic.grpc", id="no hosts"),
        pytest.param(
            False,
            {"hostnames": ["a"], "grpcHostnames": ["b"]},
            "grpcHostnames goes with spec.traffic.grpc",
            id="no grpc",
        ),
        pytest.param(
            True,
            {"hostnames": ["a"], "grpcHostnames": ["a"]},
            "hostnames must name other hosts",
            id="one host for both",
        ),
        pytest.param(True, {"grpcHostnames": ["a"]}, "hostnames must name other hosts", id="every host for HTTP"),
    ],
)
def test_calls_by_grpc_need_hosts_of_their_own(
    grpc: bool, gateway: dict[str, Any], sentence: str, a_spec: ASpec
) -> None:
    with pytest.raises(InvalidSpec, match=rf"^spec\.traffic\.gatewayAPI\.{sentence}"):
        a_spec(
            traffic={
                "router": "GatewayAPI",
                "grpc": grpc,
                "gatewayAPI": {"parentRefs": [{"name": "public"}], **gateway},
            }
        )


def istio(**fields: Any) -> dict[str, Any]:
    return {"hosts": ["digits"], "gateways": ["edge/public"], **fields}


def test_hosts_of_istios_are_read(a_spec: ASpec) -> None:
    spec = a_spec(traffic={"router": "Istio", "grpc": True, "istio": istio()})
    expected = RouteSettings("", timedelta(seconds=60), grpc=True, istio=Istio(("digits",), ("edge/public",)))

    assert spec.route_settings == expected


@pytest.mark.parametrize(
    ("traffic", "sentence"),
    [
        pytest.param({}, r"spec\.traffic\.istio has to be given", id="no hosts"),
        pytest.param({"istio": {}}, r"spec\.traffic\.istio must have exactly one of hosts and", id="nothing in it"),
        pytest.param({"istio": {"hosts": ["a"]}}, r"spec\.traffic\.istio\.gateways goes with hosts", id="no gateways"),
        pytest.param({"istio": istio(gateways=["mesh"])}, r"spec\.traffic\.istio\.gateways has mesh", id="sidecars"),
        pytest.param(
            {"istio": istio(), "retries": {}}, r"spec\.traffic: retries is of the built-in router", id="guards"
        ),
        pytest.param(
            {"istio": {"virtualService": {"name": "shop", "route": "digits"}}, "grpc": True},
            r"spec\.traffic\.grpc is true, and spec\.traffic\.istio\.virtualService names one route",
            id="calls by gRPC by one route",
        ),
    ],
)
def test_what_istio_cannot_do_is_refused(traffic: dict[str, Any], sentence: str, a_spec: ASpec) -> None:
    with pytest.raises(InvalidSpec, match=rf"^{sentence}"):
        a_spec(traffic={"router": "Istio", **traffic})


def test_istio_counts_for_gateways_alone(a_spec: ASpec) -> None:
    with pytest.raises(
        InvalidSpec, match=r"^spec\.analysis\.requestsFrom is Istio, but spec\.traffic\.router is Builtin"
    ):
        a_spec(analysis={"requestsFrom": "Istio"})


def test_calls_by_grpc_go_by_no_rule_that_is_lent(a_spec: ASpec) -> None:
    rule = {"routeRef": {"name": "shop", "rule": "digits"}}
    with pytest.raises(InvalidSpec, match=r"^spec\.traffic\.grpc is true, and .*routeRef names a rule for HTTP"):
        a_spec(traffic={"router": "GatewayAPI", "grpc": True, "gatewayAPI": rule})


def test_a_guard_that_makes_no_sense_names_its_field(a_spec: ASpec) -> None:
    with pytest.raises(InvalidSpec, match=r"^spec\.traffic\.rateLimit\.burst: 4 is less than requests, 5"):
        a_spec(traffic={"rateLimit": {"requests": 5, "burst": 4}})


@pytest.mark.parametrize("name", ["failureLimit", "inconclusiveLimit"])
@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_lets_one_odd_poll_pass(name: str, limit: int, a_spec: ASpec) -> None:
    query = {"name": "accuracy", "query": "{{candidate}}", "min": "0.9", name: limit}

    with pytest.raises(InvalidSpec, match=rf"queries\[accuracy\]\.{name} is {limit}, and one odd poll"):
        a_spec(analysis={"queries": [query]})


def test_a_dry_run_has_no_policy(a_spec: ASpec) -> None:
    query = {"name": "accuracy", "query": "{{candidate}}", "min": "0.9", "dryRun": True, "onFailure": "Hold"}

    with pytest.raises(
        InvalidSpec, match=r"spec\.analysis\.queries\[accuracy\] has dryRun and onFailure, and a dry run"
    ):
        a_spec(analysis={"queries": [query]})


@pytest.mark.parametrize(
    ("strategy", "starting_step", "message"),
    [
        pytest.param(
            {"canary": {"steps": [{"weight": 5}, {"weight": 50, "analysis": {"queries": ["recall"]}}]}},
            1,
            r"spec\.strategy names the query recall at step 2, and spec\.analysis\.queries has no such query",
            id="a query that there isn't",
        ),
        pytest.param(
            {"blueGreen": {"prePromotionAnalysis": {"queries": ["recall"]}}},
            1,
            r"spec\.strategy names the query recall at step 1",
            id="the same before a switch",
        ),
        pytest.param(
            {"canary": {"steps": [{"weight": 5, "analysis": {"queries": ["accuracy"]}}, {"weight": 50}]}},
            2,
            r"startingStep is 2, but step 1 names it",
            id="a step and a starting step",
        ),
        pytest.param(
            {"canary": {"steps": [{"weight": 5}]}},
            3,
            "startingStep is 3, but the canary has 1 steps: 2 at most",
            id="a step that never comes",
        ),
        pytest.param({"blueGreen": {}}, 2, r"startingStep is 2, but blueGreen has no steps", id="a switch"),
    ],
)
def test_queries_and_steps_have_to_fit(
    strategy: dict[str, Any], starting_step: int, message: str, a_spec: ASpec
) -> None:
    query = {"name": "accuracy", "query": "{{candidate}}", "min": "0.9", "startingStep": starting_step}

    with pytest.raises(InvalidSpec, match=message):
        a_spec(strategy=strategy, analysis={"queries": [query]})


def test_what_a_lists_items_leave_out_has_a_default_in_the_code(a_spec: ASpec) -> None:
    query = {"name": "accuracy", "query": "{{candidate}}", "min": "0.9"}
    spec = a_spec(strategy={"canary": {"steps": [{"weight": 10}]}}, analysis={"queries": [query]})

    assert spec.strategy == Canary((CanaryStep(10, timedelta()),))
    assert spec.analysis.queries[0].on_failure is Policy.HOLD
