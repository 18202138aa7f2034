"""The files that exporters leave beside a model: labels and vectors as the library computes them that made it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.server.predict.conftest import sharing
from tidegate_server.errors import InvalidRequest, ModelFailed, ModelRefused
from tidegate_server.predict.classes import LabelledPredictor
from tidegate_server.predict.package import open_package
from tidegate_server.predict.predictor import PlainPredictor, Predictor
from tidegate_server.predict.text_predictor import TextPredictor
from tidegate_server.predict.tokenizer import TokenEncoder
from tidegate_server.predict.ultralytics import parse_names
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

IDS = (TensorSpec("input_ids", "INT64", ("N", "L")), TensorSpec("attention_mask", "INT64", ("N", "L")))
CLASSIFIER = {"architectures": ["BertForSequenceClassification"]}
VOCABULARY = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "Anna": 3, "lives": 4, "in": 5, "Bonn": 6, "?": 7, "query:": 8}


def save_tokenizer(folder: Path, *, separates: bool = True) -> None:
    """A word is a token; [CLS] and [SEP] stand around them where it separates."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="?"))  # noqa: S106 - no password but a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if separates:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
        )
    (folder / "tokenizer.json").write_text(tokenizer.to_str())


def text_model(*outputs: tuple[str, tuple[Any, ...]]) -> Signature:
    return Signature(IDS, tuple(TensorSpec(name, "FP32", shape) for name, shape in outputs))


def two(columns: int) -> Signature:
    return text_model(("logits", ("N", columns)))


def write(folder: Path, name: str, document: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(document))


def ask(predictor: Predictor, signature: Signature, body: Any, *outputs: Mapping[str, Array]) -> Any:
    """What is answered, without the model's name and revision."""
    parsed = predictor.read(body, signature, Limits())
    assert len(parsed.requests) == len(outputs)
    answer = orjson.loads(parsed.write("m", "r", outputs))
    return {field: value for field, value in answer.items() if field not in ("model", "revision")}


def opened(folder: Path, signature: Signature, config: Any = None) -> Predictor:
    save_tokenizer(folder)
    if config is not None:
        write(folder, "config.json", config)
    return sharing(open_package(folder, signature))


@pytest.mark.parametrize(
    ("config", "logits", "expected"),
    [
        pytest.param(
            {**CLASSIFIER, "id2label": {"0": "POSITIVE", "1": "NEGATIVE"}},
            [3, 1],
            {"label": "POSITIVE", "score": 0.880797, "positive": True},
            id="positive is the first of two",
        ),
        pytest.param(
            {**CLASSIFIER, "id2label": {"0": "ham", "1": "spam"}},
            [1, 3],
            {"label": "spam", "score": 0.880797},
            id="of ham and spam nobody knows which is positive",
        ),
        pytest.param(
            {**CLASSIFIER, "id2label": {"0": "a", "1": "b"}, "problem_type": "multi_label_classification"},
            [2, 1],
            {"labels": ["a", "b"], "scores": {"a": 0.880797, "b": 0.731059}},
            id="labels that don't compete",
        ),
        pytest.param(
            {**CLASSIFIER, "id2label": {"0": "warm", "1": "clear"}, "problem_type": "regression"},
            [4.5, -1.25],
            {"scores": {"warm": 4.5, "clear": -1.25}},
            id="numbers that aren't shares",
        ),
        pytest.param(
            {**CLASSIFIER, "id2label": {"0": "toxic"}}, [2], {"label": "toxic", "score": 0.880797}, id="one label"
        ),
        pytest.param(
            {**CLASSIFIER, "id2label": {"0": "toxic"}, "problem_type": "single_label_classification"},
            [2],
            {"label": "toxic", "score": 0.880797},
            id="one label is no softmax",
        ),
        pytest.param(
            {**CLASSIFIER, "problem_type": "regression"}, [-3.5], {"score": -3.5}, id="a number without a name"
        ),
        pytest.param(CLASSIFIER, [3, 1], {"outputs": {"logits": [3.0, 1.0]}}, id="no names, so none are made up"),
        pytest.param(
            {"architectures": ["BertModel"], "id2label": {"0": "LABEL_0", "1": "LABEL_1"}},
            [3, 1],
            {"outputs": {"logits": [3.0, 1.0]}},
            id="names that a model carries without meaning them",
        ),
    ],
)
def test_a_text_is_answered_as_transformers_config_says(
    tmp_path: Path, config: Any, logits: list[float], expected: Any
) -> None:
    signature = two(len(logits))
    outputs = {"logits": np.array([logits], np.float32)}
    assert ask(opened(tmp_path, signature, config), signature, {"text": "Anna lives"}, outputs) == expected


def test_a_copy_of_config_json_as_labels_json_means_the_same(tmp_path: Path) -> None:
    config = {**CLASSIFIER, "id2label": {"0": "POSITIVE", "1": "NEGATIVE"}}
    write(tmp_path, "labels.json", {**config, "problem_type": "single_label_classification"})
    answer = ask(opened(tmp_path, two(2)), two(2), "Anna", {"logits": np.array([[2, 0]], np.float32)})
    assert answer == {"label": "POSITIVE", "score": 0.880797, "positive": True}


def test_what_labels_json_says_goes_before_config_json(tmp_path: Path) -> None:
    write(tmp_path, "labels.json", {"labels": ["no", "yes"], "positive": "yes"})
    predictor = opened(tmp_path, two(2), {**CLASSIFIER, "id2label": {"0": "a", "1": "b"}})
    answer = ask(predictor, two(2), "Anna", {"logits": np.array([[0, 2]], np.float32)})
    assert answer == {"label": "yes", "score": 0.880797, "positive": True}


def test_a_bound_of_labels_json_leaves_the_names_of_config_json(tmp_path: Path) -> None:
    write(tmp_path, "labels.json", {"max_length": 3})
    predictor = opened(tmp_path, two(2), {**CLASSIFIER, "id2label": {"0": "a", "1": "b"}})
    answer = ask(predictor, two(2), "Anna lives in Bonn", {"logits": np.array([[0, 2]], np.float32)})
    assert answer == {"label": "b", "score": 0.880797, "truncated": True}


def test_labels_of_config_json_that_do_not_fit_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused) as refused:
        opened(tmp_path, two(3), {**CLASSIFIER, "id2label": {"0": "a", "1": "b"}})
    words = "2 labels fit no output of the model (logits [-1, 3]); give one label per column"
    assert str(refused.value) == f"config.json: {words}"


def test_a_config_of_a_classifier_beside_its_encoder_alone_gives_no_labels(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signature = text_model(("last_hidden_state", ("N", "L", 4)))
    predictor = opened(tmp_path, signature, {**CLASSIFIER, "id2label": {"0": "a", "1": "b"}})
    states = np.array([[[1, 2, 3, 4]] * 3], np.float32)
    answer = ask(predictor, signature, "Anna", {"last_hidden_state": states})
    assert answer == {"outputs": {"last_hidden_state": [[1.0, 2.0, 3.0, 4.0]] * 3}}
    assert "2 labels fit no output of the model" in caplog.text


def test_two_classes_of_one_name_are_no_mistake_where_only_one_is_answered(tmp_path: Path) -> None:
    signature = Signature(
        (TensorSpec("pixel_values", "FP32", ("N", 3, 8, 8)),), (TensorSpec("logits", "FP32", ("N", 3)),)
    )
    write(
        tmp_path,
        "config.json",
        {"architectures": ["ViTForImageClassification"], "id2label": {"0": "crane", "1": "crow", "2": "crane"}},
    )
    found = open_package(tmp_path, signature)
    assert isinstance(found.predictor, LabelledPredictor)
    assert found.labels == ("crane", "crow", "crane")


def test_each_token_of_a_text_has_its_label_and_its_place(tmp_path: Path) -> None:
    signature = text_model(("logits", ("N", "L", 3)))
    config = {"architectures": ["BertForTokenClassification"], "id2label": {"0": "O", "1": "B-PER", "2": "B-LOC"}}
    best = [[0, 1, 0, 0, 2, 0], [0, 2, 0, 0, 0, 0]]
    logits = np.where(np.arange(3) == np.array(best)[..., None], 5, 0).astype(np.float32)
    answer = ask(opened(tmp_path, signature, config), signature, ["Anna lives in Bonn", "Bonn"], {"logits": logits})
    said = {"score": 0.986703}
    assert answer == {
        "predictions": [
            {
                "tokens": [
                    {"token": "Anna", "label": "B-PER", **said, "start": 0, "end": 4},
                    {"token": "lives", "label": "O", **said, "start": 5, "end": 10},
                    {"token": "in", "label": "O", **said, "start": 11, "end": 13},
                    {"token": "Bonn", "label": "B-LOC", **said, "start": 14, "end": 18},
                ]
            },
            {"tokens": [{"token": "Bonn", "label": "B-LOC", **said, "start": 0, "end": 4}]},
        ]
    }


def test_tokens_of_another_number_than_the_texts_are_the_models_failure(tmp_path: Path) -> None:
    signature = text_model(("logits", ("N", "L", 3)))
    config = {"architectures": ["BertForTokenClassification"], "id2label": {"0": "O", "1": "B-PER", "2": "B-LOC"}}
    parsed = opened(tmp_path, signature, config).read("Anna lives", signature, Limits())
    with pytest.raises(ModelFailed, match=r"output logits has shape \[1, 2, 3\], and there are 3 labels"):
        parsed.write("m", "r", [{"logits": np.zeros((1, 2, 3), np.float32)}])


PAIR = {"text": "Anna lives", "text_pair": "in Bonn"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(PAIR, id="one"),
        pytest.param({"texts": ["Anna lives"], "text_pairs": ["in Bonn"]}, id="several"),
        pytest.param({"inputs": PAIR}, id="as a pipeline's inputs"),
        pytest.param({"inputs": [PAIR]}, id="as a list of a pipeline's inputs"),
        pytest.param([PAIR], id="bare"),
    ],
)
def test_two_texts_are_joined_as_the_tokenizer_joins_them(tmp_path: Path, body: Any) -> None:
    inputs = (*IDS, TensorSpec("token_type_ids", "INT64", ("N", "L")))
    signature = Signature(inputs, (TensorSpec("logits", "FP32", ("N", 2)),))
    (request,) = opened(tmp_path, signature).read(body, signature, Limits()).requests
    assert {name: array.tolist() for name, array in request.arrays.items()} == {
        "input_ids": [[1, 3, 4, 2, 5, 6, 2]],
        "attention_mask": [[1] * 7],
        "token_type_ids": [[0, 0, 0, 0, 1, 1, 1]],
    }


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"text_pair": "b"}, "text_pair goes with text and nothing else"),
        ({"text": "a", "texts": ["a"], "text_pair": "b"}, "text_pair goes with text and nothing else"),
        ({"texts": ["a", "b"], "text_pairs": ["a"]}, "texts and text_pairs must be lists of one length"),
        ([{"text": "a", "pair": "b"}], 'the body[0] must be a string, or {"text": "...", "text_pair": "..."}'),
    ],
)
def test_half_a_pair_is_refused_in_one_sentence(tmp_path: Path, body: Any, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        opened(tmp_path, two(2)).read(body, two(2), Limits())
    assert str(refused.value) == sentence


def test_a_pair_for_a_model_that_takes_one_text_is_refused(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, separates=False)
    predictor = open_package(tmp_path, two(2)).predictor
    with pytest.raises(InvalidRequest) as refused:
        predictor.read(PAIR, two(2), Limits())
    assert str(refused.value) == "text_pair: this model takes one text and not two; leave the field out"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, 512, id="nothing said"),
        pytest.param({"tokenizer_config.json": {"model_max_length": 64}}, 64, id="model_max_length"),
        pytest.param(
            {"tokenizer_config.json": {"model_max_length": 10**30 * 1.0}}, 512, id="no bound, as it is written"
        ),
        pytest.param({"tokenizer_config.json": {"model_max_length": "64"}}, 512, id="no number"),
        pytest.param(
            {"tokenizer_config.json": {"model_max_length": 64}, "sentence_bert_config.json": {"max_seq_length": 32}},
            32,
            id="max_seq_length",
        ),
        pytest.param(
            {"tokenizer_config.json": {"model_max_length": 64}, "labels.json": {"max_length": 16}}, 16, id="labels.json"
        ),
    ],
)
def test_the_longest_text_is_what_the_files_say(tmp_path: Path, files: dict[str, Any], expected: int) -> None:
    for name, document in files.items():
        write(tmp_path, name, document)
    predictor = opened(tmp_path, two(2))
    assert isinstance(predictor, TextPredictor)
    assert isinstance(predictor.encoder, TokenEncoder)
    assert predictor.encoder.max_length == expected


def test_what_belongs_to_a_graph_in_the_folder_onnx_lies_above_it(tmp_path: Path) -> None:
    graphs = tmp_path / "onnx"
    graphs.mkdir()
    opened(tmp_path, two(2), {**CLASSIFIER, "id2label": {"0": "a", "1": "b"}})
    answer = ask(open_package(graphs, two(2)).predictor, two(2), "Anna", {"logits": np.array([[2, 0]], np.float32)})
    assert answer == {"label": "a", "score": 0.880797}


def test_a_folder_of_another_name_has_nothing_above_it(tmp_path: Path) -> None:
    opened(tmp_path, two(2))
    (tmp_path / "model").mkdir()
    assert isinstance(open_package(tmp_path / "model", two(2)).predictor, PlainPredictor)


@pytest.mark.parametrize("outputs", [("position_ids", "INT64", ("N", "L")), ("pixel_values", "FP32", ("N", 3, 8, 8))])
def test_a_tokenizer_beside_a_graph_that_needs_more_is_said_and_left_alone(
    tmp_path: Path, outputs: tuple[str, str, tuple[Any, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    save_tokenizer(tmp_path)
    signature = Signature((*IDS, TensorSpec(*outputs)), two(2).outputs)
    assert isinstance(open_package(tmp_path, signature).predictor, PlainPredictor)
    assert "tokenizer.json: the model can't take its tokens" in caplog.text


MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
POOLING = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
STATES = text_model(("last_hidden_state", ("N", "L", 2)))
# Of "Anna lives" with [CLS] and [SEP], and of "Bonn" with one token of padding behind it.
EACH_TOKEN = {
    "last_hidden_state": np.array([[[3, 0], [1, 4], [2, 2], [2, 2]], [[0, 8], [6, 1], [0, 0], [99, 99]]], np.float32)
}


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        pytest.param({"pooling_mode": "mean"}, [[2.0, 2.0], [2.0, 3.0]], id="mean"),
        pytest.param({"pooling_mode_mean_tokens": True}, [[2.0, 2.0], [2.0, 3.0]], id="as older folders spell it"),
        pytest.param({"pooling_mode": "cls"}, [[3.0, 0.0], [0.0, 8.0]], id="cls"),
        pytest.param({"pooling_mode": "max"}, [[3.0, 4.0], [6.0, 8.0]], id="max"),
        pytest.param({"pooling_mode": "lasttoken"}, [[2.0, 2.0], [0.0, 0.0]], id="lasttoken"),
        pytest.param(
            {"pooling_mode": ["mean", "cls"]}, [[3.0, 0.0, 2.0, 2.0], [0.0, 8.0, 2.0, 3.0]], id="two of them joined"
        ),
    ],
)
def test_a_text_has_the_vector_that_sentence_transformers_makes(tmp_path: Path, pooling: Any, expected: Any) -> None:
    write(tmp_path, "modules.json", [*MODULES, POOLING])
    write(tmp_path, "1_Pooling/config.json", pooling)
    answer = ask(opened(tmp_path, STATES), STATES, ["Anna lives", "Bonn"], EACH_TOKEN)
    assert answer == {"predictions": [{"embedding": vector} for vector in expected]}


def test_a_vector_has_the_length_one_where_modules_json_says_so(tmp_path: Path) -> None:
    write(tmp_path, "modules.json", [*MODULES, POOLING, NORMALIZE])
    write(tmp_path, "1_Pooling/config.json", {"pooling_mode": "max"})
    answer = ask(opened(tmp_path, STATES), STATES, ["Anna lives", "Bonn"], EACH_TOKEN)
    assert answer == {"predictions": [{"embedding": [0.6, 0.8]}, {"embedding": [0.6, 0.8]}]}


def test_a_graph_that_makes_the_vector_itself_needs_no_pooling(tmp_path: Path) -> None:
    signature = text_model(("token_embeddings", ("N", "L", 2)), ("sentence_embedding", ("N", 2)))
    outputs = {"sentence_embedding": np.array([[1, 2]], np.float32)}
    assert ask(opened(tmp_path, signature), signature, "Anna", outputs) == {"embedding": [1.0, 2.0]}


def test_the_default_prompt_goes_before_every_text(tmp_path: Path) -> None:
    write(tmp_path, "modules.json", [*MODULES, POOLING])
    write(tmp_path, "1_Pooling/config.json", {"pooling_mode": "mean"})
    prompts = {"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": "query"}
    write(tmp_path, "config_sentence_transformers.json", prompts)
    (request,) = opened(tmp_path, STATES).read("Anna", STATES, Limits()).requests
    assert request.arrays["input_ids"].tolist() == [[1, 8, 3, 2]]


@pytest.mark.parametrize(
    ("modules", "pooling", "sentence"),
    [
        (
            [*MODULES, POOLING, {"type": "sentence_transformers.models.Dense"}],
            {"pooling_mode": "mean"},
            "modules.json: it has the step 'Dense', which this server doesn't compute",
        ),
        ({"a": 1}, None, "modules.json: it must be a list of modules"),
        ([*MODULES, POOLING], {"pooling_mode": "attention"}, "1_Pooling/config.json: pooling_mode is 'attention'"),
        ([*MODULES, POOLING], {"pooling_mode": "mean", "include_prompt": False}, "include_prompt is false"),
    ],
)
def test_no_vector_is_made_by_steps_that_are_not_computed_here(
    tmp_path: Path, modules: Any, pooling: Any, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "modules.json", modules)
    write(tmp_path, "1_Pooling/config.json", pooling)
    answer = ask(opened(tmp_path, STATES), STATES, "Bonn", {"last_hidden_state": np.ones((1, 3, 2), np.float32)})
    assert answer == {"outputs": {"last_hidden_state": [[1.0, 1.0]] * 3}}
    assert sentence in caplog.text


YOLO = {"author": "Ultralytics", "imgsz": "[32, 64]", "names": "{0: 'tench', 1: \"jack-o'-lantern\"}"}
IMAGES = (TensorSpec("images", "FP32", ("batch", 3, "height", "width")),)


def test_a_classifier_of_ultralytics_has_its_names_and_its_probabilities() -> None:
    signature = Signature(IMAGES, (TensorSpec("output0", "FP32", ("batch", 2)),))
    found = open_package(Path("/nowhere"), signature, {**YOLO, "task": "classify"})
    assert found.labels == ("tench", "jack-o'-lantern")
    names = '["tench","jack-o\'-lantern"]'
    assert found.properties == {"task": "classify", "imgsz": "[32, 64]", "names": names, "labels": names}
    (example,) = found.real_requests(signature, Limits())
    assert {name: array.shape for name, array in example.items()} == {"images": (1, 3, 32, 64)}
    parsed = found.predictor.read({"inputs": [[[[0.0]]] * 3]}, Signature(IMAGES, signature.outputs), Limits())
    answer = orjson.loads(parsed.write("m", "r", [{"output0": np.array([[0.25, 0.75]], np.float32)}]))
    assert answer["predictions"] == [{"label": "jack-o'-lantern", "score": 0.75}]


def test_a_detectors_names_are_no_labels_of_its_rows() -> None:
    signature = Signature(IMAGES, (TensorSpec("output0", "FP32", ("batch", 84, "anchors")),))
    found = open_package(Path("/nowhere"), signature, {**YOLO, "task": "detect"})
    assert isinstance(found.predictor, PlainPredictor)
    assert (found.labels, found.properties["task"]) == ((), "detect")


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("{0: 'a', 1: 'b'}", ("a", "b")),
        ("{1: 'b', 0: 'a'}", ("a", "b")),
        ("{0: 'it\\'s'}", ("it's",)),
        ("{}", ()),
        ("{0: 'a', 2: 'b'}", ()),
        ("{0: 'a'} and more", ()),
        ("{0: __import__('os')}", ()),
        ("{0: ('a',)}", ()),
        ("", ()),
    ],
)
def test_names_are_read_as_python_writes_them_and_nothing_else_is(written: str, names: tuple[str, ...]) -> None:
    assert parse_names(written) == names
