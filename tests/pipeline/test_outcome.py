"""The last stages: what the cluster's outcome becomes, and what the registry is told."""

import json
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.operator.conftest import fake, place
from tests.operator.fake_api import FakeApi
from tests.operator.view_examples import Released
from tests.pipeline.test_stages import stages
from tests.small_http import listening, say
from tidegate.kube.api import MODEL_DEPLOYMENTS

__all__ = ["fake", "place", "stages"]


PUSHED = f"ghcr.io/shop/digits@sha256:{'2' * 64}"
OTHER = f"ghcr.io/shop/digits@sha256:{'3' * 64}"


@pytest.fixture
def applied(tmp_path: Path) -> None:
    """What the stages before have left."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "applied.json").write_text(json.dumps({"name": "digits", "namespace": "shop"}))
    (work / "candidate.json").write_text(json.dumps({"name": "digits", "version": "2", "uri": "models:/digits/2"}))
    (work / "image.json").write_text(json.dumps({"image": "ghcr.io/shop/digits:2", "pushed": PUSHED}))


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize(
    ("model", "code", "said"),
    [("2", 0, "shop/digits Live: "), ("failing", 1, "was rolled back: error rate")],
)
def test_the_clusters_outcome_is_the_exit_code_and_the_summary(
    fake: FakeApi,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spec_schema: Mapping[str, Any],
    model: str,
    code: int,
    said: str,
) -> None:
    from stage import run
    from wait import wait

    fake.put(MODEL_DEPLOYMENTS, Released(spec_schema).release(model, 400).manifest)
    monkeypatch.setenv("KUBECONFIG_TEXT", place.read_text())
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    ended = run("wait", wait)

    told = "".join(capsys.readouterr())
    assert (ended, said in told) == (code, True), told
    assert told.strip() in (tmp_path / "summary.md").read_text().replace("**", "")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What MLflow is sent: path, and body."""
    requests: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            say(self, 200, b"{}")

    with listening(Handler) as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        yield requests


def settings_of(place: Path, stable: str) -> Any:
    """As the stages read them, of the servers that the test has started."""
    from settings import Settings

    address = Settings.read().values["MLFLOW_TRACKING_URI"]
    return Settings({"MLFLOW_TRACKING_URI": address, "KUBECONFIG_TEXT": place.read_text(), "STABLE_URI": stable})


@pytest.mark.usefixtures("applied")
def test_stables_alias_is_set_to_what_is_live(
    asked: list[Any], fake: FakeApi, place: Path, spec_schema: Mapping[str, Any]
) -> None:
    from record import record

    fake.put(MODEL_DEPLOYMENTS, Released(spec_schema, server={"image": PUSHED}).release("2", 400).manifest)

    assert record(settings_of(place, "models:/digits@champion")) == "models:/digits@champion is version 2 now"
    body = {"name": "digits", "alias": "champion", "version": "2"}
    assert asked == [("/api/2.0/mlflow/registered-models/alias", body)]


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize(
    ("image", "model", "seconds", "said"),
    [
        pytest.param(OTHER, "2", 400, f"digits has {OTHER} by now, and {PUSHED} was released", id="another's release"),
        pytest.param(PUSHED, "2", 20, f"{PUSHED} isn't live: ", id="not yet"),
        pytest.param(PUSHED, "failing", 400, f"{PUSHED} isn't live: ", id="it was rolled back"),
    ],
)
def test_nothing_is_recorded_of_what_is_not_live(
    asked: list[Any],
    fake: FakeApi,
    place: Path,
    spec_schema: Mapping[str, Any],
    image: str,
    model: str,
    seconds: float,
    said: str,
) -> None:
    from record import record
    from settings import Refused

    fake.put(MODEL_DEPLOYMENTS, Released(spec_schema, server={"image": image}).release(model, seconds).manifest)

    with pytest.raises(Refused) as refused:
        record(settings_of(place, "models:/digits@champion"))
    assert str(refused.value).startswith(f"models:/digits@champion isn't set to version 2: {said}")
    assert asked == []


@pytest.mark.usefixtures("applied")
def test_no_alias_is_set_where_stable_is_no_alias(asked: list[Any]) -> None:
    from record import record
    from settings import Settings

    assert record(Settings({"STABLE_URI": "models:/digits/1"})).startswith("no alias is set: ")
    assert asked == []
