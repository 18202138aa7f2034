"""az:// against Azurite, Microsoft's emulator of Azure Blob Storage; the real one wants an account."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from tests.conftest import free_port, running, until
from tests.server.fetch.conftest import Bring, contents, files_sha256

pytestmark = pytest.mark.sources

AZURITE = "3.37.0"
KEY = "dGVzdHMtb25seS1rZXk="


@dataclass(frozen=True)
class Store:
    url: str

    @property
    def connection(self) -> str:
        return f"DefaultEndpointsProtocol=http;AccountName=tests;AccountKey={KEY};BlobEndpoint={self.url};"

    def make_container(self) -> bool:
        try:
            with ContainerClient.from_connection_string(self.connection, "models", retry_total=0) as client:
                client.create_container()
        except Exception:  # noqa: BLE001 - it isn't listening yet
            return False
        return True

    def fill(self, prefix: str, files: Mapping[str, bytes]) -> None:
        with ContainerClient.from_connection_string(self.connection, "models") as client:
            for name, content in files.items():
                client.upload_blob(f"{prefix}{name}", content, overwrite=True)


@pytest.fixture(scope="session")
def azurite() -> Path:
    """From the cache, or installed with npm: half a minute, once. Skips the test where it can't be had."""
    programs = pytest.importorskip("tidegate_demo.cluster.programs")
    locks = pytest.importorskip("tidegate_demo.cluster.locks")
    folder: Path = programs.cache_folder() / "programs" / AZURITE
    program = folder / "node_modules" / ".bin" / "azurite-blob"
    if shutil.which("node") is None:
        pytest.skip("Azurite needs Node.js")
    with locks.alone(programs.cache_folder() / "programs" / ".lock", "getting programs"):
        if not program.exists():
            folder.mkdir(parents=True, exist_ok=True)
            install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", f"azurite@{AZURITE}"]
            done = subprocess.run([*install, "--prefix", str(folder)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"npm can't install Azurite: {done.stderr.strip()[-200:]}")
    return program


@pytest.fixture(scope="module")
def store(azurite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder, port = tmp_path_factory.mktemp("az"), free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--disableTelemetry"]
    account = ["env", f"AZURITE_ACCOUNTS=tests:{KEY}"]
    with running(folder, [*account, str(azurite), "--skipApiVersionCheck", "--silent", *options]):
        found = Store(f"http://127.0.0.1:{port}/tests")
        until(found.make_container, within=30)
        yield found


def test_a_prefix_is_a_folder(bring_alone: Bring, store: Store, whole: Path) -> None:
    files = contents(whole)
    store.fill("digits/7/", {**files, "README.md": b"not the server's"})
    ended = bring_alone("az://models/digits/7", AZURE_STORAGE_CONNECTION_STRING=store.connection)
    assert (ended.reason, ended.shown) == ("brought", files)
    assert ended.report["files_sha256"] == files_sha256(files)
    assert all(" tidegate_server." in line for line in ended.log.splitlines())


def test_a_blob_is_a_file(bring_alone: Bring, store: Store, big: Path) -> None:
    store.fill("", {"big.onnx": big.read_bytes()})
    ended = bring_alone("az://models/big.onnx", AZURE_STORAGE_CONNECTION_STRING=store.connection)
    assert (ended.reason, ended.left) == ("brought", ["model.onnx"])
    assert (ended.folder / "model.onnx").read_bytes() == big.read_bytes()


@pytest.mark.parametrize(
    ("uri", "key", "reason", "words"),
    [
        pytest.param("az://models/none", KEY, "NotFound", "no such object", id="no such blob"),
        pytest.param("az://models", KEY, "UnsupportedUri", "needs a bucket and a path", id="no path"),
        pytest.param("az://models/m", "d3Jvbmcta2V5LWhlcmU=", "Unreachable", "refused access", id="a wrong key"),
        pytest.param("az://models/m", "", "UnsupportedUri", "AZURE_STORAGE_CONNECTION_STRING", id="no account"),
    ],
)
def test_a_failure_says_why_and_gives_nothing_away(
    bring_alone: Bring, store: Store, uri: str, key: str, reason: str, words: str
) -> None:
    connection = store.connection.replace(KEY, key) if key else ""
    ended = bring_alone(uri, AZURE_STORAGE_CONNECTION_STRING=connection)
    assert ended.reason == reason
    assert words in ended.report["message"]
    assert not key or key not in ended.log + str(ended.report)
