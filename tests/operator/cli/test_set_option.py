"""What is set is what the API server would take; anything else is refused with a sentence that names it."""

from collections.abc import Mapping
from typing import Any

import pytest

from tidegate.cli.common.crd_file import spec_schema as packaged_schema
from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.set_option import patched
from tidegate.resources.crd_schema import holds, leaves, refusals, with_defaults
from tidegate.resources.crd_schema import with_defaults as api_server_defaults

GIVEN = {"model": {"uri": "http://models/1.onnx"}}


def analysis_with(schema: Mapping[str, Any], *changes: str) -> Mapping[str, Any]:
    analysis: Mapping[str, Any] = patched(GIVEN, schema, changes)["analysis"]
    return analysis


def test_the_schema_is_the_crds(spec_schema: Mapping[str, Any]) -> None:
    assert packaged_schema() == spec_schema


def test_what_is_left_out_has_the_api_servers_default(spec_schema: Mapping[str, Any]) -> None:
    assert with_defaults(spec_schema, GIVEN) == api_server_defaults(spec_schema, GIVEN)


def test_no_default_is_refused(spec_schema: Mapping[str, Any]) -> None:
    assert list(refusals(spec_schema, with_defaults(spec_schema, GIVEN), "spec")) == []


def test_a_string_stays_one_and_anything_else_is_yaml(spec_schema: Mapping[str, Any]) -> None:
    analysis = analysis_with(
        spec_schema,
        "analysis.errorRate.tolerate.ratio=1.5",
        "spec.analysis.latency.quantiles=[50, 90]",
        "analysis.latency.ceiling.p99=250ms",
    )

    assert analysis["errorRate"]["tolerate"]["ratio"] == "1.5"
    assert analysis["latency"]["quantiles"] == [50, 90]
    assert analysis["latency"]["ceiling"] == {"p99": "250ms"}


def test_what_was_given_is_not_changed(spec_schema: Mapping[str, Any]) -> None:
    given = with_defaults(spec_schema, GIVEN)
    patched(given, spec_schema, ["analysis.interval=10s"])

    assert given == with_defaults(spec_schema, GIVEN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("analysis.interval", "it has to be PATH=VALUE"),
        ("analysis.confidence.falseRolback=1%", "the nearest is analysis.confidence.falseRollback"),
        ("analysis.confidence.falseRollback=0%", "falseRollback must be a percentage from 0.001% to 50%"),
        ("analysis.confidence.falseRollback=1", "falseRollback must be a percentage from 0.001% to 50%"),
        ("analysis.errorRate.tolerate.ratio=0.5", "tolerate.ratio must be a number from 1 to 100, in quotes"),
        ("analysis.errorRate.tolerate.ratio=3", "accept must be no stricter than tolerate"),
        ("analysis.interval=10m", "spec.analysis.interval must be a duration from 1s to 5m"),
        ("analysis.onInconclusive=Wait", "onInconclusive must be one of Hold, Promote, Rollback, not 'Wait'"),
        ("analysis.latency.quantiles=[50, 100]", r"quantiles\[1\] must be a whole number from 1 to 99, not 100"),
        ("analysis.latency.quantiles=[]", "quantiles must have from 1 to 8 items, not 0"),
        ("analysis.latency.quantiles=99", "quantiles must be of type array, not 99"),
        ("analysis.latency.quantiles=[", "isn't YAML"),
        ("analysis.dispersion=0.5", "dispersion must be Auto or a number from 1 to 50"),
        ("strategy.canary.steps=[{weight: 10}]", "no setting strategy.canary.steps"),
    ],
)
def test_is_refused(spec_schema: Mapping[str, Any], change: str, said: str) -> None:
    with pytest.raises(Unusable, match=said):
        patched(GIVEN, spec_schema, [change])


def test_every_setting_of_the_analysis_can_be_named(spec_schema: Mapping[str, Any]) -> None:
    paths = dict(leaves(spec_schema))

    assert "analysis.predictions.onDrift" in paths
    assert "analysis.errorRate" not in paths


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ("self.matches('^[0-9]+$')", "12", True),
        ("self.matches('^[0-9]+(\\\\.[0-9]+)?$')", "1x5", False),
        ("self == 'Auto' || double(self) >= 1.0 && double(self) <= 50.0", "Auto", True),
        ("self == 'Auto' || double(self) >= 1.0 && double(self) <= 50.0", "51", False),
        ("double(self) >= 1.0", "many", False),
        ("has(self.a) || has(self.b)", {"b": 1}, True),
        ("has(self.a) || has(self.b)", {}, False),
        ("!has(self.a) || double(self.a) < 2.0", {"a": "3"}, False),
        ("duration(self) > duration('0s')", "0s", False),
        ("self.all(each, each.isRight())", [], True),
    ],
)
def test_a_rule_of_the_crd_holds(rule: str, value: Any, expected: bool) -> None:
    assert holds(rule, value) is expected
