"""Whoever is judged by a MetricTemplate hears of its changes; by a real API server."""

from collections.abc import Callable, Iterator
from queue import Queue

import pytest

from tests.conftest import until
from tidegate.kube.api import METRIC_TEMPLATES, KubernetesApi
from tidegate.kube.metric_templates import MetricTemplates
from tidegate.model.metric_template import FoundTemplate, MetricTemplate

pytestmark = pytest.mark.apiserver
Changes = Queue[tuple[str, str]]


@pytest.fixture
def changes() -> Changes:
    return Queue()


@pytest.fixture
def templates(connect: Callable[[], KubernetesApi], namespace: str, changes: Changes) -> Iterator[MetricTemplates]:
    templates = MetricTemplates(connect(), lambda *key: changes.put(key), (namespace,))
    yield templates
    templates.stop()


@pytest.fixture
def put(api: KubernetesApi, namespace: str) -> Callable[[str], None]:
    def put(least: str) -> None:
        spec = {"query": "right{{candidate}}", "min": least}
        manifest = {
            "apiVersion": METRIC_TEMPLATES.api_version,
            "kind": METRIC_TEMPLATES.kind,
            "metadata": {"name": "accuracy", "namespace": namespace},
            "spec": spec,
        }
        api.apply(METRIC_TEMPLATES, manifest, manager="somebody")

    return put


def test_a_change_is_heard_of_by_whoever_names_the_template(
    templates: MetricTemplates, put: Callable[[str], None], changes: Changes, api: KubernetesApi, namespace: str
) -> None:
    def found() -> FoundTemplate:
        return templates.found((namespace, "digits"), {"accuracy"})["accuracy"]

    assert found() is None
    put("0.5")
    assert changes.get(timeout=20) == (namespace, "digits")
    assert found() == MetricTemplate("accuracy", "right{{candidate}}", (), 0.5, None, 1)
    put("0.7")
    until(lambda: found() == MetricTemplate("accuracy", "right{{candidate}}", (), 0.7, None, 2))

    api.delete(METRIC_TEMPLATES, namespace, "accuracy")
    until(lambda: found() is None)


def test_one_that_is_there_already_is_found_at_once(
    templates: MetricTemplates, put: Callable[[str], None], namespace: str
) -> None:
    put("0.5")

    assert isinstance(templates.found((namespace, "digits"), {"accuracy"})["accuracy"], MetricTemplate)
