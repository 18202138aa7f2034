"""Which cluster is chosen, how its Services are reached, and what runs Prometheus there."""

from pathlib import Path

import pytest
import yaml

from tidegate_demo.cluster import contexts, images, prometheus
from tidegate_demo.cluster.contexts import Kind, NamedContext, OneNode, build_images, choose
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.kubectl import forwarded_port


@pytest.mark.parametrize(
    ("environment", "docker", "expected"),
    [
        pytest.param(
            {"TIDEGATE_CONTEXT": "prod", "TIDEGATE_IMAGE_PREFIX": "r.example/", "KUBECONFIG": "/k:/l"},
            True,
            NamedContext("prod", "r.example/", Path("/k")),
            id="a context that is named comes first",
        ),
        pytest.param({}, True, Kind(), id="kind where Docker works"),
        pytest.param({}, False, OneNode(), id="the one-node cluster everywhere else"),
    ],
)
def test_the_cluster_is_chosen(
    environment: dict[str, str], docker: bool, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "docker_works", lambda: docker)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert choose(environment) == expected


def test_a_cluster_that_pulls_needs_to_know_from_where() -> None:
    with pytest.raises(ClusterError, match="TIDEGATE_IMAGE_PREFIX"):
        NamedContext("prod", "", Path("/k")).load_images()


@pytest.mark.parametrize(
    ("docker", "expected"),
    [
        pytest.param(True, "in Docker", id="Docker keeps them"),
        pytest.param(False, "/cache/an-image.tar", id="an archive without Docker"),
    ],
)
def test_our_images_are_built_without_a_cluster(docker: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "docker_works", lambda: docker)
    monkeypatch.setattr(images, "docker_build", lambda *_: None)
    monkeypatch.setattr(images, "ensure_archive", lambda _: Path("/cache/an-image.tar"))
    assert build_images() == {images.SERVER_IMAGE: expected, images.OPERATOR_IMAGE: expected}


def test_a_service_of_the_one_node_cluster_is_reached_at_its_cluster_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "kubectl", lambda *_: "198.19.0.7")
    assert OneNode().reach("shop", "tidegate-router", 80) == "http://198.19.0.7:80"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("Forwarding from 127.0.0.1:41234 -> 8080\n", 41234, id="kubectl tells its port"),
        pytest.param("", None, id="kubectl ended without a word"),
    ],
)
def test_forwarded_ports(line: str, expected: int | None) -> None:
    assert forwarded_port(line) == expected


def test_prometheus_scrapes_as_often_as_it_is_told() -> None:
    config = yaml.safe_load(prometheus.scrape_config(0.5))
    assert config["global"] == {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "30s"}


def test_prometheus_may_look_for_pods_and_nothing_else() -> None:
    (role,) = [manifest for manifest in prometheus.access() if manifest["kind"] == "ClusterRole"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]


def test_another_configuration_or_image_starts_another_pod() -> None:
    def annotation(scrape_interval: float, digest: str) -> str:
        wanted = prometheus.manifests(prometheus.scrape_config(scrape_interval), "image", digest)
        (deployment,) = [manifest for manifest in wanted if manifest["kind"] == "Deployment"]
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["tidegate.dev/demo-content"])

    assert len({annotation(2, "a"), annotation(1, "a"), annotation(2, "b")}) == 3
