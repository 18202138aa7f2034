"""The few verbs, against a real API server."""

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import kubernetes
import pytest

from tests.conftest import TOKEN
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import CONFIG_MAPS, DEPLOYMENTS, KubernetesApi, Resource

pytestmark = pytest.mark.apiserver


def config_map(namespace: str, name: str = "one", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"made-by": "tests"}},
        "data": data,
    }


def test_what_is_created_is_there(api: KubernetesApi, namespace: str) -> None:
    made = api.create(CONFIG_MAPS, config_map(namespace, a="1"))

    assert made is not None
    assert api.get(CONFIG_MAPS, namespace, "one") == made
    assert made["data"] == {"a": "1"}


def test_creating_what_is_there_changes_nothing_and_gives_none(api: KubernetesApi, namespace: str) -> None:
    made = api.create(CONFIG_MAPS, config_map(namespace, a="1"))

    assert api.create(CONFIG_MAPS, config_map(namespace, a="2")) is None
    assert api.get(CONFIG_MAPS, namespace, "one") == made


def test_what_is_not_there_is_none(api: KubernetesApi, namespace: str) -> None:
    assert api.get(CONFIG_MAPS, namespace, "nobody") is None


def test_applying_makes_and_changes_and_removes_what_it_leaves_out(api: KubernetesApi, namespace: str) -> None:
    made = api.apply(CONFIG_MAPS, config_map(namespace, a="1", b="2"), manager="tests")
    again = api.apply(CONFIG_MAPS, config_map(namespace, a="3"), manager="tests")

    assert made["data"] == {"a": "1", "b": "2"}
    assert again["data"] == {"a": "3"}
    assert again["metadata"]["uid"] == made["metadata"]["uid"]


def test_applying_takes_fields_from_another_manager(api: KubernetesApi, namespace: str) -> None:
    api.apply(CONFIG_MAPS, config_map(namespace, a="1"), manager="somebody")

    assert api.apply(CONFIG_MAPS, config_map(namespace, a="2"), manager="tests")["data"] == {"a": "2"}


def test_merging_changes_only_what_it_names(api: KubernetesApi, namespace: str) -> None:
    api.create(CONFIG_MAPS, config_map(namespace, a="1", b="2"))

    assert api.merge(CONFIG_MAPS, namespace, "one", {"data": {"a": "3"}})["data"] == {"a": "3", "b": "2"}


def test_replacing_what_has_changed_since_is_refused(api: KubernetesApi, namespace: str) -> None:
    made = api.create(CONFIG_MAPS, config_map(namespace, a="1"))
    assert made is not None
    replaced = api.replace(CONFIG_MAPS, {**made, "data": {"b": "2"}})

    assert replaced["data"] == {"b": "2"}
    with pytest.raises(ClusterUnavailable, match="the object has been modified") as refused:
        api.replace(CONFIG_MAPS, {**made, "data": {"c": "3"}})
    assert refused.value.status == 409


def test_deleting_is_fine_also_when_it_is_gone(api: KubernetesApi, namespace: str) -> None:
    api.create(CONFIG_MAPS, config_map(namespace))
    for _ in range(2):
        api.delete(CONFIG_MAPS, namespace, "one")

    assert api.get(CONFIG_MAPS, namespace, "one") is None


def test_a_list_has_what_the_selector_selects(api: KubernetesApi, namespace: str) -> None:
    api.create(CONFIG_MAPS, config_map(namespace))
    other = config_map(namespace, "other")
    del other["metadata"]["labels"]
    api.create(CONFIG_MAPS, other)
    listed = api.list(CONFIG_MAPS, namespace, "made-by=tests")

    assert [item["metadata"]["name"] for item in listed["items"]] == ["one"]


@pytest.mark.parametrize(
    ("resource", "manifest", "status", "message"),
    [
        pytest.param(
            Resource("v1", "ConfigMap", "nothings"),
            {},
            404,
            "POST /api/v1/namespaces/.*/nothings: the server could not find the requested resource",
            id="of no known kind",
        ),
        pytest.param(DEPLOYMENTS, {}, 422, "spec.selector: Required value", id="that is invalid: with its field"),
        pytest.param(
            CONFIG_MAPS, {"metadata": {"name": "one", "namespace": "nowhere"}}, 404, "nowhere", id="in no namespace"
        ),
    ],
)
def test_the_error_names_an_object(
    resource: Resource, manifest: dict[str, Any], status: int, message: str, api: KubernetesApi, namespace: str
) -> None:
    typed = {"apiVersion": resource.api_version, "kind": resource.kind}
    with pytest.raises(ClusterUnavailable, match=message) as refused:
        api.create(resource, {**typed, "metadata": {"name": "one", "namespace": namespace}, **manifest})

    assert refused.value.status == status


def test_without_an_answer_the_error_says_so_and_has_no_status(
    connect: Callable[[], KubernetesApi], closed_port: int
) -> None:
    api = connect()
    api._client.configuration.refresh_api_key_hook = None  # it would read the kubeconfig, and its address, again
    api._client.configuration.host = f"https://127.0.0.1:{closed_port}"
    with pytest.raises(ClusterUnavailable, match="GET /api/v1/namespaces/a/configmaps/b had no answer") as refused:
        api.get(CONFIG_MAPS, "a", "b")

    assert refused.value.status is None


class NotesRequests(http.server.BaseHTTPRequestHandler):
    """Answers with an empty object, and notes what was asked for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def noting() -> Iterator[str]:
    """The address of an API server that notes what it is asked for."""
    NotesRequests.asked.clear()
    with http.server.HTTPServer(("127.0.0.1", 0), NotesRequests) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_may_have_a_path_and_may_change(
    noting: str, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = kubernetes.client.Configuration(host=f"http://127.0.0.1:{closed_port}")
    monkeypatch.setattr(kubernetes.client.Configuration, "_default", configuration)
    api = KubernetesApi()
    with pytest.raises(ClusterUnavailable):
        api.get(CONFIG_MAPS, "a", "b")

    api._client.configuration.host = f"{noting}/k8s/clusters/c-1"
    assert api.get(CONFIG_MAPS, "a", "b") == {}
    assert NotesRequests.asked == ["/k8s/clusters/c-1/api/v1/namespaces/a/configmaps/b"]


def test_each_request_is_told_with_its_answer_and_its_time(
    noting: str, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str, bool]] = []
    configuration = kubernetes.client.Configuration(host=noting)
    monkeypatch.setattr(kubernetes.client.Configuration, "_default", configuration)
    api = KubernetesApi(asked=lambda method, status, seconds: told.append((method, status, 0 < seconds < 10)))
    api.get(CONFIG_MAPS, "a", "b")
    assert api.host == noting.removeprefix("http://")

    api._client.configuration.host = f"http://127.0.0.1:{closed_port}"
    with pytest.raises(ClusterUnavailable):
        api.merge(CONFIG_MAPS, "a", "b", {})
    assert told == [("GET", "200", True), ("PATCH", "<error>", True)]


def test_a_proxy_is_asked_for_the_whole_address(noting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = kubernetes.client.Configuration(host="http://api.example.org:6443")
    configuration.proxy = noting
    monkeypatch.setattr(kubernetes.client.Configuration, "_default", configuration)

    assert KubernetesApi().get(CONFIG_MAPS, "a", "b") == {}
    assert NotesRequests.asked == ["http://api.example.org:6443/api/v1/namespaces/a/configmaps/b"]


def asking(monkeypatch: pytest.MonkeyPatch, *tokens: str) -> list[str]:
    """A log-in that gives one token after the other, the last for good; those that it gave so far."""
    given: list[str] = []

    def refresh(configuration: Any) -> None:
        given.append(tokens[min(len(given), len(tokens) - 1)])
        configuration.api_key = {"BearerToken": f"Bearer {given[-1]}"}

    copy: Any = kubernetes.client.Configuration.get_default_copy

    def configuration() -> Any:
        changed = copy()
        changed.refresh_api_key_hook = refresh
        return changed

    monkeypatch.setattr(kubernetes.client.Configuration, "get_default_copy", configuration)
    return given


def test_credentials_are_worked_out_once_for_many_calls(
    connect: Callable[[], KubernetesApi], namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = asking(monkeypatch, TOKEN)
    api = connect()

    for _ in range(3):
        api.get(CONFIG_MAPS, namespace, "nobody")

    assert given == [TOKEN]


def test_credentials_that_are_not_taken_are_asked_for_anew(
    connect: Callable[[], KubernetesApi], namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = asking(monkeypatch, "outdated", TOKEN)
    api = connect()

    with pytest.raises(ClusterUnavailable, match="Unauthorized"):
        api.get(CONFIG_MAPS, namespace, "nobody")

    assert api.get(CONFIG_MAPS, namespace, "nobody") is None
    assert given == ["outdated", TOKEN]
