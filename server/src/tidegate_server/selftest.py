"""The self-test that lies beside a model: run at the start, and run or recorded by `tidegate-server selftest`."""

import logging
import sys
from collections.abc import Mapping, Sequence

from tidegate_server.errors import InvalidRequest, ModelFailed, ModelRefused, NotFiniteOutput
from tidegate_server.inference.client_mistakes import value_beyond_table
from tidegate_server.inference.model import Model
from tidegate_server.predict.package import Package, open_package
from tidegate_server.predict.package_files import unusable
from tidegate_server.predict.selftest import SELFTEST_FILE, ModelUnderTest, RunModel
from tidegate_server.predict.selftest_recording import record_selftest
from tidegate_server.predict.text_predictor import TextPredictor
from tidegate_server.predict.tokenizer import TOKENIZER_FILE
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.tensors import Array, Outputs
from tidegate_server.settings import Settings

log = logging.getLogger(__name__)


def selftest(settings: Settings, *, write: bool) -> int:
    """The exit code: 0 when all cases pass or are written, 1 otherwise. Raises ModelRefused."""
    model = Model.open(settings.model_path, providers=settings.providers, options=settings.session_options)
    package = open_package(settings.model_path.parent, model.signature, model.metadata)
    limits = settings.limits(takes_missing_values=model.takes_missing_values)
    return _record(model, package, limits) if write else _report(model, package, limits)


def require_selftest(model: Model, package: Package, limits: Limits) -> None:
    """Raises ModelRefused when the model fails the self-test that lies beside it."""
    report = package.run_selftest(_runner(model), model.signature, limits)
    if not report.passed:
        raise ModelRefused("SelftestFailed", report.failures[0])
    if report.cases:
        log.info("self-test: %d cases passed", report.cases)


def require_tokens(model: Model, package: Package, real: Sequence[Mapping[str, Array]]) -> None:
    """Raises ModelRefused where the graph has no place for a token of the tokenizer beside it.

    `real` are requests as the predictor makes them of texts. A self-test that passes says more.
    """
    by_tokens = [arrays for arrays in real if any(array.dtype.kind in "iu" for array in arrays.values())]
    if package.selftest is not None or not isinstance(package.predictor, TextPredictor) or not by_tokens:
        return
    highest = max(by_tokens, key=lambda arrays: max(int(array.max()) for array in arrays.values() if array.size))
    try:
        model.run(dict(highest), [spec.name for spec in model.signature.outputs])
    except ModelFailed as error:
        if sentence := value_beyond_table(str(error), highest):
            advice = "put the tokenizer beside it that the model was made with"
            raise unusable(TOKENIZER_FILE, f"it isn't this graph's ({sentence}); {advice}") from None
        log.warning("the model fails on a text: %s", error)


def _report(model: Model, package: Package, limits: Limits) -> int:
    if package.selftest is None:
        log.error("there is no %s beside the model; --write makes one", SELFTEST_FILE)
        return 1
    report = package.run_selftest(_runner(model), model.signature, limits)
    for sentence in report.failures:
        sys.stdout.write(f"{sentence}\n")
    sys.stdout.write(f"{report.cases - report.failed} of {report.cases} cases passed\n")
    return 0 if report.passed else 1


def _record(model: Model, package: Package, limits: Limits) -> int:
    path = model.path.with_name(SELFTEST_FILE)
    # The questions that are there stay; only what the model answers to them is written anew.
    cases = package.selftest.cases if package.selftest else ()
    bodies = [case.body if case.inputs is None else {"inputs": dict(case.inputs)} for case in cases]
    try:
        content = record_selftest(bodies, ModelUnderTest(_runner(model), package.predictor, model.signature, limits))
    except (InvalidRequest, ModelFailed, NotFiniteOutput) as error:
        log.error("can't write a self-test: %s", error)
        return 1
    path.write_bytes(content)
    sys.stdout.write(f"wrote {path}; look at it before you trust it\n")
    return 0


def _runner(model: Model) -> RunModel:
    def run(request: InferRequest) -> Outputs:
        names = [output.name for output in request.outputs]
        return dict(zip(names, model.run(request.arrays, names), strict=True))

    return run
