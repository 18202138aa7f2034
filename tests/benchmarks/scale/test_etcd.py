"""What is written into etcd past the API server, byte for byte as etcd's protocol has it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.scale.etcd import Etcd

DEPLOYMENT = {"metadata": {"namespace": "a", "name": "b"}}
KEY, VALUE = b"/registry/deployments/a/b", b'{"metadata":{"namespace":"a","name":"b"}}'
PUT = b"\x0a\x19" + KEY + b"\x12\x29" + VALUE


class MadeUpEtcd(grpc.GenericRpcHandler):
    """Notes what it is asked, and answers with nothing; it doesn't know how to compact."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        if details.method == "/etcdserverpb.KV/DeleteRange":
            return None
        return grpc.unary_unary_rpc_method_handler(lambda message, _: self._note(details.method, message))

    def _note(self, method: str, message: bytes) -> bytes:
        self.asked.append((method, message))
        return b""


@pytest.fixture
def made_up() -> MadeUpEtcd:
    return MadeUpEtcd()


@pytest.fixture
def etcd(made_up: MadeUpEtcd) -> Iterator[Etcd]:
    server = grpc.server(ThreadPoolExecutor(1), handlers=[made_up])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Etcd(f"http://127.0.0.1:{port}")
    server.stop(None)


def test_an_object_is_put_under_the_key_that_the_api_server_reads(etcd: Etcd, made_up: MadeUpEtcd) -> None:
    etcd.put("deployments", DEPLOYMENT)
    assert made_up.asked == [("/etcdserverpb.KV/Put", PUT)]


def test_a_status_goes_over_the_version_that_was_seen_and_no_other(etcd: Etcd, made_up: MadeUpEtcd) -> None:
    etcd.put_over("deployments", DEPLOYMENT, "300")
    unchanged = b"\x10\x02" + b"\x1a\x19" + KEY + b"\x30\xac\x02"
    assert made_up.asked == [("/etcdserverpb.KV/Txn", b"\x0a\x20" + unchanged + b"\x12\x48\x12\x46" + PUT)]


def test_what_etcd_refuses_is_said(etcd: Etcd) -> None:
    with pytest.raises(BenchmarkError, match="etcd refused a DeleteRange"):
        etcd.delete("deployments", "a", "b")
