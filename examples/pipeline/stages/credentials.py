"""Logins for as long as they are needed: a secret's text becomes a file that is gone afterwards."""

import base64
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate.oci.hosts import DOCKER_HUB_LOGIN

from settings import Refused, Settings


@contextmanager
def at_registry(settings: Settings, host: str) -> Iterator[None]:
    """REGISTRY_USER and REGISTRY_PASSWORD; without them docker's own login. Raises Refused for half of one."""
    user, password = settings.get("REGISTRY_USER"), settings.get("REGISTRY_PASSWORD")
    if not user and not password:
        yield
        return
    if not (user and password):
        missing = "REGISTRY_USER" if password else "REGISTRY_PASSWORD"
        raise Refused(f"{missing} is missing; set both, or neither where docker is logged in already")
    entry = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
    config = json.dumps({"auths": {DOCKER_HUB_LOGIN if host == "docker.io" else host: entry}})
    with _file("config.json", config) as file, _variable("DOCKER_CONFIG", str(file.parent)):
        yield


@contextmanager
def at_cluster(settings: Settings) -> Iterator[None]:
    """KUBECONFIG_TEXT; without it KUBECONFIG, or ~/.kube/config, as for kubectl."""
    text = settings.get("KUBECONFIG_TEXT")
    if not text:
        yield
        return
    with _file("kubeconfig", text) as file, _variable("KUBECONFIG", str(file)):
        yield


@contextmanager
def _file(name: str, text: str) -> Iterator[Path]:
    """Readable by this user alone."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        yield file


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Of this process and those that it starts."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
