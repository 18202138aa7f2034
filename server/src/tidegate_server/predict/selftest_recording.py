"""Writes a selftest.json from what the model answers now: a new revision, or another runtime, must answer the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from tidegate_server.errors import InvalidRequest, ModelFailed, NotFiniteOutput
from tidegate_server.predict.predictor import Predictor
from tidegate_server.predict.selftest import DEFAULT_TOLERANCE, MAX_CASES, ModelUnderTest
from tidegate_server.protocol.signature import Signature, blank_inputs

_SEED = 7


def record_selftest(bodies: Sequence[Any], model: ModelUnderTest) -> bytes:
    """The content of a selftest.json with a case for each body of /predict, at most 1000.

    Without bodies it takes some that fit the signature. Raises InvalidRequest for a body that the model can't be
    asked, ModelFailed when the model fails on it, and NotFiniteOutput.
    """
    if len(bodies) > MAX_CASES:
        raise InvalidRequest(f"{len(bodies)} bodies are too many for a self-test; give at most {MAX_CASES}")
    cases = [_case(body, model) for body in bodies] if bodies else _example_cases(model)
    return orjson.dumps({"cases": cases}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _case(body: Any, model: ModelUnderTest) -> dict[str, Any]:
    parsed = model.predictor.read(body, model.signature, model.limits)
    answer = orjson.loads(parsed.write("", "", [model.run(request) for request in parsed.requests]))
    # The next model or revision has another name, and is to answer the same all the same.
    expected = {field: value for field, value in answer.items() if field not in ("model", "revision")}
    return {"body": body, "answer": expected, "tolerance": DEFAULT_TOLERANCE}


def _example_cases(model: ModelUnderTest) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = []
    failure: Exception | None = None
    for body in example_bodies(model.predictor, model.signature):
        try:
            cases.append(_case(body, model))
        except (InvalidRequest, ModelFailed, NotFiniteOutput) as error:
            failure = error  # zeros, or numbers at random, may be illegal to a legal model
    if not cases:
        raise InvalidRequest(f"the model accepts no made-up input, so give bodies of your own ({failure})")
    return cases


def example_bodies(predictor: Predictor, signature: Signature) -> list[Any]:
    """The predictor's own example; or zeros, and then small numbers that are always the same."""
    example = predictor.example(signature)
    if example is not None:
        return [example]
    blank = blank_inputs(signature)
    numbers = np.random.default_rng(_SEED)
    drawn = {
        name: numbers.normal(size=array.shape).round(3) if array.dtype.kind == "f" else array
        for name, array in blank.items()
    }
    return [{"inputs": {name: array.tolist() for name, array in arrays.items()}} for arrays in (blank, drawn)]
