#!/usr/bin/env bash
# On x86-64 CPUs ONNX Runtime keeps what lies between the nodes of a float16 model in float32, with all
# optimisations off as well: an overflow that the model has, and that kernels which write float16 show as inf
# or NaN, isn't there. One answer can contradict itself: with t = x * s and y = t / s both as outputs, t is
# inf while y is x.
# Matters to whoever tests a float16 model in CI on a CPU and serves it on a GPU: no NaN in the test proves
# nothing. `onnx.reference.ReferenceEvaluator` rounds at each node and finds it.
# Seen with onnxruntime 1.32.0, onnx 1.23.2: x = s = 300 gives t inf, y 300; exp(x) / sum(exp(x)) of [12, 11,
# 5] gives [0.7305, 0.2688, 0.0007], the reference [nan, 0, 0].
set -euo pipefail
if [ "$(uname -m)" != x86_64 ]; then echo "skipped: other processors have kernels for float16"; exit 0; fi
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys
import warnings

import numpy as np
import onnx
import onnxruntime as ort
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator

warnings.simplefilter("ignore")  # NumPy's, about the very overflows
HEAD = '<ir_version: 10, opset_import: ["" : 21]> '
SCALED = "g (float16[N] x, float16[N] s) => (float16[N] t, float16[N] y) { t = Mul(x, s) y = Div(t, s) }"
SOFTMAX = """g (float16[N] x) => (float16[N] y) { e = Exp(x) total = ReduceSum(e) y = Div(e, total) }"""

print(f"onnxruntime {ort.__version__}, onnx {onnx.__version__}, numpy {np.__version__}")


def answers(graph, **inputs):
    """What the reference and the runtime give, as lists of numbers."""
    model = parser.parse_model(HEAD + graph)
    checker.check_model(model, full_check=True)
    feed = {name: np.array(values, np.float16) for name, values in inputs.items()}
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    both = ReferenceEvaluator(model).run(None, feed), session.run(None, feed)
    return [[output.astype(float).round(4).tolist() for output in outputs] for outputs in both]


hidden = []
for title, graph, inputs in [
    ("t = x * s, y = t / s", SCALED, {"x": [300], "s": [300]}),
    ("exp(x) / sum(exp(x))", SOFTMAX, {"x": [12, 11, 5]}),
]:
    reference, seen = answers(graph, **inputs)
    print(f"{title}, expected: {reference}")
    print(f"{title}, seen:     {seen}")
    hidden.append(np.isfinite(seen[-1]).all() and not np.isfinite(reference[-1]).all())
sys.exit(0 if all(hidden) else "changed: float16 is rounded between nodes now")
PY
