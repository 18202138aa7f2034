"""MLflow's model registry, by its REST API: what an alias means, and the tags of a version."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from tidegate.errors import CallFailed
from tidegate.registries.answers import SECONDS, explained, parsed
from tidegate.registries.reference import RegisteredModel
from tidegate.webhooks.client import WebhookClient

NOT_THERE = (400, 404)
"""A missing alias is the first, a missing model or version the second."""


@dataclass(frozen=True)
class Mlflow:
    """One registry. `headers`: what it knows us by."""

    client: WebhookClient
    address: str
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def by(cls, client: WebhookClient, env: Mapping[str, str]) -> "Mlflow":
        """The one that MLflow's own variables name. Raises CallFailed."""
        address = (env.get("MLFLOW_REGISTRY_URI") or env.get("MLFLOW_TRACKING_URI") or "").rstrip("/")
        if not address.startswith(("http://", "https://")):
            message = (
                "MLFLOW_TRACKING_URI, in spec.model.fetchEnv or spec.model.credentialsSecret, must be the http:// or "
                "https:// address of the registry"
            )
            raise CallFailed(message, final=True)
        user, token = env.get("MLFLOW_TRACKING_USERNAME"), env.get("MLFLOW_TRACKING_TOKEN")
        if user:
            login = f"{user}:{env.get('MLFLOW_TRACKING_PASSWORD', '')}".encode()
            return cls(client, address, {"Authorization": f"Basic {base64.b64encode(login).decode()}"})
        return cls(client, address, {"Authorization": f"Bearer {token}"} if token else {})

    def version(self, model: RegisteredModel) -> str:
        """The version that is meant. Raises CallFailed."""
        return model.version or str(self._described(model).get("version", ""))

    def tags(self, model: RegisteredModel) -> tuple[str, Mapping[str, str]]:
        """The version that is meant, and its tags. Raises CallFailed."""
        found = self._described(model)
        tags = {str(each.get("key")): str(each.get("value")) for each in found.get("tags") or ()}
        return str(found.get("version", "")), tags

    def set_tag(self, model: RegisteredModel, key: str, value: str) -> None:
        """Of a version, whatever the tag was before. Raises CallFailed."""
        body = {"name": model.name, "version": model.version, "key": key, "value": value}
        sent = {"Content-Type": "application/json", **self.headers}
        url = f"{self.address}/api/2.0/mlflow/model-versions/set-tag"
        try:
            self.client.post(url, orjson.dumps(body), sent, seconds=SECONDS)
        except CallFailed as error:
            raise _explained(error, model) from None

    def _described(self, model: RegisteredModel) -> Mapping[str, Any]:
        path, wanted = "registered-models/alias", {"name": model.name, "alias": model.alias}
        if model.version:
            path, wanted = "model-versions/get", {"name": model.name, "version": model.version}
        try:
            url = f"{self.address}/api/2.0/mlflow/{path}?{urlencode(wanted)}"
            found = parsed(self.client.get(url, self.headers, seconds=SECONDS), "MLflow's registry")
        except CallFailed as error:
            raise _explained(error, model) from None
        version = found.get("model_version")
        if not isinstance(version, dict) or not str(version.get("version", "")).isdecimal():
            raise CallFailed("the registry's answer names no version")
        return version


def _explained(error: CallFailed, model: RegisteredModel) -> CallFailed:
    what = f"version {model.version}" if model.version else f"alias {model.alias}"
    return explained(error, f"{what} of a model {model.name}", NOT_THERE)
