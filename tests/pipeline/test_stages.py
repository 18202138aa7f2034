"""What each stage makes of right and wrong input, in this process and without servers."""

import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mlflow_registry import Registry, Version, serving

EXAMPLES = Path(__file__).parents[2] / "examples" / "rehearsal"
LABELS = json.dumps([str(digit) for digit in range(10)]).encode()
STAGES = Path(__file__).parents[2] / "examples" / "pipeline" / "stages"


@pytest.fixture(autouse=True)
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The stages import each other as scripts of one folder do, and run in a user's folder."""
    monkeypatch.syspath_prepend(str(STAGES))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(STAGES)):
            del sys.modules[name]


def test_the_workflow_runs_all_stages_in_their_order() -> None:
    names = runpy.run_path(str(STAGES.parent / "release.py"))["STAGES"]
    text = (STAGES.parent / ".github" / "workflows" / "release.yaml").read_text()
    assert re.findall(r"run: python stages/(\w+).py", text) == list(names)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        pytest.param({"label": "yes", "score": 0.9}, "yes", id="of a text"),
        pytest.param({"predictions": [{"label": "eight"}], "outputs": {"label": [3]}}, "eight", id="by its name"),
        pytest.param({"outputs": {"scores": [[0.1, 0.7, 0.2]], "label": [1]}}, 1, id="a whole number"),
        pytest.param({"outputs": {"scores": [[0.1, 0.2, 0.7]]}}, 2, id="the best column"),
        pytest.param({"outputs": [{"shape": [1], "data": [8]}]}, 8, id="of the protocol"),
        pytest.param({"outputs": [{"shape": [2, 2], "data": [0.1, 0.9, 1.0, 0.0]}]}, 1, id="columns of the protocol"),
        pytest.param({"outputs": {"value": [0.3]}}, None, id="none"),
    ],
)
def test_a_label_is_read(answer: dict[str, Any], label: Any) -> None:
    from score import label_of

    assert label_of(answer) == label


@pytest.mark.parametrize(
    ("lost", "won", "of", "answer"),
    [
        pytest.param(0, 0, 719, "Agrees", id="the same model"),
        pytest.param(5, 6, 719, "Agrees", id="as accurate"),
        pytest.param(36, 6, 719, "Differs", id="4 % less accurate"),
        pytest.param(6, 36, 719, "Agrees", id="more accurate"),
        pytest.param(0, 0, 50, "Undecided", id="too few examples"),
        pytest.param(18, 4, 719, "Undecided", id="2 % less accurate, which neither rules out nor shows"),
    ],
)
def test_a_loss_is_shown_ruled_out_or_neither(lost: int, won: int, of: int, answer: str) -> None:
    from score import Score
    from tidegate.judge.agreement import AgreementRules

    score = Score(of, candidate=of - lost, stable=of - won, lost=lost, won=won)
    assert score.answer(AgreementRules(0.0, 0.03)) == answer


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "golden.jsonl, line 2"),
        ('{"inputs": [[1]]}', 'it has to be {"body": …, "label": …}'),
        ("[]", 'it has to be {"body": …, "label": …}'),
    ],
)
def test_a_golden_set_of_another_shape_is_one_sentence(tmp_path: Path, line: str, said: str) -> None:
    from score import read
    from settings import Refused

    file = tmp_path / "golden.jsonl"
    file.write_text(f'{{"body": {{"inputs": [[1]]}}, "label": 1}}\n{line}\n')
    with pytest.raises(Refused) as refused:
        read(file)
    assert said in str(refused.value)


def test_a_variable_of_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from settings import Settings

    (tmp_path / "release.env").write_text("# what\nIMAGE=shop/digits # where\n\nREGISTRY=github\n")
    monkeypatch.setenv("REGISTRY", "dockerhub")
    settings = Settings.read()
    assert (settings.get("IMAGE"), settings.get("REGISTRY")) == ("shop/digits", "dockerhub")


def test_a_line_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    from settings import Refused, Settings

    (tmp_path / "release.env").write_text("IMAGE: shop/digits\n")
    with pytest.raises(Refused, match=r"release.env, line 1: 'IMAGE: shop/digits' isn't NAME=VALUE"):
        Settings.read()


def test_the_applied_file_has_the_image_and_keeps_the_rest(tmp_path: Path) -> None:
    import yaml

    from apply import read, released

    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "candidate.json").write_text(json.dumps({"sha256": "0" * 64}))
    image = {"model": "image:///models/digits", "pushed": "ghcr.io/shop/digits@sha256:1"}
    given = yaml.safe_load((STAGES.parent / "modeldeployment.yaml").read_text())
    found = released(read(STAGES.parent / "modeldeployment.yaml"), image)
    assert found["spec"].pop("server") == {"image": "ghcr.io/shop/digits@sha256:1"}
    assert found["spec"].pop("model") == {"uri": "image:///models/digits", "sha256": "0" * 64}
    del given["spec"]["model"]
    assert found == given


SIGNED = """\
kind: ModelDeployment
spec:
  model:
    uri: oci://ghcr.io/shop/digits
    signedBy: {secret: signers}
"""


def test_what_has_to_be_signed_comes_from_the_image_by_its_digest(tmp_path: Path) -> None:
    from apply import read, released

    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "candidate.json").write_text(json.dumps({"sha256": "0" * 64}))
    (tmp_path / "modeldeployment.yaml").write_text(SIGNED)
    image = {"model": "image:///models/digits", "pushed": "ghcr.io/shop/digits@sha256:1"}
    model = {"uri": "oci://ghcr.io/shop/digits@sha256:1/models/digits", "signedBy": {"secret": "signers"}}
    assert released(read(tmp_path / "modeldeployment.yaml"), image)["spec"] == {"model": {**model, "sha256": "0" * 64}}


@pytest.mark.parametrize(
    ("model", "server", "image"),
    [
        pytest.param("image:///models/a", {"image": "r/a@sha256:1"}, "r/a@sha256:1", id="run"),
        pytest.param("image:///models/a", {}, None, id="of the chart's server"),
        pytest.param("oci://r/a@sha256:1/models/a", {"image": "b"}, "r/a@sha256:1", id="fetched"),
    ],
)
def test_what_is_live_is_known_by_its_image(model: str, server: dict[str, str], image: str | None) -> None:
    from cluster import image_of

    assert image_of({"model": {"uri": model}, "server": server}) == image


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        pytest.param(
            {"SIGN": "off", "COSIGN_KEY": "cosign.key"}, "and SIGN=off leaves it out; set COSIGN_KEY", id="off"
        ),
        pytest.param({}, "wants a signature by a key, and a workflow's has none; set COSIGN_KEY", id="a workflow's"),
    ],
)
def test_what_the_cluster_would_not_take_is_not_left_unsigned(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    from settings import Refused, Settings
    from sign import sign

    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "image.json").write_text(json.dumps({"pushed": "ghcr.io/shop/digits@sha256:1"}))
    (tmp_path / "modeldeployment.yaml").write_text(SIGNED)
    with pytest.raises(Refused, match=said):
        sign(Settings(variables))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"REGISTRY_USER": "robot"}, "REGISTRY_PASSWORD is missing"),
        ({"REGISTRY_PASSWORD": "x"}, "REGISTRY_USER is missing"),
    ],
)
def test_half_a_login_is_refused(variables: dict[str, str], said: str) -> None:
    from credentials import at_registry
    from settings import Refused, Settings

    with pytest.raises(Refused, match=said), at_registry(Settings(variables), "ghcr.io"):
        pass


def test_a_login_lasts_for_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from credentials import at_registry
    from settings import Settings

    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    with at_registry(Settings({"REGISTRY_USER": "robot", "REGISTRY_PASSWORD": "tests-only"}), "docker.io"):
        config = Path(os.environ["DOCKER_CONFIG"]) / "config.json"
        assert list(json.loads(config.read_text())["auths"]) == ["https://index.docker.io/v1/"]
        assert config.stat().st_mode & 0o777 == 0o600
    assert "DOCKER_CONFIG" not in os.environ
    assert not config.exists()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    """Two versions of a model, the first of which is the champion."""
    versions = {
        number: Version({"model.onnx": (EXAMPLES / f"{name}.onnx").read_bytes(), "labels.json": LABELS, "MLmodel": b""})
        for number, name in (("1", "stable"), ("2", "better"))
    }
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("MODEL_URI", "models:/digits/2")
    monkeypatch.setenv("STABLE_URI", "models:/digits@champion")
    with serving(Registry(versions, {"champion": "1"})) as found:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", found.address)
        yield found


def test_a_version_and_the_stable_one_come_from_the_registry(registry: Registry, tmp_path: Path) -> None:
    from fetch import fetch
    from settings import Settings
    from signature import signature
    from stage import kept

    assert fetch(Settings.read()).endswith("; stable is models:/digits/1")
    assert (kept("candidate", "fetch")["name"], kept("candidate", "fetch")["version"]) == ("digits", "2")
    shown = {path.name for path in (tmp_path / "work" / "stable").iterdir() if not path.name.startswith(".")}
    assert shown == {"labels.json", "model.onnx"}
    assert signature(Settings.read()) == "clients of models:/digits/1 can go on with models:/digits/2"


def test_the_first_release_has_no_stable(registry: Registry) -> None:
    from fetch import fetch
    from settings import Settings
    from stage import kept

    registry.aliases.clear()
    assert "there is no stable model to compare it with: the registry has no alias champion" in fetch(Settings.read())
    assert kept("stable", "fetch") == {}


def test_a_version_that_the_registry_lacks_is_one_sentence(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    from fetch import fetch
    from settings import Refused, Settings

    monkeypatch.setenv("MODEL_URI", "models:/digits/9")
    with pytest.raises(Refused, match="MODEL_URI: the registry has no version 9 of a model digits"):
        fetch(Settings.read())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("kind: Deployment\nspec: {}", "has no ModelDeployment", id="something else"),
        pytest.param("kind: ModelDeployment\nspec:", "spec and spec.model have to be objects", id="an empty spec"),
        pytest.param("kind: ModelDeployment\nspec: {model: [1]}", "spec and spec.model have", id="a list for a model"),
    ],
)
def test_what_cant_be_applied_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    from apply import read
    from settings import Refused

    file = tmp_path / "modeldeployment.yaml"
    file.write_text(text)
    with pytest.raises(Refused, match=sentence):
        read(file)
