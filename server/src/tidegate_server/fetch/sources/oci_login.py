"""Authentication at a registry: from a docker config.json to the header of a request.

A registry that refuses says what it wants, a password or a token, and where tokens are given out. The password goes
there and to the registry, the token to the registry, and neither to where blobs are redirected to.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import UNREACHABLE, UNSUPPORTED_URI
from tidegate_server.fetch.sources.http_client import GetRequest, get, reading
from tidegate_server.fetch.sources.oci_reference import Reference

_MAX_RESPONSE = 2**20


@dataclass(frozen=True)
class Account:
    """`token`: one that the config holds itself, instead of a user and a password."""

    user: str = ""
    password: str = ""
    token: str = ""

    @property
    def basic(self) -> str:
        """The header's value for HTTP Basic."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find_account(reference: Reference, environ: Mapping[str, str]) -> Account | None:
    """The account for a repository; None for nobody. Raises FetchFailed for a config that can't be read."""
    config = _read_config(environ)
    found = max(
        ((key, entry) for key, entry in _entries(config) if _is_for(key, reference)),
        key=lambda pair: len(pair[0]),
        default=None,
    )
    if found is None:
        return None
    try:
        return _account(found[1])
    except (ValueError, LookupError, TypeError, AttributeError, binascii.Error):
        words = f"the entry of {found[0]} in the docker config.json has neither `auth` nor `username` and `password`"
        raise FetchFailed(UNSUPPORTED_URI, words) from None


def authorize(challenge: str, account: Account | None, reference: Reference, scheme: str) -> str:
    """The Authorization header that the registry asks for. Raises FetchFailed where there's nobody to log in as."""
    kind, _, rest = challenge.partition(" ")
    if kind.lower() == "basic":
        if account is None:
            raise _no_account(reference)
        return account.basic
    challenge_fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    if kind.lower() != "bearer" or "realm" not in challenge_fields:
        raise FetchFailed(UNREACHABLE, f"the registry {reference.registry} asks for a login that isn't known here")
    if account is not None and account.token:
        return f"Bearer {account.token}"
    return f"Bearer {_token(challenge_fields, account, reference, scheme)}"


def _token(challenge_fields: Mapping[str, str], account: Account | None, reference: Reference, scheme: str) -> str:
    realm = urlsplit(challenge_fields["realm"])
    if realm.scheme != "https" and (realm.scheme, scheme) != ("http", "http"):
        raise FetchFailed(UNREACHABLE, f"the registry {reference.registry} sends logins to where there's no TLS")
    scope = challenge_fields.get("scope") or f"repository:{reference.repository}:pull"
    query = {"scope": scope} | ({"service": challenge_fields["service"]} if "service" in challenge_fields else {})
    address = f"{challenge_fields['realm']}{'&' if realm.query else '?'}{urlencode(query, quote_via=quote)}"
    private = {"Authorization": account.basic} if account is not None else {}
    with get(GetRequest(address, private=private)) as response, reading():
        try:
            given = json.loads(response.read(_MAX_RESPONSE))
            token = given.get("token") or given["access_token"]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise FetchFailed(UNREACHABLE, f"the registry {reference.registry} gave out no token") from None
    return str(token)


def _no_account(reference: Reference) -> FetchFailed:
    sentence = f"the registry {reference.registry} wants a login; set TIDEGATE_REGISTRY_AUTH to a docker config.json"
    return FetchFailed(UNREACHABLE, sentence)


def _read_config(environ: Mapping[str, str]) -> Any:
    given, folder = environ.get("TIDEGATE_REGISTRY_AUTH"), environ.get("DOCKER_CONFIG")
    path = Path(given) if given else Path(folder) / "config.json" if folder else None
    if path is None:
        return {}
    if path.is_dir():
        # A Secret of the type kubernetes.io/dockerconfigjson has its only key by this name.
        names = (path / ".dockerconfigjson", path / "config.json")
        path = next((name for name in names if name.is_file()), names[-1])
    try:
        return json.loads(path.read_text())
    except OSError as error:
        if given is None:
            return {}
        raise FetchFailed(UNSUPPORTED_URI, f"can't read TIDEGATE_REGISTRY_AUTH, {path}: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise FetchFailed(UNSUPPORTED_URI, f"{path} isn't a docker config.json") from None


def _entries(config: Any) -> list[tuple[str, Any]]:
    found = config.get("auths") if isinstance(config, dict) else None
    return list(found.items()) if isinstance(found, dict) else []


def _is_for(key: str, reference: Reference) -> bool:
    """Keys are hosts, hosts with the beginning of a repository's name, or the URLs of old."""
    host, _, path = re.sub(r"^https?://", "", key).partition("/")
    path = re.sub(r"^v[12]/?", "", path).strip("/")
    hosts = {reference.registry, reference.host}
    if reference.host == "registry-1.docker.io":
        hosts |= {"index.docker.io", "docker.io"}
    return host in hosts and (not path or f"{reference.repository}/".startswith(f"{path}/"))


def _account(entry: Mapping[str, str]) -> Account:
    if entry.get("registrytoken"):
        return Account(token=entry["registrytoken"])
    if entry.get("auth"):
        user, separator, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        if not separator:
            raise ValueError("no password")
        return Account(user, password)
    return Account(entry["username"], entry["password"])
