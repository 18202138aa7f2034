"""How many requests are asked of whom, and what is kept of the answers."""

import threading
from itertools import count

from tidegate.judge.agreement import Agreement, Pairs
from tidegate.judge.answers import Compare, Kind, Reply, Tolerances
from tidegate.rehearsal.agreement import AgreementPlan, asking, compare, drawn
from tidegate.rehearsal.payloads import Payload

PAYLOADS = [Payload("/predict", str(number).encode()) for number in range(50)]
PLAN = AgreementPlan(tolerances=Tolerances(Compare.CLASSES))


def answers(payload: Payload) -> Reply:
    return Reply(200, b'{"label": "%s"}' % payload.body)


def otherwise_on_one_in_fifty(payload: Payload) -> Reply:
    return Reply(200, b'{"label": "x"}') if payload.body == b"17" else answers(payload)


def refuses(payload: Payload) -> Reply:
    return Reply(400)


def test_the_same_answers_agree_as_soon_as_that_is_shown() -> None:
    result = compare(answers, answers, drawn(PAYLOADS), PLAN, threading.Event())
    assert (result.answer, result.pairs, result.kinds) == (Agreement.AGREES, Pairs(371), {})


def test_other_answers_are_found_counted_and_forgotten() -> None:
    result = compare(answers, otherwise_on_one_in_fifty, drawn(PAYLOADS), PLAN, threading.Event())
    assert (result.answer, result.first, result.pairs.noisy) == (Agreement.DIFFERS, 18, 0)
    assert result.kinds == {Kind.CLASS: result.pairs.differed}
    assert result.pairs.requests < 1000
    assert result.sentence.endswith(f"; in class {result.pairs.differed}; the first is request 18")


def test_a_candidate_that_refuses_what_stable_answers_differs() -> None:
    result = compare(answers, refuses, drawn(PAYLOADS), PLAN, threading.Event())
    assert (result.answer, result.kinds) == (Agreement.DIFFERS, {Kind.REFUSED: result.pairs.requests})


def test_what_stable_does_not_answer_says_nothing() -> None:
    plan = AgreementPlan(most=100)
    result = compare(refuses, refuses, drawn(PAYLOADS), plan, threading.Event())
    assert (result.answer, result.pairs, result.skipped) == (Agreement.UNDECIDED, Pairs(), 100)
    assert result.sentence == "stable answers none of 100 requests, so nothing can be compared; give others"


def test_a_stable_that_answers_at_random_is_no_reason_against_the_candidate() -> None:
    numbers = count()

    def at_random(payload: Payload) -> Reply:
        return Reply(200, b'{"label": "%d"}' % next(numbers))

    result = compare(at_random, at_random, drawn(PAYLOADS), AgreementPlan(most=200), threading.Event())
    assert (result.answer, result.pairs) == (Agreement.UNDECIDED, Pairs(200, 200, 200, 200))
    assert result.sentence.startswith("whether it answers as stable does isn't plain: the candidate answers 200 of 200")


def test_nothing_is_asked_any_more_once_nobody_wants_to_know() -> None:
    stopped = threading.Event()
    stopped.set()
    assert compare(answers, answers, drawn(PAYLOADS), PLAN, stopped).pairs == Pairs()


def test_a_request_that_cannot_be_asked_again_is_passed_over() -> None:
    with asking("http://127.0.0.1:1") as ask:
        assert ask(Payload("/v2/models/digits/infer?by=Zo\u00eb", b"{}")) == Reply(0)
