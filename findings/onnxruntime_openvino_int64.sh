#!/usr/bin/env bash
# onnxruntime's OpenVINO provider computes int64 in 32 bits on CPUs, and says nothing of it: 2**40 + 0 is 0,
# and 2**33 equals 0. The graph declares int64 in and out, the answer has the type int64, and the CPU provider of
# the same package gives what ONNX says.
# Matters wherever whole numbers are more than indices: ids and hashes compared or looked up, times in
# milliseconds. A model moved to OpenVINO by one word in a list of providers answers otherwise from then on.
# Seen with onnxruntime-openvino 1.24.1 (OpenVINO 2025.4.1 inside), onnx 1.23.2, numpy 2.4.6.
set -euo pipefail
if [ "$(uname -m)" != x86_64 ]; then echo "skipped: there is a package for x86-64 only"; exit 0; fi
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" onnxruntime-openvino==1.24.1 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnxruntime as ort
from onnx import checker, parser

HEAD = '<ir_version: 10, opset_import: ["" : 21]> g (int64[N] a, int64[N] b) => '
GRAPHS = {
    "a + 0": ("(int64[N] y) { y = Add(a, b) }", [2**40, 2**33, 7]),
    "a - 0": ("(int64[N] y) { y = Sub(a, b) }", [2**40, 2**33, 7]),
    "a == 0": ("(bool[N] y) { y = Equal(a, b) }", [False, False, False]),
}
inputs = {"a": np.array([2**40, 2**33, 7]), "b": np.array([0, 0, 0])}
print(f"onnxruntime {ort.__version__}, a = {inputs['a'].tolist()}")
as_seen = []
for title, (body, expected) in GRAPHS.items():
    model = parser.parse_model(HEAD + body)
    checker.check_model(model, full_check=True)
    answers = []
    for provider in ("CPUExecutionProvider", "OpenVINOExecutionProvider"):
        session = ort.InferenceSession(model.SerializeToString(), providers=[provider])
        answers.append(session.run(None, inputs)[0].tolist())
    print(f"{title}, expected: {expected}, by the CPU provider: {answers[0]}, by OpenVINO: {answers[1]}")
    as_seen.append(answers[0] == expected and answers[1] != expected)
sys.exit(0 if all(as_seen) else "changed: int64 has 64 bits now")
PY
