"""What the user's podTemplate adds to a revision's pods. Pure.

It is a bounded part of Kubernetes' own pod template (the CRD has its bounds), and nothing of it takes the place of what
a revision rests on: its selector's labels, its ports, its probes' questions, its model's volume.
"""

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]
PodTemplate = Mapping[str, Any]
"""spec.server.podTemplate, in Kubernetes' own shape."""

_AS_THEY_ARE = (
    "serviceAccountName",
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
)


def pod_fields(template: PodTemplate, own_pods: Mapping[str, str]) -> Manifest:
    """Fields of the pod's spec. `own_pods` selects the revision's: a term without a selector means them."""
    fields: Manifest = {name: template[name] for name in _AS_THEY_ARE if name in template}
    if "affinity" in template:
        fields["affinity"] = {kind: _affinity(rules, own_pods) for kind, rules in template["affinity"].items()}
    return fields


def pull_fields(template: PodTemplate) -> Manifest:
    """Of them those by which a pod may pull an image, and may be at all where policies go by the ServiceAccount."""
    return {name: template[name] for name in ("serviceAccountName", "imagePullSecrets") if name in template}


def spread_constraints(template: PodTemplate, own_pods: Mapping[str, str]) -> list[Manifest]:
    """The user's, else ours: over nodes, where that can be."""
    ours = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    return [_selecting(each, own_pods) for each in template.get("topologySpreadConstraints") or (ours,)]


def groups(template: PodTemplate) -> Manifest:
    """Groups of the pod's processes, for its security context; the CRD lets nothing else of that in."""
    return dict(template.get("securityContext", {}))


def timed(probe: Manifest, template: PodTemplate, which: str) -> Manifest:
    """A probe with the user's timings; `which` is startup, readiness or liveness."""
    return {**probe, **template.get("probes", {}).get(which, {})}


def mounts(template: PodTemplate) -> list[Manifest]:
    """Where the server sees them."""
    return [dict(mount) for mount in template.get("volumeMounts", ())]


def labels(template: PodTemplate) -> dict[str, str]:
    """To stand beneath ours."""
    return dict(template.get("labels", {}))


def annotations(template: PodTemplate) -> dict[str, str]:
    """To stand beneath ours."""
    return dict(template.get("annotations", {}))


def grace_seconds(template: PodTemplate, least: int) -> int:
    """How long a pod may take to end; `least` is what a request may take."""
    return max(least, int(template.get("terminationGracePeriodSeconds", least)))


def _affinity(rules: Mapping[str, Any], own_pods: Mapping[str, str]) -> Manifest:
    return {
        when: [_term(each, own_pods) for each in terms] if isinstance(terms, list) else terms
        for when, terms in rules.items()
    }


def _term(term: Mapping[str, Any], own_pods: Mapping[str, str]) -> Manifest:
    if "podAffinityTerm" in term:
        return {**term, "podAffinityTerm": _selecting(term["podAffinityTerm"], own_pods)}
    return _selecting(term, own_pods) if "topologyKey" in term else dict(term)


def _selecting(term: Mapping[str, Any], own_pods: Mapping[str, str]) -> Manifest:
    return {**term, "labelSelector": term.get("labelSelector") or {"matchLabels": dict(own_pods)}}
