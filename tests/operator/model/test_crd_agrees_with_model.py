"""What the model knows by name is in the CRD, and what the CRD lets through the model can read."""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.decide import canary
from tidegate.model import spec, traffic
from tidegate.model.reasons import Outcome
from tidegate.model.spec_defaults import filled
from tidegate.model.units import parse_duration, parse_percent
from tidegate.resources import names, pod
from tidegate.resources.crd_schema import with_defaults

CRDS = Path(__file__).parents[3] / "crds"


def crd(plural: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    return loaded


def schema_of(plural: str) -> dict[str, Any]:
    schema: dict[str, Any] = crd(plural)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return schema


def strings_with_defaults(schema: Mapping[str, Any], path: str = "spec") -> Iterator[tuple[str, str]]:
    """(path, default) of every string field that has one."""
    for name, field in schema.get("properties", {}).items():
        if field.get("type") == "string" and "default" in field:
            yield f"{path}.{name}", field["default"]
        yield from strings_with_defaults(field.get("items", field), f"{path}.{name}")


DEFAULTS = dict(strings_with_defaults(schema_of("modeldeployments")["spec"]))
UNITS = {"%": parse_percent, "s": parse_duration, "m": parse_duration, "h": parse_duration}


@pytest.mark.parametrize("plural", ["modeldeployments", "metrictemplates", "modelroutes"])
def test_group_and_version_are_the_operators(plural: str) -> None:
    api = crd(plural)["spec"]

    assert api["group"] == names.GROUP
    assert [version["name"] for version in api["versions"]] == [names.VERSION]


@pytest.mark.parametrize("path", [path for path, text in DEFAULTS.items() if re.fullmatch(r"[0-9.]+(%|[smh]+)", text)])
def test_the_default_can_be_read_of(path: str) -> None:
    text = DEFAULTS[path]

    UNITS[text[-1]](text)


def test_there_are_defaults_to_check() -> None:
    assert len(DEFAULTS) > 15


def test_no_user_can_take_the_name_of_a_volume_of_ours() -> None:
    (listed,) = re.findall(r"self\.name in \[('models'.*?)\]", (CRDS / "modeldeployments.yaml").read_text())
    ours = re.findall(r'_Volume\("([-a-z]+)"', inspect.getsource(pod))

    assert set(re.findall(r"'(.+?)'", listed)) == set(ours)


def test_every_field_that_the_model_reads_is_in_the_crd() -> None:
    read = set(re.findall(r'\["(\w+)"\]|get\("(\w+)"', inspect.getsource(spec)))
    named = {one or other for one, other in read}

    assert named - set(field_names(schema_of("modeldeployments")["spec"])) == set()


def field_names(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield name
        yield from field_names(field.get("items", field))


@pytest.mark.parametrize(
    ("field", "handled"),
    [("onInconclusive", {"Hold", "Promote", "Rollback"}), ("onMetricsUnavailable", {"Hold", "Rollback"})],
)
def test_every_policy_at_the_deadline_is_one_that_is_handled(field: str, handled: set[str]) -> None:
    offered = schema_of("modeldeployments")["spec"]["properties"]["analysis"]["properties"][field]["enum"]

    assert set(offered) == handled
    assert all(f"Policy.{policy.upper()}" in inspect.getsource(canary) for policy in handled - {"Hold"})


def test_every_outcome_is_in_the_crd() -> None:
    history = schema_of("modeldeployments")["status"]["properties"]["history"]["items"]["properties"]

    assert set(history["outcome"]["enum"]) == set(Outcome)


def test_the_charts_crds_are_these_byte_for_byte() -> None:
    source = CRDS.parent / "charts" / "tidegate" / "crds-source"

    assert {path.name: path.read_bytes() for path in source.iterdir()} == {
        path.name: path.read_bytes() for path in CRDS.iterdir()
    }


@pytest.mark.parametrize("strategy", [None, {"canary": {}}, {"blueGreen": {}}], ids=["none", "canary", "blue-green"])
def test_the_defaults_in_code_are_those_of_the_crd(strategy: Mapping[str, Any] | None) -> None:
    given = {"model": {"uri": "http://models/1"}, **({"strategy": strategy} if strategy is not None else {})}
    assert filled(given) == with_defaults(schema_of("modeldeployments")["spec"], given)


def defaults_below_lists(schema: Mapping[str, Any], path: str, *, below: bool = False) -> Iterator[str]:
    if below and "default" in schema:
        yield path
    for name, field in schema.get("properties", {}).items():
        yield from defaults_below_lists(field, f"{path}.{name}", below=below)
    if "items" in schema:
        yield from defaults_below_lists(schema["items"], f"{path}[]", below=True)


@pytest.mark.parametrize("plural", ["modeldeployments", "metrictemplates", "modelroutes"])
def test_nothing_inside_of_a_list_has_a_default(plural: str) -> None:
    """Else what is there differs from what was applied, for ever: GitOps tools compare lists as a whole."""
    assert list(defaults_below_lists(schema_of(plural)["spec"], "spec")) == []


def test_the_crd_and_the_model_reserve_the_same_headers() -> None:
    (rule,) = schema_of("modeldeployments")["spec"]["properties"]["traffic"]["properties"]["previewHeader"][
        "x-kubernetes-validations"
    ]
    found = re.fullmatch(r"!\(self in \[(.*)\]\) && !self.matches\('\^\((.*)\)'\)", rule["rule"])
    assert found is not None
    names_listed, prefixes = found.groups()

    assert set(re.findall(r"'([^']+)'", names_listed)) == traffic.RESERVED_HEADERS
    assert tuple(prefixes.split("|")) == traffic.RESERVED_PREFIXES


def test_whoever_waits_by_the_generation_waits_from_the_first_moment_on() -> None:
    assert schema_of("modeldeployments")["status"]["default"] == {"observedGeneration": 0}
