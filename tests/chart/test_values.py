"""Every value of the chart is described, bounded, and in the table of docs/chart.md."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.chart.conftest import CHART, Helm

SCHEMA: Mapping[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: Mapping[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
PAGE = CHART.parents[1] / "docs" / "chart.md"
BEGIN, END = "<!-- values -->\n", "<!-- end of values -->"
LEFT_OUT = {"global", "minAvailable", "claims"}
"""Values without a default: Helm's own, one that takes another's place, and one that hardly anybody has."""
Schema = Mapping[str, Any]


def followed(schema: Schema) -> dict[str, Any]:
    """With what it refers to."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return {**followed(SCHEMA["definitions"][name]), **schema} if name else dict(schema)


def values(schema: Schema = SCHEMA, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each value by its path, those that have values in them too; items of lists as `[]`."""
    for name, inner in schema.get("properties", {}).items():
        found, at = followed(inner), f"{path}{name}"
        yield at, found
        if "$comment" in found:
            continue  # described elsewhere
        yield from values(found, f"{at}.")
        if "items" in found:
            yield from values(followed(found["items"]), f"{at}[].")


def has_values(schema: Schema) -> bool:
    """That are told of one by one."""
    return "properties" in schema and "$comment" not in schema


def default(path: str) -> Any:
    """What values.yaml has there."""
    found: Any = VALUES
    for name in path.split("."):
        found = found[name]
    return found


def rows() -> list[str]:
    """The table's: what has no values in it, by its path."""
    found = []
    for path, schema in values():
        if "[]" in path or has_values(schema) or path.rpartition(".")[2] in LEFT_OUT:
            continue
        text = json.dumps(default(path))
        found.append(f"| `{path}` | `{text}` | {schema['description']} |")
    return found


def test_values_of_an_older_chart_are_looked_at_group_by_group() -> None:
    listed = set(re.findall(r'"([A-Za-z.]+)"', (CHART / "templates" / "values" / "complete.yaml").read_text())) - {
        "map",
        ".",
    }
    groups = {path for path, schema in values() if has_values(schema) and "[]" not in path}

    assert listed == {path for path in groups if not path.endswith(".resources")}


def test_every_value_is_described() -> None:
    assert [path for path, schema in values() if not schema.get("description", "").endswith(".")] == []


def test_what_no_value_is_called_is_refused_everywhere() -> None:
    objects = {path: schema for path, schema in values() if schema.get("type") == "object"}
    open_to_anything = {path for path, schema in objects.items() if schema.get("additionalProperties", True) is True}

    assert SCHEMA["additionalProperties"] is False
    assert {objects[path].get("$comment") for path in open_to_anything} <= {"as Kubernetes has it", "as Helm has it"}
    assert all(
        schema["items"].get("type") != "object" or schema["items"].get("additionalProperties") is False
        for path, schema in values()
        if "items" in schema and "$comment" not in schema["items"]
    )


def test_the_values_file_has_every_value_and_no_other() -> None:
    known = {path for path, _ in values() if "[]" not in path and path.rpartition(".")[2] not in LEFT_OUT}

    assert set(paths(VALUES)) == known


def paths(given: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Of what a file has, as deep as the schema knows it."""
    described = dict(values())
    for name, inner in given.items():
        at = f"{path}{name}"
        yield at
        if isinstance(inner, dict) and has_values(described.get(at, {})):
            yield from paths(inner, f"{at}.")


def test_the_page_has_every_value_with_its_default() -> None:
    """Written by `make golden`."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    table = "\n".join(("| value | default | |", "|---|---|---|", *rows(), ""))
    if os.environ.get("TIDEGATE_WRITE_GOLDEN"):
        PAGE.write_text(f"{before}{BEGIN}{table}{END}{rest.partition(END)[2]}")

    assert PAGE.read_text().partition(BEGIN)[2].partition(END)[0] == table


@pytest.mark.helm
@pytest.mark.parametrize(
    ("value", "path"),
    [
        pytest.param('imagePullSecrets=["registry"]', "/imagePullSecrets/0", id="a Secret that is no object"),
        pytest.param('namespaces=["shop", "shop"]', "/namespaces", id="a namespace named twice"),
        pytest.param('router.tolerations=[{"keys": "gpu"}]', "/router/tolerations/0", id="a misspelt toleration"),
        pytest.param('router.affinity={"node": {}}', "/router/affinity", id="a misspelt affinity"),
        pytest.param('router.agent.resources={"limits": {"memory": []}}', "/router/agent/resources", id="no amount"),
        pytest.param('operator.podDisruptionBudget={"maxUnavailable": "half"}', "maxUnavailable", id="half of them"),
        pytest.param('fullnameOverride="7up"', "/fullnameOverride", id="a name that no Service may have"),
        pytest.param('openshift={"enabled": "auto"}', "/openshift/enabled", id="a word for a truth"),
    ],
)
def test_is_refused(value: str, path: str, helm: Helm) -> None:
    done = helm("--set-json", value)

    assert done.returncode != 0
    assert path in done.stderr
