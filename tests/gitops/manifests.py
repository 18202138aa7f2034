"""Manifests as somebody keeps them in Git."""

import re
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
SOURCES = (Path(__file__).parent / "every-list.yaml", *sorted((REPOSITORY / "examples").glob("**/*.yaml")))


def _loaded(path: Path) -> list[dict[str, Any]]:
    text = re.sub(r"SHA256-OF-\w+", "ab" * 32, path.read_text())
    return [each for each in yaml.safe_load_all(text) if each and each.get("kind") == "ModelDeployment"]


MANIFESTS = {f"{path.stem}-{each['metadata']['name']}": each for path in SOURCES for each in _loaded(path)}
"""By file and name."""


def in_namespace(manifest: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The manifest as it is applied there."""
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
