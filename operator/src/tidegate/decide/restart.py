"""Stable's pods are replaced because somebody asked for it. Pure.

What is recorded is until when its pods have to be younger; Kubernetes replaces them, and never has fewer ready ones.
"""

from dataclasses import replace

from tidegate.decide.transition import Transition
from tidegate.model.decision import Event
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason, StatusMessage


def with_restart(seen: Observation, transition: Transition) -> Transition:
    """The transition, and with it how far the restart has got that is recorded; one that is over is so no more."""
    restart = transition.status.restart
    if restart is None:
        return transition
    over = replace(transition, status=replace(transition.status, restart=None))
    state = seen.state(restart.revision)
    if restart.revision != transition.status.stable or not state.replicas:
        return over
    renewed = state.renewed if state.restarted_at == restart.at else 0
    if renewed >= state.replicas and state.ready >= state.replicas:
        message = f"all {state.replicas} pods of {restart.revision} were replaced, as asked {restart.by}"
        return replace(over, events=(*over.events, Event(Reason.RESTARTED, message)))
    if transition.reconciling or transition.stalled:
        return transition
    message = f"{renewed} of {state.replicas} pods of {restart.revision} were replaced so far, as asked {restart.by}"
    return replace(transition, reconciling=StatusMessage(Reason.RESTARTING, message))
