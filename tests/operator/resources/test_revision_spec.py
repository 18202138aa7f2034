"""An undo writes the spec that asks for the revision that a snapshot is of."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest

from tests.operator.fake_api import merged_with
from tidegate.model.config import ConfigContent, ConfigKind
from tidegate.model.revision import RevisionState, Snapshot, find_revision, revision_name
from tidegate.model.spec import Batching, Model, ModelDeploymentSpec, Server
from tidegate.resources.crd_schema import refusals, with_defaults
from tidegate.resources.revision_spec import replacing, spec_of, without_contradictions

FULL = {
    "model": {
        "uri": "oci://registry.example.com/models:7",
        "sha256": "ab" * 32,
        "credentialsSecret": "storage",
        "serviceAccount": "reader",
        "fetchEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "signedBy": {"configMap": "signers", "key": "keys.pem"},
    },
    "server": {
        "image": "registry/server:2",
        "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "4Gi"}},
        "threads": 3,
        "batching": {"maxRows": 8, "maxDelay": "1500ms"},
        "auth": {"apiKeysSecret": "keys"},
        "requestSamples": {"keep": 100, "keySecret": "samples"},
        "podTemplate": {"labels": {"team": "search"}, "nodeSelector": {"disk": "ssd"}},
        "env": [
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "C"}}},
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)"},
        ],
        "envFrom": [{"prefix": "WORDS_", "configMapRef": {"name": "words"}}],
    },
}
WORDS = ConfigContent(ConfigKind.CONFIG_MAP, "words", "ab" * 16)
MOUNTED = {
    "model": {"uri": f"oci://registry.example.com/digits@sha256:{'ab' * 32}/srv", "delivery": "ImageVolume"},
    "server": {"resources": {}},
}
BARE = {"model": {"uri": "https://models/1.onnx"}}
EMPTY = {**BARE, "server": {"resources": {}}}


def snapshot_of(spec: ModelDeploymentSpec) -> dict[str, Any]:
    return Snapshot(spec.model, spec.server, "the chart's", 8082).to_dict()


@pytest.mark.parametrize("before", [FULL, MOUNTED, BARE, EMPTY], ids=["full", "mounted", "bare", "empty"])
@pytest.mark.parametrize("now", [FULL, MOUNTED, BARE, EMPTY], ids=["full", "mounted", "bare", "empty"])
def test_patching_with_it_asks_for_that_revision_again(
    before: dict[str, Any], now: dict[str, Any], spec_schema: Mapping[str, Any]
) -> None:
    wanted = ModelDeploymentSpec.parse(with_defaults(spec_schema, before))
    current = with_defaults(spec_schema, {**now, "paused": True})
    data = snapshot_of(wanted)
    patched = with_defaults(
        spec_schema,
        merged_with(current, replacing({k: current[k] for k in ("model", "server")}, spec_of("digits-6f9c1d2e", data))),
    )
    name = revision_name("digits", wanted)
    known = {name: RevisionState(name, 1, Snapshot.parse(data))}

    assert not list(refusals(spec_schema, patched, "spec"))
    assert find_revision("digits", ModelDeploymentSpec.parse(patched), known, ()) == name
    assert patched["paused"] is True


GATE = {"name": "tests", "at": "Start", "url": "https://tests.example.com"}
SLACK = {"name": "slack", "url": "https://chat.example.com"}
NEWER = {
    "model": {"uri": "models:/digits@champion", "follow": {"every": "1m"}},
    "server": {"requestSamples": {"keySecret": "samples"}},
    "analysis": {"agreement": {"compare": "Values"}},
    "gates": [GATE, {"name": "approved", "at": "Start", "registry": {}}],
    "notifications": [SLACK, {"name": "registry", "format": "ModelVersionTags"}],
}


def test_what_is_newer_than_a_revision_keeps_nobody_from_going_back_to_it() -> None:
    assert without_contradictions(NEWER, EMPTY) == {
        "analysis": {"agreement": None},
        "gates": [GATE],
        "notifications": [SLACK],
    }


def test_what_can_stand_beside_a_revision_stays() -> None:
    assert without_contradictions(NEWER, {**NEWER, "model": {"uri": "models:/digits/7"}}) == {}
    assert without_contradictions({**EMPTY, "gates": [GATE], "notifications": [SLACK]}, EMPTY) == {}


def test_every_field_of_a_snapshot_is_written_back(spec_schema: Mapping[str, Any]) -> None:
    spec = ModelDeploymentSpec.parse(with_defaults(spec_schema, FULL))
    spec = replace(spec, server=replace(spec.server, config=(WORDS,)))
    again = ModelDeploymentSpec.parse(with_defaults(spec_schema, spec_of("digits-6f9c1d2e", snapshot_of(spec))))

    assert (again.model, replace(again.server, config=(WORDS,))) == (spec.model, spec.server)
    assert again.config_revision == "digits-6f9c1d2e"
    # Beside a wanted signature no model can be mounted; that comes back in an example of its own.
    mounted = ModelDeploymentSpec.parse(with_defaults(spec_schema, MOUNTED)).model.delivery
    plain: list[tuple[Any, Any]] = [
        (replace(spec.model, delivery=mounted), Model("", None)),
        (spec.server, Server(None, {}, ())),
        (spec.server.batching, Batching()),
    ]
    for given, default in plain:
        same = [each.name for each in fields(given) if getattr(given, each.name) == getattr(default, each.name)]
        assert not same, f"the example has to give {same}, or an undo may forget it"
