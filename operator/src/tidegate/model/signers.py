"""Who has to have signed a model: where the public keys are. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.errors import InvalidSpec
from tidegate.model.config import ConfigKind

KEY = "cosign.pub"
"""As `cosign generate-key-pair` names it, in a Secret too."""


@dataclass(frozen=True)
class Signers:
    """`spec.model.signedBy`: one key of a Secret or ConfigMap, with the PEM of those whose signature is wanted."""

    kind: ConfigKind
    name: str
    key: str = KEY

    @classmethod
    def parse(cls, raw: Mapping[str, Any], uri: str) -> "Signers":
        """Raises InvalidSpec on what the CRD doesn't let through."""
        if not uri.startswith("oci://"):
            raise InvalidSpec(
                "spec.model.signedBy is for a spec.model.uri with oci:// alone, as cosign's signatures lie in a "
                "registry; leave it out, or put the model into a registry"
            )
        if ("configMap" in raw) == ("secret" in raw):
            raise InvalidSpec("spec.model.signedBy must have exactly one of configMap and secret")
        kind, field = (ConfigKind.SECRET, "secret") if "secret" in raw else (ConfigKind.CONFIG_MAP, "configMap")
        return cls(kind, raw[field], raw.get("key", KEY))

    def to_spec(self) -> dict[str, str]:
        """The inverse of `parse`, without what is a default."""
        field = "secret" if self.kind is ConfigKind.SECRET else "configMap"
        return {field: self.name, **({} if self.key == KEY else {"key": self.key})}
