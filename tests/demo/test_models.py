"""The six models are what the story says they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidegate_demo import graphs, models
from tidegate_demo.models import VERSIONS, Models, quiet_session


def session(prepared: Models, version: str) -> Any:
    return quiet_session(prepared.versions[version].path.read_bytes())


def ink_of(prepared: Models) -> np.ndarray:
    return np.array([sum(image) for image in prepared.images])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_model_has_the_same_signature(prepared: Models, version: str) -> None:
    made = session(prepared, version)
    seen = [(tensor.name, tensor.type, tensor.shape[1:]) for tensor in (*made.get_inputs(), *made.get_outputs())]
    assert seen == [
        ("pixels", "tensor(float)", [64]),
        ("label", "tensor(int64)", []),
        ("probabilities", "tensor(float)", [10]),
    ]


def test_v1_is_modest_and_the_others_are_better(prepared: Models) -> None:
    accuracy = {version: model.accuracy for version, model in prepared.versions.items()}
    assert 0.85 < accuracy["v1"] < 0.94
    assert all(accuracy[version] > 0.96 for version in VERSIONS[1:])


def test_v3_alone_fails_and_on_one_image_in_five_or_so(prepared: Models) -> None:
    failing = {version: model.failing for version, model in prepared.versions.items()}
    assert 0.15 < failing.pop("v3") < 0.25
    assert set(failing.values()) == {0.0}


def test_v3_fails_on_the_images_with_the_most_ink(prepared: Models) -> None:
    fails = np.array([answer is None for answer in prepared.versions["v3"].answers])
    ink = ink_of(prepared)
    assert ink[fails].min() > ink[~fails].max() - graphs.INK_PER_BIN


def test_v3_fails_inside_onnxruntime_with_an_index_out_of_range(prepared: Models) -> None:
    darkest = np.array(prepared.images, np.float32)[[int(ink_of(prepared).argmax())]]
    with pytest.raises(Exception, match=r"calibration_table.*indices element out of data bounds"):
        session(prepared, "v3").run(None, {"pixels": darkest})


def test_v3_answers_like_v2_wherever_it_answers(prepared: Models) -> None:
    pairs = zip(prepared.versions["v3"].answers, prepared.versions["v2"].answers, strict=True)
    assert all(faulty in (None, good) for faulty, good in pairs)


def test_v4_answers_like_v2_and_takes_its_time(prepared: Models) -> None:
    assert prepared.versions["v4"].answers == prepared.versions["v2"].answers
    slow, quick = (min(models._cpu_seconds(session(prepared, version)) for _ in range(3)) for version in ("v4", "v2"))
    assert slow > 50 * quick


def test_probabilities_add_to_one(prepared: Models) -> None:
    image = np.array(prepared.images[:1], np.float32)
    for version in VERSIONS:
        if prepared.versions[version].answers[0] is not None:
            (probabilities,) = session(prepared, version).run(["probabilities"], {"pixels": image})
            assert probabilities.sum() == pytest.approx(1, abs=1e-3), version


def test_a_second_run_uses_what_is_kept(prepared: Models) -> None:
    said: list[str] = []
    again = models.prepare(prepared.versions["v1"].path.parent, said.append)
    assert (again, said) == (prepared, [])


def test_a_damaged_file_is_made_again_and_comes_out_the_same(prepared: Models, tmp_path: Path) -> None:
    for file in prepared.versions["v1"].path.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "digits-v5.onnx").write_bytes(b"half a mod")
    again = models.prepare(tmp_path)
    digests = {
        version: hashlib.sha256(model.path.read_bytes()).hexdigest() for version, model in again.versions.items()
    }
    assert digests == {version: model.sha256 for version, model in prepared.versions.items()}
