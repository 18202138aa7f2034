"""The part of the status that is for people and for `kubectl wait`: conditions, phase, sentences, numbers."""

from dataclasses import replace

from tidegate.decide.capacity import is_scaled_to_zero
from tidegate.decide.transition import Transition
from tidegate.judge.explain import of_threshold
from tidegate.model.evidence import QueryResult
from tidegate.model.inputs import InputState
from tidegate.model.judged_queries import judged_queries
from tidegate.model.observation import Observation
from tidegate.model.reasons import ConditionType, Reason, StatusMessage
from tidegate.model.status import AnalysisView, Condition, QueryView, RevisionView, Rollout, Status
from tidegate.model.units import counted, format_percent


def with_view(seen: Observation, transition: Transition, status: Status) -> Status:
    """`status` with everything that repeats the world. Nothing in it depends on the time unless something changed."""
    rollout = status.rollout
    candidate = rollout.candidate if rollout and rollout.candidate != status.stable else None
    ready, ready_message = _ready(seen, transition, status)
    return replace(
        status,
        observed_generation=seen.generation,
        phase=transition.phase,
        message=(transition.stalled or transition.reconciling or ready_message).message,
        steps=seen.spec.strategy.steps_with_traffic if rollout else 0,
        replicas=sum(state.replicas or 0 for state in seen.revisions.values()),
        selector=selector(seen.name),
        candidate_weight=transition.split.weight(candidate) if transition.split and candidate else None,
        applied_candidate=_applied(seen, candidate),
        observed_candidate=_observed(seen, candidate),
        stable_view=_view(seen, status.stable),
        candidate_view=_view(seen, candidate),
        analysis=_analysis(seen, rollout) if rollout and status.stable else None,
        conditions=(
            _condition(seen, ConditionType.READY, ready, ready_message),
            _reconciling(seen, transition),
            _stalled(seen, transition),
            *_route_caution(seen),
            *_reference_caution(seen),
            *_input_caution(seen, rollout),
        ),
        model=seen.followed,
    )


def _reconciling(seen: Observation, transition: Transition) -> Condition:
    idle = StatusMessage(Reason.IDLE, "there is nothing to do")
    message = transition.reconciling
    return _condition(seen, ConditionType.RECONCILING, message is not None, message or idle)


def _stalled(seen: Observation, transition: Transition) -> Condition:
    free = Reason.PROGRESSING if transition.reconciling else Reason.IDLE
    message = transition.stalled or seen.route_refusal
    nothing = StatusMessage(free, "nothing is in the way")
    return _condition(seen, ConditionType.STALLED, message is not None, message or nothing)


def _route_caution(seen: Observation) -> tuple[Condition, ...]:
    """None where nothing is to be said of the route."""
    cautions = seen.route.cautions
    if not cautions:
        return ()
    message = StatusMessage(cautions[0].reason, "; ".join(each.message for each in cautions))
    return (_condition(seen, ConditionType.ROUTE_CAUTION, True, message),)


def _reference_caution(seen: Observation) -> tuple[Condition, ...]:
    """None where the name of the model isn't followed, or nothing is to be said of it."""
    said = seen.reference_caution
    return (_condition(seen, ConditionType.REFERENCE_CAUTION, True, said),) if said else ()


def _input_caution(seen: Observation, rollout: Rollout | None) -> tuple[Condition, ...]:
    """None where a candidate is asked what it was trained on. A look that can't tell changes nothing."""
    check, inputs = seen.spec.analysis.inputs, seen.verdict.inputs
    if check is None or rollout is None:
        return ()
    if inputs is None:
        before = seen.recorded.condition(ConditionType.INPUT_CAUTION)
        return (before,) if before else ()
    if inputs.state is not InputState.DIFFER:
        return ()
    return (_condition(seen, ConditionType.INPUT_CAUTION, True, StatusMessage(Reason.INPUTS_DIFFER, inputs.message)),)


def selector(name: str) -> str:
    """The label selector of all the model's pods, as the scale subresource wants it: an autoscaler sees all load."""
    return f"tidegate.dev/model-deployment={name}"


def _ready(seen: Observation, transition: Transition, status: Status) -> tuple[bool, StatusMessage]:
    if status.stable is None:
        none = StatusMessage(Reason.NO_REVISION, "no revision is live yet")
        return False, transition.stalled or transition.reconciling or none
    serving = status.stable
    if transition.split and transition.split.weight(serving) == 0 and status.rollout:
        serving = status.rollout.candidate
    state = seen.state(serving)
    if state.ready == 0 and is_scaled_to_zero(seen):
        message = f"{serving} has no pods, as spec.replicas is 0; requests are answered with 503 until it is raised"
        return True, StatusMessage(Reason.SCALED_TO_ZERO, message)
    if state.ready == 0 and (other := _serves_instead(seen, serving)):
        message = f"{serving} has no pod ready; the routers give its requests to {other}"
        return True, StatusMessage(Reason.STABLE_DEGRADED, message)
    why = f": {state.failure.message}" if state.failure else ""
    if state.ready == 0:
        return False, StatusMessage(Reason.NO_PODS_READY, f"{serving} has no pod ready{why}")
    if seen.refusal and not (seen.found_by_clients and state.reachable):
        return False, seen.refusal
    if (transition.split != seen.split or not seen.route_applied) and not _was_ready(status):
        message = seen.route.untold or "no router has taken the route yet; is the router running?"
        return False, seen.route_refusal or StatusMessage(Reason.ROUTE_NOT_APPLIED, message)
    wanted = state.replicas if state.replicas is not None else seen.spec.replicas
    if state.ready < wanted:
        message = f"{serving} serves with {state.ready} of {wanted} pods{why}"
        return True, StatusMessage(Reason.STABLE_DEGRADED, message)
    return True, StatusMessage(Reason.STABLE_SERVING, f"{serving} serves with {counted(wanted, 'pod')}")


def _serves_instead(seen: Observation, revision: str) -> str | None:
    """Whoever gets the requests of a revision without a ready pod: routers send them to another one of the route."""
    others = [name for name, weight in seen.split or () if weight > 0 and seen.state(name).ready > 0]
    return others[0] if others else None


def _applied(seen: Observation, candidate: str | None) -> int | None:
    """Percent for the candidate that the routers have taken, as far as is known."""
    if candidate is None:
        return None
    if seen.split is not None and seen.route_applied:
        return seen.split.weight(candidate)
    view = seen.recorded.candidate_view
    return seen.recorded.applied_candidate if view and view.revision == candidate else 0


def _was_ready(status: Status) -> bool:
    before = status.condition(ConditionType.READY)
    return before is not None and before.status == "True"


def _condition(seen: Observation, kind: ConditionType, value: bool, message: StatusMessage) -> Condition:
    before, status = seen.recorded.condition(kind), str(value)
    since = before.since if before and before.status == status else seen.now
    return Condition(kind, status, message.reason, message.message[:32000], since, seen.generation)


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


def _analysis(seen: Observation, rollout: Rollout) -> AnalysisView:
    verdict, queries = seen.verdict, _queries(seen, rollout)
    if verdict.evidence is None:
        return AnalysisView(verdict.answer.value, verdict.reason, verdict.message, updated_at=seen.now, queries=queries)
    evidence = verdict.evidence
    return AnalysisView(
        verdict.answer.value,
        verdict.reason,
        verdict.message,
        of_threshold(evidence.worse, evidence.worse_needed),
        of_threshold(evidence.acceptable, evidence.acceptable_needed),
        verdict.caution,
        seen.now,
        queries,
    )


def _queries(seen: Observation, rollout: Rollout) -> tuple[QueryView, ...]:
    """What those that are judged have come to; while nobody can be asked, what they had come to last."""
    judged = {each.query.name: each.query.made_from for each in judged_queries(seen.spec, rollout)}
    before = seen.recorded.analysis.queries if seen.recorded.analysis else ()
    queries = tuple(map(_query, seen.verdict.queries)) or before
    return tuple(replace(query, template=judged[query.name]) for query in queries if query.name in judged)


def _query(result: QueryResult) -> QueryView:
    value = "" if result.value is None else f"{result.value:g}"
    return QueryView(result.name, result.state, result.message, value, result.dry_run)
