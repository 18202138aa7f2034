"""Every manifest that is written is one that the API server takes, without a field that it doesn't know."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

pytestmark = pytest.mark.apiserver
GOLDEN = Path(__file__).parents[1] / "resources" / "golden"


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.yaml")))
def test_the_api_server_takes_the(
    name: str, kubectl: Callable[..., CompletedProcess[str]], api_server: Path, namespace: str
) -> None:
    manifest = yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())
    manifest["metadata"]["namespace"] = namespace
    flags = ("--validate=strict", "--dry-run=server")
    done = kubectl(api_server, "create", "-f", "-", *flags, given=yaml.safe_dump(manifest))

    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
