"""The table of the page. Pure."""

from collections.abc import Iterable, Sequence

from benchmarks.chaos.plan import Component, Fault, Kind
from benchmarks.chaos.trial import Trial
from benchmarks.markdown import table


def report(trials: Sequence[Trial], seed: int, machine: str) -> str:
    """What was struck, how often, what it cost; and each release that went wrong, in words."""
    head = ("struck", *Kind, "lost in those releases", "of these with a second try")
    rows = [_row(component, trials) for component in Component]
    wrong = [f"- Release {trial.number}: {sentence}." for trial in trials for sentence in trial.wrong]
    faults, releases = sum(len(trial.struck) for trial in trials), len(trials)
    requests = sum(trial.counts.sent for trial in trials)
    good = sum(trial.release.is_good for trial in trials)
    minutes = sum(trial.seconds for trial in trials) / 60
    right = sum(not trial.wrong for trial in trials)
    dead = sum(trial.lost_again for trial in trials if trial.lost_a_candidates_only_pod)
    return "\n".join(
        [
            f"Seed {seed}, {machine}: {faults} faults in {releases} releases, {good} of good models and "
            f"{releases - good} of a failing one, {requests:,} requests in {minutes:.0f} minutes. **{right} of "
            f"{releases} went as they should**; {sum(trial.lost for trial in trials)} requests were lost, "
            f"{sum(trial.lost_again for trial in trials)} of them with their second try too, {dead} of these where a "
            "candidate's only pod was killed.",
            "",
            table([head, *rows], labels=1),
            "",
            *wrong,
        ]
    )


def _row(component: Component, trials: Sequence[Trial]) -> tuple[str, ...]:
    met = [trial for trial in trials if any(fault.component is component for fault in _struck(trial))]
    counts = [sum(_is(fault, component, kind) for trial in trials for fault in _struck(trial)) for kind in Kind]
    lost, again = sum(trial.lost for trial in met), sum(trial.lost_again for trial in met)
    return (str(component), *(str(count) if count else "" for count in counts), str(lost), str(again))


def _is(fault: Fault, component: Component, kind: Kind) -> bool:
    return (fault.component, fault.kind) == (component, kind)


def _struck(trial: Trial) -> Iterable[Fault]:
    """Those of the planned faults whose phase was reached."""
    return [fault for fault in trial.release.faults if any(said.startswith(f"{fault.phase}:") for said in trial.struck)]
