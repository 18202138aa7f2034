"""Writes a selftest.json from what the model answers now: a new revision, or another runtime, must answer the same."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson

from tidegate_server.errors import InvalidRequest, ModelFailed, NotFiniteOutput
from tidegate_server.predict.predictor import Predictor
from tidegate_server.predict.selftest import DEFAULT_TOLERANCE, MAX_CASES, RunModel
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.signature import Signature, blank_inputs

_SEED = 7


def record_selftest(
    bodies: Sequence[Any],
    run: RunModel,
    predictor: Predictor,
    signature: Signature,
    limits: Limits,
    tolerance: float = DEFAULT_TOLERANCE,
) -> bytes:
    """The content of a selftest.json with a case for each body of /predict, at most 1000.

    Without bodies it takes some that fit the signature. Raises InvalidRequest for a body that the model can't be
    asked, ModelFailed when the model fails on it, and NotFiniteOutput.
    """
    if len(bodies) > MAX_CASES:
        raise InvalidRequest(f"{len(bodies)} bodies are too many for a self-test; give at most {MAX_CASES}")
    if bodies:
        cases = [_case(body, run, predictor, signature, limits, tolerance) for body in bodies]
    else:
        cases = list(_example_cases(run, predictor, signature, limits, tolerance))
    return orjson.dumps({"cases": cases}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _case(
    body: Any, run: RunModel, predictor: Predictor, signature: Signature, limits: Limits, tolerance: float
) -> dict[str, Any]:
    request = predictor.read(body, signature, limits)
    answer = orjson.loads(request.write("", "", [run(request) for request in request.requests]))
    # The next model or revision has another name, and is to answer the same all the same.
    expected = {field: value for field, value in answer.items() if field not in ("model", "revision")}
    return {"body": body, "answer": expected, "tolerance": tolerance}


def _example_cases(
    run: RunModel, predictor: Predictor, signature: Signature, limits: Limits, tolerance: float
) -> Iterator[dict[str, Any]]:
    any_accepted = False
    failure: Exception | None = None
    for body in example_bodies(predictor, signature):
        try:
            yield _case(body, run, predictor, signature, limits, tolerance)
            any_accepted = True
        except (InvalidRequest, ModelFailed, NotFiniteOutput) as error:
            failure = error  # zeros, or numbers at random, may be illegal to a legal model
    if not any_accepted:
        raise InvalidRequest(f"the model accepts no made-up input, so give bodies of your own ({failure})")


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
