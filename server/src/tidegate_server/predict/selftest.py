"""Stored requests and the answers that a model must give to them, before it is ready and on POST /v2/selftest.

    {"cases": [{"body": {"text": "a good day"}, "answer": {"label": "positive", "score": 0.98}, "tolerance": 0.01},
               {"inputs": {"pixels": [[0, 0, 1, 0]]}, "outputs": {"label": [2]}}]}

A case gives a body of /predict or named inputs, and the answer or the named outputs. What it doesn't name isn't
compared. Deciding is pure; the runs are the caller's.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from tidegate_server.errors import InvalidRequest, ModelFailed, NotFiniteOutput
from tidegate_server.predict.package_files import unusable
from tidegate_server.predict.predictor import ParsedRequest, PlainPredictor, Predictor
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Outputs

log = logging.getLogger(__name__)

SELFTEST_FILE = "selftest.json"
MAX_SELFTEST_BYTES = 16 * 2**20
MAX_CASES = 1000
DEFAULT_TOLERANCE = 1e-3
_FIELDS = ("body", "inputs", "answer", "outputs", "tolerance")
_MAX_LISTED_FAILURES = 20

RunModel = Callable[[InferRequest], Outputs]
"""Runs the model on one request; raises what it raises to a client."""


@dataclass(frozen=True)
class ModelUnderTest:
    """A model, and how it understands a body of /predict."""

    run: RunModel
    predictor: Predictor
    signature: Signature
    limits: Limits


@dataclass(frozen=True)
class Case:
    """One request and what is expected of it."""

    body: Any
    """A body of /predict; None when `inputs` is given."""
    inputs: Mapping[str, Any] | None
    answer: Mapping[str, Any] | None
    outputs: Mapping[str, Any] | None
    tolerance: float
    """What a number may differ by: this much, or this share of the expected number, whichever is more."""


@dataclass(frozen=True)
class Selftest:
    """The cases of a selftest.json, at least one."""

    cases: tuple[Case, ...]


@dataclass(frozen=True)
class SelftestReport:
    """How many cases ran and failed."""

    cases: int
    failed: int
    failures: tuple[str, ...]
    """A sentence for each of the first failures; the first one is worth a pod's termination message."""

    @property
    def passed(self) -> bool:
        """Every case."""
        return self.failed == 0

    def as_json(self) -> dict[str, Any]:
        """The response of POST /v2/selftest."""
        return {"passed": self.passed, "cases": self.cases, "failed": self.failed, "failures": list(self.failures)}


def parse_selftest(document: Any, signature: Signature) -> Selftest:
    """Raises ModelRefused with a sentence that names the case and the field."""
    cases = document.get("cases") if isinstance(document, dict) else None
    if not isinstance(cases, list) or not 1 <= len(cases) <= MAX_CASES:
        raise unusable(SELFTEST_FILE, f'it must be {{"cases": [...]}} with 1 to {MAX_CASES} cases')
    return Selftest(tuple(_case(f"case {number}", case, signature) for number, case in enumerate(cases, 1)))


def _case(where: str, fields: Any, signature: Signature) -> Case:
    if not isinstance(fields, dict):
        raise unusable(SELFTEST_FILE, f"{where} must be an object")
    unknown = sorted(set(fields) - set(_FIELDS))
    if unknown:
        raise unusable(SELFTEST_FILE, f"{where} has an unknown field {unknown[0]!r}; it may have {', '.join(_FIELDS)}")
    if ("body" in fields) == ("inputs" in fields):
        raise unusable(SELFTEST_FILE, f'{where} needs either "body", as for /predict, or "inputs" by name')
    if "answer" not in fields and "outputs" not in fields:
        raise unusable(SELFTEST_FILE, f'{where} expects nothing; give "answer" or "outputs"')
    if "answer" in fields and "body" not in fields:
        raise unusable(SELFTEST_FILE, f'{where} has an "answer", which needs a "body"; for "inputs" give "outputs"')
    for field in ("inputs", "answer", "outputs"):
        if field in fields and not (isinstance(fields[field], dict) and fields[field]):
            raise unusable(SELFTEST_FILE, f"{where}: {field} must be an object with at least one field")
    known = {spec.name for spec in signature.outputs}
    for name in fields.get("outputs", ()):
        if name not in known:
            sentence = f"{where}: the model has no output {name!r}; it has {', '.join(sorted(known))}"
            raise unusable(SELFTEST_FILE, sentence)
    return Case(
        body=fields.get("body"),
        inputs=fields.get("inputs"),
        answer=fields.get("answer"),
        outputs=fields.get("outputs"),
        tolerance=_tolerance(where, fields.get("tolerance", DEFAULT_TOLERANCE)),
    )


def _tolerance(where: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1e300:
        raise unusable(SELFTEST_FILE, f"{where}: tolerance must be a number from 0 on, such as {DEFAULT_TOLERANCE}")
    return float(value)


def run_selftest(selftest: Selftest, model: ModelUnderTest) -> SelftestReport:
    """Every case, one after the other. Being too busy to run isn't a failure of the model: that error goes through."""
    firsts = [(number, _first_difference(case, model)) for number, case in enumerate(selftest.cases, 1)]
    failures = [f"self-test case {number}: {first}" for number, first in firsts if first is not None]
    return SelftestReport(len(selftest.cases), len(failures), tuple(failures[:_MAX_LISTED_FAILURES]))


def _first_difference(case: Case, model: ModelUnderTest) -> str | None:
    try:
        parsed = parse_case(case, model.predictor, model.signature, model.limits)
        outputs = [model.run(request) for request in parsed.requests]
        answer = orjson.loads(parsed.write("", "", outputs)) if case.answer is not None else None
        return next(chain(_output_differences(case, outputs), _answer_differences(case, answer)), None)
    except InvalidRequest as error:
        return f"the model can't be asked that: {error}"
    except NotFiniteOutput as error:
        return str(error)
    except ModelFailed as error:
        log.error("the model failed on a case of the self-test: %s", error)
        return "the model failed while running; the log says more"


def parse_case(case: Case, predictor: Predictor, signature: Signature, limits: Limits) -> ParsedRequest:
    """The case as a request. Raises InvalidRequest."""
    if case.inputs is None:
        return predictor.read(case.body, signature, limits)
    return PlainPredictor().read({"inputs": case.inputs}, signature, limits)


def _output_differences(case: Case, outputs: Sequence[Outputs]) -> Iterator[str]:
    if case.outputs is None:
        return
    if len(outputs) != 1:
        yield f"its body takes {len(outputs)} runs, so it can't be compared with outputs; give an answer"
        return
    for name, expected in case.outputs.items():
        if name not in outputs[0]:
            yield f'output {name} isn\'t computed for this body; give "inputs" instead'
            return
        yield from differences(f"output {name}", outputs[0][name].tolist(), expected, case.tolerance)


def _answer_differences(case: Case, answer: Any) -> Iterator[str]:
    if case.answer is not None:
        yield from differences("the answer", answer, case.answer, case.tolerance)


def differences(where: str, found: Any, expected: Any, tolerance: float) -> Iterator[str]:
    """A sentence for each place where `found` isn't what was expected. Fields that `expected` lacks aren't compared."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for field, value in expected.items():
            if field not in found:
                yield f"{where} has no field {field!r}"
                continue
            yield from differences(_field(where, field), found[field], value, tolerance)
    elif isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            yield f"{where} has {len(found)} values, expected {len(expected)}"
            return
        for position, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from differences(f"{where}[{position}]", one, other, tolerance)
    elif _is_number(expected) and _is_number(found):
        margin = _margin(found, expected, tolerance)
        if not abs(found - expected) <= margin:  # so, and not the other way round, since NaN is below nothing
            around = f" ± {_short(margin)}" if margin else ""
            yield f"{where} is {_short(found)}, expected {_short(expected)}{around}"
    elif found != expected or type(found) is not type(expected):
        yield f"{where} is {_quoted(found)}, expected {_quoted(expected)}"


def _field(where: str, field: str) -> str:
    return f"{where}.{field}" if where != "the answer" else f"the answer's {field}"


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _margin(found: float, expected: float, tolerance: float) -> float:
    # Two whole numbers are classes, counts or ids: one beside the right one is wrong, however large they are.
    if type(found) is int and type(expected) is int and tolerance < 1:
        return 0
    return max(tolerance, tolerance * abs(expected))


def _short(number: float) -> str:
    return f"{number:.6g}" if type(number) is float else str(number)


def _quoted(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()[:100]
