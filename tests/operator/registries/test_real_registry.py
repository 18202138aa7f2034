"""A tag that is followed, against a real registry: CNCF Distribution."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.operator.registries.test_resolver import registries
from tests.server.fetch.conftest import store_program
from tests.server.fetch.oci_registry import a_registry
from tidegate.errors import CallFailed
from tidegate.registries.reference import Access

pytestmark = pytest.mark.sources
__all__ = ["store_program"]


def test_a_tag_means_what_was_pushed_under_it_last(store_program: Callable[[str], Path], tmp_path: Path) -> None:
    with a_registry(store_program("registry"), tmp_path) as registry:
        uri, found = registry.uri("models/digits:stable"), registries()
        digests = []
        for content in (b"one", b"two"):
            digests.append(registry.push_files("models/digits", "stable", {"model.onnx": content}))
            assert found.resolve("shop", uri, Access()) == registry.uri(f"models/digits@{digests[-1]}")
        assert digests[0] != digests[1]
        with pytest.raises(CallFailed, match="has no models/digits with the tag none"):
            found.resolve("shop", registry.uri("models/digits:none"), Access())
