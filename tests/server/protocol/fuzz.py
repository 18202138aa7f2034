"""Reads mutated requests for some seconds and says how many. Anything but an answer or a refusal ends it with code 1.

    python -m tests.server.protocol.fuzz --seconds 60
    python -m tests.server.protocol.fuzz --seconds 60 --guided corpus/     by coverage; needs the package atheris

Without --guided nothing but the project's own packages is needed, and a seed gives the same cases again.
"""

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import monotonic

from tests.server.protocol.example_requests import SIGNATURES, assert_fits
from tests.server.protocol.mutations import Case, mutated, valid_case
from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.json_codec import parse_json
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.predict_json import read_predict, write_predict
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature, blank_inputs
from tidegate_server.protocol.v2 import read_infer, write_infer

LIMITS = Limits(max_elements=64, max_depth=8)
CASES_BETWEEN_CLOCK_READS = 200
SEEDS_FOR_COVERAGE = 300
NO_HEADER = 0xFFFF


def outcome(case: Case) -> str:
    """ "answered" or the refusal's sentence without its numbers. Raises whatever the server mustn't."""
    infer = _read(lambda: read_infer(case.body, case.json_bytes, case.signature, LIMITS), case.signature)
    if isinstance(infer, InferRequest):
        outputs = blank_inputs(Signature(case.signature.outputs, ()))
        written = write_infer("m", "r", infer, outputs, case.signature)
        parse_json(written.body[: written.json_bytes])
    predict = _read(lambda: read_predict(parse_json(case.body), case.signature, LIMITS), case.signature)
    if isinstance(predict, InferRequest):
        parse_json(write_predict("m", "r", predict.arrays))
    return "answered" if isinstance(infer, InferRequest) else infer


def _read(read: Callable[[], InferRequest], signature: Signature) -> InferRequest | str:
    try:
        request = read()
    except InvalidRequest as error:
        if error.status not in (400, 413):
            raise
        return "".join("#" if character.isdigit() else character for character in str(error)[:60])
    assert_fits(request, signature, LIMITS)
    return request


def run(seconds: float, seed: int) -> int:
    random, until, outcomes = Random(seed), monotonic() + seconds, Counter[str]()
    while monotonic() < until:
        for _ in range(CASES_BETWEEN_CLOCK_READS):
            case = mutated(valid_case(random), random)
            try:
                outcomes[outcome(case)] += 1
            except Exception:  # noqa: BLE001 - that there is none is what is looked for
                traceback.print_exc()
                sys.stderr.write(f"seed {seed}, after {outcomes.total()} cases: {case}\n")
                return 1
    answered = outcomes.pop("answered", 0)
    sys.stdout.write(
        f"seed {seed}: {answered + outcomes.total()} cases, {answered} answered, {outcomes.total()} refused "
        f"in {len(outcomes)} ways, none else\n"
    )
    return 0


# --- by coverage


def packed(case: Case) -> bytes:
    header = NO_HEADER if case.json_bytes is None else min(max(case.json_bytes, 0), NO_HEADER - 1)
    return bytes([SIGNATURES.index(case.signature)]) + header.to_bytes(2, "little") + case.body


def unpacked(data: bytes) -> Case:
    data = data.ljust(3, b"\0")
    header = int.from_bytes(data[1:3], "little")
    return Case(SIGNATURES[data[0] % len(SIGNATURES)], data[3:], None if header == NO_HEADER else header)


def run_guided(seconds: float, seed: int, corpus: Path) -> None:
    """Ends the process itself: with 77 and the input in a file when it finds something."""
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore] # only who asks for it needs it

    def mutate(data: bytes, max_size: int, number: int) -> bytes:
        if number % 2:
            return bytes(atheris.Mutate(data, max_size))
        return packed(mutated(unpacked(data), Random(number)))[:max_size]

    corpus.mkdir(parents=True, exist_ok=True)
    random = Random(seed)
    for number in range(SEEDS_FOR_COVERAGE):
        (corpus / f"valid-{number}").write_bytes(packed(valid_case(random)))
    atheris.instrument_all()
    options = [sys.argv[0], f"-max_total_time={seconds:.0f}", f"-seed={seed}", "-max_len=4096", "-print_final_stats=1"]
    atheris.Setup([*options, str(corpus)], lambda data: outcome(unpacked(data)) and None, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guided", type=Path, metavar="FOLDER", help="where inputs of new coverage are kept")
    options = parser.parse_args()
    if options.guided is None:
        return run(options.seconds, options.seed)
    run_guided(options.seconds, options.seed, options.guided)
    return 0


if __name__ == "__main__":
    sys.exit(main())
