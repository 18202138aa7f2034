"""The alerts of the PrometheusRule, by Prometheus' own tests of rules."""

import copy
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.conftest import Manifest

pytestmark = [pytest.mark.helm, pytest.mark.prometheus]
CASES = Path(__file__).parent / "alerts.test.yaml"
DOCUMENT = Path(__file__).parents[2] / "docs" / "observability.md"
Render = Callable[..., list[Manifest]]
Promtool = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def groups(render: Render) -> list[dict[str, Any]]:
    """The groups of rules as they are installed."""
    (rule,) = (each for each in render("--set", "prometheusRule.enabled=true") if each["kind"] == "PrometheusRule")
    found: list[dict[str, Any]] = rule["spec"]["groups"]
    return found


@pytest.fixture(scope="session")
def promtool(program: Callable[[str], Path]) -> Promtool:
    place = program("promtool")
    return lambda *arguments: subprocess.run([place, *arguments], capture_output=True, text=True, check=False)


def rules_of(groups: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for group in groups:
        yield from group["rules"]


def test_prometheus_takes_the_rules(groups: list[dict[str, Any]], promtool: Promtool, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / "rules.yaml"))

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_is_silent_otherwise(
    groups: list[dict[str, Any]], promtool: Promtool, tmp_path: Path
) -> None:
    tested = copy.deepcopy(groups)
    for rule in rules_of(tested):  # a description is prose, and a case would only repeat it
        rule["annotations"] = {"summary": rule["annotations"]["summary"]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": tested}))
    shutil.copy(CASES, tmp_path)
    done = promtool("test", "rules", str(tmp_path / CASES.name))

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent(groups: list[dict[str, Any]]) -> None:
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in rules_of(groups)}

    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


def test_of_each_alert_it_is_written_down_what_to_do(groups: list[dict[str, Any]]) -> None:
    headings = [line.removeprefix("### ") for line in DOCUMENT.read_text().splitlines() if line.startswith("### ")]

    assert [name for name in headings if name.startswith("Tidegate")] == [rule["alert"] for rule in rules_of(groups)]


def test_each_alert_leads_to_what_to_do_where_that_is_read(render: Render) -> None:
    url = "https://wiki.example.org/tidegate"
    flags = ("--set", f"prometheusRule.enabled=true,prometheusRule.runbookUrl={url}")
    (rule,) = (each for each in render(*flags) if each["kind"] == "PrometheusRule")
    links = {each["alert"]: each["annotations"]["runbook_url"] for each in rules_of(rule["spec"]["groups"])}

    assert links["TidegateNoLeader"] == f"{url}#tidegatenoleader"
    assert all(link.startswith(url) for link in links.values())


def test_alerts_are_about_this_release(render: Render) -> None:
    flags = ("--set", "prometheusRule.enabled=true,prometheusRule.heldHours=2,prometheusRule.labels.release=prom")
    (rule,) = (each for each in render(*flags) if each["kind"] == "PrometheusRule")
    expressions = {each["alert"]: each["expr"] for each in rules_of(rule["spec"]["groups"])}

    assert rule["metadata"]["labels"]["release"] == "prom"
    assert 'name="tidegate-operator"' in expressions["TidegateNoLeader"]
    assert 'job=~"(tidegate-system/)?tidegate-router(-metrics)?"' in expressions["TidegateEnvoyWithoutAgent"]
    assert "> 2 * 3600" in expressions["TidegateRolloutHeld"]
    assert not [name for name, expr in expressions.items() if any(word in expr for word in ("RELEASE", "NAMESPACE"))]
