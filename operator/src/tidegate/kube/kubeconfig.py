"""The API server that a person's kubeconfig names, and who that person is, as kubectl reads it.

The generated client knows this too, and takes a second and some 60 MiB to load: too long for a command that answers
somebody who waits. Of what kubectl can, only the auth-provider of OIDC is left to it.
"""

import base64
import os
import ssl
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import urllib3
import yaml

from tidegate.errors import ClusterUnavailable
from tidegate.kube.exec_credential import Credential, run_plugin

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS = 10.0
"""How long a token's file isn't read again."""


@dataclass(frozen=True)
class KubeContext:
    """One context of a kubeconfig, with its cluster and its user as they are written there."""

    name: str
    namespace: str
    cluster: Mapping[str, Any] = field(repr=False)
    user: Mapping[str, Any] = field(repr=False)

    @property
    def server(self) -> str:
        """The address of the API server."""
        return str(self.cluster.get("server", "")).rstrip("/")

    @property
    def has_token_alone(self) -> bool:
        """Whether no client certificate is shown, which the API server would believe before anybody's token."""
        by_certificate = ("client-certificate", "client-certificate-data", "exec")
        return any(self.user.get(key) for key in ("token", "tokenFile")) and not any(map(self.user.get, by_certificate))


def find_context(
    kubeconfig: str | None, context: str | None, environ: Mapping[str, str] = os.environ, account: Path | None = None
) -> KubeContext:
    """The context that kubectl would use: of the file that is named, of KUBECONFIG's files, or of ~/.kube/config.

    Without any of these it is the pod's own service account. Raises ClusterUnavailable where nothing says which cluster
    is meant.
    """
    merged = _merged(_files(kubeconfig, environ), must_exist=kubeconfig is not None)
    if not merged["contexts"] and not context and kubeconfig is None:
        return _in_cluster(environ, account or SERVICE_ACCOUNT)
    name = context or merged["current-context"]
    if name not in merged["contexts"]:
        raise _no_cluster(f"there is no context {name!r}" if name else "the kubeconfig has no current context")
    chosen = merged["contexts"][name].get("context") or {}
    cluster = (merged["clusters"].get(chosen.get("cluster")) or {}).get("cluster") or {}
    user = (merged["users"].get(chosen.get("user")) or {}).get("user") or {}
    if not cluster.get("server"):
        raise _no_cluster(f"the context {name!r} names the cluster {chosen.get('cluster')!r}, which has no server")
    return KubeContext(name, chosen.get("namespace") or "default", cluster, user)


def _no_cluster(why: str) -> ClusterUnavailable:
    return ClusterUnavailable(f"no cluster: {why}; name one with --kubeconfig or --context")


def _files(kubeconfig: str | None, environ: Mapping[str, str]) -> list[Path]:
    if kubeconfig is not None:
        return [Path(kubeconfig)]
    listed = [Path(each) for each in environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    return listed or [Path(environ.get("HOME") or "~").expanduser() / ".kube" / "config"]


def _merged(files: Sequence[Path], *, must_exist: bool) -> dict[str, Any]:
    """All files as one: of two entries of the same name the first counts."""
    merged: dict[str, Any] = {"contexts": {}, "clusters": {}, "users": {}, "current-context": ""}
    for file in files:
        document = _document(file, must_exist=must_exist)
        for kind in ("contexts", "clusters", "users"):
            for entry in document.get(kind) or ():
                merged[kind].setdefault(entry.get("name"), _with_paths(entry, file.parent))
        merged["current-context"] = merged["current-context"] or document.get("current-context") or ""
    return merged


def _document(file: Path, *, must_exist: bool) -> Mapping[str, Any]:
    try:
        # A kubeconfig may be large, and libyaml's parser takes a tenth of the time.
        document = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except FileNotFoundError as error:
        if must_exist:
            raise _no_cluster(f"{file} isn't there") from error
        return {}
    except OSError as error:
        raise _no_cluster(f"{file} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _no_cluster(f"{file} isn't YAML") from error  # without what it says: it may quote a token
    if document is not None and not isinstance(document, Mapping):
        raise _no_cluster(f"{file} isn't a kubeconfig")
    return document or {}


PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def _with_paths(entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """An entry whose relative paths, which are meant from its file's folder, are whole ones."""
    changed = dict(entry)
    for part in ("cluster", "user"):
        if isinstance(inside := entry.get(part), Mapping):
            paths = {key: str(folder / inside[key]) for key in PATHS if inside.get(key)}
            changed[part] = {**inside, **paths, **_plugin(inside, folder)}
    return changed


def _plugin(user: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    command = (user.get("exec") or {}).get("command") or ""
    if os.sep not in command or os.path.isabs(command):
        return {}
    return {"exec": {**user["exec"], "command": str(folder / command)}}


def _in_cluster(environ: Mapping[str, str], account: Path) -> KubeContext:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    token = account / "token"
    if not host or not token.is_file():
        raise _no_cluster("there is no kubeconfig, and this is no pod with a service account")
    shown = f"[{host}]" if ":" in host else host
    cluster = {"server": f"https://{shown}:{port}", "certificate-authority": str(account / "ca.crt")}
    namespace = account / "namespace"
    inside = namespace.read_text(encoding="utf-8").strip() if namespace.is_file() else "default"
    return KubeContext("in-cluster", inside, cluster, {"tokenFile": str(token)})


class KubeconfigAccess:
    """`kube.api.Access` of one context. Raises ClusterUnavailable with a sentence where a part of it can't be used."""

    def __init__(self, context: KubeContext, environ: Mapping[str, str] = os.environ) -> None:
        self._context, self._environ = context, environ
        self._pool: tuple[Any, str] | None = None
        self._credential: Credential | None = None
        self._headers: Mapping[str, str] = {}
        self._until = 0.0
        self._lock = threading.Lock()  # a plugin that asks for a log-in must not ask twice at once

    def to_host(self) -> tuple[Any, str]:
        """The pool of connections, made at the first call: a plugin's certificate has to be there by then."""
        if self._pool is None:
            self._pool = self._connect()
        return self._pool

    def headers(self) -> Mapping[str, str]:
        """Who asks: a token that is good still, and whom to act as."""
        with self._lock:
            if monotonic() >= self._until:
                self._headers = {**self._authorization(), **_impersonation(self._context.user)}
                self._until = monotonic() + TOKEN_SECONDS
            return self._headers

    def forget(self) -> None:
        """The API server has said that it doesn't know us."""
        with self._lock:
            self._until, self._credential = 0.0, None

    def _authorization(self) -> dict[str, str]:
        user = self._context.user
        if user.get("tokenFile"):
            return _bearer(_text(Path(user["tokenFile"]), "the user's token"))
        if user.get("token"):
            return _bearer(user["token"])
        if user.get("username"):
            pair = f"{user['username']}:{user.get('password', '')}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        if user.get("exec"):
            return self._of_plugin(user["exec"])
        return {}

    def _of_plugin(self, settings: Mapping[str, Any]) -> dict[str, str]:
        before = self._credential
        if before is None or before.is_over():
            self._credential = run_plugin(settings, self._context.cluster, self._environ)
            if before and before.certificate != self._credential.certificate:
                self._pool = None
        credential = self._credential
        return _bearer(credential.token) if credential and credential.token else {}

    def _connect(self) -> tuple[Any, str]:
        server = self._context.server
        parts = urlsplit(server)
        options: dict[str, Any] = {"num_pools": 2, "maxsize": 4}
        if parts.scheme == "https":
            options |= self._tls()
        if proxy := self._proxy(parts.hostname or ""):
            try:
                return urllib3.ProxyManager(proxy, **options), server
            except (urllib3.exceptions.ProxySchemeUnknown, ValueError) as error:
                raise ClusterUnavailable(f"the proxy of {self._context.name} can't be used: {error}") from error
        return urllib3.PoolManager(**options).connection_from_url(server), parts.path

    def _proxy(self, host: str) -> str | None:
        if own := self._context.cluster.get("proxy-url"):
            return str(own)
        if urllib.request.proxy_bypass_environment(host):  # type: ignore[attr-defined] # typeshed doesn't have it
            return None
        return urllib.request.getproxies_environment().get(urlsplit(self._context.server).scheme)

    def _tls(self) -> dict[str, Any]:
        cluster, name = self._context.cluster, self._context.cluster.get("tls-server-name")
        try:
            context = _trusting(cluster)
            self._show_certificate(context)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            said = getattr(error, "strerror", None) or error
            raise ClusterUnavailable(f"the certificates of {self._context.name} can't be used: {said}") from error
        if cluster.get("insecure-skip-tls-verify"):
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            return {"ssl_context": context, "cert_reqs": "CERT_NONE", "assert_hostname": False}
        return {"ssl_context": context, **({"server_hostname": name, "assert_hostname": name} if name else {})}

    def _show_certificate(self, context: ssl.SSLContext) -> None:
        """Lets the server see who asks, where that is said by a certificate."""
        if self._credential and self._credential.certificate:
            certificate, key = (part.encode() for part in self._credential.certificate)
        else:
            user = self._context.user
            certificate, key = _content(user, "client-certificate"), _content(user, "client-key")
        if certificate and key:
            # OpenSSL reads files only. Ours are gone as soon as it has.
            with _kept(certificate) as one, _kept(key) as other:
                context.load_cert_chain(one, other)


def _trusting(cluster: Mapping[str, Any]) -> ssl.SSLContext:
    """Trusts the authority that the cluster names and no other, or the system's where it names none."""
    authority = _content(cluster, "certificate-authority")
    if authority and not cluster.get("insecure-skip-tls-verify"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=authority.decode())
        return context
    context = ssl.create_default_context()
    # As kubectl has it: the certificates of many a cluster lack what RFC 5280 asks of them, and Python 3.13 insists.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _content(entry: Mapping[str, Any], key: str) -> bytes:
    """What is written in the kubeconfig itself, or the file that it names; empty for neither."""
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(data)
    return Path(entry[key]).read_bytes() if entry.get(key) else b""


@contextmanager
def _kept(content: bytes) -> Iterator[str]:
    """A file that only we can read, inside of the block."""
    with NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.name


def _text(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ClusterUnavailable(f"{what} can't be read from {file}: {error.strerror}") from error


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _impersonation(user: Mapping[str, Any]) -> dict[str, str]:
    """Whom to act as. Groups would need a header of one name several times, which nobody's kubeconfig here has had."""
    if user.get("as-groups") and len(user["as-groups"]) > 1:
        raise ClusterUnavailable(
            "the kubeconfig's user acts as several groups, which this command can't; name another with --context"
        )
    found = {"Impersonate-User": user.get("as"), "Impersonate-Uid": user.get("as-uid")}
    found["Impersonate-Group"] = next(iter(user.get("as-groups") or ()), None)
    return {name: str(value) for name, value in found.items() if value}
