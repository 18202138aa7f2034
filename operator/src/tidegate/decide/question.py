"""What the judge is asked at each stage of a rollout."""

from tidegate.judge.verdict import Question
from tidegate.model.spec import Canary, ModelDeploymentSpec
from tidegate.model.status import Rollout

LADDER = (0.5, 0.3, 0.1)
"""The early steps risk little, so they ask for less certainty; the last one has the user's own bound."""


def question_for(spec: ModelDeploymentSpec, rollout: Rollout) -> Question:
    """How sure the judge has to be before this rollout may take its next step."""
    analysis = spec.analysis
    if not isinstance(spec.strategy, Canary):
        return Question(analysis, analysis.false_promotion, concurrent=False)
    last = len(spec.strategy.steps)
    if rollout.step >= last:
        return Question(analysis, analysis.false_promotion)
    early = LADDER[min(max(rollout.step, 1), len(LADDER)) - 1]
    return Question(analysis, max(early, analysis.false_promotion))
