"""The content of ConfigMaps and Secrets as part of a revision: what a spec's would be now, and the copies of one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tidegate.errors import ObjectChanged, WriteRefused
from tidegate.kube.api import Manifest, Resource
from tidegate.kube.cluster import Cluster
from tidegate.kube.config_reader import RESOURCES
from tidegate.model.config import ConfigContent, ConfigKind, ConfigSource, ConfigUse, resolved, used_keys
from tidegate.model.observation import Observation
from tidegate.model.revision import RevisionState, Snapshot
from tidegate.model.spec import ModelDeploymentSpec, Server
from tidegate.resources.config_copy import copy_manifest
from tidegate.resources.ownership import Owner
from tidegate.resources.pod_config import copies
from tidegate.settings import Settings

Revisions = Mapping[str, RevisionState]


def with_config(
    cluster: Cluster, settings: Settings, owner: Owner, spec: ModelDeploymentSpec, revisions: Revisions
) -> tuple[ModelDeploymentSpec, str | None]:
    """The spec with the content that its ConfigMaps and Secrets have now, and what is wrong with one of them."""
    uses = _followed(spec.server, settings)
    wanted = used_keys(uses)
    held = _held_places(spec, revisions)
    if held is None:
        return _unknown(spec, wanted), (
            f"spec.server.configRevision names {spec.config_revision}, of which there is no snapshot any more; name "
            "another revision, or leave it out to use what ConfigMaps and Secrets have now"
        )
    places = {source: held.get(source, source) for source in wanted}
    found = cluster.config(owner, {place: wanted[source] for source, place in places.items()})
    contents, problem = resolved(uses, {source: found[place] for source, place in places.items()})
    return replace(spec, server=replace(spec.server, config=contents)), problem


def missing_copies(
    cluster: Cluster, settings: Settings, owner: Owner, seen: Observation, revision: str, snapshot: Snapshot
) -> Iterator[tuple[Resource, Manifest]]:
    """Copies that a revision lacks, from what the ConfigMaps and Secrets have now.

    Raises ObjectChanged where that isn't any more what has just been seen of them, and WriteRefused where it isn't what
    the revision was made of.
    """
    wanted = used_keys(_followed(snapshot.server, settings))
    held = _held_places(seen.spec, seen.revisions) or {}
    for number, content in enumerate(snapshot.server.config):
        copy = copies(revision, snapshot.server)[content.source]
        if not content.digest or content.source not in wanted:
            continue
        if cluster.stored(RESOURCES[copy.kind], owner.namespace, copy.name) is not None:
            continue
        place = content.source if seen.state(revision).snapshot else held.get(content.source, content.source)
        read = cluster.read_config(owner, place, wanted[content.source])
        if read is None or read[0].digest != content.digest:
            raise _other_content(seen, revision, content)
        keys = wanted[content.source]
        yield RESOURCES[copy.kind], copy_manifest(*owner, revision, number, copy.kind, read[1], keys)


def config_kept(snapshot: Snapshot | None, name: str, kept: frozenset[str]) -> bool:
    """Whether a revision's copies of ConfigMaps are among those that there are; of Secrets' nobody keeps a list."""
    if snapshot is None:
        return True
    wanted = {
        copy.name
        for content, copy in zip(snapshot.server.config, copies(name, snapshot.server).values(), strict=True)
        if content.digest and content.kind is ConfigKind.CONFIG_MAP
    }
    return wanted <= kept


def _followed(server: Server, settings: Settings) -> tuple[ConfigUse, ...]:
    return tuple(
        use for use in server.config_uses if settings.follow_secrets or use.source.kind is not ConfigKind.SECRET
    )


def _held_places(spec: ModelDeploymentSpec, revisions: Revisions) -> Mapping[ConfigSource, ConfigSource] | None:
    """Where content is read that isn't to be what it is now; None where there is no such revision."""
    if spec.config_revision is None:
        return {}
    state = revisions.get(spec.config_revision)
    return copies(state.name, state.snapshot.server) if state and state.snapshot else None


def _unknown(spec: ModelDeploymentSpec, sources: Mapping[ConfigSource, object]) -> ModelDeploymentSpec:
    config = tuple(ConfigContent(*source, None) for source in sources)
    return replace(spec, server=replace(spec.server, config=config))


def _other_content(seen: Observation, revision: str, content: ConfigContent) -> Exception:
    if seen.state(revision).snapshot is None:
        return ObjectChanged(f"{content.source} was written by somebody else meanwhile")
    return WriteRefused(
        f"{revision}'s copy of the {content.source} is gone, and that has other content by now; give it the content "
        "that it had, or release another revision",
        409,
    )
