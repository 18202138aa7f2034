"""`tidegate migrate` says in a ModelDeployment what other tools' resources do, and names each field that it can't."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tidegate.__main__ import main
from tidegate.cli.common.errors import Unusable
from tidegate.cli.migrate.convert import KNOWN, migrated

SOURCES = Path(__file__).parent / "migrate"
NAMES = sorted(path.stem for path in SOURCES.glob("*.yaml") if not path.stem.endswith("-migrated"))
URI = "s3://models/given/1"
UNFIT = {"kserve-of-another-framework"}
"""Whose model has an address that is none here."""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def migrate(capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *arguments: (main(["migrate", *map(str, arguments)]), *capsys.readouterr())


@pytest.mark.parametrize("name", NAMES)
def test_a_resource_of_another_tool_becomes_the_one_beside_it(name: str, migrate: Run) -> None:
    """Written by `make golden`."""
    code, out, err = migrate(SOURCES / f"{name}.yaml")
    expected = SOURCES / f"{name}-migrated.yaml"
    if os.environ.get("TIDEGATE_WRITE_GOLDEN"):
        expected.write_text(out)

    assert out == expected.read_text()
    assert code == (1 if out.startswith("#") else 0)
    assert err.startswith("1 ModelDeployment; ")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNFIT])
def test_what_comes_of_it_is_taken_once_it_is_known_where_the_model_is(
    name: str, migrate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = migrate(SOURCES / f"{name}.yaml", "--model", URI)
    made = tmp_path / "modeldeployment.yaml"
    made.write_text(out)

    assert main(["lint", str(made)]) == 0, capsys.readouterr().out
    assert f"uri: {URI}\n" in out


def test_a_file_may_hold_several_and_other_things(migrate: Run, tmp_path: Path) -> None:
    files = [SOURCES / "seldon-model.yaml", SOURCES / "kserve-exactly.yaml"]
    several = tmp_path / "all.yaml"
    several.write_text("---\n".join(("apiVersion: v1\nkind: Namespace\n", *(file.read_text() for file in files))))
    _, out, err = migrate(several)

    assert out == "---\n".join((SOURCES / f"{file.stem}-migrated.yaml").read_text() for file in files)
    assert err == "2 ModelDeployments; 2 remarks above: read each before you apply it\n"


def test_one_remark_is_one(migrate: Run, tmp_path: Path) -> None:
    one = tmp_path / "one.yaml"
    one.write_text((SOURCES / "kserve-exactly.yaml").read_text().replace("spec:\n", "spec:\n  unknown: true\n"))

    assert migrate(one)[2] == "1 ModelDeployment; 1 remark above: read each before you apply it\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("kind: Deployment\n", "there is none of Canary, InferenceService, Model, Rollout", id="of ours"),
        pytest.param("a: [", "a.yaml:2: ", id="no YAML"),
        pytest.param(
            "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: a}\n"
            "spec: {analysis: {stepWeight: many}}\n",
            "Canary a isn't shaped as its kind is: ",
            id="a number in words",
        ),
        pytest.param(
            "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: a}\n"
            "spec: {strategy: {canary: {steps: [half]}}}\n",
            "Rollout a isn't shaped as its kind is: ",
            id="a step in words",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is(text: str, sentence: str, migrate: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    code, out, err = migrate(file)

    assert (code, out) == (2, "")
    assert sentence in err


NAMES_WITHIN = st.sampled_from(
    [
        "predictor",
        "model",
        "canary",
        "strategy",
        "steps",
        "setWeight",
        "pause",
        "analysis",
        "metrics",
        "template",
        "spec",
        "predictors",
        "graph",
        "containers",
        "env",
        "storageUri",
        "traffic",
        "stepWeight",
        "iterations",
        "requirements",
    ]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.sampled_from(["", "1m", "s3://a/b", "many"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES_WITHIN, inner, max_size=5),
    max_leaves=20,
)


@given(kind=st.sampled_from(sorted(KNOWN)), spec=ANYTHING)
def test_whatever_an_object_holds_it_becomes_yaml_or_one_sentence(kind: tuple[str, str], spec: object) -> None:
    value = {"apiVersion": f"{kind[0]}/v1", "kind": kind[1], "metadata": {"name": "a"}, "spec": spec}
    try:
        found = migrated(value, KNOWN[kind])
    except Unusable:
        return  # one sentence

    assert yaml.safe_load(yaml.safe_dump(found.manifest)) == found.manifest
    assert all(remark.path and remark.sentence for remark in found.remarks)
