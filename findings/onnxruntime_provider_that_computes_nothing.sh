#!/usr/bin/env bash
# The plain wheel of ONNX Runtime says that it has AzureExecutionProvider, takes it as a session's first provider without
# a word, and lists it first in `session.get_providers()`, while the CPU's computes every node of any ordinary model.
# Matters to whoever checks that an accelerator is in use by that list, as is often advised: it says what was loaded, not
# what computes. `session.record_ep_graph_assignment_info` and `get_provider_graph_assignment_info()` do say it.
# Seen with onnxruntime 1.32.0: providers [Azure, CPU]; nodes {'CPUExecutionProvider': 2}.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys
from collections import Counter

import onnxruntime as ort
from onnx import parser

AZURE, CPU = "AzureExecutionProvider", "CPUExecutionProvider"
MODEL = parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> g (float[N] x) => (float[N] y) { s = Sin(x) y = Cos(s) }'
).SerializeToString()

options = ort.SessionOptions()
options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
session = ort.InferenceSession(MODEL, options, providers=[AZURE, CPU])
nodes = Counter()
for part in session.get_provider_graph_assignment_info():
    nodes[part.ep_name] += len(part.get_nodes())

print(f"onnxruntime {ort.__version__}")
print(f"available:            {ort.get_available_providers()}")
print(f"session's providers:  {session.get_providers()}")
print(f"nodes by provider:    {dict(nodes)}")
same = AZURE in ort.get_available_providers() and session.get_providers() == [AZURE, CPU] and dict(nodes) == {CPU: 2}
sys.exit(0 if same else "changed: the list of providers says who computes now")
PY
