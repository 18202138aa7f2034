"""Argo Rollouts' Rollout. Pure."""

from collections.abc import Mapping
from typing import Any

from tidegate.cli.migrate.pods import workload
from tidegate.cli.migrate.source import Source

ROUTING = "the routers split requests, and know where; nothing has to be named"
ANALYSIS = (
    "errors, latency and predictions are judged without it; PromQL of your own goes to spec.analysis.queries, "
    "see docs/own-queries.md"
)
WHOLE = 100


def rollout(source: Source, model: str) -> Mapping[str, Any]:
    """A pause after a weight is that step's."""
    for name in ("workloadRef", "analysis", "minReadySeconds", "restartAt", "progressDeadlineAbort"):
        source.remark(f"spec.{name}", "it isn't known here")
    source.remark("spec.rollbackWindow", "spec.rollbackWindow is a time here, 24h unless said, and no number")
    deadline = source.take("spec.progressDeadlineSeconds")
    return {
        "replicas": source.take("spec.replicas"),
        "paused": source.take("spec.paused"),
        **workload(source, model),
        "strategy": _strategy(source),
        "progressDeadline": f"{deadline}s" if deadline is not None else None,
        "revisionHistoryLimit": source.take("spec.revisionHistoryLimit"),
    }


def _strategy(source: Source) -> dict[str, Any]:
    if source.look("spec.strategy.blueGreen") is not None:
        return {"blueGreen": _blue_green(source)}
    return {"canary": _canary(source)}


def _canary(source: Source) -> dict[str, Any]:
    at = "spec.strategy.canary"
    for name in ("canaryService", "stableService", "trafficRouting", "canaryMetadata", "stableMetadata"):
        source.remark(f"{at}.{name}", ROUTING)
    for name in ("maxSurge", "maxUnavailable", "dynamicStableScale", "minPodsPerReplicaSet"):
        source.remark(
            f"{at}.{name}", "stable keeps its pods through a rollout, and the candidate has what its share takes"
        )
    source.remark(f"{at}.analysis", ANALYSIS)
    delay = source.take(f"{at}.scaleDownDelaySeconds")
    return {"steps": _steps(source, f"{at}.steps"), "keepOld": f"{delay}s" if delay is not None else None}


def _steps(source: Source, at: str) -> list[dict[str, Any]]:
    """Ascending weights below 100; a pause without an end waits for approval."""
    steps: list[dict[str, Any]] = []
    for number, step in enumerate(source.look(at, [])):
        place = f"{at}.{number}"
        source.take(place)
        if "setWeight" in step:
            _weight(source, place, step["setWeight"], steps)
        elif "pause" in step:
            _pause(source, place, step["pause"] or {}, steps)
        elif "setCanaryScale" in step:
            source.say(place, "steps[].replicas or strategy.canary.maxSurge says how many pods a step has")
        else:
            source.say(place, ANALYSIS if {"analysis", "experiment"} & step.keys() else ROUTING)
    return steps


def _weight(source: Source, place: str, weight: int, steps: list[dict[str, Any]]) -> None:
    last = steps[-1]["weight"] if steps else 0
    if weight >= WHOLE:
        return  # it comes by itself after the last step
    if weight <= last:
        source.say(place, f"weights ascend from 1 on: {weight} after {last} is no step")
        return
    steps.append({"weight": weight})


def _pause(source: Source, place: str, pause: Mapping[str, Any], steps: list[dict[str, Any]]) -> None:
    if not steps:
        source.say(place, "before the first request there is nothing to wait for but the pods")
    elif pause.get("duration") is None:
        steps[-1]["approval"] = "Required"
    elif "minDuration" in steps[-1]:
        source.say(place, "a step has one duration: add this one to it")
    else:
        steps[-1]["minDuration"] = _span(pause["duration"])


def _span(duration: str | int) -> str:
    """A number is of seconds."""
    text = str(duration)
    return f"{text}s" if text.isdigit() else text


def _blue_green(source: Source) -> dict[str, Any]:
    at = "spec.strategy.blueGreen"
    for name in ("activeService", "previewService", "activeMetadata", "previewMetadata"):
        source.remark(f"{at}.{name}", ROUTING)
    for name in ("prePromotionAnalysis", "postPromotionAnalysis"):
        source.remark(f"{at}.{name}", ANALYSIS)
    for name in ("previewReplicaCount", "maxUnavailable", "scaleDownDelayRevisionLimit", "abortScaleDownDelaySeconds"):
        source.remark(f"{at}.{name}", "the new revision is at full size before the switch")
    by_itself, seconds = source.take(f"{at}.autoPromotionEnabled", True), source.take(f"{at}.autoPromotionSeconds")
    delay = source.take(f"{at}.scaleDownDelaySeconds")
    return {
        "approval": None if by_itself else "Required",
        "verifyFor": f"{seconds}s" if seconds is not None else None,
        "keepOld": f"{delay}s" if delay is not None else None,
    }
