"""Which names a model's classes have, as it is reported before anything serves it."""

import json
from pathlib import Path

import pytest

from tidegate_server.predict.class_names import LONGEST_PROPERTY, class_names, names_property
from tidegate_server.protocol.signature import Signature, TensorSpec

PLAIN = Signature((), (TensorSpec("logits", "FP32", ("n", 2)),))
NAMED = Signature((), (TensorSpec("probabilities", "FP32", ("n", 2), classes=("ham", "spam")),))


@pytest.mark.parametrize(
    ("files", "signature", "expected"),
    [
        pytest.param({}, PLAIN, (), id="nobody names them"),
        pytest.param({}, NAMED, ("ham", "spam"), id="the graph does"),
        pytest.param({"labels.json": ["a", "b"]}, NAMED, ("a", "b"), id="a file comes before the graph"),
        pytest.param({"config.json": {"id2label": {"0": "x", "1": "y"}}}, PLAIN, ("x", "y"), id="transformers' file"),
        pytest.param(
            {"labels.json": ["a", "b", "c"]}, PLAIN, None, id="a file that doesn't fit, as the server will say"
        ),
    ],
)
def test_names_of(
    files: dict[str, object], signature: Signature, expected: tuple[str, ...] | None, tmp_path: Path
) -> None:
    for name, document in files.items():
        (tmp_path / name).write_text(json.dumps(document))
    assert class_names(tmp_path, signature, {}) == expected


def test_more_names_than_anybody_reads_are_not_told_with_the_metadata() -> None:
    assert names_property(["a", "b"]) == {"labels": '["a","b"]'}
    assert names_property([]) == {}
    assert names_property(["a" * 100] * (LONGEST_PROPERTY // 100)) == {}
