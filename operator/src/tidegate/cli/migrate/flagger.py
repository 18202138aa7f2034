"""Flagger's Canary, whose workload is another object: only how it is released is carried over. Pure."""

from collections.abc import Mapping
from typing import Any

from tidegate.cli.migrate.pods import URI_NEEDED
from tidegate.cli.migrate.source import Source
from tidegate.model.units import format_duration, parse_duration

SUCCESS, DURATION = "request-success-rate", "request-duration"
"""Flagger's own two metrics: percent of answers that aren't 5xx, and milliseconds at the 99th percentile."""
ANALYSIS = "PromQL of your own goes to spec.analysis.queries, see docs/own-queries.md"
WHOLE = 100


def canary(source: Source, model: str) -> Mapping[str, Any]:
    """Limits become ceilings; beside them a candidate is compared with stable."""
    for name in ("targetRef", "provider", "ingressRef", "routeRef", "upstreamRef", "revertOnDeletion"):
        source.remark(
            f"spec.{name}", "the ModelDeployment makes its own pods and routes; delete the other workload later"
        )
    source.remark("spec.autoscalerRef", "let the autoscaler have the ModelDeployment as its target")
    source.remark(
        "spec.skipAnalysis", "`tidegate promote-full` skips what is left of one rollout; none is skipped always"
    )
    if not model:
        source.say("spec.targetRef", URI_NEEDED)
    deadline, timeout = source.take("spec.progressDeadlineSeconds"), source.take("spec.service.timeout")
    source.remark("spec.service", "clients find the model at its own Service, and the routers split the requests")
    return {
        "model": {"uri": model or "REPLACE-ME"},
        "strategy": _strategy(source),
        "analysis": _analysis(source),
        "traffic": {"timeout": timeout},
        "progressDeadline": f"{deadline}s" if deadline is not None else None,
    }


def _strategy(source: Source) -> dict[str, Any]:
    at = "spec.analysis"
    interval, rounds = str(source.take(f"{at}.interval", "1m")), source.take(f"{at}.iterations")
    source.remark(f"{at}.threshold", "evidence decides, at the first look at which it suffices, and no count of checks")
    source.remark(f"{at}.match", "a group of users is steps[].match, see docs/shadow-and-match.md")
    source.remark(f"{at}.mirror", "a shadow step is steps[].mirror, see docs/shadow-and-match.md")
    source.remark(f"{at}.sessionAffinity", "users who stay are traffic.sticky, see docs/shadow-and-match.md")
    weights = [weight for weight in _weights(source, at) if weight < WHOLE]
    if rounds is not None and not weights:
        whole = format_duration(rounds * parse_duration(interval))
        source.say(
            f"{at}.iterations", f"the new revision has to stay ready for {whole}, and is judged after the switch"
        )
        return {"blueGreen": {"verifyFor": whole}}
    return {"canary": {"steps": [{"weight": weight, "minDuration": interval} for weight in weights]}}


def _weights(source: Source, at: str) -> list[int]:
    given, most = source.take(f"{at}.stepWeights"), source.take(f"{at}.maxWeight", WHOLE)
    step = source.take(f"{at}.stepWeight")
    source.remark(f"{at}.stepWeightPromotion", "all requests go to the candidate that was tested, in one shift")
    if given:
        return list(given)
    return list(range(step, most + 1, step)) if step else []


def _analysis(source: Source) -> dict[str, Any]:
    at, ceilings = "spec.analysis.metrics", dict[str, dict[str, Any]]()
    for number, metric in enumerate(source.look(at, [])):
        place = f"{at}.{number}"
        source.take(place)
        limits = metric.get("thresholdRange", {})
        if metric.get("name") == SUCCESS and limits.get("min") is not None:
            ceilings["errorRate"] = {"ceiling": f"{WHOLE - limits['min']:g}%"}
        elif metric.get("name") == DURATION and limits.get("max") is not None:
            ceilings["latency"] = {"ceiling": {"p99": f"{limits['max']:g}ms"}}
        else:
            source.say(place, ANALYSIS)
    source.remark("spec.analysis.webhooks", "calls are gates and notifications: see docs/gates.md")
    source.remark("spec.analysis.alerts", "who is told is spec.notifications: see docs/gates.md")
    return ceilings
