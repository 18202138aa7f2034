"""How what a candidate is asked is read: one query, the candidate alone, and only requests that are evidence."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidegate.judge.input_drift import inputs_seen
from tidegate.metrics.inputs import features_of
from tidegate.metrics.observers.model_server import LIVE, UNMARKED, server_details, server_traffic
from tidegate.metrics.provider import Sources
from tidegate.model.inputs import Features, InputCheck, InputState, Values
from tidegate.model.traffic import Arms
from tidegate.rehearsal.series_store import SeriesStore
from tidegate_server.metrics import Identity, ServerMetrics
from tidegate_server.protocol.training_profile import Feature, TrainingProfile

AT = datetime(2026, 5, 1, tzinfo=UTC)
DELAY = timedelta(seconds=15)
ARMS = Arms("shop", "digits", "digits-a", "digits-b")
VALUES, TRAINING = "tidegate_server_input_values_total", "tidegate_server_input_training_values"


def series(name: str, value: float, bin_name: str = "18..40", **labels: str) -> tuple[dict[str, str], float]:
    owner = {"model_deployment": "shop/digits", "revision": "digits-b", "namespace": "shop", "pod": "b-1"}
    return {"__name__": name, **owner, "feature": "age", "bin": bin_name, **labels}, value


def read(scraped: Iterable[tuple[dict[str, str], float]], came: str = LIVE, after: float = 5) -> Features:
    store = SeriesStore()
    store.add(AT.timestamp(), scraped)
    sources = Sources(server_traffic(store, came=came), (server_details(store, came=came),))
    return features_of(sources, ARMS, AT + timedelta(seconds=after), DELAY)


def test_all_pods_values_are_added_and_the_training_is_told_once() -> None:
    found = read(
        [
            series(VALUES, 3),
            series(VALUES, 4, pod="b-2"),
            series(VALUES, 1, "missing"),
            series(TRAINING, 500),
            series(TRAINING, 500, pod="b-2"),
        ]
    )
    assert found == {"age": {"18..40": Values(7, 500), "missing": Values(1, 0)}}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"revision": "digits-a"}, id="stable"),
        pytest.param({"model_deployment": "shop/other"}, id="another model"),
        pytest.param({"traffic": "preview"}, id="a preview"),
        pytest.param({"traffic": "direct"}, id="past the router"),
    ],
)
def test_what_is_no_evidence_is_left_out(other: dict[str, str]) -> None:
    assert read([series(VALUES, 3), series(VALUES, 100, **other)]) == {"age": {"18..40": Values(3, 0)}}


def test_where_a_route_marks_nothing_what_comes_unmarked_counts() -> None:
    scraped = [series(VALUES, 0), series(VALUES, 9, traffic="direct"), series(TRAINING, 500)]
    assert read(scraped, UNMARKED) == {"age": {"18..40": Values(9, 500)}}


def test_a_pod_that_is_gone_takes_its_counts_along() -> None:
    assert read([series(VALUES, 3)], after=600) == {}


def test_a_model_without_a_profile_has_no_feature() -> None:
    assert read([]) == {}


def test_what_a_model_server_exposes_is_understood() -> None:
    """Operator and server share no code: what one calls its bins is what the other reads."""
    age = Feature("age", "x", 0, (0, 500, 500, 0, 0), edges=(-18.5, 40, 1e6))
    country = Feature("country", "c", 0, (700, 300, 0, 0), categories=("a..b", "below 7"))
    server = ServerMetrics(Identity("shop/digits", "digits-b", "ab" * 32), profile=TrainingProfile((age, country)))
    assert server.inputs
    for number in range(200):
        value = [-18.5, 7, 1e6, 2e6, np.nan][number % 5]
        row = {
            "x": np.array([[value]], np.float64),
            "c": np.array(["a..b", "new"][number % 2 : number % 2 + 1], object),
        }
        server.inputs.asked(row, 1, "")
    exposed = text_string_to_metric_families(server.exposition().decode())
    of_pod = {"namespace": "shop", "pod": "b-1"}
    found = read(
        [
            ({**sample.labels, **of_pod, "__name__": sample.name}, sample.value)
            for family in exposed
            for sample in family.samples
        ]
    )
    assert found == {
        "age": {
            "below -18.5": Values(0, 0),
            "-18.5..40": Values(80, 500),
            "40..1000000": Values(40, 500),
            "above 1000000": Values(40, 0),
            "missing": Values(40, 0),
        },
        "country": {
            "a..b": Values(100, 700),
            "below 7": Values(0, 300),
            "any other": Values(100, 0),
            "missing": Values(0, 0),
        },
    }
    seen = inputs_seen(found, InputCheck(), 0.01)
    assert seen.state is InputState.DIFFER
    assert "country any other in 50% of 200 live requests against 0% in training" in seen.message
