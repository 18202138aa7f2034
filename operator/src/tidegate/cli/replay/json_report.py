"""A replay for programs: one JSON document. Pure.

Times are seconds since the candidate's first request, evidence is an e-value, and null is what isn't known.
"""

import json
import math
from typing import Any

from tidegate.cli.replay import report as sentences
from tidegate.cli.replay.agreement import Agreement
from tidegate.cli.replay.engine import Finding, Row
from tidegate.cli.replay.recorded import Recorded
from tidegate.cli.replay.report import RecordUsed, ReplayReport
from tidegate.judge.latency import quantile_seconds
from tidegate.model.evidence import Answer, Counts
from tidegate.model.spec import Analysis
from tidegate.model.units import format_instant


def json_of(report: ReplayReport) -> str:
    """The whole replay, without a line end at its end."""
    document = {
        "namespace": report.arms.namespace,
        "name": report.arms.name,
        "stable": report.arms.stable,
        "candidate": report.arms.candidate,
        "recorded": _recorded(report.recorded),
        "settings": _settings(report),
        "record": _record(report.record),
        "warnings": sentences.warnings(report),
        "polls": [_row(row, report.analysis) for row in report.replay.rows],
        "findings": [_finding(finding) for finding in report.replay.findings],
        "outcome": report.replay.outcome,
        "same": report.same,
        "conclusion": sentences.conclusion(report),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _recorded(recorded: Recorded) -> dict[str, Any]:
    return {
        "number": recorded.number,
        "outcome": recorded.outcome,
        "reason": recorded.reason or None,
        "message": recorded.message or None,
        "from": format_instant(recorded.began),
        "until": format_instant(recorded.until),
        "endedAfter": recorded.ended_after.total_seconds() if recorded.outcome else None,
        "shifts": [{"at": format_instant(shift.at), "weight": shift.weight} for shift in recorded.shifts],
    }


def _record(record: RecordUsed | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {
        "sources": list(record.sources),
        "verdicts": record.said,
        "differs": record.differs or None,
        "begins": format_instant(record.begins) if record.begins else None,
        "ends": format_instant(record.ends),
        "cut": record.is_cut,
        "prometheus": {"sentence": record.agreement, **(_agreement(record.counted) if record.counted else {})},
    }


def _agreement(counted: Agreement) -> dict[str, Any]:
    return {
        arm: {"recorded": _both(recorded), "prometheus": _both(seen)}
        for arm, recorded, seen in (
            ("candidate", counted.candidate, counted.candidate_seen),
            ("stable", counted.stable, counted.stable_seen),
        )
    }


def _both(counts: Counts) -> dict[str, int]:
    return {"requests": counts.requests, "failed": counts.failed}


def _settings(report: ReplayReport) -> dict[str, Any]:
    return {
        "set": list(report.changes),
        "falseRollback": report.analysis.false_rollback,
        "falsePromotion": report.analysis.false_promotion,
        "interval": report.analysis.interval.total_seconds(),
        "settle": report.propagation_delay.total_seconds(),
        "clump": report.measurements.overdispersion.errors,
    }


def _row(row: Row, analysis: Analysis) -> dict[str, Any]:
    return {
        "at": row.at.total_seconds(),
        "weight": row.weight,
        "candidate": _counts(row.candidate),
        "stable": _counts(row.stable),
        "worse": {"evidence": row.worse, "needed": 1 / analysis.false_rollback, "metric": row.heaviest},
        "acceptable": {"evidence": row.acceptable, "needed": row.acceptable_needed, "metric": row.weakest},
        "metrics": {
            name: {"worse": worse, "acceptable": acceptable} for name, worse, acceptable in row.verdict.per_metric
        },
        "ratio": {"low": row.low, "high": None if math.isinf(row.high) else row.high},
        "verdict": row.verdict.answer.value,
        "reason": row.verdict.reason,
        "message": row.verdict.message,
    }


def _counts(counts: Counts) -> dict[str, Any]:
    p99 = quantile_seconds(counts.durations, 99)
    return {
        "requests": counts.requests,
        "failed": counts.failed,
        "p99": None if math.isnan(p99) else p99,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "at": finding.at.total_seconds(),
        "recordedAt": None if finding.then is None else finding.then.total_seconds(),
        "verdict": finding.answer.value,
        "step": None if finding.answer is Answer.WORSE else finding.step,
        "reason": finding.reason,
        "message": finding.message,
    }
