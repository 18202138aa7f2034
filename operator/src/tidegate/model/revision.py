"""Revisions: immutable snapshots of everything that makes a pod, and what is known of each in the cluster."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Any

from tidegate.model.agreement import RequestSamples
from tidegate.model.api_fields import canonical
from tidegate.model.config import ConfigContent, ConfigKind, may_be_the_same
from tidegate.model.delivery import Delivery
from tidegate.model.signers import Signers
from tidegate.model.spec import Analysis, Batching, Model, ModelDeploymentSpec, Server, Strategy, Variables
from tidegate.model.units import parse_quantity

PLANS_KEPT = 256
"""Strategies with an analysis whose digest is known: most ModelDeployments have the same few."""


@dataclass(frozen=True)
class Snapshot:
    """What a revision's pods are made of. `image` is resolved once: an upgrade of ours re-rolls nobody's model."""

    model: Model
    server: Server
    image: str
    admin_port: int | None
    """Where `image` tells metrics and health; None for old servers, which do so where they answer requests."""

    def to_dict(self) -> dict[str, Any]:
        """The data of a ControllerRevision."""
        return {**_identity(self.model, self.server), "image": self.image, "adminPort": self.admin_port}

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Snapshot":
        """The inverse of `to_dict`. Whatever a record lacks, the operator that wrote it didn't know."""
        model, server = data["model"], data["server"]
        rows, delay = server.get("batching", (Batching().max_rows, None))
        return cls(
            Model(
                model["uri"],
                model["sha256"],
                model.get("credentialsSecret"),
                _pairs(model.get("fetchEnv", ())),
                model.get("serviceAccount"),
                _signers(model["signedBy"]) if "signedBy" in model else None,
                Delivery(model.get("delivery", Delivery.FETCH)),
            ),
            Server(
                server["image"],
                server["resources"],
                _pairs(server["env"]),
                server.get("threads"),
                Batching(rows, None if delay is None else timedelta(milliseconds=delay)),
                server.get("apiKeysSecret"),
                server.get("podTemplate", {}),
                tuple(server.get("envRefs", ())),
                tuple(server.get("envFrom", ())),
                tuple(ConfigContent(ConfigKind(kind), name, digest) for kind, name, digest in server.get("config", ())),
                RequestSamples(*server["requestSamples"]) if "requestSamples" in server else None,
            ),
            data["image"],
            data.get("adminPort"),
        )


@dataclass(frozen=True)
class Tensor:
    """One input or output of a model; −1 in the shape is a dimension of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.datatype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Labels:
    """Names of a model's classes, in their order."""

    count: int
    """0 where nobody named them."""
    sha256: str = ""
    """Of the whole list; two lists of one digest are the same."""
    first: tuple[str, ...] = ()
    """As many of them, from the first on, as were told."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "Labels":
        """All of a list's."""
        listed = b"".join(name.encode("utf-8", "replace") + b"\0" for name in names)
        return cls(len(names), hashlib.sha256(listed).hexdigest() if names else "", tuple(names))


@dataclass(frozen=True)
class ModelFacts:
    """What a pod found in the model's files: their digests, the model's signature and the names of its classes."""

    sha256: str
    """Of the ONNX file."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    files_sha256: str | None = None
    """Of the list of all files of a folder; None for a single file."""
    labels: Labels | None = None
    """None where nobody knows them, as with a server of an older release."""


@dataclass(frozen=True)
class PodFailure:
    """Why a revision's pods aren't ready. `permanent`: waiting can't help. `crashed`: it had started, and died;
    `looping`: and does so again and again.
    """

    reason: str
    message: str
    permanent: bool = False
    crashed: bool = False
    looping: bool = False


@dataclass(frozen=True)
class RevisionState:
    """A revision as the cluster has it. Without a snapshot or a workload, a write was cut short or undone."""

    name: str
    number: int = 0
    """Ascends with every revision of the ModelDeployment; the newest has the highest."""
    snapshot: Snapshot | None = None
    replicas: int | None = None
    """Pods that its Deployment wants; None where there is no Deployment."""
    ready: int = 0
    facts: ModelFacts | None = None
    pinned: str | None = None
    """The ONNX file's digest that is written down for its later pods, with that of its other files if it has any."""
    failure: PodFailure | None = None
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Where its pods run: pod's name → node's name."""
    crashes: tuple[datetime, ...] = ()
    """When the server of each of its pods died last, if it ever did; a node's loss of one isn't counted."""
    reachable: bool = True
    """Whether its Service is there and leads to its pods."""
    pin_kept: bool = True
    """Whether the object that holds its later pods to the digest is there; it is only missed where `pinned` says so."""
    config_kept: bool = True
    """Whether its copies of ConfigMaps are there."""
    scaled_by: str | None = None
    """Who else has set how many pods its Deployment wants."""
    restarted_at: datetime | None = None
    """When somebody asked last for its pods to be replaced, as far as its Deployment has been told."""
    renewed: int = 0
    """How many of its pods are of the Deployment's newest template."""


def revision_name(name: str, spec: ModelDeploymentSpec, taken: int = 0) -> str:
    """`sentiment-6f9c1d2e`: the same model and server always give the same name; another one after `taken` others."""
    identity = _identity(spec.model, spec.server)
    return f"{name}-{_digest([identity, taken] if taken else identity)}"


def find_revision(
    name: str, spec: ModelDeploymentSpec, known: Mapping[str, RevisionState], preferred: Sequence[str | None]
) -> str:
    """The name of the revision that a spec asks for: one that means the same, however it is spelt, else a new one.

    Of several that mean the same, the first of `preferred`, else the newest. A name is 32 bits of a digest: one that
    another revision has got by chance is never taken for it.
    """
    for each in _likely(name, spec, preferred):
        if each is not None and each in known and _means(known[each].snapshot, spec):
            return each
    same = [state for state in known.values() if _means(state.snapshot, spec)]
    if same:
        return max(same, key=lambda state: state.number).name
    names = (revision_name(name, spec, taken) for taken in count())
    return next(each for each in names if each not in known or known[each].snapshot is None)


def _likely(name: str, spec: ModelDeploymentSpec, preferred: Sequence[str | None]) -> Iterator[str | None]:
    """The name of its own last: that takes a digest, and mostly it is one of the others."""
    yield from preferred
    yield revision_name(name, spec)


def plan_digest(spec: ModelDeploymentSpec) -> str:
    """Changes when the strategy or the analysis does: a rejected revision is then worth another try.

    An upgrade of the operator leaves it as it is (see `api_fields.canonical`).
    """
    return _plan_digest(spec.strategy, spec.analysis)


@lru_cache(maxsize=PLANS_KEPT)
def _plan_digest(strategy: Strategy, analysis: Analysis) -> str:
    return _digest([type(strategy).__name__, canonical(strategy), canonical(analysis)])


def _identity(model: Model, server: Server) -> dict[str, Any]:
    """What tells revisions apart. What isn't used isn't named: a new field of ours re-rolls nobody's model."""
    return {
        "model": {
            "uri": model.uri,
            "sha256": model.sha256,
            **_used(
                credentialsSecret=model.credentials_secret,
                fetchEnv=_lists(model.fetch_env),
                serviceAccount=model.service_account,
                signedBy=_listed(model.signed_by),
                delivery=model.delivery.unless_default,
            ),
        },
        "server": {
            "image": server.image,
            "resources": {kind: dict(amounts) for kind, amounts in server.resources.items()},
            "env": _lists(server.env),
            **_used(
                threads=server.threads,
                batching=_batching(server.batching),
                apiKeysSecret=server.api_keys_secret,
                podTemplate=dict(server.pod_template),
                envRefs=[dict(each) for each in server.env_refs],
                envFrom=[dict(each) for each in server.env_from],
                config=[[each.kind.value, each.name, each.digest] for each in server.config],
                requestSamples=_samples(server.request_samples),
            ),
        },
    }


def _means(snapshot: Snapshot | None, spec: ModelDeploymentSpec) -> bool:
    """Whether a snapshot is what a spec asks for. Mostly they are alike, letter by letter, or of another model."""
    if snapshot is None:
        return False
    if (snapshot.model, snapshot.server) == (spec.model, spec.server):
        return True
    if _plain(snapshot.model, snapshot.server) != _plain(spec.model, spec.server):
        return False
    if not may_be_the_same(snapshot.server.config, spec.server.config):
        return False
    return _meaning(snapshot.model, snapshot.server) == _meaning(spec.model, spec.server)


def _plain(model: Model, server: Server) -> tuple[object, ...]:
    """What has one spelling only."""
    return replace(model, fetch_env=()), replace(server, resources={}, env=(), config=())


def _meaning(model: Model, server: Server) -> tuple[object, ...]:
    """What is the same for two spellings of the rest of a revision."""
    resources = {kind: {what: _amount(amount) for what, amount in of.items()} for kind, of in server.resources.items()}
    return {kind: of for kind, of in resources.items() if of}, _set(model.fetch_env), _set(server.env)


def _amount(amount: str | int) -> object:
    try:
        return parse_quantity(amount)
    except ValueError:
        return amount


def _set(variables: Variables) -> object:
    """Variables in any order, unless one refers to another, which has to come before it."""
    return variables if any("$(" in value for _, value in variables) else frozenset(variables)


def _signers(listed: Sequence[str]) -> Signers:
    kind, name, key = listed
    return Signers(ConfigKind(kind), name, key)


def _listed(signers: Signers | None) -> list[str] | None:
    return [signers.kind.value, signers.name, signers.key] if signers else None


def _samples(samples: RequestSamples | None) -> list[str | int] | None:
    return [samples.key_secret, samples.keep] if samples else None


def _batching(batching: Batching) -> list[int | None] | None:
    """Rows and milliseconds; None where the server's own way is meant."""
    if batching == Batching():
        return None
    delay = batching.max_delay
    return [batching.max_rows, None if delay is None else delay // timedelta(milliseconds=1)]


def _used(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _lists(variables: Variables) -> list[list[str]]:
    return [list(pair) for pair in variables]


def _pairs(listed: Sequence[Sequence[str]]) -> Variables:
    return tuple((name, value) for name, value in listed)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
