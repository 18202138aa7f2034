"""Weights in other files: allowed inside the model's own folder, refused everywhere else, before the runtime looks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from tests.server.fetch.conftest import Bring
from tidegate_server.errors import ModelRefused
from tidegate_server.inference.model import Model
from tidegate_server.onnx_file import check_file, external_locations


def model_with(location: str | None, path: Path) -> Path:
    """pixels + weights, whose weights are said to be at `location`."""
    weights = numpy_helper.from_array(np.ones(400, np.float32), "weights")
    external_data_helper.set_external_data(weights, location or "")
    weights.ClearField("raw_data")
    if location is None:
        weights.ClearField("external_data")
    return save(weights, path)


def save(weights: TensorProto, path: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Add", ["pixels", "weights"], ["sum"])],
        "adds",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [400])],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [400])],
        [weights],
    )
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    )
    return path


@pytest.mark.parametrize("location", ["weights.bin", "parts/weights.bin"])
def test_weights_in_the_models_folder_are_read(tmp_path: Path, location: str) -> None:
    model = model_with(location, tmp_path / "m" / "model.onnx")
    (model.parent / location).parent.mkdir(exist_ok=True)
    (model.parent / location).write_bytes(np.full(400, 2, np.float32).tobytes())
    assert external_locations(model) == (location,)
    result = Model.open(model).run({"pixels": np.ones(400, np.float32)}, ("sum",))
    assert float(result[0][0]) == 3.0


@pytest.mark.parametrize("location", ["weights.bin", "./weights.bin", "linked/weights.bin"])
def test_links_within_the_models_folder_are_followed(tmp_path: Path, location: str) -> None:
    model = model_with(location, tmp_path / "m" / "model.onnx")
    (model.parent / "blobs").mkdir()
    (model.parent / "blobs" / "weights.bin").write_bytes(np.full(400, 2, np.float32).tobytes())
    (model.parent / "weights.bin").symlink_to("blobs/weights.bin")
    (model.parent / "linked").symlink_to("blobs")
    result = Model.open(model).run({"pixels": np.ones(400, np.float32)}, ("sum",))
    assert float(result[0][0]) == 3.0


def test_a_file_with_fewer_weights_than_there_are_is_told(tmp_path: Path) -> None:
    model = model_with("weights.bin", tmp_path / "m" / "model.onnx")
    (model.parent / "weights.bin").write_bytes(b"0" * 100)
    with pytest.raises(ModelRefused, match="has the weights weights ends after 100 bytes, before they do; bring"):
        Model.open(model)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_told(tmp_path: Path, linear: Path, share: float) -> None:
    content = linear.read_bytes()
    kept = content[: int(len(content) * share)]
    (tmp_path / "m.onnx").write_bytes(kept)
    with pytest.raises(ModelRefused, match=f"the file ends after {len(kept)} bytes, in the middle of the model; bring"):
        check_file(tmp_path / "m.onnx")


def link(place: Path) -> None:
    place.symlink_to(place.parents[1] / "secret.bin")


def hard_link(place: Path) -> None:
    place.hardlink_to(place.parents[1] / "secret.bin")


def linked_folder(place: Path) -> None:
    (place.parent / "out").symlink_to(place.parents[1])


@pytest.mark.parametrize(
    ("location", "prepare", "words"),
    [
        pytest.param("../secret.bin", None, "'..'", id="out of the folder"),
        pytest.param("a/../../secret.bin", None, "'..'", id="out of the folder, hidden"),
        pytest.param("/etc/hostname", None, "absolute", id="an absolute path"),
        pytest.param("weights.bin", link, "symbolic link", id="a symbolic link"),
        pytest.param("out/secret.bin", linked_folder, "symbolic link", id="through a linked folder"),
        pytest.param("weights.bin", hard_link, "hard-linked", id="a hard link"),
        pytest.param("weights.bin", Path.mkdir, "no plain file", id="a folder"),
        pytest.param("..\\secret.bin", None, "characters", id="a backslash"),
        pytest.param("*/_ORT_MEM_ADDR_/*", None, "characters", id="an address in memory"),
        pytest.param("", None, "empty", id="an empty name"),
        pytest.param(None, None, "doesn't say in which", id="no name"),
        pytest.param("x" * 5000, None, "too long", id="a long name"),
    ],
)
def test_weights_elsewhere_are_refused(
    bring: Bring, tmp_path: Path, location: str | None, prepare: Callable[[Path], None] | None, words: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(1600))
    model = model_with(location, tmp_path / "m" / "model.onnx")
    if prepare is not None:
        prepare(model.parent / "weights.bin")
    with pytest.raises(ModelRefused, match=words) as refusal:
        check_file(model)
    assert refusal.value.reason == "UnsafeContent"
    with pytest.raises(ModelRefused, match=words):
        Model.open(model)
    ended = bring(model.parent.as_uri())
    assert (ended.code, ended.report["permanent"], ended.left) == (1, True, [])


def test_weights_that_are_nowhere_are_missed(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="isn't beside it") as refusal:
        check_file(model_with("none.bin", tmp_path / "model.onnx"))
    assert refusal.value.reason == "UnsupportedModel"


def test_a_tensor_in_two_pieces_hides_nothing(tmp_path: Path) -> None:
    """Readers of protobuf merge what is there twice, so the pieces' places are all looked at."""
    model = model_with("weights.bin", tmp_path / "m" / "model.onnx")
    (model.parent / "weights.bin").write_bytes(bytes(1600))
    hidden = TensorProto()
    hidden.external_data.add(key="offset", value="0")
    hidden.external_data.add(key="location", value="../secret.bin")
    graph = onnx.GraphProto()
    graph.initializer.append(hidden)
    addition = onnx.ModelProto(graph=graph).SerializeToString()
    model.write_bytes(model.read_bytes() + addition)
    with pytest.raises(ModelRefused, match=r"'\.\.'"):
        check_file(model)
