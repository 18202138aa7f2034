"""Names of revisions, and their snapshots."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tidegate.model.agreement import RequestSamples
from tidegate.model.config import ConfigKind
from tidegate.model.revision import (
    RevisionState,
    Snapshot,
    find_revision,
    plan_digest,
    revision_name,
)
from tidegate.model.signers import Signers
from tidegate.model.spec import Batching, Model, ModelDeploymentSpec, Server

ASpec = Callable[..., ModelDeploymentSpec]


def test_a_name_is_the_model_deployments_and_eight_digits(a_spec: ASpec) -> None:
    # Written out: another name would re-roll everybody's models with an upgrade of the operator.
    assert revision_name("digits", a_spec()) == "digits-a9620972"


@pytest.mark.parametrize(
    ("fields", "name", "plan"),
    [
        pytest.param(
            {
                "model": {"uri": "s3://models/digits/7", "sha256": "ab" * 32},
                "server": {"image": "mine:1", "env": [{"name": "TIDEGATE_REQUEST_SECONDS", "value": "60"}]},
                "strategy": {"blueGreen": {}},
            },
            "digits-d700021e",
            "7ce63960",
            id="a pinned model and an image of its own",
        ),
        pytest.param(
            {
                "model": {
                    "uri": "oci://registry.example.com/digits:7",
                    "credentialsSecret": "login",
                    "fetchEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
                    "serviceAccount": "models",
                },
                "server": {
                    "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": 1}},
                    "threads": 2,
                    "batching": {"maxRows": 32, "maxDelay": "2ms"},
                    "auth": {"apiKeysSecret": "clients"},
                    "env": [{"name": "A", "value": "b"}],
                },
                "strategy": {"canary": {"steps": [{"weight": 10, "minDuration": "5m", "replicas": 2}]}},
            },
            "digits-3126198a",
            "e472bb18",
            id="all that there was before pod templates",
        ),
        pytest.param(
            {"analysis": {"deadline": "2h", "queries": [{"name": "a", "query": "x{{candidate}}", "min": "0.9"}]}},
            "digits-a9620972",
            "c756d5f9",
            id="an own query",
        ),
    ],
)
def test_what_uses_nothing_new_has_the_digests_that_it_always_had(
    fields: dict[str, Any], name: str, plan: str, a_spec: ASpec
) -> None:
    # Written out, too: an upgrade re-rolls nobody's model, and gives no rejected revision another try.
    spec = a_spec(**fields)

    assert (revision_name("digits", spec), plan_digest(spec)) == (name, plan)


@pytest.mark.parametrize(
    "empty", [{}, {"labels": {}}, {"volumes": [], "nodeSelector": {}, "probes": {}}], ids=["all", "labels", "lists"]
)
def test_an_empty_pod_template_is_none(empty: dict[str, Any], a_spec: ASpec) -> None:
    assert a_spec(server={"podTemplate": empty}) == a_spec()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"replicas": 7}, id="replicas"),
        pytest.param({"strategy": {"blueGreen": {}}}, id="the strategy"),
        pytest.param({"analysis": {"deadline": "2h"}}, id="the analysis"),
        pytest.param({"paused": True}, id="a pause"),
        pytest.param({"traffic": {"timeout": "5s"}}, id="the timeout"),
        pytest.param({"revisionHistoryLimit": 1}, id="the history's limit"),
    ],
)
def test_the_name_stays_under_a_change_of(change: dict[str, Any], a_spec: ASpec) -> None:
    assert revision_name("digits", a_spec(**change)) == revision_name("digits", a_spec())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"model": {"uri": "http://models/2.onnx"}}, id="the model's address"),
        pytest.param({"model": {"uri": "http://models/1.onnx", "sha256": "ab" * 32}}, id="the model's digest"),
        pytest.param({"server": {"image": "other:1"}}, id="the server's image"),
        pytest.param({"server": {"env": [{"name": "A", "value": "b"}]}}, id="a variable"),
        pytest.param({"server": {"resources": {"limits": {"memory": "2Gi"}}}}, id="the resources"),
        pytest.param({"server": {"threads": 2}}, id="the threads"),
        pytest.param({"server": {"batching": {"maxRows": 1}}}, id="a batch's rows"),
        pytest.param({"server": {"batching": {"maxDelay": "0ms"}}}, id="a batch's delay"),
        pytest.param({"server": {"auth": {"apiKeysSecret": "clients"}}}, id="the API keys"),
        pytest.param({"server": {"requestSamples": {"keySecret": "samples"}}}, id="the samples of requests"),
        pytest.param({"server": {"podTemplate": {"labels": {"team": "vision"}}}}, id="a pod's label"),
        pytest.param({"server": {"podTemplate": {"probes": {"startup": {"periodSeconds": 2}}}}}, id="a probe's timing"),
        pytest.param({"model": {"uri": "http://models/1.onnx", "credentialsSecret": "a"}}, id="the credentials"),
        pytest.param({"model": {"uri": "http://models/1.onnx", "serviceAccount": "a"}}, id="the identity"),
        pytest.param({"model": {"uri": "oci://models/a:1", "signedBy": {"secret": "a"}}}, id="who has to sign"),
        pytest.param(
            {"model": {"uri": "http://models/1.onnx", "fetchEnv": [{"name": "A", "value": "b"}]}},
            id="a variable for fetching",
        ),
    ],
)
def test_the_name_changes_with(change: dict[str, Any], a_spec: ASpec) -> None:
    assert revision_name("digits", a_spec(**change)) != revision_name("digits", a_spec())


def test_how_it_is_delivered_is_part_of_the_name_unless_it_is_fetched(a_spec: ASpec) -> None:
    """As it was before models could be delivered in any other way."""
    image = {"uri": f"oci://registry/digits@sha256:{'ab' * 32}"}
    before, fetched = a_spec(model=image), a_spec(model={**image, "delivery": "Fetch"})
    mounted = a_spec(model={**image, "delivery": "ImageVolume"})
    names = [revision_name("digits", each) for each in (before, fetched, mounted)]

    assert names[0] == names[1] != names[2]
    assert "delivery" not in Snapshot(fetched.model, fetched.server, "a:1", 8082).to_dict()["model"]


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        pytest.param({"strategy": {"blueGreen": {}}}, True, id="the strategy: yes"),
        pytest.param({"analysis": {"deadline": "2h"}}, True, id="the analysis: yes"),
        pytest.param({"replicas": 7}, False, id="replicas: no"),
    ],
)
def test_a_rejected_revision_is_worth_another_try_after_a_change_of(
    change: dict[str, Any], differs: bool, a_spec: ASpec
) -> None:
    assert (plan_digest(a_spec(**change)) != plan_digest(a_spec())) is differs


def test_steps_that_carry_traffic(a_spec: ASpec) -> None:
    assert a_spec().strategy.steps_with_traffic == 3
    assert a_spec(strategy={"blueGreen": {}}).strategy.steps_with_traffic == 1


RESOURCES: dict[str, dict[str, str | int]] = {"limits": {"memory": "1Gi", "example.com/gpu": 1}}
ENV = (("A", "b"), ("C", ""))


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(
            Snapshot(Model("http://models/1", None), Server(None, RESOURCES, ()), "theirs:1", 8082), id="of little"
        ),
        pytest.param(
            Snapshot(
                Model("oci://m/1", "ab" * 32, "a", (("A", "b"),), "c", Signers(ConfigKind.CONFIG_MAP, "d", "e.pem")),
                Server(
                    "mine:1",
                    RESOURCES,
                    ENV,
                    4,
                    Batching(32, timedelta(milliseconds=2)),
                    "clients",
                    {"labels": {"team": "vision"}, "tolerations": [{"operator": "Exists"}]},
                    request_samples=RequestSamples("samples", 100),
                ),
                "mine:1",
                8082,
            ),
            id="of everything",
        ),
        pytest.param(
            Snapshot(
                Model("s3://models/1", None),
                Server(None, {}, (), batching=Batching(max_delay=timedelta())),
                "mine:1",
                8082,
            ),
            id="of a batch that doesn't wait",
        ),
        pytest.param(Snapshot(Model("http://models/1", None), Server(None, {}, ()), "old:1", None), id="of old"),
    ],
)
def test_a_snapshot_reads_back(snapshot: Snapshot) -> None:
    assert Snapshot.parse(snapshot.to_dict()) == snapshot


def test_a_record_of_an_older_operator_is_understood() -> None:
    written = {
        "model": {"uri": "http://models/1", "sha256": "ab" * 32},
        "server": {"image": None, "resources": RESOURCES, "env": [["A", "b"], ["C", ""]]},
        "image": "theirs:1",
    }

    assert Snapshot.parse(written) == Snapshot(
        Model("http://models/1", "ab" * 32), Server(None, RESOURCES, ENV), "theirs:1", None
    )


def test_a_rejected_revision_is_not_tried_again_after_an_upgrade_of_the_operator(a_spec: ASpec) -> None:
    """These are recorded in people's clusters. A field that is renamed keeps its name in the digest by `at(...)`, a new
    one has a default that stands for what was done before.
    """
    assert plan_digest(a_spec()) == "4d3c3030"
    assert plan_digest(a_spec(strategy={"blueGreen": {}})) == "7ce63960"


def resources(**amounts: Any) -> dict[str, Any]:
    return {"server": {"resources": {"requests": amounts, "limits": {"memory": "1Gi"}}}}


def env(*names: str, **values: str) -> dict[str, Any]:
    return {"server": {"env": [{"name": name, "value": values.get(name, "a")} for name in names]}}


def state(spec: ModelDeploymentSpec, number: int = 1, name: str = "") -> RevisionState:
    """Its revision as an operator recorded it, under the name that it had then."""
    snapshot = Snapshot.parse(Snapshot(spec.model, spec.server, "server:1", 8082).to_dict())
    return RevisionState(name or revision_name("digits", spec), number=number, snapshot=snapshot)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(resources(cpu="1"), resources(cpu=1), id="1 in quotes and without"),
        pytest.param(resources(cpu="1"), resources(cpu="1000m"), id="1 and 1000m"),
        pytest.param(resources(cpu="0.5"), resources(cpu="500000u"), id="0.5 and 500000u"),
        pytest.param(resources(memory="1Gi"), resources(memory="1024Mi"), id="1Gi and 1024Mi"),
        pytest.param(resources(memory="1k"), resources(memory="1e3"), id="1k and 1e3"),
        pytest.param(env("A", "B"), env("B", "A"), id="another order of variables"),
        pytest.param(
            {"server": {"batching": {"maxDelay": "1s"}}}, {"server": {"batching": {"maxDelay": "1000ms"}}}, id="1s"
        ),
    ],
)
def test_a_spec_that_is_spelt_otherwise_asks_for_the_same_revision(
    one: dict[str, Any], other: dict[str, Any], a_spec: ASpec
) -> None:
    known = state(a_spec(**one))

    assert find_revision("digits", a_spec(**other), {known.name: known}, ()) == known.name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(resources(cpu="1"), resources(cpu="1001m"), id="a little more"),
        pytest.param(resources(memory="1G"), resources(memory="1Gi"), id="1G and 1Gi"),
        pytest.param(env("A", "B", B="$(A)"), env("B", "A", B="$(A)"), id="variables that refer to one another"),
        pytest.param(env("A"), env("A", A="other"), id="another value"),
    ],
)
def test_a_spec_that_means_something_else_asks_for_another_revision(
    one: dict[str, Any], other: dict[str, Any], a_spec: ASpec
) -> None:
    known = state(a_spec(**one))

    assert find_revision("digits", a_spec(**other), {known.name: known}, ()) != known.name


def test_of_two_revisions_that_mean_the_same_the_one_that_serves_is_asked_for(a_spec: ASpec) -> None:
    """An older operator took two spellings for two revisions."""
    first, second = state(a_spec(**resources(cpu="1")), 1), state(a_spec(**resources(cpu=1)), 2)
    known = {each.name: each for each in (first, second)}
    asked = a_spec(**resources(cpu="1000m"))

    assert find_revision("digits", asked, known, (first.name, None)) == first.name
    assert find_revision("digits", asked, known, ()) == second.name


def test_a_name_that_another_revision_has_by_chance_is_not_taken_for_it(a_spec: ASpec) -> None:
    other = state(a_spec(**resources(cpu="2")), name=revision_name("digits", a_spec()))
    found = find_revision("digits", a_spec(), {other.name: other}, (other.name,))

    assert found != other.name
    assert find_revision("digits", a_spec(), {other.name: other}, ()) == found
