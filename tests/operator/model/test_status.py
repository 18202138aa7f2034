"""What is recorded reads back as it was, and looks as the CRD says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.status import (
    AnalysisView,
    Condition,
    HistoryEntry,
    Rejected,
    RevisionView,
    Rollout,
    Shift,
    Status,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
instants = st.integers(0, 10**7).map(lambda seconds: START + timedelta(seconds=seconds))
words = st.text("abcABC 1%", min_size=1, max_size=8)
views = st.builds(RevisionView, words, st.none() | words, st.none() | words, st.integers(0, 9))
counts = st.integers(0, 10**6)
shifts = st.lists(st.builds(Shift, instants, counts)).map(tuple)
entries = st.builds(
    HistoryEntry,
    words,
    st.sampled_from(["Promoted", "RolledBack", "Superseded", "Aborted"]),
    words,
    words,
    instants,
    instants,
    counts,
    counts,
    st.none() | st.integers(0, 999).map(lambda tenths: tenths / 10),
    st.just("") | words,
    shifts,
)
conditions = st.builds(Condition, words, st.sampled_from(["True", "False"]), words, words, instants, st.integers(1, 9))
rollouts = st.builds(Rollout, words, instants, st.integers(0, 9), instants, shifts)


@st.composite
def statuses(draw: st.DrawFn) -> Status:
    stable = draw(st.none() | views)
    rollout = draw(st.none() | rollouts)
    return Status(
        stable=stable.revision if stable else None,
        stable_view=stable,
        rollout=rollout,
        steps=draw(st.integers(1, 9)) if rollout else 0,
        candidate_view=draw(st.none() | views),
        rejected=draw(st.none() | st.builds(Rejected, words, words, words, words)),
        shifted_at=draw(st.none() | instants),
        history=tuple(draw(st.lists(entries, max_size=3))),
        conditions=tuple(draw(st.lists(conditions, max_size=3))),
        observed_generation=draw(st.integers(0, 9)),
        phase=draw(st.just("") | words),
        message=draw(st.just("") | words),
        replicas=draw(st.integers(0, 9)),
        selector=draw(st.just("") | words),
        candidate_weight=draw(st.none() | st.integers(0, 100)),
        observed_candidate=draw(st.just("") | words),
        analysis=draw(st.none() | st.builds(AnalysisView, words, words, words, st.just("") | words, words)),
    )


@given(statuses())
def test_a_status_reads_back(status: Status) -> None:
    assert Status.parse(status.to_dict()) == status


def test_an_entry_of_an_operator_that_recorded_no_shifts_reads_back_without_them() -> None:
    entry = HistoryEntry("digits-1", "Promoted", "Because", "it is", START, START, stable="digits-0")
    written = Status(history=(entry,)).to_dict()
    del written["history"][0]["stable"]

    assert Status.parse(written).history == (replace(entry, stable=""),)


def test_a_new_model_deployment_has_an_empty_status() -> None:
    assert Status.parse({}) == Status()


def test_history_is_newest_first_and_holds_twenty() -> None:
    def entry(number: int) -> HistoryEntry:
        return HistoryEntry(f"digits-{number}", "Promoted", "Because", "it is", START, START)

    status = Status()
    for number in range(25):
        status = status.with_history(entry(number))

    assert status.history == tuple(entry(number) for number in range(24, 4, -1))


@given(status=statuses())
def test_only_what_the_crd_knows_is_written(status: Status, crd_status: dict[str, Any]) -> None:
    assert unknown(status.to_dict(), crd_status) == []


def unknown(value: Any, schema: dict[str, Any], path: str = "status") -> list[str]:
    """Fields of `value` that the API server would prune."""
    if isinstance(value, list):
        return [name for item in value for name in unknown(item, schema["items"], path)]
    if not isinstance(value, dict):
        return []
    found = []
    for name, item in value.items():
        known = schema["properties"].get(name)
        found += [f"{path}.{name}"] if known is None else unknown(item, known, f"{path}.{name}")
    return found


def test_what_a_newer_operator_wrote_is_not_read() -> None:
    written = Status(rejected=Rejected("digits-1", "plan", "Because", "it is")).to_dict()
    written["rejected"]["by"] = "somebody"
    written["weather"] = {"wind": 3}

    assert Status.parse(written) == Status(rejected=Rejected("digits-1", "plan", "Because", "it is"))
