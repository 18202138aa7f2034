"""What a podTemplate adds to a revision's pods, and what it can't take away."""

from dataclasses import replace
from typing import Any

import pytest

from tidegate.model.revision import Snapshot
from tidegate.model.spec import Model, Server
from tidegate.resources.revision import deployment_manifest

IDS = ("shop", "digits", "11111111-2222-3333-4444-555555555555")
REVISION = "digits-6f9c1d2e"
OWN_PODS = {"tidegate.dev/model-deployment": "digits", "tidegate.dev/revision": REVISION}
PLAIN = Snapshot(Model("http://models/1.onnx", None), Server(None, {}, ()), "server:1", 8082)


def deployment(**template: Any) -> dict[str, Any]:
    snapshot = replace(PLAIN, server=replace(PLAIN.server, pod_template=template))
    return deployment_manifest(*IDS, REVISION, snapshot, 1, "Always")


def pod(**template: Any) -> dict[str, Any]:
    spec: dict[str, Any] = deployment(**template)["spec"]["template"]["spec"]
    return spec


def test_without_one_a_pod_is_what_it_was() -> None:
    assert deployment() == deployment_manifest(*IDS, REVISION, PLAIN, 1, "Always")


def test_labels_and_annotations_stand_beside_ours_and_never_in_their_place() -> None:
    given = {"team": "vision", "tidegate.dev/revision": "another"}
    manifest = deployment(labels=given, annotations={"example.com/owner": "me", "prometheus.io/port": "1"})
    metadata = manifest["spec"]["template"]["metadata"]

    assert metadata["labels"] == {**manifest["metadata"]["labels"], "team": "vision"}
    assert (metadata["annotations"]["example.com/owner"], metadata["annotations"]["prometheus.io/port"]) == (
        "me",
        "8082",
    )
    assert manifest["spec"]["selector"]["matchLabels"] == OWN_PODS


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"serviceAccountName": "vision"}, id="a ServiceAccount"),
        pytest.param({"imagePullSecrets": [{"name": "login"}]}, id="pull secrets"),
        pytest.param({"nodeSelector": {"accelerator": "l4"}}, id="nodes"),
        pytest.param({"tolerations": [{"key": "gpu", "operator": "Exists"}]}, id="tolerations"),
        pytest.param({"priorityClassName": "online"}, id="a priority"),
        pytest.param({"runtimeClassName": "nvidia"}, id="a runtime"),
        pytest.param({"schedulerName": "volcano"}, id="a scheduler"),
        pytest.param({"terminationGracePeriodSeconds": 900}, id="more time to end"),
    ],
)
def test_a_pod_gets(fields: dict[str, Any]) -> None:
    assert pod(**fields) == {**pod(), **fields}


def test_no_token_is_mounted_whatever_the_service_account() -> None:
    assert pod(serviceAccountName="vision")["automountServiceAccountToken"] is False


def test_a_pod_has_no_less_time_to_end_than_a_request_may_take() -> None:
    server = replace(
        PLAIN.server,
        env=(("TIDEGATE_REQUEST_SECONDS", "600"),),
        pod_template={"terminationGracePeriodSeconds": 60},
    )
    manifest = deployment_manifest(*IDS, REVISION, replace(PLAIN, server=server), 1, "Always")

    assert manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 630


def test_groups_are_added_to_a_security_context_that_stays_hard() -> None:
    given = {"fsGroup": 2000, "supplementalGroups": [44, 109]}

    assert pod(securityContext=given)["securityContext"] == {**pod()["securityContext"], **given}


def test_probes_are_asked_at_other_times_for_the_same_things() -> None:
    (before,) = pod()["containers"]
    (after,) = pod(probes={"startup": {"failureThreshold": 1200}, "readiness": {"periodSeconds": 5}})["containers"]

    assert after == {
        **before,
        "startupProbe": {**before["startupProbe"], "failureThreshold": 1200},
        "readinessProbe": {**before["readinessProbe"], "periodSeconds": 5},
    }


def test_volumes_are_the_servers_and_not_the_fetching_containers() -> None:
    volumes = [{"name": "cache", "emptyDir": {}}, {"name": "words", "configMap": {"name": "words"}}]
    mounts = [{"name": "cache", "mountPath": "/cache"}, {"name": "words", "mountPath": "/etc/words", "readOnly": True}]
    before, after = pod(), pod(volumes=volumes, volumeMounts=mounts)

    assert after["volumes"] == [*before["volumes"], *volumes]
    assert after["containers"][0]["volumeMounts"] == [*before["containers"][0]["volumeMounts"], *mounts]
    assert after["initContainers"] == before["initContainers"]


def test_own_spread_constraints_replace_ours_and_mean_the_revisions_pods_unless_they_say_others() -> None:
    zone = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    everybody = {**zone, "topologyKey": "rack", "labelSelector": {"matchLabels": {"team": "vision"}}}

    assert pod(topologySpreadConstraints=[zone, everybody])["topologySpreadConstraints"] == [
        {**zone, "labelSelector": {"matchLabels": OWN_PODS}},
        everybody,
    ]


def test_an_affinity_to_pods_without_a_selector_means_the_revisions_own() -> None:
    node: dict[str, Any] = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": []}]}
    }
    apart = {
        "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "host"}],
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {"topologyKey": "zone"}}],
    }
    own = {"labelSelector": {"matchLabels": OWN_PODS}}

    assert pod(affinity={"nodeAffinity": node, "podAntiAffinity": apart})["affinity"] == {
        "nodeAffinity": node,
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "host", **own}],
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", **own}}
            ],
        },
    }
