"""models:/ against a registry in this process that answers as MLflow's does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mlflow_registry import Registry, Version, serving
from tests.server.fetch.conftest import Bring, Web, contents
from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.sources.mlflow import RegisteredModel, parse


@pytest.fixture
def registry(whole: Path) -> Iterator[Registry]:
    files = contents(whole)
    of_mlflow = {"MLmodel": b"flavors: {}", "requirements.txt": b"onnx", "metadata/MLmodel": b"flavors: {}"}
    versions = {"1": Version(files), "2": Version({**files, **of_mlflow, "labels.json": b'["a", "b"]'})}
    with serving(Registry(versions, {"champion": "2"})) as found:
        yield found


@pytest.mark.parametrize(
    ("uri", "labels"),
    [
        pytest.param("models:/digits/1", b'["no", "yes"]', id="a version"),
        pytest.param("models:/digits@champion", b'["a", "b"]', id="the version that an alias means"),
        pytest.param("models:/digits@latest", b'["a", "b"]', id="the newest version"),
    ],
)
def test_a_registered_model_is_fetched(bring: Bring, registry: Registry, whole: Path, uri: str, labels: bytes) -> None:
    ended = bring(uri, MLFLOW_TRACKING_URI=registry.address)
    assert (ended.reason, ended.shown) == ("brought", {**contents(whole), "labels.json": labels})


def test_an_alias_is_resolved_to_its_version(bring: Bring, registry: Registry) -> None:
    ended = bring("models:/digits@champion", MLFLOW_TRACKING_URI=f"{registry.address}/")
    assert ended.report["resolved"] == "models:/digits/2"
    assert len([path for path in registry.asked if "alias" in path]) == 1


def test_the_files_may_be_where_the_registry_says(bring: Bring, registry: Registry, web: Web, whole: Path) -> None:
    web.files = {f"/digits/3/{name}": content for name, content in contents(whole).items()}
    registry.versions["3"] = Version(place=web.uri("/digits/3"))
    ended = bring("models:/digits/3", MLFLOW_TRACKING_URI=registry.address)
    assert (ended.reason, ended.shown, ended.report["resolved"]) == ("brought", contents(whole), "models:/digits/3")


def test_a_login_is_sent_and_appears_nowhere(bring: Bring, registry: Registry) -> None:
    registry.login = "tidegate:hidden"
    login = {"MLFLOW_TRACKING_USERNAME": "tidegate", "MLFLOW_TRACKING_PASSWORD": "hidden"}
    ended = bring("models:/digits/1", MLFLOW_TRACKING_URI=registry.address, **login)
    assert (ended.reason, "hidden" in ended.log) == ("brought", False)


@pytest.mark.parametrize(
    ("uri", "status", "reason", "words"),
    [
        pytest.param("models:/digits@none", 0, "NotFound", "no alias none of a model digits", id="no such alias"),
        pytest.param("models:/digits/9", 0, "NotFound", "no version 9 of a model digits", id="no such version"),
        pytest.param("models:/none/1", 0, "NotFound", "no version 1 of a model none", id="no such model"),
        pytest.param("models:/digits/Production", 0, "UnsupportedUri", "models:/NAME@ALIAS", id="a stage"),
        pytest.param("models:/digits", 0, "UnsupportedUri", "models:/NAME@ALIAS", id="neither version nor alias"),
        pytest.param(
            "models:/digits/4", 0, "UnsupportedUri", "have the registry serve them", id="files of its machine"
        ),
        pytest.param(
            "models:/digits/5", 0, "UnsupportedUri", "have the registry serve them", id="another host's files"
        ),
        pytest.param("models:/digits/6", 0, "NotFound", "has no files", id="a half-published version"),
        pytest.param("models:/digits/1", 401, "Unreachable", "refused access (401)", id="no access"),
        pytest.param("models:/digits/1", 503, "Unreachable", "answered 503", id="the registry is ill"),
        pytest.param("models:/digits/1", 302, "Unreachable", "302", id="it redirects to nowhere"),
    ],
)
def test_a_failure_says_why(bring: Bring, registry: Registry, uri: str, status: int, reason: str, words: str) -> None:
    registry.status = status
    registry.versions |= {
        "4": Version(place="file:///mlruns/4"),
        "5": Version(place="mlflow-artifacts://10.0.0.1:5000/5"),
        "6": Version(),
    }
    ended = bring(uri, MLFLOW_TRACKING_URI=registry.address)
    assert (ended.reason, ended.left) == (reason, [])
    assert words in ended.report["message"]


def test_the_registry_has_to_be_named(bring: Bring) -> None:
    ended = bring("models:/digits/1", MLFLOW_TRACKING_URI="")
    assert (ended.reason, "MLFLOW_TRACKING_URI must be" in ended.report["message"]) == ("UnsupportedUri", True)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        pytest.param("models:/digits/7", RegisteredModel("digits", version="7"), id="a version"),
        pytest.param("models:/a%20b@x-1", RegisteredModel("a b", alias="x-1"), id="a name with a blank"),
        pytest.param("models:/a@b@c", RegisteredModel("a@b", alias="c"), id="a name with an @"),
    ],
)
def test_what_a_uri_names(uri: str, expected: RegisteredModel) -> None:
    assert parse(uri) == expected


@pytest.mark.parametrize(
    "uri", ["models:/", "models:/@x", "models://host/digits/1", "models:/m-0123@", "models:/a@b.c"]
)
def test_what_names_nothing_is_refused(uri: str) -> None:
    with pytest.raises(FetchFailed, match="write models:/NAME/VERSION"):
        parse(uri)
