"""What people ask of a rollout, as annotations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import InvalidControl
from tidegate.model.control import Control, GivenControl, Intent, given_controls

REVISION = "digits-ca4d1da7"


@pytest.mark.parametrize(
    ("control", "text", "intent"),
    [
        (Control.APPROVE, f"{REVISION}/3", Intent(Control.APPROVE, REVISION, 3)),
        (Control.APPROVE, f"{REVISION}/3 by alice", Intent(Control.APPROVE, REVISION, 3, "alice")),
        (
            Control.PROMOTE,
            f"{REVISION}/3 by alice: looks fine: all of it",
            Intent(Control.PROMOTE, REVISION, 3, "alice", "looks fine: all of it"),
        ),
        (Control.ABORT, f"{REVISION}: it lies", Intent(Control.ABORT, REVISION, None, "", "it lies")),
        (
            Control.ABORT,
            f"{REVISION} by system:serviceaccount:ci:bot: red",
            Intent(Control.ABORT, REVISION, None, "system:serviceaccount:ci:bot", "red"),
        ),
        (Control.ABORT, f"{REVISION}/3 by alice", Intent(Control.ABORT, REVISION, None, "alice")),
        (Control.RESTART, f"  {REVISION} \n by  alice ", Intent(Control.RESTART, REVISION, None, "alice")),
        (Control.PROMOTE_FULL, REVISION, Intent(Control.PROMOTE_FULL, REVISION)),
    ],
)
def test_a_value_names_a_revision_a_step_who_and_why(control: Control, text: str, intent: Intent) -> None:
    assert Intent.parse(control, text) == intent


@pytest.mark.parametrize(
    "text", ["", "true ", "YES", f"{REVISION} alice", f"{REVISION}/", f"{REVISION}/x", "/3", ": why"]
)
def test_what_names_no_revision_is_refused_with_what_to_write(text: str) -> None:
    expected = r"^tidegate.dev/approve is .*, which names no (revision|step): write 'REVISION/STEP by WHO: WHY'"
    with pytest.raises(InvalidControl, match=expected):
        Intent.parse(Control.APPROVE, text)


def test_a_control_of_a_step_names_one() -> None:
    with pytest.raises(InvalidControl, match=f"names no step: .*such as {REVISION}/1"):
        Intent.parse(Control.SKIP, f"{REVISION} by alice")


words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12)
lines = st.lists(words, max_size=4).map(" ".join)


@given(st.sampled_from(Control), st.integers(0, 21), lines, lines)
def test_a_value_reads_back_as_it_was_written(control: Control, step: int, by: str, why: str) -> None:
    intent = Intent(control, REVISION, step if control.concerns_a_step else None, by, why)

    read = Intent.parse(control, intent.text)

    assert read.text == intent.text
    assert read == intent or ": " in by


def test_a_long_reason_is_cut_off_and_no_reason_to_refuse() -> None:
    intent = Intent.parse(Control.ABORT, f"{REVISION} by {'a' * 1000}: {'b' * 1000}")

    assert (len(intent.by), len(intent.why)) == (100, 400)


def test_annotations_are_read_with_the_abort_first_and_what_is_wrong_beside_it() -> None:
    annotations = {"other": "x", "tidegate.dev/approve": "yes!", "tidegate.dev/abort": f"{REVISION} by bob"}

    abort, approve = given_controls(annotations)

    assert abort == GivenControl(Control.ABORT, f"{REVISION} by bob", Intent(Control.ABORT, REVISION, None, "bob"))
    assert (approve.control, approve.intent) == (Control.APPROVE, None)
    assert "tidegate.dev/approve is 'yes!'" in approve.wrong


def test_no_annotations_ask_for_nothing() -> None:
    assert given_controls(None) == given_controls({}) == ()


def test_people_read_who_asks_and_a_line_to_copy() -> None:
    intent = Intent(Control.APPROVE, REVISION, 3, "alice", "it's fine")

    assert intent.asked == "by alice: it's fine"
    assert Intent(Control.ABORT, REVISION).asked == "by somebody"
    assert Intent(Control.APPROVE, REVISION, 3).command("shop", "digits") == (
        f"kubectl -n shop annotate mdep/digits tidegate.dev/approve={REVISION}/3"
    )
