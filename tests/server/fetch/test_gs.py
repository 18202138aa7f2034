"""gs:// against fake-gcs-server, an emulator of Google Cloud Storage; the real one wants an account."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.conftest import answers, free_port, running
from tests.server.fetch.conftest import Bring, contents, files_sha256

pytestmark = pytest.mark.sources


@dataclass(frozen=True)
class Store:
    url: str

    @property
    def environment(self) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": self.url}

    def fill(self, prefix: str, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            url = f"{self.url}/upload/storage/v1/b/models/o"
            parameters = {"uploadType": "media", "name": f"{prefix}{name}"}
            requests.post(url, params=parameters, data=content, timeout=10).raise_for_status()


@pytest.fixture(scope="module")
def store(store_program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder, port = tmp_path_factory.mktemp("gs"), free_port()
    options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory", "-log-level", "warn"]
    with running(folder, [str(store_program("fake-gcs-server")), *options]) as process:
        found = Store(f"http://127.0.0.1:{port}")
        answers(f"{found.url}/storage/v1/b?project=tests", process)
        made = requests.post(f"{found.url}/storage/v1/b?project=tests", json={"name": "models"}, timeout=10)
        made.raise_for_status()
        yield found


def test_a_prefix_is_a_folder(bring_alone: Bring, store: Store, whole: Path) -> None:
    files = contents(whole)
    store.fill("digits/7/", {**files, "README.md": b"not the server's"})
    ended = bring_alone("gs://models/digits/7", **store.environment)
    assert (ended.reason, ended.shown) == ("brought", files)
    assert ended.report["files_sha256"] == files_sha256(files)
    assert all(" tidegate_server." in line for line in ended.log.splitlines())


def test_an_object_is_a_file(bring_alone: Bring, store: Store, big: Path) -> None:
    store.fill("", {"big.onnx": big.read_bytes()})
    ended = bring_alone("gs://models/big.onnx", **store.environment)
    assert (ended.reason, ended.left) == ("brought", ["model.onnx"])
    assert (ended.folder / "model.onnx").read_bytes() == big.read_bytes()


@pytest.mark.parametrize(
    ("uri", "environment", "reason", "words"),
    [
        pytest.param("gs://models/none", {}, "NotFound", "no such object", id="no such object"),
        pytest.param("gs://models", {}, "UnsupportedUri", "needs a bucket and a path", id="no path"),
    ],
)
def test_a_failure_says_why(
    bring_alone: Bring, store: Store, uri: str, environment: dict[str, str], reason: str, words: str
) -> None:
    ended = bring_alone(uri, **{**store.environment, **environment})
    assert ended.reason == reason
    assert words in ended.report["message"]
