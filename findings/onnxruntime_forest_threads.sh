#!/usr/bin/env bash
# A random forest's predicted class depends on how many threads ONNX Runtime has, so on the node that the pod
# lands on. With more than one thread the trees' votes are added in one partial float32 sum per thread; where
# the vote is a tie, the order of the additions decides. scikit-learn and one thread agree. For a regressor,
# the same row also gets another answer alone than in a batch.
# Matters to golden sets, shadow comparisons and dynamic batching: compare with a tolerance and leave ties
# out, or set `intra_op_num_threads`, whose default is the number of cores.
# Seen with onnxruntime 1.32.0, skl2onnx 1.20.0, scikit-learn 1.9.1: of 3000 rows, 18 change their class
# between 1 and 2 threads; of 100 rows, 91 get another value in a batch of 442 than alone with 2 threads, none
# with 1.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" \
  skl2onnx==1.20.0 scikit-learn==1.9.1 onnxruntime==1.32.0 onnx==1.23.2 protobuf==6.33.6 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnxruntime as ort
import skl2onnx
import sklearn
from sklearn.datasets import load_diabetes, make_classification
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

ALONE = 100
print(f"onnxruntime {ort.__version__}, skl2onnx {skl2onnx.__version__}, scikit-learn {sklearn.__version__}")


def sessions(model, rows):
    """{threads: the converted model in a session with so many}."""
    converted = skl2onnx.to_onnx(model, rows[:1]).SerializeToString()
    found = {}
    for threads in (1, 2):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        found[threads] = ort.InferenceSession(converted, options, providers=["CPUExecutionProvider"])
    return found


def first_output(session, rows):
    return session.run(None, {"X": rows})[0].ravel()


rows, classes = make_classification(4000, 10, n_informative=6, flip_y=0.2, random_state=0)
rows = rows.astype(np.float32)
forest = RandomForestClassifier(100, random_state=0).fit(rows[:1000], classes[:1000])
asked = rows[1000:]
by_threads = {threads: first_output(one, asked) for threads, one in sessions(forest, rows).items()}
flipped = int((by_threads[1] != by_threads[2]).sum())
print("classifier, expected: the same class with 1 and with 2 threads")
print(f"classifier, seen:     {flipped} of {len(asked)} rows change their class")
votes = forest.predict_proba(asked[by_threads[1] != by_threads[2]])
print(f"  scikit-learn's probabilities there: {np.unique(votes.round(6)).tolist()}")
print(f"  rows where one thread disagrees with scikit-learn: {(by_threads[1] != forest.predict(asked)).sum()}")

rows, target = load_diabetes(return_X_y=True)
rows = rows.astype(np.float32)
regressor = RandomForestRegressor(100, random_state=0).fit(rows, target)
differing = {}
for threads, one in sessions(regressor, rows).items():
    alone = np.array([first_output(one, row)[0] for row in np.split(rows[:ALONE], ALONE)])
    differing[threads] = int((alone != first_output(one, rows)[:ALONE]).sum())
print("regressor, expected: a row's value is the same alone and in a batch")
print(f"regressor, seen:     {differing[2]} of {ALONE} rows differ with 2 threads, {differing[1]} with 1")

sys.exit(0 if flipped and differing[2] and not differing[1] else "changed: threads or batches no longer matter")
PY
