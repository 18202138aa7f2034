"""How a revision's pods name ConfigMaps and Secrets: by the revision's own copies, where it has any. Pure."""

from collections.abc import Mapping
from typing import Any

from tidegate.model.config import ConfigKind, ConfigSource
from tidegate.model.spec import Server
from tidegate.resources.names import config_copy_name

Manifest = dict[str, Any]
Copies = Mapping[ConfigSource, ConfigSource]
"""Where each that is followed has its copy; one that isn't in here is used itself."""


def copies(revision: str, server: Server) -> dict[ConfigSource, ConfigSource]:
    """Where a revision has its copy of each that was followed when it was made."""
    return {
        content.source: ConfigSource(content.kind, config_copy_name(revision, number))
        for number, content in enumerate(server.config)
    }


def env_refs(server: Server, copied: Copies) -> list[Manifest]:
    """Variables whose values are keys of ConfigMaps and Secrets."""
    kinds = {"configMapKeyRef": ConfigKind.CONFIG_MAP, "secretKeyRef": ConfigKind.SECRET}
    return [
        {
            "name": item["name"],
            "valueFrom": {place: _renamed(of, "name", kinds[place], copied) for place, of in item["valueFrom"].items()},
        }
        for item in server.env_refs
    ]


def env_from(server: Server, copied: Copies) -> list[Manifest]:
    """ConfigMaps and Secrets whose keys are variables."""
    return [_renamed_in(item, "configMapRef", "secretRef", "name", copied) for item in server.env_from]


def volumes(server: Server, copied: Copies) -> list[Manifest]:
    """The user's, as the pod has them beside ours."""
    listed = server.pod_template.get("volumes", ())
    return [_renamed_in(each, "configMap", "secret", "secretName", copied) for each in listed]


def _renamed_in(item: Mapping[str, Any], config_map: str, secret: str, called: str, copied: Copies) -> Manifest:
    """`called` is the field that has a Secret's name."""
    renamed = dict(item)
    if config_map in item:
        renamed[config_map] = _renamed(item[config_map], "name", ConfigKind.CONFIG_MAP, copied)
    if secret in item:
        renamed[secret] = _renamed(item[secret], called, ConfigKind.SECRET, copied)
    return renamed


def _renamed(reference: Mapping[str, Any], called: str, kind: ConfigKind, copied: Copies) -> Manifest:
    source = ConfigSource(kind, reference[called])
    return {**reference, called: copied.get(source, source).name}
