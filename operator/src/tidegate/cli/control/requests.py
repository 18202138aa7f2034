"""What each control writes, and what will follow from it. Pure. Whether it makes sense is the operator's to say; here
is refused only what has no revision or step to be about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.cli.common.errors import NotDone
from tidegate.errors import InvalidSpec
from tidegate.model.control import Control, Intent
from tidegate.model.reasons import Outcome
from tidegate.model.revision import RevisionState, Snapshot, find_revision
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.resources.revision_spec import PARTS, replacing, spec_of, without_contradictions
from tidegate.view.rollout_view import Role, RolloutView

CHANGE_CAUSE = "kubernetes.io/change-cause"
"""Where kubectl too looks for why a spec was changed."""


@dataclass(frozen=True)
class Person:
    """Who asks, and why; either may be empty."""

    by: str = ""
    why: str = ""

    def cause(self, verb: str) -> str:
        """`paused by alice: looks odd`."""
        return f"{verb}{f' by {self.by}' if self.by else ''}{f': {self.why}' if self.why else ''}"


@dataclass(frozen=True)
class Request:
    """A merge patch of the ModelDeployment, and what will follow."""

    patch: Mapping[str, Any]
    will: str
    intent: Intent | None = None
    """None for a patch of the spec."""


def of_control(view: RolloutView, control: Control, person: Person) -> Request:
    """An annotation that the operator acts on once. Raises NotDone."""
    if pending := [each for each in view.controls if each.startswith(f"{control}: ")]:
        raise NotDone(f"{_case(view)} has been asked already, and the operator hasn't answered yet: {pending[0]}")
    revision, will = _subject(view, control)
    step = view.step if control.concerns_a_step else None
    intent = Intent(control, revision, step, person.by, person.why)
    return Request({"metadata": {"annotations": {intent.annotation: intent.text}}}, will, intent)


def _subject(view: RolloutView, control: Control) -> tuple[str, str]:
    """The revision that it is about, and what will follow."""
    if control is Control.RESTART:
        stable = _stable(view, "to restart")
        return stable, f"{stable}'s pods are replaced, a few at a time"
    if control is Control.RETRY:
        if not view.rejected:
            raise NotDone(f"{_case(view)} has nothing to retry: no revision was rolled back")
        return view.rejected, f"{view.rejected} gets another try, from the first step"
    candidate = view.revision(Role.CANDIDATE)
    if candidate is None or view.step is None:
        raise NotDone(f"{_case(view)} has nothing to {_verb(control)}: no rollout is under way; {view.message}")
    return candidate.name, _of_rollout(view, control, candidate.name)


def _of_rollout(view: RolloutView, control: Control, candidate: str) -> str:
    if control is Control.ABORT:
        stable = _stable(view, "to go back to")
        return f"all requests go to {stable} now; {candidate} isn't tried again before `tidegate retry {view.name}`"
    if control is Control.PROMOTE_FULL:
        return f"{candidate} gets all requests as soon as its pods are ready, and becomes stable, without a verdict"
    if control is Control.PROMOTE:
        return f"{candidate} gets to the next step as soon as its pods are ready, without a verdict"
    if control is Control.APPROVE:
        return f"step {view.step} of {candidate} is approved, and the rollout goes on"
    return f"{candidate} needn't stay at step {view.step} for its whole time; the evidence still has to suffice"


def _verb(control: Control) -> str:
    return "promote" if control is Control.PROMOTE_FULL else control.value


def _stable(view: RolloutView, what: str) -> str:
    stable = view.revision(Role.STABLE)
    if stable is None:
        raise NotDone(f"{_case(view)} has no stable revision {what} yet; {view.message}")
    return stable.name


def of_pause(view: RolloutView, paused: bool, person: Person) -> Request:
    """`spec.paused`. Raises NotDone where it is so already."""
    if view.paused is paused:
        raise NotDone(f"{_case(view)} is {'paused already' if paused else 'not paused'}; {view.message}")
    if paused:
        will = "the rollout takes no further step until `tidegate resume`; a candidate that is worse still goes back"
    else:
        will = "the rollout goes on by the evidence"
    cause = {CHANGE_CAUSE: person.cause("paused" if paused else "resumed")}
    return Request({"metadata": {"annotations": cause}, "spec": {"paused": paused}}, will)


def of_undo(
    view: RolloutView,
    spec: Mapping[str, Any],
    revisions: Sequence[Mapping[str, Any]],
    to: str | None,
    person: Person,
) -> Request:
    """The model and the server of an older revision, written into the spec. Raises NotDone.

    `revisions` are the ControllerRevisions that are kept; `to` is a name or a number of one of them.
    """
    wanted = to or _before(view)
    found = next((each for each in revisions if wanted in _names(each)), None)
    if found is None:
        raise NotDone(f"{_case(view)} has no revision {wanted} any more; kept are {_listed(revisions)}")
    name = found["metadata"]["name"]
    current = {part: spec.get(part, {}) for part in PARTS}
    asked = spec_of(name, found["data"])
    left_out = without_contradictions(spec, asked)
    change = {part: each for part, each in replacing(current, asked).items() if each != {}} | left_out
    if _asks_for(view, spec, found):
        raise NotDone(f"{_case(view)} asks for {name} already; {view.message}")
    cause = {CHANGE_CAUSE: person.cause(f"back to {name}")}
    will = f"{_way_back(view, name, found)}{_left_out(spec, left_out)}"
    return Request({"metadata": {"annotations": cause}, "spec": change}, will)


def _asks_for(view: RolloutView, spec: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    name, snapshot = str(found["metadata"]["name"]), Snapshot.parse(found["data"])
    # Which revision ConfigMaps or a name that is followed now stand for is known to the operator alone.
    if snapshot.server.config or "follow" in spec.get("model", {}):
        candidate = view.revision(Role.CANDIDATE)
        return name == (candidate.name if candidate else view.rejected or _stable(view, "to go back to"))
    try:
        parsed = ModelDeploymentSpec.parse(spec)
    except InvalidSpec:
        return False
    return find_revision("", parsed, {name: RevisionState(name, snapshot=snapshot)}, ()) == name


def _before(view: RolloutView) -> str:
    """The revision to go back to: stable while another one is asked for, else the one that stable has replaced."""
    stable = _stable(view, "to go back to")
    if view.revision(Role.CANDIDATE) or view.rejected:
        return stable
    promoted = (each for each in view.history if each.outcome == Outcome.PROMOTED and each.revision == stable)
    before = next((each.stable for each in promoted if each.stable), None)
    if before is None:
        raise NotDone(f"{_case(view)} has no earlier revision in its history: {stable} is the first that was stable")
    return before


def _way_back(view: RolloutView, name: str, found: Mapping[str, Any]) -> str:
    uri = found["data"]["model"]["uri"]
    if found["data"]["server"].get("config"):
        uri = f"{uri}, with what its ConfigMaps had then until spec.server.configRevision is left out"
    if name == _stable(view, "to go back to"):
        return f"the spec asks for {name} again ({uri}), and all requests go there now"
    return (
        f"the spec asks for {name} ({uri}): it gets all requests in one shift if it was stable within "
        "spec.rollbackWindow, else by the strategy's steps"
    )


def _left_out(spec: Mapping[str, Any], change: Mapping[str, Any]) -> str:
    """What goes with it, as it can't stand beside that revision; '' for nothing."""
    told = {
        "spec.model.follow": "follow" in spec.get("model", {}),
        "spec.analysis.agreement": "analysis" in change,
        "the registry's gates": "gates" in change,
        "its notifications": "notifications" in change,
    }
    gone = [what for what, is_gone in told.items() if is_gone]
    return f"; until you set them again, these are left out: {', '.join(gone)}" if gone else ""


def _names(revision: Mapping[str, Any]) -> tuple[str, str]:
    return revision["metadata"]["name"], str(revision.get("revision"))


def _listed(revisions: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{number} {name}" for name, number in map(_names, revisions)) or "none"


def _case(view: RolloutView) -> str:
    return f"{view.namespace}/{view.name}"
