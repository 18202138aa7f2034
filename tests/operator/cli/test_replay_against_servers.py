"""The whole command against a real API server and a real Prometheus, which it only reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import Scraped, until
from tidegate.cli.common.arguments import CANNOT, USAGE
from tidegate.cli.common.kubeconfig import connect
from tidegate.cli.replay.command import OTHER, SAME, main
from tidegate.kube.api import MODEL_DEPLOYMENTS, KubernetesApi
from tidegate.model.status import HistoryEntry, Shift, Status

pytestmark = [pytest.mark.apiserver, pytest.mark.prometheus]
SECOND = timedelta(seconds=1)
ANALYSIS = {"interval": "1s", "latency": {"quantiles": [50]}}


def whole_second() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - Prometheus stamps by the real clock


@pytest.fixture(scope="module")
def api(api_server: Path) -> KubernetesApi:
    return connect(str(api_server), None)


def create(api: KubernetesApi, name: str, status: Status | None = None) -> None:
    metadata = {"name": name, "namespace": "default"}
    manifest = {"apiVersion": MODEL_DEPLOYMENTS.api_version, "kind": MODEL_DEPLOYMENTS.kind, "metadata": metadata}
    made = api.create(
        MODEL_DEPLOYMENTS, {**manifest, "spec": {"model": {"uri": "http://models/1.onnx"}, "analysis": ANALYSIS}}
    )
    if made and status:
        api.replace(MODEL_DEPLOYMENTS, {**made, "status": status.to_dict()}, status=True)


def counters(name: str, revision: str, requests: int, failed: int) -> str:
    cluster = f'envoy_cluster_name="default/{name}/{revision}"'
    return (
        f"envoy_cluster_upstream_rq_completed{{{cluster}}} {requests}\n"
        f'envoy_cluster_upstream_rq_xx{{{cluster},envoy_response_code_class="5"}} {failed}\n'
    )


def released(scraped: Scraped, name: str) -> HistoryEntry:
    """Lets a candidate fail before Prometheus' eyes, and gives back what the operator would have recorded of it."""

    def scrape(text: str) -> datetime:
        taken = len(scraped.taken)
        scraped.says = text
        until(lambda: len(scraped.taken) > taken + 1)
        began = whole_second()
        until(lambda: whole_second() > began)
        return whole_second()

    shifted = scrape(counters(name, "a", 1000, 0) + counters(name, "b", 0, 0))
    until(lambda: whole_second() > shifted + 2 * SECOND)
    seen = scrape(counters(name, "a", 1900, 0) + counters(name, "b", 100, 50))
    shifts = (Shift(shifted, 10),)
    return HistoryEntry(
        "b", "RolledBack", "ErrorRateWorse", "it failed", shifted, seen + SECOND, stable="a", shifts=shifts
    )


def test_a_rollback_is_replayed_from_what_kubernetes_and_prometheus_hold(
    api: KubernetesApi, api_server: Path, prometheus_server: Scraped, capsys: pytest.CaptureFixture[str]
) -> None:
    create(api, "replayed", Status(stable="a", history=(released(prometheus_server, "replayed"),)))
    command = ["replayed", "--kubeconfig", str(api_server), "--prometheus", prometheus_server.url]
    command += ["--scrape-interval", "1s"]

    assert main(command, environ={}) == SAME
    told = capsys.readouterr().out
    assert told.startswith("default/replayed, number 1 of its history: b beside a\n")
    assert "ErrorRateWorse: error rate 50% (50 of 100 requests) against 0% on stable" in told

    forgiving = ["tolerate.absolute=60%", "accept.absolute=70%", "ceiling=80%"]
    assert main([*command, *(f"--set=analysis.errorRate.{each}" for each in forgiving)], environ={}) == OTHER
    assert main([*command, "--set=analysis.intervall=1s"], environ={}) == USAGE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("nobody", "there is no ModelDeployment default/nobody", id="no such object"),
        pytest.param("new", "default/new can't be replayed: it has no rollout", id="nothing released"),
    ],
)
def test_what_is_not_there_is_told(
    api: KubernetesApi, api_server: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    create(api, "new")

    assert main([name, "--kubeconfig", str(api_server), "--prometheus", "http://127.0.0.1:1"], environ={}) == CANNOT
    assert capsys.readouterr().err.startswith(f"tidegate replay: {said}")
