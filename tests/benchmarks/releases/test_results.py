"""Seconds, users and losses, from made-up records of requests."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.releases.results import (
    Ending,
    Measured,
    load_results,
    loss,
    losses,
    measured,
    merged,
    release_of,
    save_results,
)
from benchmarks.releases.scenarios import PROMOTED, ROLLED_BACK, equal, failing, slow
from tests.benchmarks.releases.examples import GONE, STUCK, of
from tests.benchmarks.releases.records import ANSWERS, NEW, OLD, bad, good
from tidegate_demo.records import Request

BACK = Ending(NEW, ROLLED_BACK, "ErrorRateWorse", "fails on 20%", began=100.0, ended=116.0)
ON = Ending(NEW, PROMOTED, "Acceptable", "as good", began=100.0, ended=160.0)


def test_a_rolled_back_release_is_timed_from_its_first_bad_answer_to_its_last() -> None:
    requests = [
        good(100.0),
        good(110.0, NEW),
        bad(111.0),
        good(112.0),
        bad(113.5),
        bad(117.0),  # after the status said so: a user saw it all the same
        good(118.0, NEW),
        good(119.0),
    ]
    release = release_of(1, BACK, requests, ANSWERS)
    assert (release.requests, release.bad) == (5, 3)
    assert release.first_to_last_bad == pytest.approx(6.0)
    assert release.first_bad_to_zero_traffic == pytest.approx(7.0)
    assert release.first_to_last_answer == pytest.approx(8.0)
    assert release.seconds == 16.0
    assert release.observed == pytest.approx(5.99)
    assert (release.sent, release.lost) == (8, 0)


def test_a_time_is_that_of_the_answer_and_not_of_the_question() -> None:
    requests = [bad(110.0, took=0.5), bad(112.0, took=2.5)]
    assert release_of(1, BACK, requests, ANSWERS).first_to_last_bad == pytest.approx(4.0)


def test_one_bad_answer_takes_no_time() -> None:
    assert release_of(1, BACK, [bad(110.0)], ANSWERS).first_to_last_bad == 0.0


def test_a_candidate_that_answered_nothing_has_no_times() -> None:
    release = release_of(1, BACK, [good(110.0)], ANSWERS)
    assert (release.requests, release.bad, release.observed) == (0, 0, None)
    assert (release.first_to_last_bad, release.first_to_last_answer, release.slower_by) == (None, None, None)


def test_a_promoted_candidate_counts_only_up_to_its_promotion() -> None:
    requests = [good(110.0, NEW), bad(150.0), bad(161.0), good(170.0, NEW)]
    release = release_of(1, ON, requests, ANSWERS)
    assert (release.requests, release.bad, release.seconds) == (2, 1, 60.0)


def test_slower_by_is_median_against_median_of_the_same_time() -> None:
    requests = [
        good(100.0, OLD, took=5.0),  # before the candidate had any traffic
        *(good(110.0 + i, OLD, took=0.02) for i in range(5)),
        *(good(110.0 + i, NEW, took=0.12) for i in range(6)),
    ]
    assert release_of(1, BACK, requests, ANSWERS).slower_by == pytest.approx(0.1)


def test_a_request_without_an_answer_is_nobodys_who_names_no_revision() -> None:
    nothing = Ending("", "", "", "it couldn't be applied", began=100.0, ended=100.0)
    release = release_of(1, nothing, [Request(110.0, 1, 0.0, 10.0, 0, fault="timeout")], ANSWERS)
    assert (release.requests, release.lost) == (0, 1)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(good(1.0), None, id="answered"),
        pytest.param(bad(1.0), None, id="the model itself fails on this image"),
        pytest.param(
            bad(1.0, OLD), "an error where the model has an answer", id="an error of a model that never fails"
        ),
        pytest.param(bad(1.0, "digits-never-seen"), None, id="an error of a revision that nothing is known of"),
        pytest.param(
            Request(1.0, 1, 0.0, 0.01, 200, OLD, 3), "another model's answer", id="a digit that it never gives"
        ),
        pytest.param(Request(1.0, 1, 0.0, 0.01, 503), "status 503", id="no server behind the router"),
        pytest.param(Request(1.0, 1, 0.0, 0.01, 429, NEW), "status 429", id="turned away"),
        pytest.param(Request(1.0, 1, 0.0, 10.0, 0, fault="timeout"), "timeout", id="no answer at all"),
    ],
)
def test_a_request_is_lost_where_no_model_is_to_blame(request_: Request, expected: str | None) -> None:
    assert loss(request_, ANSWERS) == expected


def test_losses_are_counted_by_cause() -> None:
    requests = [good(1.0), bad(1.0, OLD), bad(2.0, OLD), Request(3.0, 1, 0.0, 0.0, 0, fault="reset")]
    assert losses(requests, ANSWERS) == {"an error where the model has an answer": 2, "reset": 1}


def test_each_release_has_the_requests_up_to_the_next_and_the_scenario_has_all() -> None:
    lost = Request(50.0, 1, 0.0, 0.0, 0, fault="refused")  # while the load was warming up
    second = Ending("digits-newer", ROLLED_BACK, "ErrorRateWorse", "", began=200.0, ended=215.0)
    requests = [lost, good(60.0), good(105.0), bad(110.0), good(150.0), good(200.0), bad(210.0, "digits-newer")]
    answers = {**ANSWERS, "digits-newer": (None, 7)}
    found = measured(failing(2, 3), [BACK, second], requests, answers, "the load has ended by itself")
    assert [(each.number, each.sent, each.bad, each.lost) for each in found.releases] == [(1, 3, 1, 0), (2, 2, 1, 0)]
    assert (found.sent, found.lost, found.lost_because) == (7, 1, {"refused": 1})
    assert found.trouble == "the load has ended by itself"
    assert json.loads(json.dumps(asdict(found)))["lost_because"] == {"refused": 1}


def test_a_scenario_that_never_began_has_no_releases() -> None:
    assert measured(equal(2, 3), [], [], {}).releases == ()


def test_the_parts_of_a_scenario_are_told_as_one() -> None:
    first = of(failing(2, 2), GONE, GONE, lost=1)
    second = of(replace(failing(2, 1), part=7), STUCK, lost=2, trouble="the load has ended by itself")
    assert merged([first, of(slow(2, 1), GONE), second]) == (
        Measured(
            failing(2, 3),
            (GONE, replace(GONE, number=2), replace(STUCK, number=3)),
            24_000,
            {"reset": 3},
            "the load has ended by itself",
        ),
        of(slow(2, 1), GONE),
    )


def test_results_are_read_back_as_they_were_saved(tmp_path: Path) -> None:
    found = [of(failing(2, 2), GONE, STUCK), of(replace(slow(30, 1), code="abc1234"), GONE, lost=1)]
    save_results(tmp_path / "results.json", found)
    assert load_results(tmp_path / "results.json") == found


@pytest.mark.parametrize("content", ["", "{", '[{"other": 1}]', "[1]"])
def test_results_that_make_no_sense_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    assert load_results(tmp_path / "results.json") == []
