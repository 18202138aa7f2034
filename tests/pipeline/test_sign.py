"""A real cosign signs what was published, and who fetches it takes only what the wanted key has signed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operator.packaging.images import write_base
from tests.pipeline.test_stages import EXAMPLES, SIGNED, stages
from tests.server.fetch.conftest import Bring, bring
from tests.server.fetch.oci_registry import Registry, a_registry

__all__ = ["bring", "stages"]
pytestmark = [pytest.mark.pipeline, pytest.mark.sources]


@pytest.fixture
def registry(store_program: Callable[[str], Path], tmp_path: Path) -> Iterator[Registry]:
    (tmp_path / "registry").mkdir()
    with a_registry(store_program("registry"), tmp_path / "registry") as found:
        yield found


@pytest.fixture
def cosign(store_program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """On PATH, with the password of its keys; a service on the internet is nowhere."""
    program = store_program("cosign")
    places = (str(program.parent), str(Path(sys.executable).parent), os.environ["PATH"])
    for name, value in {
        "PATH": os.pathsep.join(places),
        "COSIGN_PASSWORD": "tests-only",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    return program


@dataclass(frozen=True)
class Published:
    """An image with a model that `publish` has left."""

    registry: Registry
    folder: Path

    def sign(self, **variables: str) -> str:
        from settings import Settings
        from sign import sign

        return sign(Settings(variables))

    @property
    def pushed(self) -> str:
        return str(json.loads((self.folder / "work" / "image.json").read_text())["pushed"])

    @property
    def document(self) -> dict[str, Any]:
        from apply import read, released

        image = json.loads((self.folder / "work" / "image.json").read_text())
        return released(read(self.folder / "modeldeployment.yaml"), image)


@pytest.fixture
def published(registry: Registry, cosign: Path, tmp_path: Path) -> Published:
    """By the stages themselves, with a key pair in the folder."""
    from package import package
    from publish import publish
    from settings import Settings

    candidate = tmp_path / "work" / "candidate"
    candidate.mkdir(parents=True)
    shutil.copy(EXAMPLES / "stable.onnx", candidate / "model.onnx")
    sha256 = hashlib.sha256((candidate / "model.onnx").read_bytes()).hexdigest()
    facts = {"sha256": sha256, "uri": "models:/digits/1", "version": "1"}
    (tmp_path / "work" / "candidate.json").write_text(json.dumps(facts))
    (tmp_path / "modeldeployment.yaml").write_text(SIGNED)
    base = f"oci:{write_base(tmp_path / 'work')}"
    settings = Settings({"REGISTRY": registry.host, "IMAGE": "shop/digits", "BASE": base})
    package(settings)
    publish(settings)
    subprocess.run([str(cosign), "generate-key-pair"], check=True, capture_output=True)
    return Published(registry, tmp_path)


def wanted(key: Path) -> dict[str, str]:
    return {"TIDEGATE_SIGNATURE_METHOD": "cosign", "TIDEGATE_SIGNATURE_KEY": str(key)}


def test_what_the_stage_has_signed_is_fetched_and_nothing_else(
    published: Published, bring: Bring, tmp_path: Path, cosign: Path
) -> None:
    uri, key = published.document["spec"]["model"]["uri"], tmp_path / "cosign.pub"
    before = bring(uri, **wanted(key))
    assert (before.reason, before.left) == ("Unverified", [])
    assert "isn't signed, its registry has no signature by cosign" in before.report["message"]

    said = published.sign(COSIGN_KEY="cosign.key")
    assert said == f"{published.pushed} is signed with cosign.key, in no transparency log"
    after = bring(uri, **wanted(key))
    sha256 = published.document["spec"]["model"]["sha256"]
    assert (after.reason, after.report.get("sha256")) == ("brought", sha256), after.log

    (tmp_path / "theirs").mkdir()
    subprocess.run([str(cosign), "generate-key-pair"], cwd=tmp_path / "theirs", check=True, capture_output=True)
    theirs = bring(uri, **wanted(tmp_path / "theirs" / "cosign.pub"))
    assert theirs.reason == "Unverified"
    assert "is signed by somebody else, none of its 1 signatures" in theirs.report["message"]


def test_a_signature_in_cosigns_older_form_is_good_too(
    published: Published, bring: Bring, tmp_path: Path, cosign: Path
) -> None:
    older = ("--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false")
    command = [str(cosign), "sign", "--yes", "--key", "cosign.key", *older, published.pushed]
    subprocess.run(command, check=True, capture_output=True)
    ended = bring(published.document["spec"]["model"]["uri"], **wanted(tmp_path / "cosign.pub"))
    assert ended.reason == "brought", ended.log


def test_what_the_key_attests_is_no_signature(published: Published, bring: Bring, tmp_path: Path, cosign: Path) -> None:
    (tmp_path / "scan.json").write_text("{}")
    alone = ("--use-signing-config=false", "--tlog-upload=false", "--predicate", "scan.json", "--type", "vuln")
    command = [str(cosign), "attest", "--yes", "--key", "cosign.key", *alone, published.pushed]
    subprocess.run(command, check=True, capture_output=True)
    ended = bring(published.document["spec"]["model"]["uri"], **wanted(tmp_path / "cosign.pub"))
    assert ended.reason == "Unverified"
    assert "isn't signed" in ended.report["message"]


def test_a_wrong_password_is_one_sentence(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    from settings import Refused

    monkeypatch.setenv("COSIGN_PASSWORD", "another")
    with pytest.raises(Refused, match="decrypt"):
        published.sign(COSIGN_KEY="cosign.key")


def test_the_applied_document_is_one_that_lint_takes(published: Published, tmp_path: Path) -> None:
    document = {"apiVersion": "tidegate.dev/v1alpha1", "metadata": {"name": "digits"}, **published.document}
    (tmp_path / "applied.yaml").write_text(yaml.safe_dump(document))
    lint = [str(Path(sys.executable).with_name("tidegate")), "lint", "applied.yaml"]
    done = subprocess.run(lint, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
