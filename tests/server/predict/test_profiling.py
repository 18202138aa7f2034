"""`tidegate-server profile`: the file that it writes, the data that it takes, and a server that counts by it."""

import csv
import io
import logging
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import orjson
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import Start, save, tensor
from tidegate_server.__main__ import main
from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.profile_recording import record_profile

ROWS = np.random.default_rng(7).normal([40, 0.5], [12, 0.1], (1000, 2)).astype(np.float32)


def recorded(values: Any, bins: int = 4) -> Any:
    (feature,) = orjson.loads(record_profile({"x": np.array(values)}, {}, bins))["features"]
    return feature


def of_two_columns(folder: Path, datatype: int = TensorProto.FLOAT) -> Path:
    """x [N, 2] -> y, the same."""
    x, y = tensor("x", datatype, ["N", 2]), tensor("y", datatype, ["N", 2])
    return save(folder / "model.onnx", [helper.make_node("Identity", ["x"], ["y"])], [x], [y], {})


def zipped(name: str) -> bytes:
    """A zip archive of one text."""
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr(name, "text")
    return content.getvalue()


def written(folder: Path) -> Any:
    return orjson.loads((folder / "training-profile.json").read_bytes())["features"]


def test_bins_of_a_number_have_about_as_many_values_each() -> None:
    feature = recorded(np.arange(1000.0))
    assert feature == {
        "input": "x",
        "edges": [0, 249.75, 499.5, 749.25, 999],
        "counts": [250, 250, 250, 250],
        "missing": 0,
    }


def test_few_different_values_have_a_bin_each() -> None:
    feature = recorded([0, 0, 1, 5] * 25)
    assert (feature["edges"], feature["counts"]) == ([0, 0.5, 3, 5], [50, 25, 25])


def test_a_value_that_never_changes_is_inside_its_bin() -> None:
    feature = recorded([7.0] * 100 + [np.nan] * 10)
    assert (feature["edges"], feature["counts"], feature["missing"]) == ([3.5, 10.5], [100], 10)


def test_a_value_that_is_frequent_has_a_bin_of_its_own() -> None:
    feature = recorded([0.0] * 800 + list(range(1, 201)))
    assert feature["edges"] == pytest.approx([0, 1, 67.333, 133.667, 200], rel=1e-5)
    assert feature["counts"] == [800, 67, 66, 67]


def test_strings_are_categories_the_most_frequent_ones_first() -> None:
    strings = np.array([*["de"] * 60, *["fr"] * 30, *[f"rare {n}" for n in range(40)], "missing"], np.object_)
    feature = recorded(strings)
    assert feature["categories"][:2] == ["de", "fr"]
    assert feature["counts"][:2] == [60, 30]
    assert (len(feature["categories"]), sum(feature["counts"]) + feature["other"]) == (32, 131)


def test_an_empty_string_is_missing() -> None:
    feature = recorded(np.array([*["de"] * 60, *[""] * 70, *["x" * 65] * 10], np.object_))
    assert feature == {"input": "x", "categories": ["de"], "counts": [60], "other": 10, "missing": 70}


def test_values_that_are_one_in_twelve_digits_are_one() -> None:
    feature = recorded(1 + np.linspace(0, 1e-14, 100))
    assert (feature["edges"], feature["counts"]) == ([0.5, 1.5], [100])


def test_an_input_of_many_columns_is_told_by_its_mean() -> None:
    feature = recorded(np.linspace(0, 1, 100 * 784).reshape(100, 28, 28))
    assert feature["column"] == "mean"


@pytest.mark.parametrize(
    ("values", "bins", "sentence"),
    [
        pytest.param(np.zeros(99), 4, "the data has 99 rows; give 100 or more", id="too few rows"),
        pytest.param(np.zeros(100), 33, "--bins must be from 1 to 32", id="too many bins"),
        pytest.param(np.full(100, np.inf), 4, "input 'x', column 0: the data has infinity there", id="infinity"),
        pytest.param(np.full(100, np.nan), 4, "input 'x', column 0: the data has no number there", id="only NaN"),
    ],
)
def test_data_that_says_nothing_is_refused(values: Any, bins: int, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        recorded(values, bins)
    assert str(refused.value) == sentence


def test_a_table_names_its_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["age", "score"], *ROWS.tolist()])
    code = main(["profile", str(tmp_path / "train.csv"), "--model", str(of_two_columns(tmp_path))])
    assert code == 0
    assert capsys.readouterr().out == f"wrote {tmp_path}/training-profile.json: 2 features of 1,000 rows\n"
    assert [(each["name"], each["column"], len(each["edges"])) for each in written(tmp_path)] == [
        ("age", 0, 11),
        ("score", 1, 11),
    ]


def test_arrays_and_bodies_tell_the_same_as_a_table(tmp_path: Path) -> None:
    model, found = of_two_columns(tmp_path), []
    np.save(tmp_path / "train.npy", ROWS)
    np.savez(tmp_path / "train.npz", x=ROWS)
    (tmp_path / "train.jsonl").write_bytes(
        b"\n".join(orjson.dumps({"inputs": {"x": part.tolist()}}) for part in np.split(ROWS, 10))
    )
    for name in ("train.npy", "train.npz", "train.jsonl"):
        assert main(["profile", str(tmp_path / name), "--model", str(model)]) == 0
        found.append(written(tmp_path))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        pytest.param("t.csv", b"a,b,c\n1,2,3\n", "x has the shape [1, 3]; the model takes [-1, 2]", id="columns"),
        pytest.param("t.csv", b"a,b\n1\n", "each line must have 2 values, as the first has names", id="a short line"),
        pytest.param("t.csv", b"a,b\n1,two\n", "could not convert string to float: 'two'", id="a word for a number"),
        pytest.param("t.csv", b"a,b\n1,2\n", "the data has 1 rows; give 100 or more", id="one row"),
        pytest.param("t.jsonl", b'{"inputs": {"z": [1]}}', "line 1: the model has no input 'z'; it has x", id="input"),
        pytest.param("t.csv", b"", "it is empty; its first line has to have the names of the columns", id="nothing"),
        pytest.param(
            "t.csv",
            b"a,b\n1," + b"2" * 200_000,
            "it can't be read as a table: field larger than field limit (131072)",
            id="a value without end",
        ),
        pytest.param(
            "t.csv",
            b"a,a\n" + b"1,2\n" * 100,
            "training-profile.json: 2 features are called 'a'; give each a name of its own",
            id="a name twice",
        ),
        pytest.param("t.npy", b"", "it is no file of numpy's, or ends in its middle", id="no array"),
        pytest.param("t.npz", b"PK\3\4", "it is no file of numpy's, or ends in its middle", id="half an archive"),
        pytest.param("t.npz", zipped("x"), "'x' in it is no array", id="an archive of a text"),
        pytest.param("t.txt", b"", "its name must end in one of .csv, .jsonl, .npy, .npz", id="another kind"),
    ],
)
def test_other_data_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    (tmp_path / name).write_bytes(content)
    assert main(["profile", str(tmp_path / name), "--model", str(of_two_columns(tmp_path))]) == 1
    assert caplog.messages == [f"can't write a profile of {tmp_path / name}: {sentence}"]


@pytest.mark.parametrize(
    ("datatype", "values", "sentence"),
    [
        pytest.param(TensorProto.INT64, [1.5, 2.0], "x has 1.5, which is no INT64, as the model takes it", id="a half"),
        pytest.param(TensorProto.INT8, [1, 300], "x has 300, which is no INT8, as the model takes it", id="too large"),
        pytest.param(TensorProto.UINT8, [1, -1], "x has -1, which is no UINT8, as the model takes it", id="negative"),
        pytest.param(TensorProto.STRING, [1, 2], "x has no strings; the model takes BYTES", id="numbers for strings"),
        pytest.param(TensorProto.FLOAT, ["a", "b"], "x has no numbers; the model takes FP32", id="strings for numbers"),
    ],
)
def test_values_that_no_request_has_are_refused(
    tmp_path: Path, datatype: int, values: list[Any], sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    np.save(tmp_path / "train.npy", np.array([values] * 100))
    model = of_two_columns(tmp_path, datatype)
    assert main(["profile", str(tmp_path / "train.npy"), "--model", str(model)]) == 1
    assert caplog.messages == [f"can't write a profile of {tmp_path}/train.npy: {sentence}"]


def test_strings_in_bytes_are_the_strings_of_requests(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", np.array([["Köln".encode(), b"Rom"]] * 100))
    assert (
        main(["profile", str(tmp_path / "train.npy"), "--model", str(of_two_columns(tmp_path, TensorProto.STRING))])
        == 0
    )
    assert [each["categories"] for each in written(tmp_path)] == [["Köln"], ["Rom"]]


def test_what_the_name_of_an_array_file_says_does_not_matter(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", ROWS)
    (tmp_path / "train.npy").rename(tmp_path / "train.npz")
    assert main(["profile", str(tmp_path / "train.npz"), "--model", str(of_two_columns(tmp_path))]) == 0


def test_a_server_counts_live_inputs_by_the_profile(tmp_path: Path, start: Start) -> None:
    model = of_two_columns(tmp_path)
    np.save(tmp_path / "train.npy", ROWS)
    assert main(["profile", str(tmp_path / "train.npy"), "--bins", "2", "--model", str(model)]) == 0
    server = start(model, TIDEGATE_UNMARKED_TRAFFIC="live")
    for _ in range(3):
        assert server.ask("POST", "/predict", {"inputs": {"x": [[1000, 0.5]]}}).status == 200
    lines = server.metrics().splitlines()
    above = [line for line in lines if line.startswith("tidegate_server_input_values_total") and "above" in line]
    assert [(('feature="x[0]"' in line), line.rpartition(" ")[2]) for line in above] == [(True, "3.0"), (False, "0.0")]
