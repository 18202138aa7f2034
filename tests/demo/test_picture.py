"""The picture is drawn from what Prometheus' HTTP API answers, gaps and all."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.demo.servers import http_answer, http_server
from tests.demo.synthetic_story import SPANS, VERSIONS, the_history
from tidegate_demo import history
from tidegate_demo.history import History, HistoryUnavailableError, Series
from tidegate_demo.picture import draw

EMPTY = History((), (), {0.5: (), 0.9: ()}, (), ())


def answer(result: object) -> bytes:
    return http_answer(200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}))


def test_series_are_read_without_what_is_no_number() -> None:
    asked: list[str] = []

    def say(number: int, path: str) -> bytes:
        asked.append(parse_qs(urlsplit(path).query)["query"][0])
        return answer([{"metric": {"revision": "digits-1"}, "values": [[1, "0.5"], [2, "NaN"], [3, "+Inf"], [4, "2"]]}])

    with http_server(say) as port:
        seen = history.read(f"http://127.0.0.1:{port}", 0, 10)
    series = (Series({"revision": "digits-1"}, ((1.0, 0.5), (4.0, 2.0))),)
    assert seen == History(series, series, {0.5: series, 0.9: series}, series, series)
    assert asked == [
        history.REQUESTS,
        history.ERRORS,
        history.latency_query(0.5),
        history.latency_query(0.9),
        history.WEIGHTS,
        history.EVIDENCE,
    ]


def test_preview_traffic_is_no_live_traffic() -> None:
    assert 'envoy_cluster_name=~"demo/digits/[^/]+"' in history.REQUESTS


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(http_answer(503, "starting"), id="it isn't ready"),
        pytest.param(http_answer(200, "<html>"), id="it is something else"),
        pytest.param(http_answer(200, "{}"), id="no data in it"),
    ],
)
def test_a_prometheus_that_answers_otherwise_is_named(said: bytes) -> None:
    with http_server(lambda number, path: said) as port, pytest.raises(HistoryUnavailableError, match="doesn't answer"):
        history.read(f"http://127.0.0.1:{port}", 0, 10)


def test_revisions_are_told_apart_by_label_or_by_the_name_of_envoys_cluster() -> None:
    by_label = Series({"revision": "digits-2"}, ())
    by_cluster = Series({"envoy_cluster_name": "demo/digits/digits-1"}, ())
    stranger = Series({"revision": "digits-9"}, ())
    versions = {"digits-1": "v1", "digits-2": "v2"}
    assert history.by_version([by_label, by_cluster, stranger], versions) == {"v1": by_cluster, "v2": by_label}


@pytest.mark.parametrize(
    "seen", [pytest.param(the_history(), id="a whole story"), pytest.param(EMPTY, id="Prometheus remembers nothing")]
)
def test_the_picture_is_drawn_as_svg_and_png(tmp_path: Path, seen: History) -> None:
    files = [tmp_path / "images" / "rollout.svg", tmp_path / "images" / "rollout.png"]
    draw(seen, VERSIONS, SPANS, files)
    assert files[1].read_bytes().startswith(b"\x89PNG")
    text = files[0].read_text()
    for words in (
        "v3 errors",
        "rolled back",
        "share of requests, %",
        "errors, % of answers",
        "model server, ms",
        "e-value",
    ):
        assert words in text


def test_the_same_data_make_the_same_picture(tmp_path: Path) -> None:
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for file in files:
        draw(the_history(), VERSIONS, SPANS, [file])
    assert files[0].read_bytes() == files[1].read_bytes()
