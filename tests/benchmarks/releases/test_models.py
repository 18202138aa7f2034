"""The models fail on exactly the requests that they are meant to fail on."""

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks.releases.models import FAILING, GOOD, SLOW, TWIN_A, TWIN_B, TWINS, Model, Models
from benchmarks.releases.payloads import COUNT, Payloads, draw_payloads
from tidegate_demo.models import answers


def answered(model: Model, models: Models, payloads: Payloads) -> tuple[int | None, ...]:
    """What onnxruntime says for each image that is sent, each asked once."""
    different = sorted(set(payloads.order))
    images = np.array([models.images[image] for image in different], np.float32)
    said = dict(zip(different, answers(model.path.read_bytes(), images), strict=True))
    return tuple(said[image] for image in payloads.order)


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_fails_on_exactly_one_in_200_of_the_images_that_are_sent(models: Models, name: str) -> None:
    payloads = draw_payloads(models.by_name[FAILING], 0.005)
    said = answered(models.by_name[name], models, payloads)
    assert said == payloads.answers(models.by_name[name])
    assert said.count(None) == COUNT // 200


def test_the_failing_model_fails_on_exactly_one_in_five(models: Models) -> None:
    payloads = draw_payloads(models.by_name[FAILING], 0.2)
    assert answered(models.by_name[FAILING], models, payloads).count(None) == COUNT // 5


@pytest.mark.parametrize("name", [GOOD, SLOW])
def test_the_others_never_fail(models: Models, name: str) -> None:
    assert None not in models.by_name[name].answers


def test_nothing_fails_where_nothing_is_meant_to(models: Models) -> None:
    assert None not in draw_payloads(models.by_name[FAILING], 0.0).answers(models.by_name[FAILING])


def test_twins_answer_alike_and_differ_in_their_bytes(models: Models) -> None:
    one, other, original = (models.by_name[name] for name in (TWIN_A, TWIN_B, FAILING))
    assert one.answers == other.answers == original.answers
    assert len({one.sha256, other.sha256, original.sha256}) == 3


def test_a_model_is_offered_with_the_digest_of_its_file(models: Models) -> None:
    for model in models.by_name.values():
        assert hashlib.sha256(model.path.read_bytes()).hexdigest() == model.sha256


def test_every_model_has_a_file_name_of_its_own(models: Models) -> None:
    assert len({model.path.name for model in models.by_name.values()}) == len(models.by_name)


def test_what_is_sent_is_the_same_every_time_and_its_failures_are_spread() -> None:
    model = Model("m", Path("m.onnx"), "", (None, 1, 2, 3))
    payloads = draw_payloads(model, 0.1, count=1_000)
    fails = [place for place, answer in enumerate(payloads.answers(model)) if answer is None]
    assert payloads == draw_payloads(model, 0.1, count=1_000)
    assert len(fails) == 100
    assert min(fails) < 100
    assert max(fails) > 900
    assert len({later - earlier for earlier, later in itertools.pairwise(fails)}) > 10


def test_the_load_sends_the_images_in_order() -> None:
    assert Payloads((1, 0, 1)).images([(0.0,), (1.0,)]) == [(1.0,), (0.0,), (1.0,)]
