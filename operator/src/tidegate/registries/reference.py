"""What the URIs of models name in their registries. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote

from tidegate.errors import CallFailed, InvalidSpec
from tidegate.model.followed import parse_follow
from tidegate.model.spec import Model, Variables
from tidegate.oci.hosts import DOCKER_HUB, DOCKER_HUB_HOST

MODELS = "models:/"


@dataclass(frozen=True)
class Access:
    """How a registry is reached: what the container that fetches has, too. `secret`: the name of one, or None."""

    secret: str | None = None
    env: Variables = ()

    @classmethod
    def of(cls, model: Model) -> "Access":
        """A model's."""
        return cls(model.credentials_secret, model.fetch_env)


@dataclass(frozen=True)
class Reference:
    """A name to look at, and how often."""

    uri: str
    every: timedelta
    access: Access

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Reference | None":
        """What a ModelDeployment's spec wants followed; None where it wants nothing, or can't be read."""
        model = spec.get("model") or {}
        try:
            every = parse_follow(model)
            if every is None:
                return None
            env = tuple((each["name"], each["value"]) for each in model.get("fetchEnv", ()))
            return cls(model["uri"], every, Access(model.get("credentialsSecret"), env))
        except (InvalidSpec, KeyError, ValueError, TypeError, AttributeError):
            return None


@dataclass(frozen=True)
class RegisteredModel:
    """A version in MLflow's registry, or an alias of one."""

    name: str
    version: str = ""
    alias: str = ""

    @classmethod
    def parse(cls, uri: str) -> "RegisteredModel":
        """Raises CallFailed for what is none."""
        path = uri.removeprefix(MODELS) if uri.startswith(MODELS) else ""
        if found := re.fullmatch(r"([^/]+)/([0-9]+)", path):
            return cls(unquote(found[1]), version=found[2])
        if found := re.fullmatch(r"([^/]+)@([\w-]+)", path):
            return cls(unquote(found[1]), alias=found[2])
        raise CallFailed(f"{uri} is no version of a registered model: models:/NAME/VERSION or models:/NAME@ALIAS")

    def at(self, version: str) -> str:
        """The URI of a version."""
        return f"{MODELS}{quote(self.name, safe='@')}/{version}"


@dataclass(frozen=True)
class Artifact:
    """An artifact in a container registry. `inside`: a folder in its layers, with a slash before it."""

    registry: str
    repository: str
    version: str
    inside: str

    @classmethod
    def parse(cls, uri: str) -> "Artifact":
        """Raises CallFailed for what is none."""
        registry, _, rest = uri.removeprefix("oci://").partition("/")
        found = re.fullmatch(r"([^:@]+)[:@]([^/]+)(/.*)?", rest)
        if not registry or "@" in registry or found is None:
            raise CallFailed("it must be oci://REGISTRY/REPOSITORY:TAG", final=True)
        repository = f"library/{found[1]}" if registry in DOCKER_HUB and "/" not in found[1] else found[1]
        return cls(registry, repository, found[2], found[3] or "")

    @property
    def host(self) -> str:
        """Where requests go."""
        return DOCKER_HUB_HOST if self.registry in DOCKER_HUB else self.registry

    def at(self, digest: str) -> str:
        """The URI that leads to that digest for ever."""
        return f"oci://{self.registry}/{self.repository}@{digest}{self.inside}"


@dataclass(frozen=True)
class HubRepository:
    """A repository on the Hugging Face Hub. `inside`: a path in it, with a slash before it."""

    repository: str
    revision: str
    inside: str

    @classmethod
    def parse(cls, uri: str) -> "HubRepository":
        """Raises CallFailed for what is none."""
        found = re.fullmatch(r"hf://([^/@]+/[^/@]+)(?:@([^/]+))?(/.*)?", uri)
        if found is None:
            raise CallFailed("it must be hf://ORG/REPO[@REVISION][/path]", final=True)
        return cls(found[1], unquote(found[2] or "main"), (found[3] or "").rstrip("/"))

    def at(self, commit: str) -> str:
        """The URI that leads to that commit for ever."""
        return f"hf://{self.repository}@{commit}{self.inside}"
