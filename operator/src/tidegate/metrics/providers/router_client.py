"""The questions to routers by HTTP, signed, and what comes back, checked before it is read."""

import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from time import monotonic, sleep

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from tidegate.errors import MetricsUnavailable, NotEvidence
from tidegate.metrics.providers.router_samples import RouterPod
from tidegate.resources.sampling import (
    MOST_ANSWER_BYTES,
    NONCE_BYTES,
    PATH,
    SIGNATURE,
    SamplesAnswer,
    SamplesRequest,
    read_answer,
    request_body,
    sign_request,
)

CONNECT, READ = 0.4, 0.7
"""Seconds: longer than that nobody waits for a router."""
CHUNK = 64 * 1024
KEY_SECONDS = 5.0
"""After which the key is looked at again."""
HOSTS = 64


log = logging.getLogger(__name__)


class HeldKey:
    """The key as `read` gave it last. `read` may take long, so a thread of its own waits for it, and no question.

    While nobody asks, nothing is read: an operator without a rollout asks the API server for nothing but its Lease.
    """

    def __init__(self, read: Callable[[], bytes | None]) -> None:
        self._read = read
        self._key: bytes | None = None
        self._reading: threading.Thread | None = None
        self._lock = threading.Lock()
        self._wanted = threading.Event()

    def __call__(self) -> bytes | None:
        self._wanted.set()
        with self._lock:
            if self._reading is None:
                self._reading = threading.Thread(target=self._run, name="held-key", daemon=True)
                self._reading.start()
        return self._key

    def _run(self) -> None:
        while self._wanted.wait():
            self._wanted.clear()
            try:
                self._key = self._read()
            except Exception:
                log.exception("the key for the routers can't be read")
            sleep(KEY_SECONDS if self._key else CONNECT)


class HttpRouterClient:
    """A RouterClient. `key` gives the key that operator and routers share, or None; it is asked for each question.

    `doubted` is called where a router doesn't take it.
    """

    def __init__(self, key: Callable[[], bytes | None], doubted: Callable[[], None]) -> None:
        self._key, self._doubted = key, doubted
        self._session = requests.Session()
        self._session.trust_env = False  # a pod of our own isn't behind a proxy
        self._session.mount("http://", HTTPAdapter(HOSTS, 2, Retry(total=0)))

    def ask(self, pod: RouterPod, clusters: Sequence[str]) -> SamplesAnswer:
        """See RouterClient."""
        key = self._key()
        if key is None:
            raise MetricsUnavailable("the operator has no key to ask it with yet")
        nonce = secrets.token_hex(NONCE_BYTES)
        body = request_body(SamplesRequest(tuple(clusters), nonce))
        try:
            signature, answer = self._post(pod, body, sign_request(key, pod.full_name, body))
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise MetricsUnavailable(
                f"it can't be asked at {pod.address} ({type(error).__name__}); check that no NetworkPolicy keeps the "
                "operator from that port"
            ) from error
        try:
            return read_answer(key, answer, signature, router=pod.full_name, nonce=nonce)
        except NotEvidence:
            self._doubted()
            raise

    def _post(self, pod: RouterPod, body: bytes, signature: str) -> tuple[str, bytes]:
        deadline = monotonic() + READ
        headers = {SIGNATURE: signature, "Content-Type": "application/json"}
        with self._session.post(
            f"http://{pod.address}{PATH}", data=body, headers=headers, timeout=(CONNECT, READ), stream=True
        ) as response:
            if response.status_code != requests.codes.ok:
                self._refused(response.status_code)
            read = bytearray()
            while chunk := response.raw.read1(CHUNK):
                read += chunk
                if len(read) > MOST_ANSWER_BYTES or monotonic() > deadline:
                    raise NotEvidence("its answer takes too long, or is too large")
            return response.headers.get(SIGNATURE, ""), bytes(read)

    def _refused(self, status: int) -> None:
        if status in (requests.codes.unauthorized, requests.codes.forbidden):
            self._doubted()
            raise MetricsUnavailable(f"it doesn't take the operator's key (HTTP {status})")
        raise MetricsUnavailable(f"it answered HTTP {status}")
