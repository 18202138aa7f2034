"""What around a model isn't as it should be and stops nothing: people are told by Events. Pure."""

from collections.abc import Iterator

from tidegate.decide.signature import not_compared, signature_difference
from tidegate.model.decision import Event
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason
from tidegate.model.spec import SignaturePolicy

AUTOSCALER = "kube-controller-manager"
"""Whose name a HorizontalPodAutoscaler's writes have, and so KEDA's."""


def hints(seen: Observation) -> tuple[Event, ...]:
    """The same for as long as it is so."""
    return (
        *_scaled_by_others(seen),
        *_disruption_budgets(seen),
        *_config(seen),
        *_counted_by_servers(seen),
        *_unmarked(seen),
        *_cautions(seen),
        *_reference(seen),
        *_signature(seen),
        *_agreement(seen),
    )


def _signature(seen: Observation) -> Iterator[Event]:
    rollout = seen.recorded.rollout
    if rollout is None:
        return
    if missing := not_compared(seen, rollout):
        yield Event(Reason.SIGNATURE_UNKNOWN, missing)
    if seen.spec.analysis.signature is not SignaturePolicy.ALLOW:
        return
    if difference := signature_difference(seen, rollout):
        message = (
            f"clients of stable would break on {rollout.candidate}: {difference}; spec.analysis.signature is Allow, so "
            "it goes on"
        )
        yield Event(Reason.SIGNATURE_CHANGED, message, warning=True)


def _agreement(seen: Observation) -> Iterator[Event]:
    rollout, stable = seen.recorded.rollout, seen.state(seen.recorded.stable)
    if rollout is None or seen.spec.analysis.agreement is None or stable.snapshot is None:
        return
    if stable.snapshot.server.request_samples is None:
        message = (
            f"the pods of {stable.name} keep no samples of live requests, so the answers of {rollout.candidate} aren't "
            "compared with theirs: they will be from the next rollout on, when stable's pods keep some"
        )
        yield Event(Reason.ANSWERS_NOT_COMPARED, message)


def _cautions(seen: Observation) -> Iterator[Event]:
    for caution in seen.route.cautions:
        yield Event(caution.reason, caution.message, warning=True)


def _reference(seen: Observation) -> Iterator[Event]:
    before, now, said = seen.recorded.model, seen.followed, seen.reference_caution
    if now and before and before.uri == now.uri and before.resolved != now.resolved:
        message = f"{now.uri} means {now.resolved} from now on, and no longer {before.resolved}"
        yield Event(Reason.REFERENCE_MOVED, message)
    if said:
        yield Event(said.reason, said.message, warning=True)


def _counted_by_servers(seen: Observation) -> Iterator[Event]:
    if seen.route.uncounted and seen.recorded.rollout and seen.spec.analysis.requests_from == "Router":
        message = (
            f"requests and failures of {seen.name} are counted by its model servers, for {seen.route.uncounted}: what "
            "reaches no server isn't seen"
        )
        yield Event(Reason.COUNTED_BY_SERVERS, message)


def _unmarked(seen: Observation) -> Iterator[Event]:
    if seen.route.unmarked and seen.recorded.rollout:
        message = (
            f"{seen.route.unmarked} marks no requests as live, so the model servers of {seen.name} count all that come "
            "unmarked, past the Gateway too; the filter of docs/gateways.md in that rule leaves those out"
        )
        yield Event(Reason.REQUESTS_UNMARKED, message)


def _used(seen: Observation) -> list[str]:
    rollout = seen.recorded.rollout
    names = (seen.recorded.stable, rollout.candidate if rollout else None)
    return [name for name in dict.fromkeys(names) if name and seen.state(name).replicas is not None]


def _scaled_by_others(seen: Observation) -> Iterator[Event]:
    for name in _used(seen):
        by = seen.state(name).scaled_by
        if by is None:
            continue
        who = "an autoscaler (a HorizontalPodAutoscaler, or KEDA)" if by == AUTOSCALER else by
        message = (
            f"{who} has scaled the Deployment {name}, whose pods Tidegate counts and sets right: scale the "
            f"ModelDeployment {seen.name} instead, which is what an autoscaler's scaleTargetRef has to name"
        )
        yield Event(Reason.SCALED_BY_OTHERS, message, warning=True)


def _config(seen: Observation) -> Iterator[Event]:
    if seen.config_problem:
        message = f"{seen.config_problem}. The pods that there are have their own copies, and {seen.desired} goes on"
        yield Event(Reason.CONFIG_UNUSABLE, message, warning=True)
    held = seen.spec.config_revision
    if held and seen.spec.server.config_uses:
        message = (
            f"ConfigMaps and Secrets are used as they were for {held}; a change of them makes no new revision until "
            "spec.server.configRevision is left out"
        )
        yield Event(Reason.CONFIG_HELD, message)


def _disruption_budgets(seen: Observation) -> Iterator[Event]:
    if seen.budgets is None:
        return
    for name in _used(seen):
        others = seen.budgets.others.get(name, ())
        if len(others) > 1:
            budgets = ", ".join(other.name for other in others)
            yield _forbidden(
                f"the pods of {name} are under {len(others)} PodDisruptionBudgets, {budgets}, and Kubernetes evicts no "
                "pod that has more than one, so nodes can't be drained: keep one at most"
            )
        yield from (
            _forbidden(
                f"the PodDisruptionBudget {other.name} lets no pod of {name} be evicted ({other.forbids}), so nodes "
                "can't be drained: give it maxUnavailable: 1, or delete it"
            )
            for other in others
            if other.forbids
        )
        if len(others) == 1 and not others[0].forbids and seen.budgets.wanted:
            yield Event(
                Reason.OTHER_DISRUPTION_BUDGET,
                f"the PodDisruptionBudget {others[0].name} is over the pods of {name}, so Tidegate makes none for them",
            )


def _forbidden(message: str) -> Event:
    return Event(Reason.DISRUPTIONS_FORBIDDEN, message, warning=True)
