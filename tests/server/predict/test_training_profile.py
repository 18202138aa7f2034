"""training-profile.json: what it may hold, and what is said of one that doesn't fit."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tidegate_server.errors import ModelRefused
from tidegate_server.predict.package import open_package
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.training_profile import Feature, TrainingProfile

TABLE = Signature(
    (TensorSpec("x", "FP32", ("N", 3)), TensorSpec("country", "BYTES", ("N",)), TensorSpec("any", "INT64", ("N", "M"))),
    (TensorSpec("y", "FP32", ("N", 1)),),
)
AGE = {"input": "x", "column": 1, "edges": [18, 40, 65.5], "counts": [3, 4]}
COUNTRY = {"input": "country", "categories": ["de", "fr"], "counts": [6, 2], "other": 1}


def parsed(folder: Path, *features: Any) -> TrainingProfile | None:
    (folder / "training-profile.json").write_bytes(orjson.dumps({"features": features}))
    return open_package(folder, TABLE).profile


def test_edges_and_counts_are_as_numpy_gives_them(tmp_path: Path) -> None:
    mean = {"input": "x", "column": "mean", "name": "brightness", "edges": [0, 1], "counts": [9], "missing": 2}
    length = {"input": "any", "edges": [0, 1e9], "counts": [1]}
    assert parsed(tmp_path, AGE, COUNTRY, mean, length) == TrainingProfile(
        (
            Feature("x[1]", "x", 1, (0, 3, 4, 0, 0), edges=(18, 40, 65.5)),
            Feature("country", "country", 0, (6, 2, 1, 0), categories=("de", "fr")),
            Feature("brightness", "x", None, (0, 9, 0, 2), edges=(0, 1)),
            Feature("any", "any", 0, (0, 1, 0, 0), edges=(0, 1e9)),
        )
    )


def test_bins_have_names_of_their_own(tmp_path: Path) -> None:
    profile = parsed(tmp_path, AGE, COUNTRY)
    assert profile is not None
    assert [feature.bins for feature in profile.features] == [
        ("below 18", "18..40", "40..65.5", "above 65.5", "missing"),
        ("de", "fr", "any other", "missing"),
    ]


def test_without_the_file_nothing_is_counted(tmp_path: Path) -> None:
    assert open_package(tmp_path, TABLE).profile is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"input": "z"}, "input must be one of the model's: any, country, x", id="no such input"),
        pytest.param({"input": 7}, "input must be one of the model's: any, country, x", id="an input by number"),
        pytest.param({"column": 3}, 'column must be a whole number from 0 to 2, or "mean"', id="no such column"),
        pytest.param(
            {"column": True}, 'column must be a whole number from 0 to 2, or "mean"', id="a truth for a column"
        ),
        pytest.param(
            {"column": None}, "needs a column from 0 to 2, or \"mean\": input 'x' has 3 in a row", id="no column"
        ),
        pytest.param({"edges": [1]}, "edges must be a list of 2 to 33 numbers", id="one edge"),
        pytest.param({"edges": list(range(34))}, "edges must be a list of 2 to 33 numbers", id="too many bins"),
        pytest.param({"edges": [1, None]}, "edges must be finite numbers", id="NaN is null in JSON"),
        pytest.param({"edges": [1, "2"]}, "edges must be finite numbers", id="a number in quotes"),
        pytest.param(
            {"edges": [1, 3, 3]}, "edges must grow in their first 12 digits, and 3 comes after 3", id="equal edges"
        ),
        pytest.param(
            {"edges": [1, 3, 2]}, "edges must grow in their first 12 digits, and 2 comes after 3", id="edges that fall"
        ),
        pytest.param({"counts": [1, 2, 3]}, "counts must be a list of 2 numbers, one for each bin", id="other counts"),
        pytest.param({"counts": [1, -2]}, "counts must be whole numbers from 0 to 2**53", id="a negative count"),
        pytest.param({"counts": [1, 0.5]}, "counts must be whole numbers from 0 to 2**53", id="shares"),
        pytest.param({"counts": [0, 0]}, "counts must be more than 0 together", id="no training data"),
        pytest.param({"missing": "1"}, "missing must be whole numbers from 0 to 2**53", id="missing in quotes"),
        pytest.param({"other": 1}, "other is for categories; leave it out where there are edges", id="other numbers"),
        pytest.param({"name": ""}, "name must be a string of 1 to 64 printable characters", id="an empty name"),
        pytest.param({"name": "a\nb"}, "name must be a string of 1 to 64 printable characters", id="a line break"),
        pytest.param({"name": "n" * 65}, "name must be a string of 1 to 64 printable characters", id="a long name"),
        pytest.param(
            {"categories": ["a"]}, 'needs either "edges", for numbers, or "categories", for strings', id="both kinds"
        ),
        pytest.param({"input": "country"}, "input 'country' has strings: give categories", id="edges of strings"),
        pytest.param(
            {"size": 1},
            "has an unknown field 'size'; it may have input, column, name, edges, categories, counts, missing, other",
            id="an unknown field",
        ),
    ],
)
def test_a_feature_that_does_not_fit_is_named(tmp_path: Path, change: Any, sentence: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        parsed(tmp_path, COUNTRY, {**AGE, **change})
    assert str(refused.value) == f"training-profile.json: feature 2: {sentence}"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"categories": []}, "categories must be a list of 1 to 32 strings", id="no category"),
        pytest.param({"categories": ["a", "a"]}, "categories must be different from one another", id="one twice"),
        pytest.param(
            {"categories": ["a", "missing"]},
            "categories must be strings of 1 to 64 printable characters, not 'any other' or 'missing'",
            id="a bin's own name",
        ),
        pytest.param(
            {"categories": ["a", ""]},
            "categories must be strings of 1 to 64 printable characters, not 'any other' or 'missing'",
            id="an empty string",
        ),
        pytest.param({"column": "mean"}, "column must be a number: strings have no mean", id="a mean of strings"),
        pytest.param({"input": "x", "column": 0}, "input 'x' has numbers: give edges", id="categories of numbers"),
    ],
)
def test_categories_that_do_not_fit_are_named(tmp_path: Path, change: Any, sentence: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        parsed(tmp_path, {**COUNTRY, **change})
    assert str(refused.value) == f"training-profile.json: feature 1: {sentence}"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        pytest.param([], 'it must be {"features": [...]} with 1 to 64 features', id="a list"),
        pytest.param({"features": []}, 'it must be {"features": [...]} with 1 to 64 features', id="no feature"),
        pytest.param({"features": [AGE] * 65}, 'it must be {"features": [...]} with 1 to 64 features', id="too many"),
        pytest.param({"features": [7]}, "feature 1: must be an object", id="a number for a feature"),
        pytest.param(
            {"features": [AGE, AGE]}, "2 features are called 'x[1]'; give each a name of its own", id="a name twice"
        ),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, document: Any, sentence: str) -> None:
    (tmp_path / "training-profile.json").write_bytes(orjson.dumps(document))
    with pytest.raises(ModelRefused) as refused:
        open_package(tmp_path, TABLE)
    assert str(refused.value) == f"training-profile.json: {sentence}"


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "training-profile.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(ModelRefused) as refused:
        open_package(tmp_path, TABLE)
    assert str(refused.value) == "training-profile.json: it is larger than 1048576 bytes; make it smaller or remove it"
