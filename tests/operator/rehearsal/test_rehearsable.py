"""What nobody is there for is left out, and said; quickness changes no bound."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from tidegate.model.spec import BlueGreen, Canary, ModelDeploymentSpec, SignaturePolicy
from tidegate.rehearsal.rehearsable import QUICK_BAKE, QUICK_INTERVAL, QUICK_KEEP_OLD, quick, rehearsable

SpecBuilder = Callable[..., ModelDeploymentSpec]
STEPS = [{"weight": 5, "minDuration": "2m"}, {"weight": 50, "approval": "Required"}]


def test_live_requests_are_left_out_as_there_are_none(a_spec: SpecBuilder) -> None:
    given = {"server": {"requestSamples": {"keySecret": "samples"}}, "analysis": {"agreement": {}}}
    plain, left_out = rehearsable(a_spec(**given))
    assert (plain.analysis.agreement, left_out) == (
        None,
        ["Live requests aren't compared: there are none; --agreement compares those that are given."],
    )


def test_people_queries_and_gates_are_left_out_with_a_sentence_each(a_spec: SpecBuilder) -> None:
    spec = a_spec(
        strategy={"canary": {"steps": STEPS}},
        analysis={"signature": "Hold", "queries": [{"name": "cost", "query": "cost", "max": "1"}]},
        gates=[{"name": "qa", "at": "Promotion", "webhook": {"url": "https://qa.example.com"}}],
    )
    plain, left_out = rehearsable(spec)
    assert (plain.analysis.queries, plain.gates, plain.strategy.wants_approval(2)) == ((), (), False)
    assert [sentence.split()[0] for sentence in left_out] == ["Pauses", "Own", "Gates", "Another"]
    assert plain.analysis.signature is SignaturePolicy.REFUSE


def test_a_plain_spec_stays_as_it_is(a_spec: SpecBuilder) -> None:
    assert rehearsable(a_spec()) == (a_spec(), [])


def test_a_quick_rehearsal_has_the_same_bounds_and_waits_for_no_time_to_pass(a_spec: SpecBuilder) -> None:
    spec = a_spec(strategy={"canary": {"steps": STEPS, "keepOld": "5m"}})
    sooner = quick(spec)
    assert isinstance(sooner.strategy, Canary)
    assert [(step.weight, step.min_duration) for step in sooner.strategy.steps] == [(5, timedelta()), (50, timedelta())]
    assert sooner.strategy.keep_old == timedelta()
    assert sooner.analysis == replace(spec.analysis, interval=QUICK_INTERVAL, bake=QUICK_BAKE)


def test_a_quick_switch_is_judged_for_a_while(a_spec: SpecBuilder) -> None:
    strategy = quick(a_spec(strategy={"blueGreen": {}})).strategy
    assert strategy == BlueGreen(verify_for=timedelta(), keep_old=QUICK_KEEP_OLD)
