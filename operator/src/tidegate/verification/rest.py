"""The protocol over HTTP: health, metadata, inference, and what becomes of callers' mistakes."""

import http.client
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tidegate.model.revision import ModelFacts, Tensor
from tidegate.rehearsal.payloads import Payload, made_up_requests
from tidegate.verification import binary
from tidegate.verification.asking import NO_ANSWER, Answer, Endpoint
from tidegate.verification.protocol import (
    Document,
    NotOfTheProtocol,
    Signature,
    check_against,
    check_outputs,
    document_of,
    encoded,
    error_of,
    mistakes,
    signature_of,
    signature_of_request,
    values_of,
)
from tidegate.verification.row import Row, failed, lacks, not_asked, ok

ABSENT = frozenset((404, 405, 501))
"""By which a server says that it has no such thing."""
MOST_RECORDED = 100
"""Requests of a file that are asked one by one."""
RELATIVE, ABSOLUTE = 1e-3, 1e-5
"""How far two answers to one question may be apart: FP16 and other batches round otherwise."""


@dataclass
class Subject:
    """What is looked at, and what was found of it so far."""

    endpoint: Endpoint
    model: str
    payloads: Sequence[Payload] = ()
    """Recorded requests; empty where one is made up of the metadata."""
    signature: Signature = field(default_factory=lambda: Signature((), ()))
    request: Document | None = None
    """One that the model takes, with flat data."""
    answer: Document | None = None
    """The model's, to `request`."""

    @property
    def path(self) -> str:
        """Of the model."""
        return f"/v2/models/{self.model}"

    def infer(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Asks the model."""
        return self.endpoint.ask("POST", f"{self.path}/infer", body, headers)


def model_names(endpoint: Endpoint) -> list[str]:
    """Those that a server lists by Triton's repository index; none where it has no such list."""
    answer = endpoint.ask("POST", "/v2/repository/index", b"{}")
    try:
        return [str(each["name"]) for each in json.loads(answer.body)] if answer.status == http.client.OK else []
    except (ValueError, TypeError, LookupError):
        return []


def health(subject: Subject) -> Iterator[Row]:
    """Whether it lives and is ready."""
    for what, path in (("live", "/v2/health/live"), ("ready", "/v2/health/ready"), ("model ready", "")):
        path = path or f"{subject.path}/ready"
        answer = subject.endpoint.ask("GET", path)
        if answer.status == http.client.OK:
            yield ok(what, f"GET {path}: 200", answer.seconds)
        elif answer.status in ABSENT:
            yield lacks(what, f"GET {path}: {answer.said}", answer.seconds)
        else:
            yield failed(what, f"GET {path}: {answer.said}", answer.seconds)


def metadata(subject: Subject) -> Iterator[Row]:
    """What server and model say of themselves; the model's signature goes into `subject`."""
    yield _server_metadata(subject.endpoint.ask("GET", "/v2"))
    check, answer = "model metadata", subject.endpoint.ask("GET", subject.path)
    if answer.status in ABSENT:
        yield lacks(check, f"GET {subject.path}: {answer.said}", answer.seconds)
        return
    if answer.status != http.client.OK:
        yield failed(check, f"GET {subject.path}: {answer.said}", answer.seconds)
        return
    try:
        subject.signature = signature_of(document_of(answer.body))
    except NotOfTheProtocol as error:
        yield failed(check, f"{error}", answer.seconds)
        return
    if not subject.signature.inputs or not subject.signature.outputs:
        yield lacks(check, "it names no inputs or no outputs, so clients have to know them", answer.seconds)
        return
    sides = (subject.signature.inputs, subject.signature.outputs)
    yield ok(check, " → ".join(", ".join(map(str, side)) for side in sides), answer.seconds)


def _server_metadata(answer: Answer) -> Row:
    check = "server metadata"
    if answer.status in ABSENT:
        return lacks(check, f"GET /v2: {answer.said}", answer.seconds)
    try:
        found = document_of(answer.body)
    except NotOfTheProtocol as error:
        return failed(check, f"GET /v2: {error}", answer.seconds)
    if answer.status != http.client.OK or not isinstance(found.get("name"), str):
        return failed(check, f"GET /v2: {answer.said}", answer.seconds)
    extensions = ", ".join(map(str, found.get("extensions") or ())) or "none"
    return ok(check, f"{found['name']} {found.get('version', '')}; extensions: {extensions}", answer.seconds)


def choose_request(subject: Subject) -> None:
    """Sets `request`: the first recorded one of the protocol, else one made up of the metadata, else none."""
    recorded = next((each.body for each in subject.payloads if each.path.endswith("/infer")), None)
    if recorded is not None:
        subject.request = _flattened(document_of(recorded))
        if not subject.signature.inputs:
            shown = signature_of_request(recorded)
            subject.signature = Signature(shown.inputs, subject.signature.outputs, subject.signature.versions)
    elif subject.signature.inputs:
        facts = ModelFacts("", subject.signature.inputs, subject.signature.outputs)
        subject.request = document_of(made_up_requests(facts, subject.model, Random(1))[0].body)


def _flattened(request: Document) -> Document:
    return {**request, "inputs": [{**each, "data": values_of(each)} for each in request["inputs"]]}


def inference(subject: Subject) -> Iterator[Row]:
    """A right request and its answer, and what clients may ask for besides."""
    check = "a right request"
    if subject.request is None:
        # A check that has seen no answer is no reason to go on with a release.
        yield failed(check, "nobody says what the model takes; give requests by --requests FILE")
        return
    answer = subject.infer(encoded(subject.request))
    if answer.status != http.client.OK:
        whose = "" if subject.payloads else "; it was made up of the metadata: give real ones by --requests FILE"
        yield failed(check, f"{answer.said}{whose}", answer.seconds)
        return
    try:
        document = document_of(answer.body)
        outputs = check_outputs(document, subject.model)
    except NotOfTheProtocol as error:
        yield failed(check, str(error), answer.seconds)
        return
    subject.answer = document
    yield ok(check, ", ".join(map(str, outputs)), answer.seconds)
    yield _as_said(outputs, subject.signature)
    yield _content_type(answer)
    yield from _asked_for(subject, outputs)


def _as_said(outputs: Sequence[Tensor], said: Signature) -> Row:
    check = "outputs as the metadata says"
    if not said.outputs:
        return not_asked(check, "the metadata says nothing of outputs")
    try:
        check_against(outputs, said)
    except NotOfTheProtocol as error:
        return failed(check, str(error))
    return ok(check, ", ".join(map(str, said.outputs)))


def _content_type(answer: Answer) -> Row:
    kind = answer.headers.get("content-type", "")
    right = kind.partition(";")[0].strip() == "application/json"
    return (ok if right else lacks)("content type of answers", kind or "none")


def _asked_for(subject: Subject, outputs: Sequence[Tensor]) -> Iterator[Row]:
    request, first = subject.request or {}, outputs[0].name
    again = _answered(subject, request)
    check = "the same question, the same answer"
    equal = again is not None and same_outputs(subject.answer or {}, again)
    yield ok(check, "twice") if equal else lacks(check, "the second answer is another")
    named = _answered(subject, {**request, "id": "tidegate-verify"})
    echoed = named is not None and named.get("id") == "tidegate-verify"
    yield ok("id", "the answer has the request's") if echoed else lacks("id", "the answer doesn't have the request's")
    check = "one output of several"
    if len(outputs) == 1:
        yield not_asked(check, "the model has one")
    else:
        chosen = _answered(subject, {**request, "outputs": [{"name": first}]})
        names = [each.get("name") for each in (chosen or {}).get("outputs") or ()]
        yield ok(check, f"{first} alone") if names == [first] else lacks(check, f"{first} was asked for, {names} came")
    yield _versioned(subject)


def _answered(subject: Subject, request: Document) -> Document | None:
    answer = subject.infer(encoded(request))
    try:
        return document_of(answer.body) if answer.status == http.client.OK else None
    except NotOfTheProtocol:
        return None


def _versioned(subject: Subject) -> Row:
    check = "a version by its path"
    if not subject.signature.versions:
        return lacks(check, "the metadata names no versions")
    path = f"{subject.path}/versions/{subject.signature.versions[0]}/infer"
    answer = subject.endpoint.ask("POST", path, encoded(subject.request or {}))
    right = answer.status == http.client.OK
    return (ok if right else lacks)(check, f"POST {path}: {'200' if right else answer.said}", answer.seconds)


def recorded(subject: Subject) -> Iterator[Row]:
    """The requests of a file, one by one."""
    if not subject.payloads:
        return
    check, asked = "recorded requests", subject.payloads[:MOST_RECORDED]
    refusals = []
    for payload in asked:
        answer = subject.endpoint.ask("POST", payload.path, payload.body)
        if answer.status != http.client.OK:
            refusals.append(answer.said)
    said = f"{len(asked) - len(refusals)} of {len(asked)} were answered"
    yield failed(check, f"{said}; the first refusal is {refusals[0]}") if refusals else ok(check, said)


def callers_mistakes(subject: Subject) -> Iterator[Row]:
    """Each is refused in a sentence, as the caller's mistake, and the server goes on."""
    if subject.request is None or subject.answer is None:
        yield not_asked("callers' mistakes", "no request is known that the model takes")
        return
    endpoint, right = subject.endpoint, encoded(subject.request)
    for mistake in mistakes(subject.request):
        yield refused(mistake.what, subject.infer(mistake.body))
    yield refused("an unknown model", endpoint.ask("POST", "/v2/models/no-such-model/infer", right))
    yield refused("an unknown path", endpoint.ask("GET", "/v2/no-such-path"))
    yield refused("another method", endpoint.ask("DELETE", f"{subject.path}/infer"))
    check, after = "goes on after mistakes", _answered(subject, subject.request)
    goes_on = after is not None and same_outputs(subject.answer, after)
    yield (
        ok(check, "the right request is answered as before")
        if goes_on
        else failed(check, "it isn't answered as before")
    )


def refused(check: str, answer: Answer) -> Row:
    """What is to be said of the answer to a mistake."""
    if answer.status == NO_ANSWER:
        return failed(check, answer.said, answer.seconds)
    if answer.status >= http.client.INTERNAL_SERVER_ERROR:
        return failed(
            check, f"{answer.said}; it counts as the server's failure, and not as the caller's", answer.seconds
        )
    if answer.status < http.client.BAD_REQUEST:
        return failed(check, f"it was taken: {answer.said}", answer.seconds)
    sentence = error_of(answer.body)
    if sentence is None:
        return lacks(check, f"the answer has no sentence in `error`: {answer.said}", answer.seconds)
    return ok(check, f"{answer.status}: {sentence}", answer.seconds)


def binary_tensors(subject: Subject) -> Iterator[Row]:
    """The same question in binary has the same answer."""
    check = "binary tensors"
    if subject.request is None or subject.answer is None:
        yield not_asked(check, "no request is known that the model takes")
        return
    if not binary.can_be_packed((*signature_of_request(encoded(subject.request)).inputs, *subject.signature.outputs)):
        yield not_asked(check, "BF16 isn't compared")
        return
    body, headers = binary.binary_request(subject.request)
    answer = subject.infer(body, headers)
    if answer.status != http.client.OK:
        yield lacks(check, answer.said, answer.seconds)
        return
    if binary.HEADER.lower() not in answer.headers:
        yield lacks(check, "binary inputs are taken, and binary outputs aren't given", answer.seconds)
        return
    yield _compared_binary(check, subject, answer)
    wrong = subject.infer(body, {**headers, binary.HEADER: str(len(body) + 1)})
    yield refused("a head that is longer than the body", wrong)


def _compared_binary(check: str, subject: Subject, answer: Answer) -> Row:
    try:
        document, contents = binary.split_answer(answer.body, answer.headers)
        outputs = check_outputs(document, subject.model, has_data=False)
        found = {each.name: binary.unpacked(each, content) for each, content in zip(outputs, contents, strict=True)}
    except NotOfTheProtocol as error:
        return failed(check, str(error), answer.seconds)
    expected = {each["name"]: values_of(each) for each in (subject.answer or {})["outputs"]}
    if not same_tensors(expected, found):
        return failed(check, "the answer is another than in JSON", answer.seconds)
    return ok(check, f"{len(answer.body):,} bytes, the same values as in JSON", answer.seconds)


def same_outputs(one: Document, other: Document) -> bool:
    """Whether two answers have the same outputs, but for rounding."""
    try:
        tensors = [{each["name"]: values_of(each) for each in document["outputs"]} for document in (one, other)]
    except (NotOfTheProtocol, KeyError, TypeError):
        return False
    return same_tensors(tensors[0], tensors[1])


def same_tensors(one: Mapping[str, Sequence[Any]], other: Mapping[str, Sequence[Any]]) -> bool:
    """Whether tensors by name have the same values, but for rounding."""
    return one.keys() == other.keys() and all(
        len(one[name]) == len(other[name]) and all(map(_same, one[name], other[name])) for name in one
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE) or (math.isnan(one) and math.isnan(other))
    # JSON has no NaN: null stands for it.
    return bool(one == other) or (one is None and isinstance(other, float) and not math.isfinite(other))
