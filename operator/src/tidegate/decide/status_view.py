"""The part of the status that is for people and for `kubectl wait`: conditions, phase, sentences, numbers."""

from dataclasses import replace

from tidegate.decide.transition import Transition
from tidegate.judge.explain import number
from tidegate.model.evidence import Verdict
from tidegate.model.observation import Observation
from tidegate.model.revision import strategy_steps
from tidegate.model.status import AnalysisView, Condition, RevisionView, Status
from tidegate.model.units import format_percent


def with_view(seen: Observation, transition: Transition, status: Status) -> Status:
    """`status` with everything that repeats the world. Nothing in it depends on the time unless something changed."""
    rollout = status.rollout
    candidate = rollout.candidate if rollout and rollout.candidate != status.stable else None
    stable_view = _view(seen, status.stable)
    ready = _ready(seen, transition, status)
    told = transition.stalled or transition.reconciling or (ready[1], ready[2])
    return replace(
        status,
        observed_generation=seen.generation,
        phase=transition.phase,
        message=told[1],
        steps=strategy_steps(seen.spec) if rollout else 0,
        replicas=seen.state(status.stable).replicas or 0,
        selector=selector(seen.name, status.stable) if status.stable else "",
        candidate_weight=transition.split.weight(candidate) if transition.split and candidate else None,
        observed_candidate=_observed(seen, candidate),
        stable_view=stable_view,
        candidate_view=_view(seen, candidate),
        analysis=_analysis(seen.verdict) if rollout and status.stable else None,
        conditions=(
            _condition(seen, "Ready", *ready),
            _condition(seen, "Reconciling", "True", *transition.reconciling)
            if transition.reconciling
            else _condition(seen, "Reconciling", "False", "Idle", "there is nothing to do"),
            _condition(seen, "Stalled", "True", *transition.stalled)
            if transition.stalled
            else _condition(
                seen, "Stalled", "False", "Progressing" if transition.reconciling else "Idle", "nothing is in the way"
            ),
        ),
    )


def selector(name: str, revision: str) -> str:
    """The label selector of a revision's pods, as the scale subresource wants it."""
    return f"tidegate.dev/model-deployment={name},tidegate.dev/revision={revision}"


def _ready(seen: Observation, transition: Transition, status: Status) -> tuple[str, str, str]:
    if status.stable is None:
        reason, message = transition.stalled or transition.reconciling or ("NoRevision", "no revision is live yet")
        return "False", reason, message
    state = seen.state(status.stable)
    serving = status.stable
    if transition.split and transition.split.weight(status.stable) == 0 and status.rollout:
        serving = status.rollout.candidate
        state = seen.state(serving)
    why = f": {state.failure.message}" if state.failure else ""
    if state.ready == 0:
        return "False", "NoPodsReady", f"{serving} has no pod ready{why}"
    if transition.split != seen.split or not seen.route_applied:
        unseen = status.condition("Ready")
        if unseen is None or unseen.status != "True":
            return "False", "RouteNotApplied", "no router has taken the route yet; is the router running?"
    wanted = state.replicas if state.replicas is not None else seen.spec.replicas
    if state.ready < wanted:
        return "True", "StableDegraded", f"{serving} serves with {state.ready} of {wanted} pods{why}"
    return "True", "StableServing", f"{serving} serves with {wanted} pods"


def _condition(seen: Observation, kind: str, value: str, reason: str, message: str) -> Condition:
    before = seen.recorded.condition(kind)
    since = before.since if before and before.status == value else seen.now
    return Condition(kind, value, reason, message[:32000], since, seen.generation)


def _view(seen: Observation, revision: str | None) -> RevisionView | None:
    if revision is None:
        return None
    state = seen.state(revision)
    uri = state.snapshot.model.uri if state.snapshot else None
    given = state.snapshot.model.sha256 if state.snapshot else None
    found = state.facts.sha256 if state.facts else None
    return RevisionView(revision, uri, given or state.pinned or found, state.ready)


def _observed(seen: Observation, candidate: str | None) -> str:
    if candidate is None or seen.share is None:
        return ""
    fraction = seen.share.fraction(candidate)
    return "" if fraction is None else format_percent(fraction)


def _analysis(verdict: Verdict) -> AnalysisView:
    if verdict.evidence is None:
        return AnalysisView(verdict.answer.value, verdict.reason, verdict.message)
    evidence = verdict.evidence
    return AnalysisView(
        verdict.answer.value,
        verdict.reason,
        verdict.message,
        f"{number(evidence.worse)} of {number(evidence.worse_needed)}",
        f"{number(evidence.acceptable)} of {number(evidence.acceptable_needed)}",
        verdict.caution,
    )
