#!/usr/bin/env bash
# ONNX Runtime takes a big-endian NumPy array, ignores its byte order and computes with other numbers; nothing
# is raised.
# Matters to whoever feeds a model from network-order data (IDX, FITS, netCDF, PostgreSQL's binary format):
# `dtype.name`, `kind` and `itemsize` look right, and `array == values` holds, so a server's checks of its
# inputs pass.
# Seen with onnxruntime 1.32.0 (numpy 2.4.6): x + x of [1, 2, 3] is [2. 4. 6.] for '<f4' and about 1e-40 for
# '>f4'; for '>i8' it is [144115188075855872 288230376151711744 432345564227567616]. `onnx.numpy_helper`
# refuses the same arrays.
# Remedy: `array.astype(array.dtype.newbyteorder("="))`; `numpy.ascontiguousarray` doesn't swap.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper, parser

print(f"onnxruntime {ort.__version__}, numpy {np.__version__}, onnx {onnx.__version__}")


def double(values):
    kind = {"f": "float", "i": "int64"}[values.dtype.kind]
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 21]> g ({kind}[N] x) => ({kind}[N] y) {{ y = Add(x, x) }}'
    )
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": values})[0]


def from_the_network(dtype):
    """What a reader of a big-endian format gets: the three numbers 1, 2, 3, and NumPy knows their byte order."""
    return np.frombuffer(np.array([1, 2, 3], dtype).tobytes(), dtype)


wrong = []
for dtype in (">f4", ">i8"):
    values = from_the_network(dtype)
    assert values.tolist() == [1, 2, 3]
    native = values.astype(values.dtype.newbyteorder("="))
    print(f"{dtype}: name {values.dtype.name}, NumPy reads {values.tolist()}")
    print(f"  expected: {double(native)}, or an error")
    print(f"  seen:     {double(values)}, through ascontiguousarray {double(np.ascontiguousarray(values))}")
    try:
        numpy_helper.from_array(values)
    except ValueError as error:
        print(f"  onnx.numpy_helper refuses it: {error}")
    wrong.append(not np.array_equal(double(values), double(native)))

sys.exit(0 if all(wrong) else "changed: the byte order is heeded now")
PY
