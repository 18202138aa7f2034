"""What the user asked for, parsed once at the edge.

Bounds and defaults are the CRD's (crds/modeldeployments.yaml). Where that is older than the operator and fields are
missing, the same defaults hold. Inside of lists the defaults are in the code alone: whoever applies a list compares
it with the whole list that is there.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar

from tidegate.errors import InvalidSpec
from tidegate.model.agreement import GATE as AGREEMENT
from tidegate.model.agreement import AgreementCheck, RequestSamples
from tidegate.model.api_fields import at
from tidegate.model.config import ConfigContent, ConfigUse, config_uses
from tidegate.model.delivery import Delivery, parse_delivery
from tidegate.model.followed import parse_follow
from tidegate.model.gate import GateSpec, parse_gates
from tidegate.model.gateway import GatewayApi
from tidegate.model.inputs import InputCheck
from tidegate.model.istio import MESH, Istio
from tidegate.model.matching import Rules, is_routers_own, read_rules
from tidegate.model.notification import Receiver, parse_receivers
from tidegate.model.own_query import OwnQuery, parse_queries
from tidegate.model.reasons import Policy
from tidegate.model.route_policy import NO_POLICY, RoutePolicy, policy_fields, read_policy
from tidegate.model.signers import Signers
from tidegate.model.slices import Slices, read_slices
from tidegate.model.spec_defaults import filled
from tidegate.model.traffic import RouteSettings, Sticky, is_reserved_header
from tidegate.model.units import parse_duration, parse_percent

AUTO = "Auto"
"""In the place of a number: the server finds the best one by measuring."""
REQUIRED = "Required"
Variables = tuple[tuple[str, str], ...]
"""Environment variables: names and values, in the user's order."""


@dataclass(frozen=True)
class Model:
    """Where the ONNX file is, its digest if the user pinned it, and what fetching it takes."""

    uri: str
    sha256: str | None
    credentials_secret: str | None = None
    """Name of a Secret that only the container that fetches sees."""
    fetch_env: Variables = ()
    service_account: str | None = None
    """Whose identity in a cloud reads the model; None for the namespace's own."""
    signed_by: Signers | None = None
    """Whose signature the model has to have in its registry; None where none is asked for."""
    delivery: Delivery = Delivery.FETCH


@dataclass(frozen=True)
class Batching:
    """How requests share a run. The defaults are the model server's own: it isn't told them."""

    max_rows: int = 16
    max_delay: timedelta | None = None
    """How long a run waits for company; None where the server measures that."""


@dataclass(frozen=True)
class Server:
    """What runs the model. `image` is None where the chart's is meant; `resources` is Kubernetes' own shape."""

    image: str | None
    resources: Mapping[str, Mapping[str, str | int]]
    env: Variables
    threads: int | None = None
    """Of one run; None where the server measures what is best."""
    batching: Batching = Batching()
    api_keys_secret: str | None = None
    """Name of a Secret whose key `keys` says who may ask for answers; None where everybody may."""
    pod_template: Mapping[str, Any] = field(default_factory=dict)
    """What its pods have beyond what a model server needs, in Kubernetes' own shape; what is empty isn't in it."""
    env_refs: tuple[Mapping[str, Any], ...] = ()
    """Variables whose values are keys of ConfigMaps or Secrets, in Kubernetes' own shape."""
    env_from: tuple[Mapping[str, Any], ...] = ()
    """ConfigMaps and Secrets whose keys are variables, in Kubernetes' own shape."""
    config: tuple[ConfigContent, ...] = ()
    """The content of those that are followed, sorted by their names. No spec says it: it is what they have."""
    request_samples: RequestSamples | None = None
    """None where pods keep no live requests."""

    @property
    def config_uses(self) -> tuple[ConfigUse, ...]:
        """Every place that names a ConfigMap or a Secret, but for those that are read anew while the server runs."""
        return config_uses(self.env_refs, self.env_from, self.pod_template)


@dataclass(frozen=True)
class PodCount:
    """A number of pods, or a percentage of those that 100 % of the requests need."""

    value: int
    is_percent: bool = False

    @classmethod
    def parse(cls, raw: int | str) -> "PodCount":
        """`4` or `"50%"`. Raises ValueError on anything else."""
        return cls(raw) if isinstance(raw, int) else cls(int(raw.removesuffix("%")), is_percent=True)

    def of(self, full: int) -> int:
        """Pods, where `full` carry all requests; a part of a pod is a whole one."""
        return math.ceil(full * self.value / 100) if self.is_percent else self.value


@dataclass(frozen=True)
class StepPause:
    """A step goes on no sooner, whatever the evidence says. `duration` None: until somebody says so."""

    duration: timedelta | None = None


@dataclass(frozen=True)
class CanaryStep:
    """Percent of the requests for the candidate, and the least time to stay there.

    A shadow step has a `mirror` and no weight: so many percent of the requests are answered once more, for nobody.
    Where there are `rules`, all requests that match one of them are the candidate's, and the weight is of the others.
    """

    weight: int
    min_duration: timedelta
    replicas: PodCount | None = None
    """Its pods; None for as many as the weight takes."""
    pause: StepPause | None = None
    approval: bool = False
    """Whether somebody has to approve that the next step follows."""
    queries: tuple[str, ...] = ()
    """Own queries, by their names, that are judged at the steps that name them and at no other."""
    mirror: int = 0
    rules: Rules = ()

    @property
    def paused_for(self) -> timedelta:
        """How long its pause lasts; none where it ends only when somebody says so."""
        return (self.pause and self.pause.duration) or timedelta()

    @property
    def waits_for_people(self) -> bool:
        """Whether somebody has to say that the next step follows."""
        return self.approval or (self.pause is not None and self.pause.duration is None)


@dataclass(frozen=True)
class Canary:
    """Traffic moves in steps, each granted by a verdict. Step 0 has no traffic, the one after the last has all."""

    moves_in_steps: ClassVar[bool] = True
    queries_before_traffic: ClassVar[tuple[str, ...]] = ()
    steps: tuple[CanaryStep, ...]
    keep_old: timedelta = timedelta()
    """How long the old revision stays at full size after the last shift."""
    max_surge: PodCount = PodCount(100, is_percent=True)
    """The most pods of the candidate beside all of stable's, before it gets all requests."""

    @property
    def first_weight(self) -> int:
        """Percent of the first step that carries traffic."""
        return self.steps[0].weight

    @property
    def steps_with_traffic(self) -> int:
        """How many steps people are told of."""
        return len(self.steps)

    @property
    def step_of_all(self) -> int:
        """The step at which the candidate has all the traffic."""
        return len(self.steps) + 1

    def weight_at(self, step: int) -> int:
        """Percent for the candidate at a step."""
        if step == 0:
            return 0
        return self.steps[step - 1].weight if step <= len(self.steps) else 100

    def mirror_at(self, step: int) -> int:
        """Percent of the requests of which the candidate gets copies at a step."""
        given = self.step_at(step)
        return given.mirror if given else 0

    def rules_at(self, step: int) -> Rules:
        """Whose requests are all the candidate's at a step."""
        given = self.step_at(step)
        return given.rules if given else ()

    def replicas_at(self, step: int) -> PodCount | None:
        """Pods that the user gives the candidate at a step; None for as many as its weight takes."""
        given = self.step_at(step)
        return given.replicas if given else None

    def step_at(self, step: int) -> CanaryStep | None:
        """A step that has a part of the traffic, counted from 1; None of another one."""
        return self.steps[step - 1] if 0 < step <= len(self.steps) else None

    @property
    def queries_by_step(self) -> Mapping[int, tuple[str, ...]]:
        """The own queries that steps name."""
        return {number: step.queries for number, step in enumerate(self.steps, 1) if step.queries}

    def wants_approval(self, step: int) -> bool:
        """Whether somebody has to approve that a step ends."""
        given = self.step_at(step)
        return given is not None and given.approval

    def pause_at(self, step: int) -> StepPause | None:
        """The pause of a step."""
        given = self.step_at(step)
        return given.pause if given else None

    def lasting(self, step: int) -> timedelta:
        """How long a step takes at least, however soon the evidence suffices."""
        given = self.step_at(step)
        if given is None:
            return self.keep_old if step == self.step_of_all else timedelta()
        return max(given.min_duration, given.paused_for)


BLUE_GREEN_VERIFYING, BLUE_GREEN_SWITCHED = 1, 2


@dataclass(frozen=True)
class BlueGreen:
    """Traffic moves at once, and back at once while the old revision is kept."""

    moves_in_steps: ClassVar[bool] = False
    first_weight: ClassVar[int] = 100
    steps_with_traffic: ClassVar[int] = 1
    step_of_all: ClassVar[int] = BLUE_GREEN_SWITCHED
    verify_for: timedelta
    keep_old: timedelta
    approval: bool = False
    """Whether somebody has to approve the switch."""
    before_switch: tuple[str, ...] = ()
    """Own queries, by their names, that are judged while the candidate is verified, without traffic."""
    after_switch: tuple[str, ...] = ()
    """The same while it has all the traffic."""

    @property
    def queries_by_step(self) -> Mapping[int, tuple[str, ...]]:
        """The own queries that are named for a step."""
        named = {BLUE_GREEN_VERIFYING: self.before_switch, BLUE_GREEN_SWITCHED: self.after_switch}
        return {step: queries for step, queries in named.items() if queries}

    @property
    def queries_before_traffic(self) -> tuple[str, ...]:
        """Those of them that are judged of a candidate without traffic, and no other."""
        return tuple(name for name in self.before_switch if name not in self.after_switch)

    def wants_approval(self, step: int) -> bool:
        """Whether somebody has to approve that a step ends."""
        return self.approval and step < BLUE_GREEN_SWITCHED

    def pause_at(self, step: int) -> StepPause | None:
        """A switch has none but `verifyFor` and `keepOld`."""
        return None

    def lasting(self, step: int) -> timedelta:
        """How long a step takes at least."""
        return (timedelta(), self.verify_for, self.keep_old)[step]

    def weight_at(self, step: int) -> int:
        """Percent for the candidate at a step: none before the switch, and no step comes after it."""
        return 100 if step == BLUE_GREEN_SWITCHED else 0

    def mirror_at(self, step: int) -> int:
        """It has no shadow steps."""
        return 0

    def rules_at(self, step: int) -> Rules:
        """Nobody is chosen."""
        return ()


Strategy = Canary | BlueGreen


@dataclass(frozen=True)
class Margin:
    """The line `ratio × stable's rate + absolute`; `absolute` is a share, 0.001 = 0.1 %."""

    ratio: float
    absolute: float


@dataclass(frozen=True)
class ErrorRate:
    """Up to `tolerate` never a reason to roll back; below `accept` good enough; `ceiling` is a share of its own."""

    tolerate: Margin
    accept: Margin
    ceiling: float


@dataclass(frozen=True)
class Latency:
    """Slowdowns as shares (0.2 = 20 % slower) at percentiles of stable's latency."""

    tolerate: float
    accept: float
    negligible: timedelta
    quantiles: tuple[int, ...]
    ceiling: tuple[tuple[int, timedelta], ...] = ()
    """Percentiles of the candidate with limits of their own, whatever stable's."""
    on_load_differs: Policy = Policy.HOLD
    """Hold or Ignore, where the pods of both arms don't have the same to do."""


@dataclass(frozen=True)
class PredictionDrift:
    """How many of the answers may be others than stable's, and what to do about more. Shares: 0.05 is 5 points."""

    drift: float
    """Of a class."""
    score_drift: float
    """Of the top scores up to a bound: a better model is often a surer one, so this is the wider one by default."""
    on_drift: Policy
    """Hold, Rollback or Ignore."""


class CounterSource(StrEnum):
    """Where the routers' counters are read."""

    AUTO = "Auto"
    """Directly where Tidegate's own router tells them, from Prometheus where it doesn't."""
    ROUTERS = "Routers"
    PROMETHEUS = "Prometheus"


class SignaturePolicy(StrEnum):
    """What follows where clients of stable would break on a candidate's signature or labels."""

    REFUSE = "Refuse"
    """It goes back before it has any traffic."""
    HOLD = "Hold"
    """It waits for somebody's approval before its first traffic."""
    ALLOW = "Allow"
    """That is told, and stops nothing."""


@dataclass(frozen=True)
class Analysis:
    """How the judge looks. `false_rollback` is the α and `false_promotion` the β of its two bounds."""

    interval: timedelta
    false_rollback: float
    false_promotion: float
    error_rate: ErrorRate
    latency: Latency
    predictions: PredictionDrift
    queries: tuple[OwnQuery, ...]
    requests_from: str
    """Who counts requests and failures: Router, or Servers."""
    overdispersion: float | None = field(metadata=at("dispersion"))
    """How many bad requests come in one clump; None where that is learned from stable."""
    on_inconclusive: Policy
    on_metrics_unavailable: Policy
    deadline: timedelta
    bake: timedelta = timedelta(minutes=1)
    """How long the candidate, which has all the traffic, must be seen to do well before the old revision goes."""
    source: CounterSource = CounterSource.AUTO
    """Where the routers' counters are read."""
    signature: SignaturePolicy = SignaturePolicy.REFUSE
    agreement: AgreementCheck | None = None
    """None where answers aren't compared one by one."""
    inputs: InputCheck | None = None
    """None where inputs aren't compared with those of the training."""
    slices: Slices = ()
    """Groups of requests that are judged by themselves as well."""


@dataclass(frozen=True)
class ModelDeploymentSpec:
    """One ModelDeployment's whole spec."""

    replicas: int
    paused: bool
    model: Model
    server: Server
    router: str
    """What splits the traffic."""
    route_settings: RouteSettings
    strategy: Strategy
    analysis: Analysis
    progress_deadline: timedelta
    revision_history_limit: int
    rollback_window: timedelta = timedelta(hours=24)
    """A revision that was stable so short a time ago gets its traffic back in one shift."""
    gates: tuple[GateSpec, ...] = ()
    notifications: tuple[Receiver, ...] = ()
    config_revision: str | None = None
    """A revision whose ConfigMaps' and Secrets' content is meant, in place of what they have now."""
    follow: timedelta | None = None
    """How often to look at what the name of the model means; None where it isn't followed."""

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> "ModelDeploymentSpec":
        """Reads a spec. Raises InvalidSpec with a sentence that names the field."""
        spec = filled(spec)
        try:
            strategy = _strategy(spec["strategy"], spec["traffic"]["previewHeader"])
            analysis = _analysis(spec["analysis"])
            _check_queries(strategy, analysis.queries)
            parsed = cls(
                replicas=spec["replicas"],
                paused=spec["paused"],
                model=_model(spec["model"]),
                server=_server(spec["server"]),
                router=spec["traffic"]["router"],
                route_settings=replace(_route_settings(spec["traffic"]), slices=analysis.slices),
                strategy=strategy,
                analysis=analysis,
                progress_deadline=parse_duration(spec["progressDeadline"]),
                revision_history_limit=spec["revisionHistoryLimit"],
                rollback_window=parse_duration(spec.get("rollbackWindow", "24h")),
                gates=parse_gates(spec.get("gates", ())),
                notifications=parse_receivers(spec.get("notifications", ())),
                config_revision=spec["server"].get("configRevision"),
                follow=parse_follow(spec["model"]),
            )
            return parsed._checked()
        except KeyError as missing:
            raise InvalidSpec(f"spec lacks the field {missing}; is the CRD older than the operator?") from missing
        except (ValueError, TypeError, AttributeError) as wrong:
            raise InvalidSpec(f"spec: {wrong}; is the CRD older than the operator?") from wrong

    def of_model(self, uri: str) -> "ModelDeploymentSpec":
        """The same spec of the model at another URI."""
        return replace(self, model=replace(self.model, uri=uri))

    def _checked(self) -> "ModelDeploymentSpec":
        """Itself. Raises InvalidSpec where two of its parts contradict each other."""
        steps = self.strategy.steps if isinstance(self.strategy, Canary) else ()
        if any(step.mirror for step in steps) and self.analysis.requests_from != "Router":
            raise InvalidSpec(
                "spec.strategy.canary.steps has a mirror, but spec.analysis.requestsFrom is "
                f"{self.analysis.requests_from}: model servers don't tell copies from users' requests; set "
                "requestsFrom to Router, or leave mirror out"
            )
        if self.analysis.requests_from == "Istio" and self.router not in ("GatewayAPI", "Istio"):
            raise InvalidSpec(
                f"spec.analysis.requestsFrom is Istio, but spec.traffic.router is {self.router}, whose requests Istio "
                "doesn't tell apart by revision; set router to Istio or GatewayAPI, or requestsFrom to Router"
            )
        if self.route_settings.grpc and any(step.mirror or step.rules for step in steps):
            raise InvalidSpec(
                "spec.strategy.canary.steps has a mirror or a match, but spec.traffic.grpc is true: calls by gRPC are "
                "neither copied nor matched, and stable's would be compared with none; leave out one of the two"
            )
        if self.analysis.slices and self.analysis.requests_from != "Router":
            raise InvalidSpec(
                "spec.analysis.slices are counted by the router, but spec.analysis.requestsFrom is "
                f"{self.analysis.requests_from}: set requestsFrom to Router, or leave slices out"
            )
        if self.analysis.slices and self.route_settings.sticky:
            raise InvalidSpec(
                "spec.analysis.slices and spec.traffic.sticky don't go together: where users stay with a revision, a "
                "group has few of them, and nobody can tell their luck from the model's; leave out one of the two"
            )
        if self.analysis.agreement and not self.server.request_samples:
            raise InvalidSpec(
                "spec.analysis.agreement compares answers to samples of live requests, but spec.server.requestSamples "
                "isn't there, so no pod keeps any: give it a keySecret"
            )
        if self.analysis.agreement and any(gate.name == AGREEMENT for gate in self.gates):
            raise InvalidSpec(
                f"spec.gates has a gate named {AGREEMENT}, which is the name of spec.analysis.agreement's own: give it "
                "another name"
            )
        return self


def _route_settings(raw: Mapping[str, Any]) -> RouteSettings:
    if is_reserved_header(raw["previewHeader"]):
        raise InvalidSpec(
            f"spec.traffic.previewHeader: requests have {raw['previewHeader']} for another purpose, and each would be "
            "taken for a preview; name a header that nothing else sends, such as x-tidegate-revision"
        )
    policy = _policy(raw)
    sticky = _sticky(raw["sticky"], raw) if "sticky" in raw else None
    if raw["router"] == "Istio":
        return _istio_settings(raw, policy, sticky)
    if raw["router"] != "GatewayAPI":
        timeout = parse_duration(raw["timeout"])
        return RouteSettings(raw["previewHeader"], timeout, grpc=raw["grpc"], policy=policy, sticky=sticky)
    if "gatewayAPI" not in raw:
        raise InvalidSpec(
            "spec.traffic.gatewayAPI has to be given where spec.traffic.router is GatewayAPI: name the Gateway in its "
            "parentRefs"
        )
    if ("parentRefs" in raw["gatewayAPI"]) == ("routeRef" in raw["gatewayAPI"]):
        raise InvalidSpec("spec.traffic.gatewayAPI must have exactly one of parentRefs and routeRef")
    if policy != NO_POLICY:
        raise InvalidSpec(
            f"spec.traffic: {', '.join(policy_fields(policy))} is of the built-in router, and an HTTPRoute can't say "
            "it; leave it out and use a policy of your Gateway's implementation, or set spec.traffic.router to Builtin"
        )
    gateway = GatewayApi.parse(raw["gatewayAPI"])
    _check_grpc_hostnames(gateway, is_grpc=raw["grpc"])
    return RouteSettings("", parse_duration(raw["timeout"]), gateway, raw["grpc"], sticky=sticky)


def _istio_settings(raw: Mapping[str, Any], policy: RoutePolicy, sticky: Sticky | None) -> RouteSettings:
    if "istio" not in raw:
        raise InvalidSpec(
            "spec.traffic.istio has to be given where spec.traffic.router is Istio: name the hosts, and Istio's "
            "Gateways that take them"
        )
    if ("hosts" in raw["istio"]) == ("virtualService" in raw["istio"]):
        raise InvalidSpec("spec.traffic.istio must have exactly one of hosts and virtualService")
    if ("hosts" in raw["istio"]) != ("gateways" in raw["istio"]):
        raise InvalidSpec("spec.traffic.istio.gateways goes with hosts: give both, or virtualService alone")
    istio = Istio.parse(raw["istio"])
    if MESH in istio.gateways:
        raise InvalidSpec(
            "spec.traffic.istio.gateways has mesh: sidecars can't tell revisions apart, whose Services have no address "
            "of their own; name Istio's Gateways alone, and let clients in the mesh ask one of these"
        )
    if policy != NO_POLICY:
        raise InvalidSpec(
            f"spec.traffic: {', '.join(policy_fields(policy))} is of the built-in router, and a VirtualService doesn't "
            "have it; leave it out, or set spec.traffic.router to Builtin"
        )
    if raw["grpc"] and istio.virtual_service:
        raise InvalidSpec(
            "spec.traffic.grpc is true, and spec.traffic.istio.virtualService names one route; leave grpc out, or give "
            "hosts and gateways instead"
        )
    return RouteSettings("", parse_duration(raw["timeout"]), grpc=raw["grpc"], sticky=sticky, istio=istio)


def _check_grpc_hostnames(gateway: GatewayApi, *, is_grpc: bool) -> None:
    """Raises InvalidSpec where a listener couldn't tell calls by gRPC from other requests."""
    if is_grpc and gateway.route_ref:
        raise InvalidSpec(
            "spec.traffic.grpc is true, and spec.traffic.gatewayAPI.routeRef names a rule for HTTP; leave grpc out, or "
            "give parentRefs, hostnames and grpcHostnames instead of routeRef"
        )
    if is_grpc != bool(gateway.grpc_hostnames):
        raise InvalidSpec(
            "spec.traffic.gatewayAPI.grpcHostnames goes with spec.traffic.grpc: give both, since a GRPCRoute needs "
            "hosts of its own, or neither"
        )
    if is_grpc and (not gateway.hostnames or set(gateway.hostnames) & set(gateway.grpc_hostnames)):
        raise InvalidSpec(
            "spec.traffic.gatewayAPI.hostnames must name other hosts than grpcHostnames: a listener gives a host to an "
            "HTTPRoute or to a GRPCRoute, never to both"
        )


def _sticky(raw: Mapping[str, Any], traffic: Mapping[str, Any]) -> Sticky:
    if ("header" in raw) == ("cookie" in raw):
        raise InvalidSpec("spec.traffic.sticky must have exactly one of header and cookie")
    if "cookie" in raw:
        if traffic["grpc"]:
            raise InvalidSpec(
                "spec.traffic.sticky.cookie: clients that call by gRPC keep no cookies, but spec.traffic.grpc is true; "
                "name a header, which calls have as metadata"
            )
        return Sticky(cookie=raw["cookie"]["name"], ttl=parse_duration(raw["cookie"].get("ttl", "0s")))
    header = raw["header"]
    if is_routers_own(header) or header in (traffic["previewHeader"], "x-request-id"):
        raise InvalidSpec(
            f"spec.traffic.sticky.header: {header} doesn't tell users apart, as the router has it for another purpose; "
            "name one in small letters that has a user's id, such as x-user"
        )
    return Sticky(header=header)


def _policy(raw: Mapping[str, Any]) -> RoutePolicy:
    try:
        return read_policy(raw, "spec.traffic")
    except ValueError as wrong:
        raise InvalidSpec(str(wrong)) from wrong


def _model(raw: Mapping[str, Any]) -> Model:
    return Model(
        raw["uri"],
        raw.get("sha256"),
        raw.get("credentialsSecret"),
        _variables(raw.get("fetchEnv", ())),
        raw.get("serviceAccount"),
        Signers.parse(raw["signedBy"], raw["uri"]) if "signedBy" in raw else None,
        parse_delivery(raw),
    )


def _server(raw: Mapping[str, Any]) -> Server:
    rows, delay = raw["batching"]["maxRows"], raw["batching"]["maxDelay"]
    return Server(
        image=raw.get("image"),
        resources=raw["resources"],
        env=_variables(each for each in raw.get("env", ()) if "valueFrom" not in each),
        threads=None if raw["threads"] == AUTO else int(raw["threads"]),
        batching=Batching(rows, None if delay == AUTO else parse_duration(delay)),
        api_keys_secret=raw["auth"].get("apiKeysSecret"),
        pod_template={name: part for name, part in raw.get("podTemplate", {}).items() if part},
        env_refs=tuple(each for each in raw.get("env", ()) if "valueFrom" in each),
        env_from=tuple(raw.get("envFrom", ())),
        request_samples=RequestSamples.parse(raw["requestSamples"]) if "requestSamples" in raw else None,
    )


def _variables(raw: Iterable[Mapping[str, str]]) -> Variables:
    return tuple((item["name"], item["value"]) for item in raw)


def _strategy(raw: Mapping[str, Any], preview_header: str) -> Strategy:
    if "blueGreen" in raw:
        blue_green = raw["blueGreen"]
        approval = _is_required(blue_green)
        return BlueGreen(
            parse_duration(blue_green["verifyFor"]),
            parse_duration(blue_green["keepOld"]),
            approval,
            _named_queries(blue_green.get("prePromotionAnalysis")),
            _named_queries(blue_green.get("postPromotionAnalysis")),
        )
    canary = raw["canary"]
    steps = tuple(_step(each, number, preview_header) for number, each in enumerate(canary["steps"]))
    live = [not step.mirror for step in steps]
    if live != sorted(live):
        raise InvalidSpec(
            "spec.strategy.canary.steps: a step with a mirror comes after one with traffic; put what is only mirrored "
            "before all live traffic"
        )
    return Canary(
        steps,
        parse_duration(canary.get("keepOld", "0s")),
        PodCount.parse(canary.get("maxSurge", "100%")),
    )


def _check_queries(strategy: Strategy, queries: Sequence[OwnQuery]) -> None:
    """Raises InvalidSpec where a step names a query that there isn't, or a query could never be judged."""
    known = {query.name for query in queries}
    named = {name: step for step, names in strategy.queries_by_step.items() for name in names}
    if unknown := sorted(named.keys() - known):
        raise InvalidSpec(
            f"spec.strategy names the query {unknown[0]} at step {named[unknown[0]]}, and spec.analysis.queries has "
            "no such query; give it there, or take the name out"
        )
    for query in queries:
        if query.starting_step == 1:
            continue
        where = f"spec.analysis.queries[{query.name}].startingStep is {query.starting_step}"
        if query.name in named:
            raise InvalidSpec(f"{where}, but step {named[query.name]} names it: leave out one of them")
        if not strategy.moves_in_steps:
            raise InvalidSpec(f"{where}, but blueGreen has no steps: name it in postPromotionAnalysis.queries instead")
        if query.starting_step > strategy.step_of_all:
            steps = strategy.steps_with_traffic
            raise InvalidSpec(
                f"{where}, but the canary has {steps} steps: {steps + 1} at most, which is all the traffic"
            )


def _step(raw: Mapping[str, Any], number: int, preview_header: str) -> CanaryStep:
    replicas = PodCount.parse(raw["replicas"]) if "replicas" in raw else None
    least = parse_duration(raw.get("minDuration", "0s"))
    pause = _pause(raw["pause"]) if "pause" in raw else None
    mirror = raw["mirror"]["percent"] if "mirror" in raw else 0
    rules = (
        _rules(raw["match"], f"spec.strategy.canary.steps[{number}].match", preview_header) if "match" in raw else ()
    )
    weight = raw.get("weight", 0) if mirror or rules else raw["weight"]
    queries = _named_queries(raw.get("analysis"))
    return CanaryStep(weight, least, replicas, pause, _is_required(raw), queries, mirror, rules)


def _rules(raw: object, where: str, preview_header: str) -> Rules:
    try:
        return read_rules(raw, where, preview_header)
    except ValueError as error:
        raise InvalidSpec(str(error)) from error


def _named_queries(raw: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple(raw["queries"]) if raw else ()


def _pause(raw: Mapping[str, str]) -> StepPause:
    return StepPause(parse_duration(raw["duration"]) if "duration" in raw else None)


def _is_required(raw: Mapping[str, Any]) -> bool:
    """Whether an approval is. A word that isn't known is no leave to go on without one."""
    if raw.get("approval", REQUIRED) != REQUIRED:
        raise ValueError(f"approval is {raw['approval']!r}, which is no word but {REQUIRED!r}")
    return "approval" in raw


def _margin(raw: Mapping[str, str]) -> Margin:
    return Margin(float(raw["ratio"]), parse_percent(raw["absolute"]))


def _analysis(raw: Mapping[str, Any]) -> Analysis:
    errors, latency = raw["errorRate"], raw["latency"]
    return Analysis(
        interval=parse_duration(raw["interval"]),
        false_rollback=parse_percent(raw["confidence"]["falseRollback"]),
        false_promotion=parse_percent(raw["confidence"]["falsePromotion"]),
        error_rate=ErrorRate(_margin(errors["tolerate"]), _margin(errors["accept"]), parse_percent(errors["ceiling"])),
        latency=Latency(
            tolerate=parse_percent(latency["tolerate"]),
            accept=parse_percent(latency["accept"]),
            negligible=parse_duration(latency["negligible"]),
            quantiles=tuple(sorted(latency["quantiles"])),
            ceiling=_limits(latency["ceiling"]),
            on_load_differs=Policy(latency.get("onLoadDiffers", Policy.HOLD)),
        ),
        predictions=_drift(raw["predictions"]),
        queries=parse_queries(raw["queries"]),
        requests_from=raw["requestsFrom"],
        overdispersion=None if raw["dispersion"] == AUTO else float(raw["dispersion"]),
        on_inconclusive=Policy(raw["onInconclusive"]),
        on_metrics_unavailable=Policy(raw["onMetricsUnavailable"]),
        deadline=parse_duration(raw["deadline"]),
        bake=parse_duration(raw.get("bake", "1m")),
        source=_source(raw),
        signature=SignaturePolicy(raw.get("signature", SignaturePolicy.REFUSE)),
        agreement=AgreementCheck.parse(raw["agreement"]) if "agreement" in raw else None,
        inputs=InputCheck.parse(raw["inputs"]) if "inputs" in raw else None,
        slices=_slices(raw.get("slices", ())),
    )


def _slices(raw: object) -> Slices:
    try:
        return read_slices(raw, "spec.analysis.slices")
    except ValueError as wrong:
        raise InvalidSpec(str(wrong)) from wrong


def _source(raw: Mapping[str, Any]) -> CounterSource:
    source = CounterSource(raw["source"])
    if source is CounterSource.ROUTERS and raw["requestsFrom"] != "Router":
        raise InvalidSpec(
            f"spec.analysis.source is Routers, but spec.analysis.requestsFrom is {raw['requestsFrom']}: the model "
            "servers aren't read directly; set requestsFrom to Router, or source to Auto"
        )
    return source


def _drift(raw: Mapping[str, str]) -> PredictionDrift:
    return PredictionDrift(parse_percent(raw["drift"]), parse_percent(raw["scoreDrift"]), Policy(raw["onDrift"]))


def _limits(raw: Mapping[str, str]) -> tuple[tuple[int, timedelta], ...]:
    """`p99: 250ms` → (99, 250 ms), ascending."""
    return tuple(sorted((int(name.removeprefix("p")), parse_duration(limit)) for name, limit in raw.items()))
