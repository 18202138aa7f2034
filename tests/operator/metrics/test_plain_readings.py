"""What routers told is read at a glance where nothing about it is odd; a closer look has to come to the same."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.metrics.direct import DirectRouters, no_samples
from tidegate.metrics.increments import DURATION
from tidegate.metrics.provider import DirectReadings
from tidegate.metrics.providers import router_samples
from tidegate.metrics.providers.router_samples import RouterPod
from tidegate.metrics.providers.routers import RouterPoller

MODEL = ("shop", "digits")
CLUSTERS = ("shop/digits/a", "shop/digits/a/preview", "shop/digits/b")
ROUTERS = (RouterPod("tidegate", "r1", "10.0.0.1:9903"), RouterPod("tidegate", "r2", "10.0.0.2:9903"))
BEGAN = 1_800_000_000.0
PARTS = (
    "upstream_rq_completed{}",
    "upstream_rq_total{}",
    "upstream_rq_retry{}",
    "upstream_rq_active{}",
    "upstream_rq_cancelled{}",
    "upstream_rq_pending_overflow{}",
    "upstream_rq_pending_failure_eject{}",
    "upstream_cx_none_healthy{}",
)
SERIES = (
    *PARTS,
    'upstream_rq_xx{envoy_response_code_class="2"}',
    'upstream_rq_xx{envoy_response_code_class="5"}',
    'upstream_rq{envoy_response_code="429"}',
    'upstream_rq_time_bucket{le="5"}',
    'upstream_rq_time_bucket{le="+Inf"}',
)
Round = dict[tuple[int, str, str], int]
"""What each series of each cluster at each router has gained; a series that isn't in it isn't told."""

EVERYTHING = [(number, cluster, series) for number in (0, 1) for cluster in CLUSTERS for series in SERIES]

gains = st.dictionaries(
    st.tuples(st.sampled_from(range(len(ROUTERS))), st.sampled_from(CLUSTERS), st.sampled_from(SERIES)),
    st.integers(0, 50),
    max_size=60,
)


def text_of(counts: Round, router: int) -> str:
    lines = []
    for (where, cluster, series), count in counts.items():
        name, _, labels = series.partition("{")
        inside = ",".join(filter(None, (f'envoy_cluster_name="{cluster}"', labels.removesuffix("}"))))
        lines += [f"envoy_cluster_{name}{{{inside}}} {count}\n"] if where == router else []
    return "".join(lines)


def readings_of(rounds: list[Round], after: float, *, appear: bool) -> DirectReadings | None:
    """Of rounds a second apart, as far as they are later than `after` seconds."""
    now = [BEGAN]
    samples = no_samples(lambda: now[0])
    direct = DirectRouters(samples, RouterPoller(samples, lambda: ROUTERS, None, lambda *_: None))  # type: ignore[arg-type]
    samples.live(ROUTERS)
    counts: Round = {} if appear else dict.fromkeys(EVERYTHING, 0)
    for gained in rounds:
        now[0] += 1.0
        counts = {key: counts.get(key, 0) + gained.get(key, 0) for key in {**counts, **gained}}
        for number, pod in enumerate(ROUTERS):
            samples.take(pod, CLUSTERS, now[0] - 0.1 * number, 500.0, BEGAN - 500, text_of(counts, number))
        samples.round_over([MODEL])
    return direct.since(*MODEL, datetime.fromtimestamp(BEGAN + after, UTC))


@settings(deadline=None)
@given(rounds=st.lists(gains, min_size=1, max_size=6), after=st.integers(0, 5), appear=st.booleans())
def test_a_glance_tells_what_a_closer_look_does(rounds: list[Round], after: int, appear: bool) -> None:
    at_a_glance = readings_of(rounds, after, appear=appear)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(router_samples, "_plainly", lambda *_: None)
        closely = readings_of(rounds, after, appear=appear)

    assert (at_a_glance is None) == (closely is None)
    if at_a_glance and closely:
        assert at_a_glance.instants == closely.instants
        assert at_a_glance.readings.samples == closely.readings.samples


def test_the_latency_of_previews_is_not_kept() -> None:
    told = dict.fromkeys([(0, cluster, series) for cluster in CLUSTERS for series in SERIES], 7)
    read = readings_of([told, told], 0, appear=True)

    assert read
    assert {key.revision for key in read.readings.samples[-1] if key.measure == DURATION} == {"a", "b"}
    assert {key.revision for key in read.readings.samples[-1]} == {"a", "a/preview", "b"}
