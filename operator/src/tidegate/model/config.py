"""ConfigMaps and Secrets that a server uses: which, and with what content. What is in them is told nowhere. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

LARGEST_CONFIG = 1_048_576
"""Bytes that all ConfigMaps and Secrets of a server may have: each revision has a copy."""


class ConfigKind(StrEnum):
    """What holds configuration, by Kubernetes' own name."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 - a kind's name


class ConfigSource(NamedTuple):
    """One ConfigMap or Secret of a ModelDeployment's namespace."""

    kind: ConfigKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


Keys = tuple[str, ...]
"""Those that are used, sorted; none stands for all."""


@dataclass(frozen=True)
class ConfigUse:
    """One place in a spec that names a ConfigMap or a Secret."""

    source: ConfigSource
    field: str
    """The place, as a person finds it."""
    keys: Keys = ()
    optional: bool = False


class ConfigContent(NamedTuple):
    """What a revision's servers find in a ConfigMap or Secret, by a digest of what they use of it."""

    kind: ConfigKind
    name: str
    digest: str | None
    """Empty where there was nothing, which was fine; None where that isn't known, which no revision is made of."""

    @property
    def source(self) -> ConfigSource:
        """Whose content it is."""
        return ConfigSource(self.kind, self.name)


@dataclass(frozen=True)
class Held:
    """What a ConfigMap or Secret has now."""

    digest: str
    """Of the keys that are used."""
    keys: frozenset[str]
    """Which of those that are used are there; all, where all are used."""
    size: int
    """Bytes of what is used."""


@dataclass(frozen=True)
class Unreadable:
    """Nobody knows what it has."""

    why: str


Found = Held | Unreadable | None
"""None where there is no ConfigMap or Secret of that name."""


def config_uses(
    env_refs: Sequence[Mapping[str, Any]], env_from: Sequence[Mapping[str, Any]], pod_template: Mapping[str, Any]
) -> tuple[ConfigUse, ...]:
    """Every place that names one, in the spec's order; each argument has Kubernetes' own shape."""
    return (
        *(_of_variable(each) for each in env_refs),
        *(_of_variables(number, each) for number, each in enumerate(env_from)),
        *(use for volume in pod_template.get("volumes", ()) for use in _of_volume(volume)),
    )


def used_keys(uses: Sequence[ConfigUse]) -> dict[ConfigSource, Keys]:
    """What is used of each, by all places together."""
    keys: dict[ConfigSource, set[str] | None] = {}
    for use in uses:
        before = keys.get(use.source, set())
        keys[use.source] = before | set(use.keys) if before is not None and use.keys else None
    return {source: tuple(sorted(of or ())) for source, of in sorted(keys.items())}


def resolved(
    uses: Sequence[ConfigUse], found: Mapping[ConfigSource, Found]
) -> tuple[tuple[ConfigContent, ...], str | None]:
    """The content of each that is used, and a sentence on the first thing that is wrong; None where nothing is."""
    problems = [problem for use in uses if (problem := _problem(use, found[use.source]))]
    unknown = {use.source for use in uses if _problem(use, found[use.source])}
    contents = tuple(
        ConfigContent(*source, None if source in unknown else _digest(found[source])) for source in used_keys(uses)
    )
    size = sum(each.size for each in found.values() if isinstance(each, Held))
    if size > LARGEST_CONFIG:
        problems.append(
            f"the ConfigMaps and Secrets of spec.server have {size} bytes, and may have {LARGEST_CONFIG} together; "
            "what is larger belongs beside the model or on a volume"
        )
    return contents, problems[0] if problems else None


def may_be_the_same(held: Sequence[ConfigContent], asked: Sequence[ConfigContent]) -> bool:
    """Whether nothing that is known of both differs. Of what isn't followed, or can't be read, nothing is known."""
    now = {each.source: each.digest for each in asked}
    return all(now.get(each.source) in (None, each.digest) for each in held)


def _digest(found: Found) -> str:
    return found.digest if isinstance(found, Held) else ""


def _problem(use: ConfigUse, found: Found) -> str | None:
    if isinstance(found, Unreadable):
        return f"{use.field} names the {use.source}, which can't be read: {found.why}"
    if use.optional:
        return None
    if found is None:
        return f"{use.field} names the {use.source}, which there isn't; create it, or set optional: true"
    lacking = [key for key in use.keys if key not in found.keys]
    if lacking:
        return (
            f"{use.field} names the key {lacking[0]} of the {use.source}, which lacks it; add it, or set optional: true"
        )
    return None


def _of_variable(item: Mapping[str, Any]) -> ConfigUse:
    kind, reference = ConfigKind.CONFIG_MAP, item["valueFrom"].get("configMapKeyRef")
    if reference is None:
        kind, reference = ConfigKind.SECRET, item["valueFrom"]["secretKeyRef"]
    source = ConfigSource(kind, reference["name"])
    return ConfigUse(source, f"spec.server.env {item['name']}", (reference["key"],), reference.get("optional", False))


def _of_variables(number: int, item: Mapping[str, Any]) -> ConfigUse:
    kind, reference = ConfigKind.CONFIG_MAP, item.get("configMapRef")
    if reference is None:
        kind, reference = ConfigKind.SECRET, item["secretRef"]
    source = ConfigSource(kind, reference["name"])
    return ConfigUse(source, f"spec.server.envFrom[{number}]", optional=reference.get("optional", False))


def _of_volume(volume: Mapping[str, Any]) -> Iterator[ConfigUse]:
    field = f"spec.server.podTemplate.volumes {volume['name']}"
    for kind, place, called in (
        (ConfigKind.CONFIG_MAP, "configMap", "name"),
        (ConfigKind.SECRET, "secret", "secretName"),
    ):
        if place in volume:
            of = volume[place]
            keys = tuple(item["key"] for item in of.get("items", ()))
            yield ConfigUse(ConfigSource(kind, of[called]), field, keys, of.get("optional", False))
