"""Which provider computes a model, and that the start ends where it isn't the one that was asked for.

Azure's is in the runtime's own wheel and computes nothing by itself: with it all of this is tried for real. What a
provider answers otherwise is shown with two graphs, as if one were the other computed by a provider.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from tests.server.test_start import run
from tidegate_server.errors import BadSetting, ModelRefused
from tidegate_server.inference.model import Model
from tidegate_server.inference.provider_check import Difference, differences
from tidegate_server.inference.providers import (
    CPU,
    OPENVINO,
    Provider,
    parse_providers,
    require_computing,
    require_loaded,
    resolved,
    who_computes,
    why_not_opened,
    with_threads,
)
from tidegate_server.preparation import judge
from tidegate_server.protocol.tensors import Array

ON_CPU = (("device_type", "CPU"),)


def graph(path: Path, text: str) -> Path:
    onnx.save(parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18]> {text}'), path)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", (), id="nothing: the CPU"),
        pytest.param("CPU", (), id="the CPU"),
        pytest.param("OpenVINO", (Provider(OPENVINO),), id="a name"),
        pytest.param(
            "TensorrtExecutionProvider, CUDA,CPU",
            (Provider("TensorrtExecutionProvider"), Provider("CUDAExecutionProvider")),
            id="several, and what is left for the CPU",
        ),
        pytest.param('[["OpenVINO", {"device_type": "CPU"}], "CPU"]', (Provider(OPENVINO, ON_CPU),), id="options"),
        pytest.param(
            '[["CUDA", {"device_id": 1, "use_tf32": false}]]',
            (Provider("CUDAExecutionProvider", (("device_id", "1"), ("use_tf32", "False"))),),
            id="numbers and switches",
        ),
    ],
)
def test_providers_are_read(text: str, expected: tuple[Provider, ...]) -> None:
    assert parse_providers(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("CPU,CUDA", "has CPU before CUDAExecutionProvider, which then computes nothing", id="CPU first"),
        pytest.param("CUDA,cuda", "names a provider twice", id="twice"),
        pytest.param("CUDA,", "has '' where a provider's name should be", id="an empty name"),
        pytest.param('[["CUDA"', "begins as JSON and isn't any", id="broken JSON"),
        pytest.param('[["CUDA", {}, 1]]', "a list that isn't a name and its options", id="three in a pair"),
        pytest.param('[["CUDA", {"a": [1]}]]', "options of CUDA that aren't names with texts or numbers", id="a list"),
        pytest.param('[["CPU", {"a": 1}]]', "options for CPU, which takes none", id="options of the CPU"),
        pytest.param("[]", "names no provider", id="an empty list"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(BadSetting, match="TIDEGATE_PROVIDERS") as refused:
        parse_providers(text)
    assert words in str(refused.value)


def test_names_are_taken_in_any_case() -> None:
    found = resolved([Provider("openvinoExecutionProvider", ON_CPU)], [OPENVINO, CPU], [OPENVINO, CPU], "onnxruntime 9")
    assert found == (Provider(OPENVINO, ON_CPU),)


def test_openvino_gets_the_threads_of_a_run_unless_told_otherwise() -> None:
    told = Provider(OPENVINO, (("num_of_threads", "7"),))
    assert with_threads(Provider(OPENVINO), 2) == Provider(OPENVINO, (("num_of_threads", "2"),))
    assert with_threads(told, 2) == told
    assert with_threads(Provider("CUDAExecutionProvider"), 2) == Provider("CUDAExecutionProvider")


def test_a_device_that_is_not_there_may_be_there_on_another_machine() -> None:
    with pytest.raises(BadSetting, match="can't be loaded on this machine") as refused:
        require_loaded([Provider(OPENVINO, (("device_type", "GPU"),))], [CPU])
    assert refused.value.permanent is False


def test_only_the_first_has_to_compute() -> None:
    both = [Provider("TensorrtExecutionProvider"), Provider("CUDAExecutionProvider")]
    require_computing(both, {"TensorrtExecutionProvider": 3})
    with pytest.raises(BadSetting, match="TensorrtExecutionProvider, which computes none of the model's 3 nodes"):
        require_computing(both, {"CUDAExecutionProvider": 3})


def test_who_computes_is_told_with_the_numbers_of_nodes() -> None:
    assert who_computes({CPU: 1, OPENVINO: 12}) == f"12 nodes on {OPENVINO}, 1 on {CPU}"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param(
            "/src/core/ep.cc:53 std::shared_ptr<F> make(const Options&, const Map&) Invalid option: nonsense",
            "Invalid option: nonsense",
            id="one line",
        ),
        pytest.param(
            "FAIL : /src/ep.cc:1 f(int)\nCheck failed at x.cpp:1:\nNo rank.\n\n", "No rank.", id="the last line"
        ),
    ],
)
def test_the_runtimes_reason_is_told_without_its_source_code(words: str, reason: str) -> None:
    assert str(why_not_opened([Provider(OPENVINO)], words)) == (
        f"TIDEGATE_PROVIDERS asks for {OPENVINO}, which can't open the model: {reason}; "
        "check the options, or leave it out"
    )


def test_a_provider_that_is_not_in_the_wheel_ends_the_start(linear: Path) -> None:
    with pytest.raises(BadSetting, match=r"asks for CUDAExecutionProvider, which onnxruntime .* doesn't have; it has"):
        Model.open(linear, providers=parse_providers("CUDA"))


def test_a_provider_that_computes_nothing_ends_the_start(linear: Path) -> None:
    ended = run("serve", "--model", str(linear), TIDEGATE_PROVIDERS="Azure")
    assert ended.returncode == 2
    assert "asks for AzureExecutionProvider, which computes none of the model's" in ended.stderr
    assert "Falling back" not in ended.stdout + ended.stderr


def test_a_model_that_cannot_be_opened_is_refused_for_its_own_reason(tmp_path: Path) -> None:
    path = graph(tmp_path / "m.onnx", "g (float[N] x) => (float[N] y) { y = Relu(x) }")
    model = onnx.load(path)
    model.graph.node[0].op_type = "Nonsense"
    onnx.save(model, path)
    with pytest.raises(ModelRefused, match="Nonsense"):
        Model.open(path, providers=parse_providers("Azure"))


def compared(folder: Path, computed: str, right: str, **accepted: Array) -> list[Difference]:
    model, reference = (graph(folder / f"{name}.onnx", text) for name, text in (("a", computed), ("b", right)))
    return differences(Model.open(model), Model.open(reference), accepted, [])


X = np.ones((1, 4), np.float32)
ROWS = "(float[N,4] x) => (float[N,4] y)"


def test_what_computes_alike_has_no_differences(tmp_path: Path) -> None:
    text = "g (float[N,4] x, int64[N,1] k) => (float[N,4] y, int64[N,1] z) { y = Relu(x) z = Identity(k) }"
    assert compared(tmp_path, text, text, x=X, k=np.zeros((1, 1), np.int64)) == []


@pytest.mark.parametrize(
    ("computed", "right", "words", "is_grave"),
    [
        pytest.param(
            f"g {ROWS} {{ o = Constant<value_float=1.01>() y = Mul(x, o) }}",
            f"g {ROWS} {{ y = Identity(x) }}",
            "(bound: 0.001), for made-up inputs",
            False,
            id="numbers that are a little off",
        ),
        pytest.param(
            f"g {ROWS} {{ z = Constant<value_float=0.0>() y = Max(x, z) }}",
            f"g {ROWS} {{ y = Abs(x) }}",
            "(bound: 0.001), for made-up inputs",
            True,
            id="other numbers, though only made-up inputs show it",
        ),
        pytest.param(
            f"g {ROWS} {{ n = IsNaN(x) z = Constant<value_float=0.0>() y = Where(n, z, x) }}",
            f"g {ROWS} {{ y = Identity(x) }}",
            "output y is 0.0 and not nan, for NaN in input x",
            False,
            id="NaN is lost where nobody should send it",
        ),
        pytest.param(
            f"g {ROWS} {{ z = Constant<value_float=0.0>() y = Mul(x, z) }}",
            f"g {ROWS} {{ z = Constant<value_float=0.0>() y = Div(x, z) }}",
            "output y is 0.0 and not inf, for the warm-up's inputs",
            True,
            id="an infinity is lost",
        ),
        pytest.param(
            "g (float[N,4] x) => (int64[M] y) { y = Shape(x) }",
            "g (float[N,4] x) => (int64[M] y) { o = Constant<value_ints=[4]>() y = Identity(o) }",
            "output y has shape [2] and not [1]",
            True,
            id="another shape",
        ),
    ],
)
def test_a_difference_is_told_with_both_values(
    tmp_path: Path, computed: str, right: str, words: str, is_grave: bool
) -> None:
    found = compared(tmp_path, computed, right, x=X)
    assert [(words in each.words, each.is_grave) for each in found[:1]] == [(True, is_grave)]


def test_nan_matters_where_the_graph_takes_missing_values(tmp_path: Path) -> None:
    body = "n = IsNaN(x) f = Cast<to=1>(n)"
    found = compared(
        tmp_path,
        f"g {ROWS} {{ {body} y = Add(f, f) }}",
        f"g {ROWS} {{ {body} g = Add(f, f) z = Sub(x, x) y = Add(g, z) }}",
        x=X,
    )
    assert found == [Difference("output y is 2.0 and not nan, for NaN in input x", is_grave=True)]


def test_whole_numbers_beyond_32_bits_matter(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        "g (int64[N,1] k) => (int64[N,1] y) { s = Cast<to=6>(k) y = Cast<to=7>(s) }",
        "g (int64[N,1] k) => (int64[N,1] y) { y = Identity(k) }",
        k=np.zeros((1, 1), np.int64),
    )
    words = "output y is 0 and not 1099511627776, for 1099511627776 in input k"
    assert found == [Difference(words, is_grave=True)]


def test_the_answer_of_the_run_before_to_what_the_cpu_refuses_matters(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        "g (float[N,L] x) => (float[N,2] y) <float[2] z = {0, 0}> { s = ReduceSum(x) n = Sub(s, s) y = Add(n, z) }",
        "g (float[N,L] x) => (float[N,2] y) <float[2,2] w = {0, 0, 0, 0}> { y = MatMul(x, w) }",
        x=np.ones((1, 2), np.float32),
    )
    words = "it answers inputs of size 1, which the CPU refuses, with the answer of the run before"
    assert Difference(words, is_grave=True) in found


def test_an_answer_to_what_the_cpu_refuses_is_told(tmp_path: Path) -> None:
    table = "<float[3,1] w = {1, 2, 3}>"
    shape = "g (int64[N,2] ids) => (float[N,2,1] y)"
    low, high = "low = Constant<value_int=0>()", "high = Constant<value_int=2>()"
    found = compared(
        tmp_path,
        f"{shape} {table} {{ {low} {high} c = Clip(ids, low, high) y = Gather(w, c) }}",
        f"{shape} {table} {{ y = Gather(w, ids) }}",
        ids=np.zeros((1, 2), np.int64),
    )
    assert found == [Difference("it answers 1099511627776 in input ids, which the CPU refuses", is_grave=False)]


NOISE = Difference("output y is off by up to 0.01", is_grave=False)
GRAVE = Difference("output y is 3 and not 5", is_grave=True)


@pytest.mark.parametrize(("check", "found"), [("Auto", GRAVE), ("refuse", NOISE), ("refuse", GRAVE)])
def test_a_difference_that_matters_ends_the_start(check: str, found: Difference) -> None:
    with pytest.raises(ModelRefused, match="set TIDEGATE_PROVIDER_CHECK to warn") as refused:
        judge([found], OPENVINO, check)
    assert f"{OPENVINO} computes otherwise than the CPU: {found.words}" in str(refused.value)
    assert refused.value.reason == "ProviderDiffers"


@pytest.mark.parametrize(("check", "found"), [("Auto", NOISE), ("warn", NOISE), ("warn", GRAVE)])
def test_another_is_told(check: str, found: Difference, caplog: pytest.LogCaptureFixture) -> None:
    judge([found], OPENVINO, check)
    assert f"{OPENVINO} computes otherwise than the CPU: {found.words}" in caplog.text
