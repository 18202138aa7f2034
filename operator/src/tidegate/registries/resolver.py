"""What the URI of a model means now, by asking its registry."""

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.errors import CallFailed
from tidegate.registries.hub import commit_of
from tidegate.registries.mlflow import Mlflow
from tidegate.registries.oci import digest_of
from tidegate.registries.reference import MODELS, Access, Artifact, HubRepository, RegisteredModel
from tidegate.webhooks.client import WebhookClient
from tidegate.webhooks.secrets import Objects, read_secret


@dataclass(frozen=True)
class Registries:
    """Asks each registry in its own way, with the credentials that the model is fetched with."""

    client: WebhookClient
    objects: Objects

    def resolve(self, namespace: str, uri: str, access: Access) -> str:
        """The URI that always leads to what this one leads to now. Raises CallFailed with one sentence."""
        env = self._env(namespace, access)
        if uri.startswith("oci://"):
            artifact = Artifact.parse(uri)
            return artifact.at(digest_of(self.client, artifact, env))
        if uri.startswith("hf://"):
            repository = HubRepository.parse(uri)
            return repository.at(commit_of(self.client, repository, env))
        if uri.startswith(MODELS):
            model = RegisteredModel.parse(uri)
            return model.at(Mlflow.by(self.client, env).version(model))
        raise CallFailed(f"what {uri.partition(':')[0]}:// leads to has no names that could be followed", final=True)

    def mlflow(self, namespace: str, access: Access) -> Mlflow:
        """The registry of a model with a models:/ URI. Raises CallFailed."""
        return Mlflow.by(self.client, self._env(namespace, access))

    def _env(self, namespace: str, access: Access) -> Mapping[str, str]:
        """As the container that fetches has it: what stands in the pod goes before what the Secret has."""
        secret = read_secret(self.objects, namespace, access.secret) if access.secret else {}
        return {**secret, **dict(access.env)}
