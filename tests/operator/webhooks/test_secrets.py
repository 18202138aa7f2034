"""Keys of Secrets and ConfigMaps; what is wrong with one is said, what is in it isn't."""

import base64
from dataclasses import dataclass, field
from typing import Any

import pytest

from tidegate.errors import CallFailed, ClusterUnavailable
from tidegate.kube.api import CONFIG_MAPS, SECRETS, Manifest, Resource
from tidegate.model.gate import SecretKey
from tidegate.webhooks.secrets import read_key


@dataclass
class Objects:
    """An API server with a few objects of the namespace shop."""

    found: dict[tuple[Resource, str], dict[str, Any]] = field(default_factory=dict)
    failure: int | None = None

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        assert namespace == "shop"
        if self.failure is not None:
            raise ClusterUnavailable("sesame", self.failure)
        data = self.found.get((resource, name))
        return None if data is None else {"data": data}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


STORED = Objects(
    {
        (SECRETS, "ci"): {"key": encoded(b"sesame"), "binary": encoded(b"\xff\xfe")},
        (CONFIG_MAPS, "ca"): {"ca.crt": "PEM"},
    }
)


def test_a_secrets_key_is_read_decoded_and_a_config_maps_as_it_is() -> None:
    assert read_key(STORED, "shop", SecretKey("ci", "key")) == "sesame"
    assert read_key(STORED, "shop", SecretKey("ca", "ca.crt", in_config_map=True)) == "PEM"


@pytest.mark.parametrize(
    ("objects", "key", "message"),
    [
        (STORED, SecretKey("other", "key"), "the Secret other isn't there"),
        (STORED, SecretKey("ci", "other"), "the Secret ci has no key other"),
        (STORED, SecretKey("ci", "binary"), "the key binary of the Secret ci isn't text"),
        (STORED, SecretKey("x", "ca.crt", in_config_map=True), "the ConfigMap x isn't there"),
        (
            Objects(failure=403),
            SecretKey("ci", "key"),
            "the operator may not read the Secret ci: the chart's value webhooks.secrets names those that it may",
        ),
        (Objects(failure=500), SecretKey("ci", "key"), "the Secret ci can't be read just now"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(objects: Objects, key: SecretKey, message: str) -> None:
    with pytest.raises(CallFailed) as failed:
        read_key(objects, "shop", key)

    assert str(failed.value) == message
