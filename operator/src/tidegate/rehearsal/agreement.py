"""Asks stable and a candidate the same requests, and stable twice, until it is plain whether they answer alike.

A rehearsal does so as a gate before the candidate's first traffic. Answers are compared and forgotten: what is kept is
how many differed, in what, and which request was the first.
"""

import http.client
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any
from urllib.parse import urlsplit

from tidegate.judge.agreement import Agreement, AgreementRules, Pairs, answer_of, told
from tidegate.judge.answers import Kind, Reply, Tolerances, difference
from tidegate.model.gate import GateAnswer, GatePoint, GateSpec
from tidegate.model.reasons import Policy
from tidegate.model.status import Rollout
from tidegate.rehearsal.load import ANSWER_SECONDS
from tidegate.rehearsal.payloads import Payload
from tidegate.rehearsal.processes import MOST_ANSWER_BYTES

GATE = GateSpec("agreement", GatePoint.START, on_refusal=Policy.ROLLBACK, on_failure=Policy.ROLLBACK)
"""Before its first traffic a candidate has to be shown to answer as stable does."""
TRIES = 2
"""A server ends a connection on which nothing was asked for a while, just as something is."""
HEADERS = {"Content-Type": "application/json", "x-tidegate-traffic": "preview"}
"""A model server counts what is asked here apart from what users ask."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AgreementPlan:
    """What is asked of the two. `most` requests are drawn at most, each by chance from those that there are."""

    rules: AgreementRules = field(default_factory=AgreementRules)
    tolerances: Tolerances = field(default_factory=Tolerances)
    most: int = 5000


@dataclass(frozen=True)
class AgreementResult:
    """What came of it."""

    answer: Agreement
    pairs: Pairs
    rules: AgreementRules
    kinds: Mapping[Kind, int]
    """In what the candidate's answers differed."""
    first: int | None
    """Which of the given requests was the first, counted from 1."""
    skipped: int
    """Requests that stable didn't answer, which says nothing of the candidate."""

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.pairs.requests:
            if not self.skipped:
                return "there was no request to compare the answers of"
            return f"stable answers none of {self.skipped:,} requests, so nothing can be compared; give others"
        shown = {
            Agreement.DIFFERS: "",
            Agreement.AGREES: "",
            Agreement.UNDECIDED: "whether it answers as stable does isn't plain: ",
        }[self.answer]
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.kinds.items())
        details = f"; in {kinds}; the first is request {self.first:,}" if kinds and self.first else ""
        skipped = f"; {self.skipped:,} that stable doesn't answer were left out" if self.skipped else ""
        return f"{shown}{told(self.pairs, self.rules)}{details}{skipped}"

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "answer": self.answer,
            "requests": self.pairs.requests,
            "differed": self.pairs.differed,
            "noisy": self.pairs.noisy,
            "kinds": dict(self.kinds),
            "first": self.first,
            "skipped": self.skipped,
            "message": self.sentence,
        }


Ask = Callable[[Payload], Reply]


Drawn = Iterable[tuple[int, Payload]]
"""Requests as they are drawn, each with its number, counted from 1."""


def drawn(payloads: Sequence[Payload]) -> Drawn:
    """Any of these by chance, the same one again where there are few, without end."""
    random = Random(1)
    while True:
        number = random.randrange(len(payloads))
        yield number + 1, payloads[number]


def compare(
    stable: Ask, candidate: Ask, requests: Drawn, plan: AgreementPlan, stopped: threading.Event
) -> AgreementResult:
    """Asks until there is an answer, or there have been enough or are no more requests, or `stopped` is set."""
    pairs, skipped, first = Pairs(), 0, None
    kinds: Counter[Kind] = Counter()
    answer = Agreement.UNDECIDED
    for number, payload in islice(requests, plan.most):
        if answer is not Agreement.UNDECIDED or stopped.is_set():
            break
        replies = [ask(payload) for ask in (stable, candidate, stable)]
        if not (replies[0].is_answer and replies[2].is_answer):
            skipped += 1
            continue
        kind = difference(replies[0], replies[1], plan.tolerances)
        is_noisy = difference(replies[0], replies[2], plan.tolerances) is not None
        if kind is not None:
            kinds[kind] += 1
            first = first or number
        pairs += Pairs.of(differed=kind is not None, noisy=is_noisy)
        answer = answer_of(pairs, plan.rules)
    return AgreementResult(answer, pairs, plan.rules, dict(kinds), first, skipped)


@contextmanager
def asking(url: str, token: str = "") -> Iterator[Ask]:
    """Asks the server at an http:// or https:// address over one connection, with a bearer token where there is one."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
    base, headers = parts.path.rstrip("/"), {**HEADERS, **({"Authorization": f"Bearer {token}"} if token else {})}

    def ask(payload: Payload) -> Reply:
        for _ in range(TRIES):
            try:
                connection.request("POST", f"{base}{payload.path}", payload.body, {**headers, **dict(payload.headers)})
                response = connection.getresponse()
                return Reply(response.status, response.read(MOST_ANSWER_BYTES))
            except (OSError, http.client.HTTPException):
                connection.close()
            except ValueError:  # a path with letters that this client doesn't send: nobody is asked
                break
        return Reply(0)

    try:
        yield ask
    finally:
        connection.close()


@dataclass
class AgreementGate:
    """Answers the gate's question from a thread of its own; nothing waits for it."""

    plan: AgreementPlan
    result: AgreementResult | None = None
    """None while there is none."""
    _question: str = ""
    _answer: GateAnswer | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)

    def answers(self) -> Mapping[str, GateAnswer]:
        """What is known by now, by question."""
        return {self._question: self._answer} if self._answer else {}

    def follow(self, rollout: Rollout | None, urls: tuple[str, str] | None, payloads: Sequence[Payload]) -> None:
        """Begins once the gate is asked. `urls` are stable's and the candidate's; None where one isn't ready."""
        records = rollout.gates if rollout else ()
        asked = next((each for each in records if each.name == GATE.name and each.is_being_asked), None)
        if asked is None or urls is None or asked.question == self._question:
            return
        self._question, self._answer = asked.question, None
        threading.Thread(target=self._run, args=(urls, payloads), name="agreement", daemon=True).start()

    def stop(self) -> None:
        """Nobody wants the answer any more."""
        self._stopped.set()

    def _run(self, urls: tuple[str, str], payloads: Sequence[Payload]) -> None:
        try:
            with asking(urls[0]) as stable, asking(urls[1]) as candidate:
                self.result = compare(stable, candidate, drawn(payloads), self.plan, self._stopped)
            self._answer = GateAnswer(self.result.answer is Agreement.AGREES, self.result.sentence)
        except Exception:
            log.exception("the answers can't be compared")
            self._answer = GateAnswer(None, "comparing the answers failed in a way that nobody foresaw")
