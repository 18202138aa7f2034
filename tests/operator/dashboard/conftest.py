"""A dashboard that runs beside a fake API server, and a browser's view of it without a browser."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import until
from tests.operator.dashboard.examples import all_pods, everything
from tests.operator.dashboard.fake_api import FakeApi
from tidegate.cli.common.kubeconfig import connect
from tidegate.dashboard.access import LocalAccess
from tidegate.dashboard.http_server import PageServer
from tidegate.dashboard.serving import Dashboard, Wanted

Begin = Callable[..., "Browser"]


class Browser(requests.Session):
    """One person's cookies, at a dashboard's address."""

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__()
        self.dashboard = dashboard
        self.trust_env = False

    def request(self, method: Any, url: Any, *arguments: Any, **how: Any) -> requests.Response:
        how.setdefault("timeout", 10)
        return super().request(method, f"{self.dashboard.address}{url}", *arguments, **how)

    def sign_in(self) -> "Browser":
        """By the address that the command prints."""
        assert isinstance(self.dashboard.access, LocalAccess)
        assert self.get(f"/sign-in?ticket={self.dashboard.access.secret}").status_code == 200
        return self

    def mark(self, path: str) -> str:
        """What the form of a page carries."""
        (found, *_) = re.findall(r'name="mark" value="(\w+)"', self.get(path).text)
        return str(found)

    def submit(self, path: str, page: str, **fields: str) -> requests.Response:
        """Sends a form that is on `page`, as a browser does."""
        headers = {"Sec-Fetch-Site": "same-origin", "Origin": self.dashboard.address}
        data = {"mark": self.mark(page), **fields}
        return self.post(path, data=data, headers=headers, allow_redirects=False)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    for manifest in everything():
        fake.put("modeldeployments", manifest)
    for each in all_pods():
        fake.put("pods", each)
    yield fake
    fake.stop()


@pytest.fixture
def begin(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Starts a dashboard, and waits until it knows the fake's objects."""
    monkeypatch.setattr(PageServer, "expiration_interval", 0.02)  # how soon it sees that it is to stop
    with ExitStack() as ends:

        def started(*, complete: bool = True, **wanted: Any) -> Browser:
            connection = connect(str(api.kubeconfig(tmp_path)), None)
            dashboard = Dashboard(connection, Wanted(**{"port": 0, "pages": 8, **wanted}))
            dashboard.start()
            ends.callback(dashboard.stop)
            if complete:
                until(lambda: dashboard.feed.is_complete and dashboard.feed.pods_of(("shop", "sentiment")))
            return Browser(dashboard)

        yield started


@pytest.fixture
def local(begin: Begin) -> Browser:
    """Whoever started the command."""
    return begin().sign_in()
