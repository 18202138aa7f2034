"""Which login of docker's config.json a registry is asked with."""

import base64
import json
from pathlib import Path

import pytest

from tidegate.oci.registry import Repository

SECRET = base64.b64encode(b"robot:tests-only").decode()


@pytest.mark.parametrize(
    ("login", "reference"),
    [
        pytest.param("ghcr.io", "ghcr.io/shop/digits:7", id="of the host"),
        pytest.param("https://index.docker.io/v1/", "docker.io/shop/digits:7", id="of Docker Hub"),
        pytest.param("https://index.docker.io/v1/", "shop/digits:7", id="of Docker Hub, which goes without saying"),
    ],
)
@pytest.mark.parametrize("place", ["the home", "DOCKER_CONFIG"])
def test_a_login_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, login: str, reference: str
) -> None:
    folder = tmp_path / ".docker"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auths": {login: {"auth": SECRET}}}))
    monkeypatch.setenv("HOME", str(tmp_path if place == "the home" else tmp_path / "nobody"))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder) if place == "DOCKER_CONFIG" else "")
    assert Repository(reference)._registry.auth._basic_auth == SECRET


def test_nobody_elses_login_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"ghcr.io": {"auth": SECRET}}}))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert getattr(Repository("docker.io/shop/digits:7")._registry.auth, "_basic_auth", None) is None
