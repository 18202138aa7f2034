"""The steps that a revision goes through, and what today's traffic makes of them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from tidegate.decide.capacity import candidate_size
from tidegate.decide.criteria import stages_of
from tidegate.judge.forecast import Estimate, estimate_duration
from tidegate.model.agreement import AgreementCheck
from tidegate.model.evidence import BaselineTraffic
from tidegate.model.gate import GatePoint, GateSpec
from tidegate.model.inputs import InputCheck, InputPolicy
from tidegate.model.slices import Slice
from tidegate.model.spec import BlueGreen, Canary, ModelDeploymentSpec, SignaturePolicy, Strategy
from tidegate.model.status import Rollout
from tidegate.model.traffic import Sticky
from tidegate.model.units import format_duration, format_percent, parse_instant

NEVER = parse_instant("2000-01-01T00:00:00Z")


@dataclass(frozen=True)
class Step:
    """One step; `weight` in percent, `stays` is how long it takes by the traffic, None where nobody knows."""

    number: int
    weight: int
    pods: int
    at_least: timedelta
    asks: str
    """What has to be shown before the next step."""
    stays: timedelta | None = None
    mirror: int = 0
    """Percent of the requests of which the candidate gets copies, which nobody sees answered."""
    matched: bool = False
    """Whether it gets all requests of a group as well."""


@dataclass(frozen=True)
class Outline:
    """All steps. `estimate` is None where the traffic isn't known, or nothing can be told of this strategy."""

    steps: tuple[Step, ...]
    afterwards: str
    gates: tuple[str, ...] = ()
    """Who is asked when, each a sentence; nobody knows how long their answers take."""
    users: str = ""
    """By what users are known who stay with one revision, a sentence; '' where each request is drawn by itself."""
    slices: tuple[str, ...] = ()
    """Groups of requests that are judged by themselves, each slice a sentence."""
    estimate: Estimate | None = None


def outline(spec: ModelDeploymentSpec, traffic: BaselineTraffic | None, delay: timedelta) -> Outline:
    """`delay`: how late counters may be, for whoever doesn't read routers directly."""
    analysis = spec.analysis
    checks = (*_signature(analysis.signature), *_agreement(analysis.agreement), *_inputs(analysis.inputs))
    gates = (*checks, *map(_gate, spec.gates))
    users, slices = _users(spec.route_settings.sticky), tuple(map(_slice, spec.analysis.slices))
    if isinstance(spec.strategy, BlueGreen):
        return replace(_of_blue_green(spec, spec.strategy), gates=gates, users=users, slices=slices)
    return replace(_of_canary(spec, spec.strategy, traffic, delay), gates=gates, users=users, slices=slices)


MOMENTS = {
    GatePoint.START: "before its first traffic",
    GatePoint.STEP: "before each further step",
    GatePoint.PROMOTION: "before it gets all requests",
    GatePoint.END: "at the end, and holds nothing",
}


def _signature(policy: SignaturePolicy) -> Iterator[str]:
    if policy is SignaturePolicy.HOLD:
        yield "where clients of stable would break on its signature, somebody has to approve its first traffic"


def _agreement(check: AgreementCheck | None) -> Iterator[str]:
    if check is not None:
        yield (
            "before its first traffic it is asked live requests again, if stable's pods keep samples, and goes back if "
            f"it answers more than {format_percent(check.tolerate)} of them otherwise"
        )


def _inputs(check: InputCheck | None) -> Iterator[str]:
    if check is not None:
        follows = "it goes no further" if check.on_drift is InputPolicy.HOLD else "that is told"
        drift = format_percent(check.drift)
        yield f"where its inputs differ by more than {drift} from its training-profile.json, if it has one, {follows}"


def _slice(each: Slice) -> str:
    waits = "a promotion waits until each is shown to be no worse" if each.required else "no promotion waits for them"
    return (
        f"it goes back if requests of one {each.name} fare worse, by {each.header}: {', '.join(each.values)}, and all "
        f"others; {waits}"
    )


def _gate(gate: GateSpec) -> str:
    steps = f"before step {', '.join(map(str, gate.steps))}" if gate.steps else MOMENTS[gate.at]
    how = "is run as a Job" if gate.job else "is asked"
    return f"the gate {gate.name} {how} {steps}"


def _users(sticky: Sticky | None) -> str:
    return f"a weight is a share of the users, who are known by {sticky} and stay with one revision" if sticky else ""


def _of_canary(
    spec: ModelDeploymentSpec, strategy: Canary, traffic: BaselineTraffic | None, delay: timedelta
) -> Outline:
    stages = stages_of(spec, strategy)
    estimates = [
        estimate_duration(traffic, spec.analysis, stages[:number], delay) if traffic else None
        for number in range(1, len(stages) + 1)
    ]
    steps, before = [], timedelta()
    for number, (stage, estimate) in enumerate(zip(stages, estimates, strict=True), 1):
        takes = estimate.takes if estimate else None
        sure = format_percent(1 - stage.false_promotion)
        asks = f"no worse, {sure} sure{_queries(strategy, number)}{_people(strategy, number)}"
        pods = candidate_size(spec, _rollout(), number)
        weight = strategy.weight_at(number)
        stays = takes - before if takes is not None else None
        mirror, matched = strategy.mirror_at(number), bool(strategy.rules_at(number))
        steps.append(Step(number, weight, pods, stage.least, asks, stays, mirror, matched))
        before = takes or before
    full = candidate_size(spec, _rollout(), strategy.step_of_all)
    bake = spec.analysis.bake
    steps.append(Step(strategy.step_of_all, 100, full, bake, "not worse", bake if traffic else None))
    return Outline(tuple(steps), _afterwards(strategy.keep_old), estimate=estimates[-1])


def _of_blue_green(spec: ModelDeploymentSpec, strategy: BlueGreen) -> Outline:
    pods = candidate_size(spec, _rollout(), 1)
    steps = (
        Step(
            1,
            0,
            pods,
            strategy.verify_for,
            f"all pods ready without a break{_queries(strategy, 1)}{_people(strategy, 1)}",
        ),
        Step(2, 100, pods, spec.analysis.bake, f"not worse{_queries(strategy, 2)}"),
    )
    return Outline(steps, _afterwards(strategy.keep_old))


def _queries(strategy: Strategy, step: int) -> str:
    names = strategy.queries_by_step.get(step, ())
    word = "query" if len(names) == 1 else "queries"
    return f", and the {word} {', '.join(names)}" if names else ""


def _people(strategy: Strategy, step: int) -> str:
    pause = strategy.pause_at(step)
    is_open = pause is not None and pause.duration is None
    return ", and somebody's approval" if is_open or strategy.wants_approval(step) else ""


def _afterwards(keep_old: timedelta) -> str:
    kept = f", kept for {format_duration(keep_old)}" if keep_old else ""
    return f"then it is stable, and the old revision goes{kept}"


def _rollout() -> Rollout:
    return Rollout("candidate", NEVER, 0, NEVER)
