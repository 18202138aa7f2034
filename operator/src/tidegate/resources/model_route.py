"""A ModelRoute, written and read back side by side: the only record of a split. Pure.

The operator writes it, the built-in router reads it, and both read it by this one parser.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple

from tidegate.errors import MalformedObject
from tidegate.model.matching import plain_rules, read_rules
from tidegate.model.route_policy import NO_POLICY, RoutePolicy, policy_fields, read_policy
from tidegate.model.slices import Slices, plain_slices, read_slices
from tidegate.model.traffic import Matched, Mirror, RouteSettings, Sticky, TrafficSplit
from tidegate.resources.names import GROUP, VERSION, labels
from tidegate.resources.revision import Manifest, owner

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
HEADER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
DEFAULT_PREVIEW_HEADER = "x-tidegate-revision"
DEFAULT_TIMEOUT_SECONDS = 60
LONGEST_TIMEOUT_SECONDS = 3600
COOKIE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
LONGEST_COOKIE_SECONDS = 400 * 24 * 3600
"""Browsers keep none longer."""
MAX_BACKENDS = 8


class Backend(NamedTuple):
    """One revision and its share of the requests, in percent (0 to 100)."""

    revision: str
    weight: int


@dataclass(frozen=True)
class Route:
    """How the requests of one ModelDeployment are split. Weights add to 100."""

    namespace: str
    name: str
    preview_header: str
    """Empty where no revision can be asked by name."""
    timeout_seconds: int
    backends: tuple[Backend, ...]
    grpc: bool = False
    """Whether calls by gRPC are split too."""
    policy: RoutePolicy = NO_POLICY
    mirror: Mirror | None = None
    matched: Matched | None = None
    matched_weight: int = 100
    """Percent of those that match that go where they should; 0 where nobody could answer there."""
    sticky: Sticky | None = None
    slices: Slices = ()
    """Groups of requests that are counted apart."""

    @property
    def split(self) -> TrafficSplit:
        """The same as the operator counts it."""
        return TrafficSplit(self.backends, self.mirror, self.matched)

    @property
    def settings(self) -> RouteSettings:
        """What else the route says of its requests."""
        timeout = timedelta(seconds=self.timeout_seconds)
        return RouteSettings(
            self.preview_header,
            timeout,
            grpc=self.grpc,
            policy=self.policy,
            sticky=self.sticky,
            slices=self.slices,
        )


def route_manifest(namespace: str, name: str, uid: str, split: TrafficSplit, settings: RouteSettings) -> Manifest:
    """What `read_route` reads. `settings` are within the bounds of `bounded`."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "ModelRoute",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels(name),
            "ownerReferences": owner(name, uid),
        },
        "spec": {
            "previewHeader": settings.preview_header,
            "timeoutSeconds": int(settings.timeout.total_seconds()),
            "backends": [{"revision": revision, "weight": weight} for revision, weight in split],
            **({"grpc": True} if settings.grpc else {}),
            **policy_fields(settings.policy),
            **({"mirror": asdict(split.mirror)} if split.mirror else {}),
            **({"match": _plain_match(split.matched)} if split.matched else {}),
            **({"sticky": plain_sticky(settings.sticky)} if settings.sticky else {}),
            **({"slices": plain_slices(settings.slices)} if settings.slices else {}),
        },
    }


def _plain_match(matched: Matched) -> Manifest:
    return {"revision": matched.revision, "rules": plain_rules(matched.rules)}


def plain_sticky(sticky: Sticky) -> Manifest:
    """What `read_sticky` reads."""
    if sticky.header:
        return {"header": sticky.header}
    return {"cookie": {"name": sticky.cookie, "ttlSeconds": int(sticky.ttl.total_seconds())}}


def bounded(settings: RouteSettings) -> RouteSettings:
    """The settings as far as a route can carry them: a timeout in whole seconds, from one to an hour."""
    seconds = max(1, min(LONGEST_TIMEOUT_SECONDS, int(settings.timeout.total_seconds())))
    # What a promotion waits for is the judge's alone.
    slices = tuple(replace(each, required=False) for each in settings.slices)
    return replace(settings, timeout=timedelta(seconds=seconds), slices=slices)


def read_route(body: Mapping[str, Any]) -> Route:
    """Parses a ModelRoute. Raises MalformedObject."""
    metadata, spec = mapping_at(body, "metadata"), mapping_at(body, "spec")
    backends = _read_backends(spec.get("backends"))
    return Route(
        namespace=text_at(metadata, "metadata.namespace", DNS_LABEL),
        name=text_at(metadata, "metadata.name", DNS_LABEL),
        preview_header=_preview_header(spec),
        timeout_seconds=_whole_number(spec, "spec.timeoutSeconds", 1, LONGEST_TIMEOUT_SECONDS, DEFAULT_TIMEOUT_SECONDS),
        backends=backends,
        grpc=_read_flag(spec, "spec.grpc"),
        policy=_read_policy(spec),
        mirror=_read_mirror(mapping_at(spec, "mirror"), backends) if "mirror" in spec else None,
        matched=_read_match(mapping_at(spec, "match"), backends) if "match" in spec else None,
        sticky=read_sticky(mapping_at(spec, "sticky")) if "sticky" in spec else None,
        slices=_read_slices(spec.get("slices", ())),
    )


def _read_slices(listed: object) -> Slices:
    try:
        return read_slices(listed, "spec.slices")
    except ValueError as wrong:
        raise MalformedObject(str(wrong)) from wrong


def read_sticky(body: Mapping[str, Any]) -> Sticky:
    """By what users are known. Raises MalformedObject."""
    if ("header" in body) == ("cookie" in body):
        raise MalformedObject("spec.sticky: needs exactly one of header and cookie")
    if "header" in body:
        return Sticky(header=text_at(body, "spec.sticky.header", HEADER_NAME))
    cookie = mapping_at(body, "cookie")
    seconds = _whole_number(cookie, "spec.sticky.cookie.ttlSeconds", 0, LONGEST_COOKIE_SECONDS, 0)
    return Sticky(cookie=text_at(cookie, "spec.sticky.cookie.name", COOKIE_NAME), ttl=timedelta(seconds=seconds))


def _read_match(body: Mapping[str, Any], backends: tuple[Backend, ...]) -> Matched:
    revision = _named_backend(body, "spec.match.revision", backends)
    try:
        return Matched(revision, read_rules(body.get("rules"), "spec.match.rules"))
    except ValueError as error:
        raise MalformedObject(str(error)) from error


def _read_mirror(body: Mapping[str, Any], backends: tuple[Backend, ...]) -> Mirror:
    revision = _named_backend(body, "spec.mirror.revision", backends)
    return Mirror(revision, _whole_number(body, "spec.mirror.percent", 1, 100))


def _named_backend(body: Mapping[str, Any], field: str, backends: tuple[Backend, ...]) -> str:
    revision = text_at(body, field, DNS_LABEL)
    if not any(backend.revision == revision for backend in backends):
        raise MalformedObject(f"{field}: {revision} is none of spec.backends")
    return revision


def _preview_header(spec: Mapping[str, Any]) -> str:
    if spec.get("previewHeader") == "":
        return ""
    return text_at(spec, "spec.previewHeader", HEADER_NAME, DEFAULT_PREVIEW_HEADER)


def _read_policy(spec: Mapping[str, Any]) -> RoutePolicy:
    try:
        return read_policy(spec, "spec")
    except ValueError as wrong:
        raise MalformedObject(str(wrong)) from wrong


def _read_flag(spec: Mapping[str, Any], field: str) -> bool:
    value = spec.get(field.rpartition(".")[2], False)
    if not isinstance(value, bool):
        raise MalformedObject(f"{field}: {value!r} is neither true nor false")
    return value


def _read_backends(listed: object) -> tuple[Backend, ...]:
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_BACKENDS:
        raise MalformedObject(f"spec.backends: needs 1 to {MAX_BACKENDS} revisions")
    backends = tuple(_read_backend(item, f"spec.backends[{at}]") for at, item in enumerate(listed))
    if len({backend.revision for backend in backends}) < len(backends):
        raise MalformedObject("spec.backends: a revision is listed twice")
    total = sum(backend.weight for backend in backends)
    if total != 100:
        raise MalformedObject(f"spec.backends: the weights add to {total}, not 100")
    return backends


def _read_backend(item: object, where: str) -> Backend:
    if not isinstance(item, Mapping):
        raise MalformedObject(f"{where}: is not an object")
    return Backend(text_at(item, f"{where}.revision", DNS_LABEL), _whole_number(item, f"{where}.weight", 0, 100))


def mapping_at(body: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """The object in a field. Raises MalformedObject."""
    value = body.get(field)
    if not isinstance(value, Mapping):
        raise MalformedObject(f"{field}: is not an object")
    return value


def text_at(body: Mapping[str, Any], field: str, pattern: re.Pattern[str], default: str | None = None) -> str:
    """The text in a field, which matches `pattern` whole. Raises MalformedObject."""
    value = body.get(field.rpartition(".")[2], default)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise MalformedObject(f"{field}: {value!r} doesn't match {pattern.pattern}")
    return value


def _whole_number(body: Mapping[str, Any], field: str, low: int, high: int, default: int | None = None) -> int:
    value = body.get(field.rpartition(".")[2], default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise MalformedObject(f"{field}: {value!r} is not a whole number from {low} to {high}")
    return value
