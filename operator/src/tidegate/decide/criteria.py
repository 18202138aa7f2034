"""What the judge is asked at each stage of a rollout."""

from tidegate.judge.case import Criteria
from tidegate.judge.forecast import Stage
from tidegate.model.spec import Canary, ModelDeploymentSpec
from tidegate.model.status import Rollout

STEP_BOUNDS = (0.5, 0.3, 0.1)
"""The early steps risk little, so they ask for less certainty; the last one has the user's own bound."""


def criteria_for(spec: ModelDeploymentSpec, rollout: Rollout) -> Criteria:
    """How sure the judge has to be before this rollout may take its next step."""
    analysis = spec.analysis
    if not isinstance(spec.strategy, Canary):
        return Criteria(analysis, analysis.false_promotion)
    promotes = rollout.step >= len(spec.strategy.steps)
    return Criteria(analysis, _false_promotion(spec, spec.strategy, rollout.step), promotes)


def stages_of(spec: ModelDeploymentSpec, strategy: Canary) -> tuple[Stage, ...]:
    """A canary's steps, each with the sureness that it asks for before the next."""
    return tuple(
        Stage(
            step.weight / 100,
            strategy.lasting(number),
            _false_promotion(spec, strategy, number),
            step.paused_for,
            step.mirror / 100,
        )
        for number, step in enumerate(strategy.steps, start=1)
    )


def _false_promotion(spec: ModelDeploymentSpec, strategy: Canary, step: int) -> float:
    bound = spec.analysis.false_promotion
    if step >= len(strategy.steps):
        return bound
    return max(STEP_BOUNDS[min(max(step, 1), len(STEP_BOUNDS)) - 1], bound)
