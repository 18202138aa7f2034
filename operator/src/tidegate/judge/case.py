"""What is judged and by which criteria, as every rule is shown it, and the verdicts that follow. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tidegate.judge import explain
from tidegate.judge.e_process import e_value
from tidegate.judge.load import is_busier
from tidegate.judge.metric import Metric
from tidegate.judge.query_limits import query_results
from tidegate.judge.sequential_test import SequentialTest
from tidegate.model.evidence import Answer, Evidence, Measurements, Verdict
from tidegate.model.spec import Analysis


@dataclass(frozen=True)
class Criteria:
    """What is to be judged: under which tolerances, and how sure an ACCEPTABLE has to be.

    `false_promotion` is the β of this step, `promotes` whether all requests come next.
    """

    analysis: Analysis
    false_promotion: float
    promotes: bool = False


@dataclass(frozen=True)
class Case:
    """A test that has been updated with all increments, and what else was measured. `nodes`: pod → node, for people."""

    test: SequentialTest
    criteria: Criteria
    measurements: Measurements
    nodes: Mapping[str, str] = field(default_factory=dict)
    in_short: bool = False
    """Whether only answer and reason are wanted."""

    @cached_property
    def weakest(self) -> Metric:
        """The metric that a promotion waits for the most."""
        return self.test.weakest(under_load=self.criteria.promotes or is_busier(self.test.load))

    @cached_property
    def log_acceptable(self) -> float:
        """Its evidence."""
        return self.weakest.log_acceptable()

    @cached_property
    def evidence(self) -> Evidence:
        """In both directions; of worse, once it has sufficed, the highest."""
        test = self.test
        return Evidence(
            e_value(test.highest if test.rejected_at else test.last.log_worse),
            1 / self.criteria.analysis.false_rollback,
            e_value(self.log_acceptable),
            1 / self.criteria.false_promotion,
        )

    def measured(self, given: Answer, reason: str, metric: str, more: str = "") -> Verdict:
        """A verdict whose sentence tells what was measured of a metric."""
        if self.in_short:
            return Verdict(given, reason, "")
        read_from = self.measurements.read_from and f"; {self.measurements.read_from}"
        few = "" if given is Answer.WORSE else explain.few_requests(self.test)
        sentence = explain.explain(metric, self.test, self.evidence) + read_from + few + more
        return self.verdict(given, reason, f"{sentence}{explain.of_whom(self.measurements)}")

    def verdict(self, given: Answer, reason: str, message: str) -> Verdict:
        """A verdict with all the figures behind it."""
        if self.in_short:
            return Verdict(given, reason, message)
        test, measurements = self.test, self.measurements
        per_metric = [(m.name, e_value(m.log_worse()), e_value(m.log_acceptable())) for m in test.metrics]
        per_metric.append(("predictions", e_value(test.drift.log_value()), 1.0))
        return Verdict(
            given,
            reason,
            message,
            self.evidence,
            tuple(per_metric),
            measurements.exposed,
            measurements.shadowed,
            measurements.overdispersion.noisy,
            measurements.baseline,
            query_results(measurements.answers, self.criteria.analysis.queries),
            measurements.inputs,
        )
