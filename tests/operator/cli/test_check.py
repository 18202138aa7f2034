"""`tidegate check` looks at what a release needs, and says what is wrong and what can't be seen."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import free_port
from tests.operator.fake_api import FakeApi, serving
from tests.operator.view_examples import Released
from tests.small_http import listening, say
from tidegate.__main__ import main
from tidegate.cli.check.finding import Finding, State
from tidegate.cli.check.in_cluster import CRDS, operators
from tidegate.cli.check.in_prometheus import metrics
from tidegate.cli.common.cluster import Cluster
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import DEPLOYMENTS, LEASES, MODEL_DEPLOYMENTS, Resource
from tidegate.model.metric_template import parse_template
from tidegate.resources.router_report import Applied, RouterIdentity, report_manifest

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[3]
LABELS = {"app.kubernetes.io/name": "tidegate", "app.kubernetes.io/component": "operator"}
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modeldeployments.tidegate.dev"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the command compares with it


def an_operator(ready: int = 1) -> dict[str, Any]:
    environment = [{"name": "TIDEGATE_PROMETHEUS_URL", "value": "http://prometheus:9090"}]
    container = {"name": "operator", "image": "registry/tidegate:1.2.3", "env": environment}
    return {
        "metadata": {"namespace": "tidegate", "name": "tidegate-operator", "labels": LABELS},
        "spec": {"template": {"spec": {"containers": [container]}}},
        "status": {"readyReplicas": ready},
    }


def a_lease(holder: str = "pod-1", ago: float = 1) -> dict[str, Any]:
    renewed = (now() - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    metadata = {"namespace": "tidegate", "name": "tidegate-operator"}
    return {"metadata": metadata, "spec": {"holderIdentity": holder, "renewTime": renewed}}


def a_router(refused: Mapping[Any, str], ago: float = 1, certificate: str = "") -> dict[str, Any]:
    identity = RouterIdentity("tidegate", "router-1", "", "tidegate-router")
    return report_manifest(identity, Applied({"": 5}, refused, certificate), now() - timedelta(seconds=ago))


@pytest.fixture
def fake() -> FakeApi:
    """A cluster in which everything is as it should be."""
    fake = FakeApi()
    fake.answers["/version"] = {"gitVersion": "v1.37.0"}
    fake.answers[ACCESS] = {"status": {"allowed": True}}
    fake.answers[CRD] = yaml.safe_load((ROOT / "crds" / "modeldeployments.yaml").read_text())
    fake.put(DEPLOYMENTS, an_operator())
    fake.put(LEASES, a_lease())
    fake.put(LEASES, a_router({}))
    return fake


@pytest.fixture
def check(fake: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    with serving(fake, tmp_path) as place:

        def run(*arguments: str) -> tuple[int, str, str]:
            return main(["check", *arguments, "--kubeconfig", str(place)]), *capsys.readouterr()

        yield run


def test_where_all_is_well_each_thing_is_named_and_what_cannot_be_seen(
    check: Run, fake: FakeApi, spec_schema: Mapping[str, Any]
) -> None:
    fake.put(MODEL_DEPLOYMENTS, Released(spec_schema).manifest)
    code, out, err = check()

    assert (code, err) == (0, "")
    assert [line.rstrip() for line in out.splitlines()] == [
        "ok        API server: Kubernetes v1.37.0 answers",
        "ok        CRD: modeldeployments.tidegate.dev v1alpha1 has every field that this version knows",
        "ok        operator: tidegate/tidegate-operator runs registry/tidegate:1.2.3, 1 ready",
        "ok        leader: pod-1 leads",
        "ok        router: 1 of 1 routers of tidegate report",
        "ok        models: 1 ModelDeployments, none of them stalled",
        "not seen  Prometheus: the operator reads it at http://prometheus:9090, which wasn't tried from here; in the "
        "cluster: kubectl exec -n tidegate deploy/tidegate-operator -- tidegate check -n shop",
    ]


def without(fake: FakeApi, kind: str) -> None:
    for key in [key for key in fake.objects if key[0] == kind]:
        del fake.objects[key]


def an_older_crd(fake: FakeApi) -> None:
    crd: Any = fake.answers[CRD]
    del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["rollbackWindow"]


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        pytest.param(lambda fake: without(fake, "deployments"), 1, "operator: no operator is", id="no operator"),
        pytest.param(
            lambda fake: fake.put(DEPLOYMENTS, an_operator(ready=0)), 1, "has no pod ready", id="one that isn't ready"
        ),
        pytest.param(lambda fake: fake.put(LEASES, a_lease(holder="")), 1, "nobody holds the Lease", id="no leader"),
        pytest.param(
            lambda fake: fake.put(LEASES, a_lease(ago=90)),
            1,
            "pod-1 hasn't renewed its Lease for 9",
            id="a dead leader",
        ),
        pytest.param(lambda fake: fake.put(LEASES, a_router({}, ago=60)), 1, "no router of", id="dead routers"),
        pytest.param(
            lambda fake: fake.put(LEASES, a_router({("shop", "digits"): "no such cluster"})),
            1,
            "router-1 won't have the route of shop/digits: no such cluster",
            id="a route that Envoy refuses",
        ),
        pytest.param(
            lambda fake: fake.put(LEASES, a_router({}, certificate="there is no tls.crt in /tls")),
            1,
            "router-1 can't serve its TLS Secret: there is no tls.crt in /tls",
            id="a TLS Secret that can't be served",
        ),
        pytest.param(lambda fake: fake.answers.pop(CRD), 1, "isn't there: install the chart", id="no CRD"),
        pytest.param(an_older_crd, 0, "it lacks spec.rollbackWindow; apply crds/", id="an older CRD"),
        pytest.param(
            lambda fake: fake.answers.update({ACCESS: {"status": {"allowed": False}}}),
            0,
            "you may not patch modeldeployments in shop",
            id="no rights",
        ),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    change: Callable[[FakeApi], object], code: int, line: str, check: Run, fake: FakeApi
) -> None:
    change(fake)
    ended, out, _ = check()

    assert line in out
    assert ended == code


@pytest.mark.parametrize("resource", ["deployments", "leases", "customresourcedefinitions", "modeldeployments"])
def test_what_may_not_be_read_is_not_seen_and_nothing_is_wrong_for_that(
    resource: str, check: Run, fake: FakeApi
) -> None:
    fake.refusals["GET", resource] = (403, "no")
    code, out, _ = check()

    assert code == 0
    assert "not seen  " in out


def test_an_api_server_that_does_not_answer_ends_the_look(check: Run, fake: FakeApi) -> None:
    fake.answers.pop("/version")
    fake.refusals["GET", ""] = (500, "etcd is away")
    code, out, err = check()

    assert (code, out) == (1, "")
    assert err == "tidegate check: the API server can't be asked for its version: etcd is away\n"


def test_a_model_that_is_stalled_is_a_warning(check: Run, fake: FakeApi, spec_schema: Mapping[str, Any]) -> None:
    released = Released(spec_schema).release("failing", 200)
    fake.put(MODEL_DEPLOYMENTS, released.manifest)
    code, out, _ = check("digits")

    assert code == 0
    assert f"warning   models: shop/digits is stalled: {released.world.status['message']}" in out


def test_findings_as_json(check: Run) -> None:
    first = json.loads(check("-o", "json")[1])[0]

    assert first == {"about": "API server", "state": "ok", "what": "Kubernetes v1.37.0 answers"}


QUERIES = [{"name": "quality", "query": 'quality{revision="{{candidate}}"}', "min": "0.9"}]


def told(released: Released) -> list[Finding]:
    return list(metrics(released.manifest, released.world, timedelta(seconds=5), released.now))


def test_every_question_of_a_release_is_asked_of_prometheus(spec_schema: Mapping[str, Any]) -> None:
    released = Released(spec_schema, analysis={"queries": QUERIES})
    stable = released.world.status["stable"]["revision"]
    released.world.own_series[f'quality{{revision="{stable}"}}'] = [0.95]
    released.world.run(300)

    counted, latency, own = told(released)
    assert (counted.state, counted.what) == (
        State.OK,
        f"the routers count 100 requests a second of {stable}, 0% failed",
    )
    assert latency.what.startswith("the model servers tell the latency of ")
    assert own.what == "the query quality of spec.analysis.queries gives 0.95 about stable"


@pytest.mark.parametrize(
    ("series", "state", "sentence"),
    [
        ([], State.WRONG, "gives no number about stable: it gives no value"),
        ([0.95, 0.96], State.WRONG, "gives no number about stable: it gives 2 series"),
        ([0.5], State.WARNING, "gives 0.5 about stable, which is itself beyond its limits"),
    ],
)
def test_an_own_query_that_is_no_good_is_told(
    series: list[float], state: State, sentence: str, spec_schema: Mapping[str, Any]
) -> None:
    released = Released(spec_schema, analysis={"queries": QUERIES})
    stable = released.world.status["stable"]["revision"]
    released.world.own_series[f'quality{{revision="{stable}"}}'] = series
    own = told(released)[-1]

    assert own.state is state
    assert sentence in own.what


@pytest.mark.parametrize(
    ("template", "state", "sentence"),
    [
        pytest.param({"query": 'quality{revision="{{candidate}}"}', "min": "0.9"}, State.OK, "gives 0.95", id="there"),
        pytest.param(None, State.WRONG, "there is no MetricTemplate quality in this namespace", id="not there"),
    ],
)
def test_a_query_that_a_template_fills_in_is_asked_now(
    template: dict[str, str] | None, state: State, sentence: str, spec_schema: Mapping[str, Any]
) -> None:
    query = {"name": "quality", "templateRef": {"name": "quality"}}
    released = Released(spec_schema, analysis={"queries": [query]})
    released.world.own_series[f'quality{{revision="{released.world.status["stable"]["revision"]}"}}'] = [0.95]
    found = parse_template({"metadata": {"name": "quality"}, "spec": template}) if template else None
    own = list(metrics(released.manifest, released.world, timedelta(seconds=5), released.now, lambda name: found))[-1]

    assert own.state is state
    assert sentence in own.what


def test_without_traffic_or_prometheus_it_says_so(spec_schema: Mapping[str, Any]) -> None:
    released = Released(spec_schema)
    released.world.rps = 0
    released.world.run(600)
    silent = told(released)[0]
    released.world.prometheus_up = False

    assert (silent.state, "gets no requests" in silent.what) == (State.WARNING, True)
    assert [each.state for each in told(released)] == [State.WRONG]
    assert told(released)[0].what.endswith("a release holds until it answers")


def test_the_crds_path_is_the_clusters() -> None:
    assert CRDS.path(name="modeldeployments.tidegate.dev") == CRD


class Answering(BaseHTTPRequestHandler):
    """A router that has no model at this path, and a Prometheus that can count to one."""

    def do_GET(self) -> None:
        self._answer(404, b"")

    def do_POST(self) -> None:
        self._answer(200, b'{"status": "success", "data": {"resultType": "matrix", "result": []}}')

    def _answer(self, status: int, body: bytes) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        say(self, status, body, **{"Content-Type": "application/json"})


@pytest.fixture
def answering() -> Iterator[str]:
    """The URL of something that answers."""
    with listening(Answering) as port:
        yield f"http://127.0.0.1:{port}"


def test_the_routers_service_and_prometheus_are_asked_where_no_model_is_there_yet(check: Run, answering: str) -> None:
    code, out, _ = check("--router", answering, "--prometheus", answering)

    assert code == 0
    assert f"ok        router Service: {answering} answers (404)\n" in out
    assert f"ok        Prometheus: {answering} answers; whether it scrapes what it must is seen once" in out


def test_what_does_not_answer_is_wrong_and_says_why(check: Run) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    code, out, _ = check("--router", nobody, "--prometheus", nobody)

    assert code == 1
    assert f"wrong     router Service: {nobody} doesn't answer: Connection refused; see whether" in out
    assert "a release holds until it answers" in out


class OfOneNamespace:
    """An API server that lets nothing be listed but in the namespace `gate`."""

    def list(self, resource: Resource, namespace: str | None, selector: str) -> dict[str, Any]:
        if namespace != "gate":
            raise ClusterUnavailable("no", 403)
        operator = an_operator()
        return {"items": [{**operator, "metadata": {**operator["metadata"], "namespace": namespace}}]}


def test_with_the_rights_of_helm_test_it_sees_its_own_namespace() -> None:
    there, (finding,) = operators(Cluster(OfOneNamespace(), "gate"))  # type: ignore[arg-type]

    assert [each.namespace for each in there] == ["gate"]
    assert finding.what == "gate/tidegate-operator runs registry/tidegate:1.2.3, 1 ready"
