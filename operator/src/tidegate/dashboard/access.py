"""Who looks, and what they may.

On one's own machine it is whoever has the address that the command printed; what they may is what their kubeconfig may.
In a cluster it is whoever shows a bearer token of the cluster's own. The API server is asked in that person's name what
they may see, and is written to in that person's name, so that the dashboard's own account lends nobody anything.
"""

import hashlib
import hmac
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol, TypeVar

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import ACCESS_REVIEWS, MODEL_DEPLOYMENTS, PODS, SUBJECT_REVIEWS, KubernetesApi, Resource

TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,8192}=*")
"""A bearer token (RFC 6750), no longer than any that clusters give."""
REMEMBERED_SECONDS = 30.0
"""For so long an answer of the API server about a person's rights is held to."""
REFUSED_SECONDS = 5.0
"""For so long a token that wasn't taken isn't asked about again."""
MOST_VIEWERS = 256
MOST_NAMESPACES = 1000
"""Of which a person's rights are remembered."""
REVIEWS_AT_ONCE = 8
UNAUTHORIZED = 401
UNKNOWN = "somebody"
T = TypeVar("T")


class Viewer(Protocol):
    """A person who looks at pages."""

    @property
    def name(self) -> str:
        """As the cluster knows them."""

    @property
    def identity(self) -> str:
        """What tells them from others, also when their token is renewed."""

    @property
    def api(self) -> KubernetesApi:
        """Asks the API server in their name."""

    def may_list(self, resource: Resource, namespace: str) -> bool:
        """Whether they may read objects of a kind. Raises ClusterUnavailable."""


class Access(Protocol):
    """How people are known."""

    @property
    def wants_token(self) -> bool:
        """Whether people sign in with a bearer token of the cluster."""

    def viewer(self, shown: str) -> Viewer | None:
        """Who shows this; None where it isn't taken. Raises ClusterUnavailable."""


class Forms:
    """Marks of the forms that this process gave to a viewer, so that no other page can send one in their name.

    Before somebody has signed in they have no identity, and are nobody.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def mark(self, viewer: Viewer | None) -> str:
        """What a form of theirs carries."""
        identity = viewer.identity if viewer else ""
        return hmac.new(self._key, identity.encode(), hashlib.sha256).hexdigest()

    def is_ours(self, mark: str, viewer: Viewer | None) -> bool:
        """Whether we gave it to them."""
        return hmac.compare_digest(mark.encode(), self.mark(viewer).encode())


@dataclass
class _Owner:
    """Whoever started the command."""

    api: KubernetesApi
    _name: str = ""
    identity: str = "owner"

    @property
    def name(self) -> str:
        """Asked for when it is needed: the page has to open where the API server is away, too."""
        if not self._name:
            try:
                self._name = _name_or_none(self.api) or UNKNOWN
            except ClusterUnavailable:
                return UNKNOWN
        return self._name

    def may_list(self, resource: Resource, namespace: str) -> bool:
        """What they may not list, the watch has told already."""
        return True


class LocalAccess:
    """One person on one machine, known by a secret in the address that the command prints."""

    wants_token = False

    def __init__(self, api: KubernetesApi) -> None:
        self.secret = secrets.token_urlsafe(24)
        self._viewer = _Owner(api)
        self._tickets: set[str] = set()

    def ticket(self) -> str:
        """As good as the secret, once: other users of a machine can read the arguments of the browser's process."""
        ticket = secrets.token_urlsafe(24)
        self._tickets.add(ticket)
        return ticket

    def redeem(self, ticket: str) -> bool:
        """Whether it is the secret, or a ticket that nobody has used."""
        if hmac.compare_digest(ticket.encode(), self.secret.encode()):
            return True
        known = ticket in self._tickets
        self._tickets.discard(ticket)
        return known

    def viewer(self, shown: str) -> Viewer | None:
        """See Access."""
        return self._viewer if hmac.compare_digest(shown.encode(), self.secret.encode()) else None


@dataclass
class _Known:
    """What the API server said about one person."""

    name: str
    api: KubernetesApi = field(repr=False)
    until: float
    limit: threading.Semaphore = field(repr=False)
    rights: dict[tuple[str, str], bool] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """As the cluster knows them."""
        return f"user {self.name}"

    def may_list(self, resource: Resource, namespace: str) -> bool:
        """In all namespaces, or else in this one."""
        return self._asked(resource, "") or self._asked(resource, namespace)

    def _asked(self, resource: Resource, namespace: str) -> bool:
        key = resource.plural, namespace
        if key not in self.rights and len(self.rights) < MOST_NAMESPACES:
            with self.limit:
                self.rights[key] = _is_allowed(self.api, resource, namespace)
        return self.rights.get(key, False)


class TokenAccess:
    """People with bearer tokens of the cluster. Tokens are kept as digests, except in what asks in their name."""

    wants_token = True

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._limit = threading.BoundedSemaphore(REVIEWS_AT_ONCE)
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()

    def viewer(self, shown: str) -> Viewer | None:
        """See Access."""
        if not TOKEN.fullmatch(shown):
            return None
        digest, now = hashlib.sha256(shown.encode()).digest(), monotonic()
        with self._lock:
            known = self._known.get(digest)
            if known is not None and known.until > now:
                return known
            if self._refused.get(digest, 0.0) > now:
                return None
        return self._review(shown, digest)

    def _review(self, token: str, digest: bytes) -> Viewer | None:
        api = self._api.with_token(token)
        with self._limit:
            name = _name_or_none(api)
        with self._lock:
            if name is None:
                _keep(self._refused, digest, monotonic() + REFUSED_SECONDS)
                self._known.pop(digest, None)
                return None
            known = _Known(name, api, monotonic() + REMEMBERED_SECONDS, self._limit)
            _keep(self._known, digest, known)
            return known


def _keep(where: OrderedDict[bytes, T], digest: bytes, what: T) -> None:
    where[digest] = what
    where.move_to_end(digest)
    while len(where) > MOST_VIEWERS:
        where.popitem(last=False)


def _is_allowed(api: KubernetesApi, resource: Resource, namespace: str) -> bool:
    group = resource.api_version.rpartition("/")[0]
    asked: Mapping[str, str] = {"group": group, "resource": resource.plural, "verb": "list", "namespace": namespace}
    return bool(api.ask(ACCESS_REVIEWS, {"resourceAttributes": asked}).get("allowed"))


def _name_or_none(api: KubernetesApi) -> str | None:
    """None where the API server doesn't take the token."""
    try:
        user = api.ask(SUBJECT_REVIEWS, {}).get("userInfo") or {}
    except ClusterUnavailable as error:
        if error.status == UNAUTHORIZED:
            return None
        if error.status is not None and 400 <= error.status < 500 and error.status != 429:
            return UNKNOWN  # it was taken, and this question isn't allowed
        raise
    return str(user.get("username") or UNKNOWN)


def may_see(viewer: Viewer, namespace: str) -> bool:
    """Whether they may read a namespace's ModelDeployments."""
    return viewer.may_list(MODEL_DEPLOYMENTS, namespace)


def may_see_pods(viewer: Viewer, namespace: str) -> bool:
    """Whether they may read a namespace's pods."""
    return viewer.may_list(PODS, namespace)
