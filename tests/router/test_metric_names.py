"""What a real Envoy tells by our configuration, by name: dashboards and alerts ask for some of it."""

from pathlib import Path

import pytest

from tests.router.conftest import NEW, OLD, Bench, ask

pytestmark = pytest.mark.router
GOLDEN = Path(__file__).parent / "golden" / "metrics.txt"


def test_the_metrics_of_a_router_have_these_names(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3", behaviour="turn away")
    router = bench.router()
    router.start([bench.route((OLD, 50), (NEW, 50))], bench.endpoints(old, new))
    bench.until(lambda: {router.get().status for _ in range(20)} >= {200, 429}, "both have answered")
    text = ask(router.metrics_port, "GET", "/stats/prometheus", {}).text
    names = {line.partition("{")[0].split()[0] for line in text.splitlines() if line and not line.startswith("#")}

    assert sorted(names) == GOLDEN.read_text().split()
