"""A spec as it can be rehearsed: without what only a cluster or people have, and as quickly as wanted. Pure."""

from dataclasses import replace
from datetime import timedelta

from tidegate.model.spec import Canary, ModelDeploymentSpec, SignaturePolicy
from tidegate.simulation.engine import without_people

QUICK_INTERVAL = timedelta(seconds=1)
QUICK_BAKE = timedelta(seconds=5)
QUICK_KEEP_OLD = timedelta(seconds=20)
"""How long a quick blue-green release judges the candidate after the switch."""


def rehearsable(spec: ModelDeploymentSpec) -> tuple[ModelDeploymentSpec, list[str]]:
    """The spec with nobody and nothing to wait for, and a sentence on each thing that was left out."""
    left_out = []
    if without_people(spec) != spec:
        left_out.append("Pauses and approvals are taken as given: there is nobody to give them.")
    if spec.analysis.queries:
        names = ", ".join(query.name for query in spec.analysis.queries)
        left_out.append(f"Own queries are left out ({names}): there is no Prometheus.")
    if spec.gates or spec.notifications:
        left_out.append("Gates and notifications are left out: nobody outside is called.")
    if spec.analysis.agreement:
        left_out.append("Live requests aren't compared: there are none; --agreement compares those that are given.")
    signature = spec.analysis.signature
    if signature is SignaturePolicy.HOLD:
        signature = SignaturePolicy.REFUSE
        left_out.append("Another signature ends it, as signature: Refuse would: there is nobody to approve of it.")
    analysis = replace(spec.analysis, queries=(), signature=signature, agreement=None)
    return replace(without_people(spec), analysis=analysis, gates=(), notifications=()), left_out


def quick(spec: ModelDeploymentSpec) -> ModelDeploymentSpec:
    """The same bounds on the same evidence, looked at each second; nothing waits only for time to pass."""
    analysis = replace(
        spec.analysis,
        interval=min(spec.analysis.interval, QUICK_INTERVAL),
        bake=min(spec.analysis.bake, QUICK_BAKE),
    )
    strategy = spec.strategy
    if isinstance(strategy, Canary):
        steps = tuple(replace(step, min_duration=timedelta(), pause=None) for step in strategy.steps)
        return replace(spec, analysis=analysis, strategy=replace(strategy, steps=steps, keep_old=timedelta()))
    kept = min(strategy.keep_old, QUICK_KEEP_OLD)
    return replace(spec, analysis=analysis, strategy=replace(strategy, verify_for=timedelta(), keep_old=kept))
