"""The node's certificates: all of them or none."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tidegate_demo.cluster import pki
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import Layout

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(state=tmp_path, run=tmp_path / "run")


def test_every_certificate_is_signed_by_the_authority(layout: Layout) -> None:
    pki.ensure_pki(layout)
    for leaf in pki.LEAVES:
        purpose = "sslserver" if leaf.addresses else "sslclient"
        authority, certificate = str(layout.certificate("ca")), str(layout.certificate(leaf.file))
        assert openssl("verify", "-purpose", purpose, "-CAfile", authority, certificate) == f"{certificate}: OK\n"


def test_an_interrupt_halfway_leaves_nothing_that_is_taken_for_whole(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(pki, "LEAVES", (pki.Leaf("broken", "x", addresses=("no such kind of name",)),))
        with pytest.raises(ClusterError, match="openssl req failed"):
            pki.ensure_pki(layout)
    assert not layout.pki.exists()
    pki.ensure_pki(layout)
    assert layout.certificate("admin").exists()


def test_certificates_that_are_there_stay(layout: Layout) -> None:
    pki.ensure_pki(layout)
    before = layout.certificate("ca").read_bytes()
    pki.ensure_pki(layout)
    assert layout.certificate("ca").read_bytes() == before
