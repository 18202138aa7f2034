"""What names of models mean, asked at registries in this process that answer as real ones do."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.mlflow_registry import Registry, Version, serving
from tests.operator.webhooks.loopback import Receiver, receiver, says
from tests.operator.webhooks.test_secrets import Objects, encoded
from tidegate.errors import CallFailed
from tidegate.kube.api import SECRETS
from tidegate.registries.reference import Access, Artifact, HubRepository, RegisteredModel
from tidegate.registries.resolver import Registries
from tidegate.webhooks.addresses import AddressRules
from tidegate.webhooks.client import WebhookClient

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MANIFEST = json.dumps({"schemaVersion": 2, "layers": []}).encode()
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
LOGIN = base64.b64encode(b"tidegate:hidden").decode()


def registries(secrets: Mapping[str, Mapping[str, str]] | None = None, failure: int | None = None) -> Registries:
    found = {
        (SECRETS, name): {key: encoded(text.encode()) for key, text in data.items()}
        for name, data in (secrets or {}).items()
    }
    return Registries(WebhookClient(AddressRules(())), Objects(found, failure))


def resolve(uri: str, secrets: Mapping[str, Mapping[str, str]] | None = None, **env: str) -> str:
    secret = next(iter(secrets), None) if secrets else None
    return registries(secrets).resolve("shop", uri, Access(secret, tuple(env.items())))


@pytest.fixture
def mlflow() -> Iterator[Registry]:
    with serving(Registry({"7": Version(), "8": Version(tags={"approved": "true"})}, {"champion": "7"})) as found:
        yield found


def test_an_alias_means_a_version(mlflow: Registry) -> None:
    assert resolve("models:/digits@champion", MLFLOW_TRACKING_URI=mlflow.address) == "models:/digits/7"
    mlflow.aliases["champion"] = "8"
    assert resolve("models:/digits@champion", MLFLOW_TRACKING_URI=f"{mlflow.address}/") == "models:/digits/8"


def test_the_login_of_mlflow_comes_from_the_secret(mlflow: Registry) -> None:
    mlflow.login = "tidegate:hidden"
    login = {
        "MLFLOW_TRACKING_URI": mlflow.address,
        "MLFLOW_TRACKING_USERNAME": "tidegate",
        "MLFLOW_TRACKING_PASSWORD": "hidden",
    }
    assert resolve("models:/digits@champion", {"mlflow": login}) == "models:/digits/7"


@pytest.mark.parametrize(
    ("uri", "status", "words"),
    [
        pytest.param("models:/digits@none", 0, "the registry has no alias none of a model digits", id="no such alias"),
        pytest.param("models:/none@x", 0, "the registry has no alias x of a model none", id="no such model"),
        pytest.param("models:/digits@champion", 503, "it answers HTTP 503", id="it is ill"),
        pytest.param("models:/digits@champion", 401, "look at spec.model.credentialsSecret", id="no access"),
        pytest.param("models:/digits@champion", 200, "the registry's answer names no version", id="something else"),
    ],
)
def test_what_mlflow_doesnt_answer_is_told(mlflow: Registry, uri: str, status: int, words: str) -> None:
    mlflow.status = status
    with pytest.raises(CallFailed, match=words):
        resolve(uri, MLFLOW_TRACKING_URI=mlflow.address)


def test_tags_are_read_and_set(mlflow: Registry) -> None:
    registry = registries().mlflow("shop", Access(env=(("MLFLOW_TRACKING_URI", mlflow.address),)))
    assert registry.tags(RegisteredModel("digits", version="7")) == ("7", {})
    registry.set_tag(RegisteredModel("digits", version="7"), "tidegate.outcome", "Promoted")
    assert registry.tags(RegisteredModel("digits", version="7")) == ("7", {"tidegate.outcome": "Promoted"})
    with pytest.raises(CallFailed, match="the registry has no version 9 of a model digits"):
        registry.set_tag(RegisteredModel("digits", version="9"), "tidegate.outcome", "Promoted")


def test_without_an_address_nobody_is_asked() -> None:
    with pytest.raises(CallFailed, match=r"MLFLOW_TRACKING_URI, in spec\.model\.fetchEnv"):
        resolve("models:/digits@champion")


def test_a_secret_that_isnt_there_is_told() -> None:
    with pytest.raises(CallFailed, match="the Secret mlflow isn't there"):
        registries().resolve("shop", "models:/digits@champion", Access("mlflow"))
    with pytest.raises(CallFailed, match=r"webhooks\.secrets names those that it may"):
        registries(failure=403).resolve("shop", "models:/digits@champion", Access("mlflow"))


def test_a_branch_means_a_commit() -> None:
    with receiver(says(json.dumps({"sha": COMMIT, "siblings": []}))) as hub:
        endpoint = f"http://{hub.host}:{hub.port}"
        found = resolve("hf://shop/digits/onnx", {"hub": {"HF_TOKEN": "t"}}, HF_ENDPOINT=endpoint)
    assert found == f"hf://shop/digits@{COMMIT}/onnx"
    (call,) = hub.calls
    assert (call.path, call.headers["authorization"]) == ("/api/models/shop/digits/revision/main", "Bearer t")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        pytest.param(404, "{}", "there is no shop/digits at revision v7, or HF_TOKEN", id="not there"),
        pytest.param(200, '{"sha": "main"}', "names no commit", id="no commit"),
        pytest.param(200, "<html>", "doesn't answer as the Hub does", id="a web page"),
    ],
)
def test_what_the_hub_doesnt_answer_is_told(status: int, body: str, words: str) -> None:
    with receiver(says(body, status)) as hub, pytest.raises(CallFailed, match=words):
        resolve("hf://shop/digits@v7", HF_ENDPOINT=f"http://{hub.host}:{hub.port}")


def artifact(server: Receiver, rest: str) -> str:
    return f"oci://{server.host}:{server.port}/{rest}"


def test_a_tag_means_a_digest() -> None:
    with receiver(says(MANIFEST, Docker_Content_Digest=DIGEST)) as server:
        found = resolve(artifact(server, "models/digits:stable/inner"))
        assert found == artifact(server, f"models/digits@{DIGEST}/inner")
    assert [call.path for call in server.calls] == ["/v2/models/digits/manifests/stable"]


def test_a_registry_that_lies_about_a_digest_isnt_believed() -> None:
    said = f"sha256:{'0' * 64}"
    sentence = f"has the digest {said}, but it has {DIGEST}"
    with receiver(says(MANIFEST, Docker_Content_Digest=said)) as server, pytest.raises(CallFailed, match=sentence):
        resolve(artifact(server, "models/digits:stable"))


def test_a_registry_may_ask_for_a_password() -> None:
    def answer(handler: Any) -> None:
        if handler.headers["Authorization"] == f"Basic {LOGIN}":
            says(MANIFEST)(handler)
        else:
            says("{}", 401, WWW_Authenticate='Basic realm="models"')(handler)

    with receiver(answer) as server:
        uri = artifact(server, "models/digits:stable")
        host = f"{server.host}:{server.port}"
        config = {".dockerconfigjson": json.dumps({"auths": {host: {"auth": LOGIN}}})}
        assert resolve(uri, {"login": config}) == artifact(server, f"models/digits@{DIGEST}")
        with pytest.raises(CallFailed, match="asks for a login"):
            resolve(uri)


def test_a_registry_may_want_a_token_from_elsewhere() -> None:
    def answer(handler: Any) -> None:
        if handler.path.startswith("/token?"):
            says(json.dumps({"token": "t1"}))(handler)
        elif handler.headers["Authorization"] == "Bearer t1":
            says(MANIFEST)(handler)
        else:
            realm = f"http://{handler.headers['Host']}/token"
            says("{}", 401, WWW_Authenticate=f'Bearer realm="{realm}",service="r"')(handler)

    with receiver(answer) as server:
        assert resolve(artifact(server, "models/digits:stable")) == artifact(server, f"models/digits@{DIGEST}")
    assert server.calls[1].path == "/token?scope=repository%3Amodels%2Fdigits%3Apull&service=r"


def test_a_tag_that_isnt_there_is_told() -> None:
    sentence = "the registry has no models/digits with the tag stable"
    with receiver(says("{}", 404)) as server, pytest.raises(CallFailed, match=sentence):
        resolve(artifact(server, "models/digits:stable"))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            Artifact.parse("oci://docker.io/digits:7").at(DIGEST),
            f"oci://docker.io/library/digits@{DIGEST}",
            id="Docker",
        ),
        pytest.param(
            HubRepository.parse("hf://a/b@v1/onnx/").at(COMMIT), f"hf://a/b@{COMMIT}/onnx", id="a folder on the Hub"
        ),
        pytest.param(RegisteredModel.parse("models:/a%20b@x").at("3"), "models:/a%20b/3", id="a name with a blank"),
    ],
)
def test_what_is_resolved_names_one_model(found: str, expected: str) -> None:
    assert found == expected


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("https://example.com/7.onnx", id="a web server"),
        pytest.param("oci://example.com", id="no repository"),
        pytest.param("hf://digits", id="no organisation"),
        pytest.param("models:/digits/Production", id="a stage"),
    ],
)
def test_what_has_no_name_to_follow_is_refused(uri: str) -> None:
    with pytest.raises(CallFailed):
        resolve(uri, MLFLOW_TRACKING_URI="http://127.0.0.1:1")
