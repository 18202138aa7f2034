"""s3:// against a real S3 server, versitygw, with botocore to fill it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session

from tests.conftest import free_port, running, until
from tests.server.fetch.broken_proxy import breaking_proxy
from tests.server.fetch.conftest import Bring, contents, files_sha256
from tests.server.fetch.test_archive import pack
from tidegate_server.fetch.sources.object_storage import BLOCK_BYTES

pytestmark = pytest.mark.sources

SECRET = "tests-only-secret"  # noqa: S105 - of a server that listens on loopback while the tests run


@dataclass(frozen=True)
class Store:
    url: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def fill(self, prefix: str, files: Mapping[str, bytes]) -> None:
        client = self._client()
        for name, content in files.items():
            client.put_object(Bucket="models", Key=f"{prefix}{name}", Body=content)
        client.close()

    def make_bucket(self) -> bool:
        client = self._client()
        try:
            client.create_bucket(Bucket="models")
        except Exception:  # noqa: BLE001 - it isn't listening yet
            return False
        finally:
            client.close()
        return True

    def _client(self) -> Any:
        return get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="tests",
            aws_secret_access_key=SECRET,
        )


@pytest.fixture(scope="module")
def store(store_program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder, port = tmp_path_factory.mktemp("s3"), free_port()
    (folder / "data").mkdir()
    (folder / "meta").mkdir()
    options = ["--access", "tests", "--secret", SECRET, "--port", f"127.0.0.1:{port}", "--quiet"]
    backend = ["posix", "--sidecar", str(folder / "meta"), str(folder / "data")]
    with running(folder, [str(store_program("versitygw")), *options, *backend]):
        found = Store(f"http://localhost:{port}")
        until(found.make_bucket)
        yield found


def test_a_prefix_is_a_folder(bring_alone: Bring, store: Store, whole: Path) -> None:
    files = contents(whole)
    store.fill("digits/7/", {**files, "README.md": b"not the server's"})
    ended = bring_alone("s3://models/digits/7", **store.environment)
    assert (ended.reason, ended.shown) == ("brought", files)
    assert ended.report["files_sha256"] == files_sha256(files)
    assert all(" tidegate_server." in line for line in ended.log.splitlines())


def test_an_object_is_a_file(bring_alone: Bring, store: Store, linear: Path) -> None:
    store.fill("", {"m.onnx": linear.read_bytes()})
    ended = bring_alone("s3://models/m.onnx", **store.environment)
    assert (ended.reason, ended.left, ended.shown) == ("brought", ["model.onnx"], {"model.onnx": linear.read_bytes()})


def test_an_archive_is_unpacked(bring_alone: Bring, store: Store, whole: Path, tmp_path: Path) -> None:
    store.fill("packed/", {"m.tgz": pack(whole, tmp_path / "m.tgz").read_bytes()})
    ended = bring_alone("s3://models/packed/m.tgz", **store.environment)
    assert (ended.reason, ended.shown) == ("brought", contents(whole))


def test_the_next_container_resumes(bring_alone: Bring, store: Store, big: Path) -> None:
    store.fill("", {"big.onnx": big.read_bytes()})
    size = big.stat().st_size
    with breaking_proxy(int(store.url.rpartition(":")[2])) as proxy:
        endpoint = {"AWS_ENDPOINT_URL": f"http://localhost:{proxy.port}"}
        proxy.left = size - BLOCK_BYTES
        stopped = bring_alone(
            "s3://models/big.onnx", **{**store.environment, **endpoint, "TIDEGATE_FETCH_RETRY_SECONDS": "0"}
        )
        assert (stopped.reason, len(stopped.left)) == ("Unreachable", 2), stopped.log
        proxy.left, proxy.came = None, 0
        ended = bring_alone("s3://models/big.onnx", **{**store.environment, **endpoint})
    assert (ended.reason, ended.left) == ("brought", ["model.onnx"])
    assert ended.report["sha256"] == hashlib.sha256(big.read_bytes()).hexdigest()
    assert proxy.came < size - BLOCK_BYTES // 2


@pytest.mark.parametrize(
    ("uri", "environment", "reason", "words"),
    [
        pytest.param("s3://models/none", {}, "NotFound", "no such object", id="no such object"),
        pytest.param("s3://nobucket/none", {}, "NotFound", "no such object", id="no such bucket"),
        pytest.param("s3://models", {}, "UnsupportedUri", "needs a bucket and a path", id="no path"),
        pytest.param("s3://me:pw@models/m", {}, "UnsupportedUri", "takes no credentials", id="credentials in the URI"),
        pytest.param(
            "s3://models/m",
            {"AWS_SECRET_ACCESS_KEY": "wrong-secret"},
            "Unreachable",
            "refused access",
            id="a wrong key",
        ),
        pytest.param(
            "s3://models/m",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "Unreachable",
            "check the credentials",
            id="no key",
        ),
        pytest.param(
            "s3://models/m",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            "Unreachable",
            "can't be read",
            id="nobody there",
        ),
    ],
)
def test_a_failure_says_why_and_gives_nothing_away(
    bring_alone: Bring, store: Store, uri: str, environment: dict[str, str], reason: str, words: str
) -> None:
    ended = bring_alone(uri, **{**store.environment, "HOME": "/nonexistent", **environment})
    assert ended.reason == reason
    assert words in ended.report["message"]
    for secret in (SECRET, "wrong-secret", "me:pw"):
        assert secret not in ended.log + str(ended.report)
