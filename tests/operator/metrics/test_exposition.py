"""A router's text is read whole or not at all, and only of what was asked for."""

import pytest

from tidegate.errors import NotEvidence
from tidegate.metrics.providers.exposition import ExpositionReader

CLUSTER = "shop/digits/digits-1"
TEXT = f"""# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{{envoy_response_code_class="5",envoy_cluster_name="{CLUSTER}"}} 7

envoy_cluster_upstream_rq_completed{{envoy_cluster_name="{CLUSTER}"}} 1e3
"""


def test_series_are_told_by_cluster_and_by_their_own_text() -> None:
    reader = ExpositionReader()
    failed, completed = (line.rpartition(" ")[0] for line in TEXT.splitlines() if line.startswith("envoy"))

    for _ in range(2):
        assert reader.read(TEXT, {CLUSTER}) == {CLUSTER: {failed: 7.0, completed: 1000.0}}
    assert reader.name_of(failed).labels == {
        "__name__": "envoy_cluster_upstream_rq_xx",
        "envoy_response_code_class": "5",
        "envoy_cluster_name": CLUSTER,
    }


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param('a{envoy_cluster_name="shop/other/x"} 1', "tells of shop/other/x", id="of another cluster"),
        pytest.param("a 1", "can't be read", id="of no cluster"),
        pytest.param(f'a{{envoy_cluster_name="{CLUSTER}"', "can't be read", id="cut in its labels"),
        pytest.param(f'a{{envoy_cluster_name="{CLUSTER}"}}', "can't be read", id="cut before its number"),
        pytest.param(f'a{{envoy_cluster_name="{CLUSTER}",b}} 1', "can't be read", id="a label that is none"),
        pytest.param(f'a{{envoy_cluster_name="{CLUSTER}"}} many', "no count", id="no number"),
        pytest.param(f'a{{envoy_cluster_name="{CLUSTER}"}} NaN', "no count", id="not a number"),
        pytest.param(f'a{{envoy_cluster_name="{CLUSTER}"}} -1', "no count", id="below zero"),
        pytest.param(f'a{{envoy_cluster_name="{CLUSTER}"}} +Inf', "no count", id="without end"),
    ],
)
def test_a_text_is_no_evidence_with_a_line(line: str, why: str) -> None:
    with pytest.raises(NotEvidence, match=why):
        ExpositionReader().read(TEXT + line + "\n", {CLUSTER})
