"""A kubeconfig says where the API server is and who asks, as kubectl reads it."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operator.fake_api import FakeApi, kubeconfig, serving
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import MODEL_DEPLOYMENTS, PODS, KubernetesApi
from tidegate.kube.kubeconfig import KubeconfigAccess, KubeContext, find_context


@pytest.fixture
def fake() -> FakeApi:
    return FakeApi()


@pytest.fixture
def server(fake: FakeApi, tmp_path: Path) -> Iterator[str]:
    """The address of an API server."""
    with serving(fake, tmp_path) as place:
        yield yaml.safe_load(place.read_text())["clusters"][0]["cluster"]["server"]


def asking(place: Path, **environ: str) -> KubernetesApi:
    return KubernetesApi(access=KubeconfigAccess(find_context(str(place), None, environ), environ))


def authorization(fake: FakeApi, api: KubernetesApi) -> str | None:
    """What the server was told of who asks."""
    api.list(MODEL_DEPLOYMENTS, "shop", None)
    return fake.asked[-1].headers.get("Authorization")


def written(folder: Path, name: str, **document: Any) -> Path:
    place = folder / name
    place.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **document}))
    return place


def entries(kind: str, **named: Any) -> list[dict[str, Any]]:
    return [{"name": name, kind: content} for name, content in named.items()]


def test_of_several_files_the_first_to_say_something_counts(tmp_path: Path) -> None:
    one = written(tmp_path, "one", contexts=entries("context", a={"cluster": "a", "namespace": "first"}))
    other = written(
        tmp_path,
        "other",
        contexts=entries("context", a={"cluster": "b"}, b={"cluster": "b"}),
        clusters=entries("cluster", a={"server": "https://a"}, b={"server": "https://b/"}),
        **{"current-context": "a"},
    )
    environ = {"KUBECONFIG": f"{one}:{tmp_path / 'missing'}:{other}"}

    assert find_context(None, None, environ).namespace == "first"
    assert find_context(None, None, environ).server == "https://a"
    assert find_context(None, "b", environ).server == "https://b"


def test_without_kubeconfig_it_is_the_file_in_the_home_folder(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    kubeconfig(tmp_path / ".kube", "https://here").rename(tmp_path / ".kube" / "config")

    assert find_context(None, None, {"HOME": str(tmp_path)}).server == "https://here"


def test_in_a_pod_it_is_the_service_account(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "namespace").write_text("tidegate")
    environ = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = find_context(None, None, environ, tmp_path)

    assert (found.server, found.namespace) == ("https://[fd00::1]:443", "tidegate")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("contexts: [", "isn't YAML", id="not YAML"),
        pytest.param("[]", "isn't a kubeconfig", id="a list"),
        pytest.param("contexts: []", "has no current context", id="without contexts"),
        pytest.param(
            "{contexts: [{name: a, context: {}}], current-context: b}", "no context 'b'", id="of no such name"
        ),
        pytest.param(
            "{contexts: [{name: a, context: {cluster: c}}], current-context: a}", "has no server", id="without server"
        ),
    ],
)
def test_a_kubeconfig_that_says_no_cluster_is_told(text: str, why: str, tmp_path: Path) -> None:
    place = tmp_path / "kubeconfig"
    place.write_text(text)

    with pytest.raises(ClusterUnavailable, match=why):
        find_context(str(place), None, {})


def test_a_kubeconfig_that_is_no_yaml_is_not_quoted(tmp_path: Path) -> None:
    place = tmp_path / "kubeconfig"
    place.write_text("token: 'hunter2\nusers: [")

    with pytest.raises(ClusterUnavailable) as refused:
        find_context(str(place), None, {})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("user", "sent"),
    [
        pytest.param({"token": "abc"}, "Bearer abc", id="a token"),
        pytest.param({"username": "a", "password": "b"}, "Basic YTpi", id="a password"),
        pytest.param({}, None, id="nobody"),
    ],
)
def test_who_asks_is_the_contexts_user(
    user: dict[str, Any], sent: str | None, fake: FakeApi, server: str, tmp_path: Path
) -> None:
    assert authorization(fake, asking(kubeconfig(tmp_path, server, user))) == sent


def test_a_tokens_file_is_found_beside_the_kubeconfig(fake: FakeApi, server: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("abc\n")

    assert authorization(fake, asking(kubeconfig(tmp_path, server, {"tokenFile": "mine"}))) == "Bearer abc"


def test_a_user_may_act_as_another(fake: FakeApi, server: str, tmp_path: Path) -> None:
    asking(kubeconfig(tmp_path, server, {"as": "bob", "as-groups": ["ops"]})).list(MODEL_DEPLOYMENTS, "shop", None)

    assert fake.asked[-1].headers["Impersonate-User"] == "bob"
    assert fake.asked[-1].headers["Impersonate-Group"] == "ops"


def plugin(folder: Path, program: str, **settings: Any) -> dict[str, Any]:
    """A user whose credentials come from a program."""
    place = folder / "plugin.py"
    place.write_text(program)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(place)],
            "interactiveMode": "Never",
            **settings,
        }
    }


TELLING_PLUGIN = """
import json, os, pathlib, sys
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
place = pathlib.Path(__file__).with_name("runs")
runs = len(place.read_text()) + 1 if place.exists() else 1
place.write_text("x" * runs)
status = {"token": f"{os.environ.get('PROFILE')}-{asked['spec'].get('cluster', {}).get('server')}-{runs}"}
if "EXPIRES" in os.environ:
    status["expirationTimestamp"] = os.environ["EXPIRES"]
print(json.dumps({"apiVersion": asked["apiVersion"], "kind": "ExecCredential", "status": status}))
"""


def test_a_plugin_says_who_asks_and_is_told_of_the_cluster(fake: FakeApi, server: str, tmp_path: Path) -> None:
    user = plugin(tmp_path, TELLING_PLUGIN, env=[{"name": "PROFILE", "value": "work"}], provideClusterInfo=True)

    assert authorization(fake, asking(kubeconfig(tmp_path, server, user))) == f"Bearer work-{server}-1"


def test_a_plugin_runs_once_until_its_credential_ends(fake: FakeApi, server: str, tmp_path: Path) -> None:
    api = asking(kubeconfig(tmp_path, server, plugin(tmp_path, TELLING_PLUGIN)), EXPIRES="2999-01-01T00:00:00Z")
    first, second = authorization(fake, api), authorization(fake, api)
    api._access.forget()

    assert (first, second) == ("Bearer None-None-1", "Bearer None-None-1")
    assert authorization(fake, api) == "Bearer None-None-2"


@pytest.mark.parametrize(
    ("program", "settings", "why"),
    [
        pytest.param("raise SystemExit(3)", {}, "ended with 3; are you logged in", id="that fails"),
        pytest.param("print('secret')", {}, "gave no ExecCredential", id="that says something else"),
        pytest.param("print('{\"status\": {}}')", {}, "gave no token or certificate", id="that says nothing"),
        pytest.param(
            "", {"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "wants client", id="of an old version"
        ),
        pytest.param(
            "", {"command": "no-such-plugin", "installHint": "get it"}, "can't run.*; get it", id="that isn't there"
        ),
        pytest.param("", {"interactiveMode": "Always"}, "this is no terminal", id="that has to ask"),
    ],
)
def test_a_plugin_that_gives_nothing_is_told_without_its_words(
    program: str, settings: dict[str, Any], why: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    api = asking(kubeconfig(tmp_path, server, plugin(tmp_path, program, **settings)))

    with pytest.raises(ClusterUnavailable, match=why) as refused:
        api.list(MODEL_DEPLOYMENTS, "shop", None)
    assert "secret" not in str(refused.value)


def test_certificates_that_are_none_are_told(tmp_path: Path) -> None:
    place = kubeconfig(
        tmp_path, "https://127.0.0.1:1", None, **{"certificate-authority-data": base64.b64encode(b"x").decode()}
    )

    with pytest.raises(ClusterUnavailable, match="the certificates of here can't be used"):
        asking(place).list(MODEL_DEPLOYMENTS, "shop", None)


def test_a_proxy_is_asked_where_the_cluster_names_one(fake: FakeApi, server: str, tmp_path: Path) -> None:
    asking(kubeconfig(tmp_path, "http://api.example.org:6443", None, **{"proxy-url": server})).list(
        MODEL_DEPLOYMENTS, None, None
    )

    assert fake.asked[-1].headers["Host"] == "api.example.org:6443"


def test_an_address_may_have_a_path(fake: FakeApi, server: str, tmp_path: Path) -> None:
    with pytest.raises(ClusterUnavailable, match="not found"):  # there is no such path
        asking(kubeconfig(tmp_path, f"{server}/k8s/clusters/c-1")).list(MODEL_DEPLOYMENTS, None, None)

    assert fake.asked[-1].path == "/k8s/clusters/c-1/apis/tidegate.dev/v1alpha1/modeldeployments"


@pytest.mark.apiserver
def test_a_real_api_server_is_asked_with_its_own_certificate(api_server: Path) -> None:
    assert asking(api_server).list(PODS, None, None)["kind"] == "PodList"


def changed(api_server: Path, folder: Path, **cluster: Any) -> Path:
    """The API server's kubeconfig with other fields of its cluster."""
    document = yaml.safe_load(api_server.read_text())
    document["clusters"][0]["cluster"] |= cluster
    place = folder / "changed"
    place.write_text(yaml.safe_dump(document))
    return place


@pytest.mark.apiserver
def test_a_server_that_need_not_show_who_it_is_is_asked_all_the_same(api_server: Path, tmp_path: Path) -> None:
    kept = {"certificate-authority": None, "certificate-authority-data": None, "insecure-skip-tls-verify": True}

    assert asking(changed(api_server, tmp_path, **kept)).list(PODS, None, None)["kind"] == "PodList"


@pytest.mark.apiserver
def test_a_server_under_another_name_is_not_asked(api_server: Path, tmp_path: Path) -> None:
    api = asking(changed(api_server, tmp_path, **{"tls-server-name": "somebody.example.com"}))

    with pytest.raises(ClusterUnavailable, match="had no answer"):
        api.list(PODS, None, None)


@pytest.mark.apiserver
def test_a_server_of_an_unknown_authority_is_not_asked(api_server: Path, tmp_path: Path) -> None:
    kept = {"certificate-authority": None, "certificate-authority-data": None}

    with pytest.raises(ClusterUnavailable, match="had no answer"):
        asking(changed(api_server, tmp_path, **kept)).list(PODS, None, None)


def test_the_generated_client_is_not_loaded() -> None:
    program = "import sys, tidegate.kube.kubeconfig, tidegate.kube.api; print('kubernetes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout.lower()) is False


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        pytest.param({"token": "t"}, True, id="a token"),
        pytest.param({"tokenFile": "/run/token"}, True, id="a token's file"),
        pytest.param({"token": "t", "client-certificate-data": "…"}, False, id="a certificate beside it"),
        pytest.param({"client-certificate": "/crt"}, False, id="a certificate"),
        pytest.param({"exec": {"command": "login"}}, False, id="a plugin, which may give a certificate"),
        pytest.param({}, False, id="nothing"),
    ],
)
def test_a_token_counts_alone_where_no_certificate_comes_before_it(user: dict[str, Any], expected: bool) -> None:
    assert KubeContext("c", "default", {}, user).has_token_alone is expected
