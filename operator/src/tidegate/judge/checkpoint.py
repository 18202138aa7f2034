"""A sequential test as what JSON can hold, and back: it goes on as if it had never been away. Pure.

Of each part only what changes is written; the rest is made again from the test's parameters.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tidegate.judge.confidence_sequence import RATIOS, Arm, ConfidenceSequence
from tidegate.judge.drift import ALTERNATIVES
from tidegate.judge.e_process import EProcess
from tidegate.judge.latency_history import Overload, Stretch
from tidegate.judge.metric import LatencyMetric, Metric
from tidegate.judge.sequential_test import EvidenceSnapshot, SequentialTest, SequentialTestParameters
from tidegate.model.evidence import Counts, Durations, Increment, Load
from tidegate.model.plain import from_plain, plain

OF_TEST: Mapping[str, Any] = {
    "increments": int,
    "watched": timedelta,
    "last": EvidenceSnapshot,
    "rejected_at": EvidenceSnapshot | None,
    "highest": float,
    "stable": Counts,
    "candidate": Counts,
    "pods": dict[str, Counts],
    "load": Load | None,
    "_block_since": datetime | None,
    "_suspected_at": datetime | None,
}
"""What changes in a test besides its parts, and its types."""
OF_CONTEXT: Mapping[str, Any] = {
    "beside": Counts,
    "candidate_pods": int,
    "failing": float,
    "is_concurrent": bool,
    "_without_stable": int,
}
OF_E_PROCESS: Mapping[str, Any] = {
    "_log_started": list[float],
    "_not_started": float,
    "_polls": int,
    "_under_way": list[float],
}
OF_SHORT_INCREMENTS: Mapping[str, Any] = {"_joined": Increment | None}
OF_LATENCY: Mapping[str, Any] = {"overload": Overload | None, "_stretch": Stretch}
"""Of a candidate alone."""
OF_BLOCKS: Mapping[str, Any] = {"_interval": timedelta, "_joined": Increment | None, "_count": int}
OF_STEADY_BLOCKS: Mapping[str, Any] = {"_last": tuple[Increment, ...]}
OF_CONFIDENCE_SEQUENCE: Mapping[str, Any] = {"_waiting": list[tuple[Arm, Arm]], "_low": float, "_high": float}


def written_down(test: SequentialTest) -> dict[str, Any]:
    """All that a test knows."""
    return {
        "parameters": plain(test.parameters),
        "test": _taken(test, OF_TEST),
        "context": _taken(test.context, OF_CONTEXT),
        "blocks": _taken(test._blocks, OF_BLOCKS),
        "steady": _taken(test._steady, OF_STEADY_BLOCKS),
        "short": _taken(test._short, OF_SHORT_INCREMENTS),
        "looks": _taken(test._looks, OF_SHORT_INCREMENTS),
        "metrics": [_metric(metric) for metric in test.all_metrics],
        "confidence": _confidence(test.confidence_sequence),
        "drift": [[what, more, _taken(each, OF_E_PROCESS)] for (what, more), each in test.drift._e_processes.items()],
    }


def taken_up(data: Mapping[str, Any]) -> SequentialTest:
    """The inverse. Raises ValueError, TypeError or LookupError on anything else."""
    test = SequentialTest(from_plain(SequentialTestParameters, data["parameters"]))
    _put(test, OF_TEST, data["test"])
    _put(test.context, OF_CONTEXT, data["context"])
    _put(test._blocks, OF_BLOCKS, data["blocks"])
    _put(test._steady, OF_STEADY_BLOCKS, data["steady"])
    _put(test._short, OF_SHORT_INCREMENTS, data["short"])
    _put(test._looks, OF_SHORT_INCREMENTS, data["looks"])
    for metric, each in zip(test.all_metrics, data["metrics"], strict=True):
        _put_metric(metric, each)
    _put_confidence(test.confidence_sequence, data["confidence"])
    test.drift._e_processes = {(str(what), bool(more)): _put_drift(each) for what, more, each in data["drift"]}
    return test


def _metric(metric: Metric) -> dict[str, Any]:
    own = (
        {"reference": plain(metric._reference), "alone": _taken(metric, OF_LATENCY)}
        if isinstance(metric, LatencyMetric)
        else {}
    )
    return {**own, "e": [_taken(each, OF_E_PROCESS) for each in metric.e_processes()]}


def _put_metric(metric: Metric, data: Mapping[str, Any]) -> None:
    if isinstance(metric, LatencyMetric):
        metric._reference = from_plain(Durations, data["reference"])
        metric._choose()
        _put(metric, OF_LATENCY, data["alone"])
    for e_process, each in zip(metric.e_processes(), data["e"], strict=True):
        _put_e_process(e_process, each)


def _confidence(sequence: ConfidenceSequence) -> dict[str, Any]:
    kept = {
        name: [[RATIOS.index(ratio), _taken(each, OF_E_PROCESS)] for ratio, each in held.items()]
        for name, held in (("above", sequence._above), ("below", sequence._below))
    }
    return {**kept, "rest": _taken(sequence, OF_CONFIDENCE_SEQUENCE)}


def _put_confidence(sequence: ConfidenceSequence, data: Mapping[str, Any]) -> None:
    sequence._above = _kept(sequence._above, data["above"])
    sequence._below = _kept(sequence._below, data["below"])
    _put(sequence, OF_CONFIDENCE_SEQUENCE, data["rest"])


def _kept(fresh: Mapping[float, EProcess], data: Sequence[Any]) -> dict[float, EProcess]:
    kept = {RATIOS[index]: fresh[RATIOS[index]] for index, _ in data}
    for index, each in data:
        _put_e_process(kept[RATIOS[index]], each)
    return kept


def _put_drift(data: Mapping[str, Any]) -> EProcess:
    e_process = EProcess(ALTERNATIVES)
    _put_e_process(e_process, data)
    return e_process


def _put_e_process(e_process: EProcess, data: Mapping[str, Any]) -> None:
    if any(len(data[each]) != len(e_process._log_started) for each in ("_log_started", "_under_way")):
        raise ValueError(f"evidence of {len(data['_log_started'])} alternatives, of {len(e_process._log_started)} now")
    _put(e_process, OF_E_PROCESS, data)


def _taken(part: object, kinds: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(getattr(part, name)) for name in kinds}


def _put(part: object, kinds: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    for name, kind in kinds.items():
        setattr(part, name, from_plain(kind, data[name]))
