"""Pages that are live: what they cost, and who is hung up on."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import until
from tests.operator.dashboard.conftest import Begin, Browser
from tests.operator.dashboard.examples import canary, live
from tests.operator.dashboard.fake_api import FakeApi
from tests.operator.dashboard.test_pages import ROLLOUT
from tidegate.dashboard.changes import MOST_KEYS, Changes
from tidegate.dashboard.streams import Parts, events

PAGES = 50


@contextmanager
def stream(browser: Browser, path: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a page, each as its data."""
    answer = browser.get(path, stream=True)
    assert answer.status_code == 200

    def data() -> Iterator[dict[str, Any]]:
        for line in answer.iter_lines(chunk_size=1):
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    try:
        yield data()
    finally:
        answer.close()


def test_a_page_is_told_what_has_changed_and_nothing_else(api: FakeApi, local: Browser) -> None:
    with stream(local, f"{ROLLOUT}/events") as told:
        next(told)  # everything, for a page that may be older
        api.put("modeldeployments", canary(weight=50))
        news = next(told)

    assert sorted(news["html"]) == ["traffic", "trends"]
    assert "50%" in news["html"]["traffic"][1]


def test_the_list_is_told_of_a_row_that_changed_and_of_one_that_came(api: FakeApi, local: Browser) -> None:
    with stream(local, "/events?namespace=bank") as told:
        before = next(told)["order"]["rows"]
        api.put("modeldeployments", live("bank", "aaa"))
        news = next(told)

    assert news["order"]["rows"] == ["row.bank.aaa", *before]
    assert sorted(news["html"]) == ["pages", "row.bank.aaa", "summary"]


def test_a_page_hears_that_its_rollout_was_deleted(api: FakeApi, local: Browser) -> None:
    answer = local.get(f"{ROLLOUT}/events", stream=True)
    lines = answer.iter_lines(chunk_size=1)
    assert b"event: parts" in lines
    api.delete("modeldeployments", "shop", "sentiment")

    assert b"event: gone" in lines


def test_fifty_open_pages_cost_the_api_server_one_watch_of_each_kind(api: FakeApi, begin: Begin) -> None:
    browser = begin(pages=PAGES).sign_in()
    heard: list[int] = []

    def look(number: int) -> None:
        with stream(browser, f"{ROLLOUT}/events" if number % 2 else "/events") as told:
            next(told)
            heard.append(number)
            next(told)
            heard.append(number)

    pages = [threading.Thread(target=look, args=(number,), daemon=True) for number in range(PAGES)]
    for page in pages:
        page.start()
    until(lambda: len(heard) == PAGES)
    api.put("modeldeployments", canary(weight=50))
    until(lambda: len(heard) == 2 * PAGES)

    assert {what: times for what, times in api.asked.items() if what.startswith(("watch", "list"))} == {
        "list modeldeployments": 1,
        "list pods": 1,
        "watch modeldeployments": 1,
        "watch pods": 1,
    }


def test_one_page_too_many_is_told_so_and_pages_without_a_stream_go_on(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.dashboard.streams.HEARTBEAT_SECONDS", 0.1)
    browser = begin(pages=2).sign_in()
    with stream(browser, "/events") as first, stream(browser, "/events") as second:
        next(first), next(second)
        refused = browser.get("/events")

        assert (refused.status_code, refused.text) == (503, "2 pages are open already; close one\n")
        assert browser.get("/").status_code == 200
    until(lambda: browser.get("/events", stream=True).status_code == 200)


def test_who_doesnt_take_in_what_is_sent_is_hung_up_on(
    api: FakeApi, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.dashboard.http_server.SEND_SECONDS", 0.3)
    monkeypatch.setattr("tidegate.dashboard.streams.PACE_SECONDS", 0.001)
    browser = begin(pages=1).sign_in()
    (cookie,) = browser.cookies.items()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", browser.dashboard.server.port))
        reader.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie[0]}={cookie[1]}\r\n\r\n".encode())
        assert b"200 OK" in reader.recv(100)
        assert browser.get("/events").status_code == 503
        message = "x" * 30_000

        def takes_place_back() -> bool:
            nonlocal message
            message = message[::-1] + "y"
            manifest = canary()
            manifest["status"]["message"] = message
            api.put("modeldeployments", manifest)
            answer = browser.get("/events", stream=True)
            answer.close()
            return answer.status_code == 200

        until(takes_place_back)


def test_rights_that_were_taken_away_end_with_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.dashboard.streams.LIFE_SECONDS", 0.1)

    sent = list(events(Changes(), None, lambda: Parts({"a": "b"})))

    assert [event.partition(b":")[0] for event in sent[:2]] == [b"retry", b"event"]


def test_of_a_lagging_page_nothing_is_queued() -> None:
    changes = Changes()
    for _ in range(1000):
        changes.note([("shop", "a")])

    seen = changes.wait(-1, ("shop", "a"), 0.0)

    assert (seen, changes.wait(seen, ("shop", "a"), 0.0), changes.count(("shop", "b"))) == (1000, 1000, 0)


def test_what_was_forgotten_counts_as_changed() -> None:
    changes = Changes()
    changes.note([("shop", "a")])
    for number in range(MOST_KEYS):
        changes.note([("shop", f"m{number}")])

    assert changes.count(("shop", "a")) == 1
    assert changes.count(("shop", f"m{MOST_KEYS - 1}")) == MOST_KEYS + 1


@pytest.mark.parametrize(
    ("headers", "prefix", "path"),
    [
        pytest.param({"X-Forwarded-Prefix": "/tools/tidegate"}, "", "/", id="a proxy that takes it away"),
        pytest.param({"X-Forwarded-Prefix": "/tools/tidegate"}, "", "/tools/tidegate/", id="a proxy that leaves it"),
        pytest.param({}, "/tools/tidegate", "", id="the option"),
    ],
)
def test_behind_a_prefix_every_link_begins_with_it(
    headers: dict[str, str], prefix: str, path: str, begin: Begin
) -> None:
    browser = begin(prefix=prefix)
    browser.headers.update(headers)
    browser.sign_in()
    page = browser.get(path or "/").text + browser.get(f"{path.rstrip('/')}{ROLLOUT}").text
    links = [
        part.partition('"')[0]
        for each in ('href="/', 'src="/', 'action="/', 'data-events="/')
        for part in page.split(each)[1:]
    ]

    assert links
    assert [link for link in links if not link.startswith("tools/tidegate")] == []


@pytest.mark.parametrize("prefix", ["//evil.example", "/a b", "https://evil.example", "/" + "a/" * 50, '/"><script>'])
def test_a_prefix_that_is_no_path_is_left_out(prefix: str, local: Browser) -> None:
    page = local.get("/", headers={"X-Forwarded-Prefix": prefix}).text

    assert '<a class="brand" href="/">' in page


def test_a_request_that_is_too_large_is_refused(local: Browser) -> None:
    answer = local.post("/sign-out", data="x" * 20_000)

    assert answer.status_code == 413
