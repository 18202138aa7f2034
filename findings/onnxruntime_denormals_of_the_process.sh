#!/usr/bin/env bash
# ONNX Runtime's session option `session.set_denormal_as_zero` isn't one session's: opening the session sets the
# floating-point state of the thread that opens it, and nothing sets it back. From then on numbers below the smallest
# normal one are 0 for NumPy and for Python's own floats in that thread, also once the session is gone and another one
# was opened without the option. Threads that are started later take it over; those that ran before do not.
# Matters to whoever opens such a model beside other code: sums, comparisons and tests elsewhere in the process change.
# Open it in a process, or in a thread, of its own.
# Seen with onnxruntime 1.32.0, numpy 2.4.6: 1e-310 * 1.0 gives 1e-310 before, then 0.0; in an older thread 1e-310.
set -euo pipefail
if [ "$(uname -m)" != x86_64 ]; then echo "skipped: tried on x86-64 only"; exit 0; fi
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import queue
import sys
import threading

import numpy as np
import onnxruntime as ort
from onnx import parser

MODEL = parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> g (float[N] x) => (float[N] y) { y = Identity(x) }'
).SerializeToString()
SMALL, SMALL_FLOAT32 = 1e-310, np.array([1e-40], np.float32)
seen = {}


def look(when):
    """What multiplying by one makes of numbers that are smaller than all normal ones."""
    seen[when] = (SMALL * 1.0, float((SMALL_FLOAT32 * np.float32(1))[0]))
    print(f"{when:<30}{seen[when]}")


def session(**entries):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    for name, value in entries.items():
        options.add_session_config_entry(f"session.{name}", value)
    return ort.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])


print(f"onnxruntime {ort.__version__}, numpy {np.__version__}")
asked = queue.SimpleQueue()
older = threading.Thread(target=lambda: look(asked.get()))
older.start()
look("before")
opened = session(set_denormal_as_zero="1")
look("after it was opened")
del opened
session()
look("after it, and a plain one")
newer = threading.Thread(target=look, args=("in a thread started since",))
newer.start()
newer.join()
asked.put("in a thread from before")
older.join()

kept, flushed = {"before", "in a thread from before"}, (0.0, 0.0)
expected = all((seen[when] == flushed) is (when not in kept) for when in seen)
sys.exit(0 if expected else "changed: the option keeps to its session now")
PY
