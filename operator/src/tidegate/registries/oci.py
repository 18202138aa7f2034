"""A container registry: the digest that a tag means now."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tidegate.errors import CallFailed
from tidegate.oci import image
from tidegate.oci.hosts import DOCKER_HUB, DOCKER_HUB_LOGIN, is_loopback, without_port
from tidegate.registries.answers import SECONDS, explained, parsed
from tidegate.registries.reference import Artifact
from tidegate.webhooks.client import HttpResponse, WebhookClient

LOGIN = ".dockerconfigjson"


def digest_of(client: WebhookClient, wanted: Artifact, env: Mapping[str, str]) -> str:
    """`sha256:…` of what the registry has under the tag, which is what it hashes to. Raises CallFailed."""
    scheme = "http" if _is_plain(wanted.host, env.get("TIDEGATE_REGISTRY_INSECURE", "")) else "https"
    url = f"{scheme}://{wanted.host}/v2/{wanted.repository}/manifests/{wanted.version}"
    login = _login(wanted.registry, env.get(LOGIN, ""))
    try:
        response = _manifest_by(client, url, login, wanted, scheme)
    except CallFailed as error:
        raise explained(error, f"{wanted.repository} with the tag {wanted.version}") from None
    digest, said = image.digest_of(response.body), response.headers.get("docker-content-digest")
    if said and said != digest:
        raise CallFailed(f"the registry says that what it has there has the digest {said}, but it has {digest}")
    return digest


def _manifest_by(client: WebhookClient, url: str, login: str, wanted: Artifact, scheme: str) -> HttpResponse:
    """As anybody, and as whoever the registry asks for where it does."""
    try:
        return _manifest(client, url, "")
    except CallFailed as error:
        if error.status != 401 or not error.challenge:
            raise
        authorization = _authorization(client, error.challenge, login, wanted, scheme)
    return _manifest(client, url, authorization)


def _manifest(client: WebhookClient, url: str, authorization: str) -> HttpResponse:
    headers = {"Accept": image.ACCEPT, **({"Authorization": authorization} if authorization else {})}
    return client.get(url, headers, seconds=SECONDS, most=image.MOST_MANIFEST)


def _authorization(client: WebhookClient, challenge: str, login: str, wanted: Artifact, scheme: str) -> str:
    """What the registry asks for: the login itself, or a token that is had for it elsewhere."""
    kind, _, rest = challenge.partition(" ")
    if kind.lower() == "basic" and login:
        return f"Basic {login}"
    given = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    realm = given.get("realm", "")
    if kind.lower() != "bearer" or not realm.startswith("https://" if scheme == "https" else ("http://", "https://")):
        raise CallFailed("the registry asks for a login: name it in spec.model.credentialsSecret", final=True)
    query = {"scope": given.get("scope") or f"repository:{wanted.repository}:pull"}
    query |= {"service": given["service"]} if given.get("service") else {}
    headers = {"Authorization": f"Basic {login}"} if login else {}
    found = parsed(client.get(f"{realm}?{urlencode(query)}", headers, seconds=SECONDS), "a registry's token service")
    token = found.get("token") or found.get("access_token")
    if not isinstance(token, str):
        raise CallFailed("the registry's token service gives no token")
    return f"Bearer {token}"


def _login(registry: str, config: str) -> str:
    """User and password of a docker config.json, encoded as HTTP wants them; '' for none. Raises CallFailed."""
    if not config:
        return ""
    try:
        accounts = json.loads(config)["auths"]
        names = (registry, f"https://{registry}", *((DOCKER_HUB_LOGIN,) if registry in DOCKER_HUB else ()))
        account: Mapping[str, Any] = next((accounts[name] for name in names if name in accounts), {})
        if account.get("auth"):
            return str(account["auth"])
        user = account.get("username")
        return base64.b64encode(f"{user}:{account.get('password', '')}".encode()).decode() if user else ""
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CallFailed(
            f"the key {LOGIN} of spec.model.credentialsSecret isn't a docker config.json", final=True
        ) from None


def _is_plain(host: str, insecure: str) -> bool:
    """Whether a registry is spoken to over http, as by the container that fetches."""
    named = {each.strip() for each in insecure.split(",")}
    return host in named or without_port(host) in named or is_loopback(host)
