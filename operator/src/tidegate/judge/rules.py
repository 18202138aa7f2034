"""What follows from a case, in one list. Pure.

Each rule looks at the case, and gives a verdict or passes. The first that gives one decides: what rolls back comes
first, then what holds, and ACCEPTABLE comes after all that could hold. A new rule is a function and its row here, and
its reason in `model.reasons`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.judge import explain
from tidegate.judge.case import Case
from tidegate.judge.drift import constant_answer, largest_shift
from tidegate.judge.latency import bucket_from
from tidegate.judge.load import differs, explain_difference, explain_overload
from tidegate.judge.metric import LATENCY_TOLERANCE
from tidegate.judge.pods import SickPod, Tally, sick_pod
from tidegate.judge.query_limits import beyond_limits, pending_query, unusable_query
from tidegate.judge.sequential_test import WATCHFUL
from tidegate.model.evidence import Answer, Durations, Verdict
from tidegate.model.inputs import InputPolicy, InputState
from tidegate.model.reasons import Policy, Reason

REASONS = {
    "errors": Reason.ERROR_RATE_WORSE,
    "latency": Reason.LATENCY_WORSE,
    "ceiling": Reason.ERROR_RATE_ABOVE_CEILING,
    "latency ceiling": Reason.LATENCY_ABOVE_CEILING,
    "predictions": Reason.PREDICTIONS_DIFFER,
    "slices": Reason.SLICE_WORSE,
}
"""By the metric that weighs most in a rollback."""

INPUT_HOLDS = {InputState.DIFFER: Reason.INPUTS_DIFFER, InputState.TOO_FEW: Reason.INPUTS_TOO_FEW}
"""What holds of live inputs. A model without a profile goes on as one of which nobody asks."""


@dataclass(frozen=True)
class Rule:
    """Its name, and what it makes of a case: None lets the next rule look."""

    name: str
    look: Callable[[Case], Verdict | None]


def first_verdict(case: Case) -> Verdict:
    """Of the first rule that gives one; where none does, more requests are needed."""
    verdicts = (rule.look(case) for rule in RULES)
    return next((verdict for verdict in verdicts if verdict), None) or _more_requests_needed(case)


def _shown_worse(case: Case) -> Verdict | None:
    if case.test.rejected_at is None:
        return None
    blamed = case.test.rejected_at.heaviest
    if blamed == "predictions":
        return case.verdict(Answer.WORSE, REASONS[blamed], _difference(case))
    sick = _sick_pod(case, blamed)
    if sick is None:
        return case.measured(Answer.WORSE, REASONS[blamed], blamed)
    what = "slow" if blamed.startswith("latency") else "failed"
    sentence = explain.sick_pod(sick, case.nodes.get(sick.pod), what)
    return case.measured(Answer.WORSE, Reason.ONE_POD_WORSE, blamed, f"; {sentence}")


def _query_rolls_back(case: Case) -> Verdict | None:
    beyond = beyond_limits(case.measurements.answers, case.criteria.analysis.queries)
    if beyond is None or not beyond.rolls_back:
        return None
    return case.verdict(Answer.WORSE, Reason.QUERY_BEYOND_LIMIT, beyond.message)


def _input_missing(case: Case) -> Verdict | None:
    """What can't be seen withholds a promotion; it never stood before a rollback by what can."""
    if not case.measurements.missing:
        return None
    gap = case.measurements.missing[0]
    return case.verdict(Answer.CANNOT_SEE, gap.reason, gap.message)


def _nothing_judged(case: Case) -> Verdict | None:
    if case.test.candidate.requests:
        return None
    exposed = case.measurements.exposed.requests + case.measurements.shadowed.requests
    if exposed == 0:
        message = "the candidate has answered no requests yet, so there is nothing to judge"
        return case.verdict(Answer.NOT_ENOUGH, Reason.NO_REQUESTS, message)
    message = (
        f"the candidate has answered its first {exposed:,} requests; what was counted around a shift of "
        "traffic isn't judged, so the evidence begins with the next look"
    )
    return case.verdict(Answer.NOT_ENOUGH, Reason.SETTLING, message)


def _query_holds(case: Case) -> Verdict | None:
    answers, queries = case.measurements.answers, case.criteria.analysis.queries
    if beyond := beyond_limits(answers, queries):
        return case.verdict(Answer.NOT_ENOUGH, Reason.QUERY_BEYOND_LIMIT, beyond.message)
    if unusable := unusable_query(answers, queries):
        return case.verdict(Answer.NOT_ENOUGH, Reason.QUERY_UNUSABLE, unusable)
    if pending := pending_query(answers, queries):
        return case.verdict(Answer.NOT_ENOUGH, Reason.QUERY_PENDING, pending)
    return None


def _suspected(case: Case) -> Verdict | None:
    if case.evidence.worse < WATCHFUL:
        return None
    return case.measured(Answer.NOT_ENOUGH, Reason.SUSPICION_OF_WORSE, case.test.last.heaviest)


def _group_suspected(case: Case) -> Verdict | None:
    """The same of groups by themselves: all requests may be shown to be as good long before a small group is."""
    slices = case.test.slices
    if slices is None or slices.log_worse() < math.log(WATCHFUL):
        return None
    return case.measured(Answer.NOT_ENOUGH, Reason.SUSPICION_OF_WORSE, slices.name)


def _load_high(case: Case) -> Verdict | None:
    """A candidate alone that is slower than stable was, and has more to do than stable ever had."""
    overload = case.test.latency.overload
    if overload is None or not case.test.context.is_alone:
        return None
    return case.verdict(Answer.NOT_ENOUGH, Reason.LOAD_HIGH, explain_overload(overload))


def _stable_unwell(case: Case) -> Verdict | None:
    """In an outage of both nothing advances. What is shown to be better than stable, or inside the ceiling, does."""
    context, shown = case.test.context, case.test.remedy.log_acceptable()
    if not context.stable_is_unwell or shown >= math.log(case.evidence.acceptable_needed):
        return None
    more = "; " + explain.unwell(shown, case.evidence.acceptable_needed)
    return case.measured(Answer.NOT_ENOUGH, Reason.STABLE_UNWELL, "errors", more)


def _constant_output(case: Case) -> Verdict | None:
    """The candidate answers always the same, and nobody has said that it should."""
    if case.criteria.analysis.predictions.on_drift == Policy.IGNORE:
        return None
    ours = case.test.candidate.predictions
    constant = constant_answer(ours, case.test.context.past_predictions)
    if constant is None:
        return None
    message = (
        f"each of the candidate's {sum(ours.classes.values()):,} predictions is class {constant}, stable's differ; "
        "look at the model's input and export, or set spec.analysis.predictions.onDrift to Ignore"
    )
    return case.verdict(Answer.NOT_ENOUGH, Reason.CONSTANT_OUTPUT, message)


def _predictions_differ(case: Case) -> Verdict | None:
    """The same for a candidate that predicts other things."""
    analysis = case.criteria.analysis
    if analysis.predictions.on_drift == Policy.IGNORE:
        return None
    if case.test.drift.log_value() < -math.log(analysis.false_rollback):
        return None
    return case.verdict(Answer.NOT_ENOUGH, REASONS["predictions"], _difference(case))


def _inputs_hold(case: Case) -> Verdict | None:
    """A candidate that isn't asked what it was trained on, where the user wants somebody to look at that."""
    check, seen = case.criteria.analysis.inputs, case.measurements.inputs
    if check is None or check.on_drift is not InputPolicy.HOLD or seen is None or seen.state not in INPUT_HOLDS:
        return None
    return case.verdict(Answer.NOT_ENOUGH, INPUT_HOLDS[seen.state], seen.message)


def _shown_acceptable(case: Case) -> Verdict | None:
    if case.log_acceptable < math.log(case.evidence.acceptable_needed):
        return None
    return case.measured(Answer.ACCEPTABLE, Reason.NO_WORSE, case.weakest.name)


def _load_differs(case: Case) -> Verdict | None:
    """Nobody can say that a candidate is no slower whose pods have less to do than stable's, or slower with more."""
    load = case.test.load
    if load is None or not differs(load) or case.weakest is not case.test.under_load:
        return None
    return case.verdict(Answer.NOT_ENOUGH, Reason.LOAD_DIFFERS, explain_difference(load))


def _no_latency_to_compare_with(case: Case) -> Verdict | None:
    latency = case.test.latency
    if case.weakest not in (latency, case.test.under_load) or latency.boundaries:
        return None
    message = (
        "stable has answered fewer than 100 requests, so its latency gives nothing to compare with; "
        "the rollout goes on when it has"
    )
    return case.verdict(Answer.NOT_ENOUGH, Reason.NO_LATENCY_TO_COMPARE_WITH, message)


def _more_requests_needed(case: Case) -> Verdict:
    needed = explain.remaining(case.test, case.log_acceptable, case.evidence) + explain.clumps(case.weakest.clump())
    return case.measured(Answer.NOT_ENOUGH, Reason.MORE_REQUESTS_NEEDED, case.weakest.name, needed)


RULES = (
    Rule("worse", _shown_worse),
    Rule("a query that rolls back", _query_rolls_back),
    Rule("missing input", _input_missing),
    Rule("nothing judged", _nothing_judged),
    Rule("a query that holds", _query_holds),
    Rule("suspicion", _suspected),
    Rule("suspicion of a group", _group_suspected),
    Rule("load beyond the past", _load_high),
    Rule("stable unwell", _stable_unwell),
    Rule("constant output", _constant_output),
    Rule("predictions", _predictions_differ),
    Rule("inputs", _inputs_hold),
    Rule("acceptable", _shown_acceptable),
    Rule("load", _load_differs),
    Rule("no latency to compare with", _no_latency_to_compare_with),
)
"""In the order in which they are asked."""


def _sick_pod(case: Case, blamed: str) -> SickPod | None:
    test, errors, past = case.test, case.criteria.analysis.error_rate, case.test.context.past
    if not blamed.startswith("latency"):
        pods = {pod: Tally(counts.failed, counts.requests) for pod, counts in test.pods.items()}
        stable = past.failed / past.requests if past.requests else 0.0
        return sick_pod(pods, stable, errors.tolerate)
    durations = test.context.past_durations
    if not test.latency.boundaries or not durations.total:
        return None
    boundary = test.latency.heaviest()
    pods = {
        pod: Tally(_slower_than(counts.durations, durations.bounds[boundary.tolerate]), counts.durations.total)
        for pod, counts in test.pods.items()
        if counts.durations.bounds
    }
    slow = durations.slower_than(boundary.stable) / durations.total
    return sick_pod(pods, slow, LATENCY_TOLERANCE)


def _slower_than(durations: Durations, seconds: float) -> int:
    """Pods tell their latency themselves, by bounds of their own where the routers' is judged."""
    return durations.slower_than(bucket_from(durations.bounds, seconds))


def _difference(case: Case) -> str:
    test, analysis = case.test, case.criteria.analysis
    shift = largest_shift(test.candidate.predictions, test.context.past_predictions, analysis.predictions)
    return explain.difference(shift, test.drift.log_value(), analysis)
