#!/usr/bin/env bash
# Converting a TunedThresholdClassifierCV to ONNX loses the one thing it was made for: the threshold. The
# model cuts at 0.5 again, without a warning; the probabilities agree to the last digit, so a comparison of
# probabilities finds nothing. FixedThresholdClassifier, its sibling, is refused by the converter.
# Matters to models tuned for recall or for costs: keep the threshold beside the model and apply it to the
# probabilities, and compare labels before a release.
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnxruntime 1.32.0: with a threshold of 0.0148, tuned for
# recall, scikit-learn finds 201 of 201 positives, the ONNX model 143; probabilities differ by at most 1e-7.
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
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

print(f"skl2onnx {skl2onnx.__version__}, scikit-learn {sklearn.__version__}, onnxruntime {ort.__version__}")
rows, labels = make_classification(400, 6, n_informative=4, random_state=0)
rows = rows.astype(np.float32)
tuned = TunedThresholdClassifierCV(LogisticRegression(), scoring="recall").fit(rows, labels)
converted = skl2onnx.to_onnx(tuned, rows[:1], options={"zipmap": False})
seen_labels, seen_probabilities = ort.InferenceSession(converted.SerializeToString()).run(None, {"X": rows})

positives = int(labels.sum())
print(f"threshold {tuned.best_threshold_:.4f}, {positives} positives among {len(rows)} rows")
print(f"expected: {int(tuned.predict(rows)[labels == 1].sum())} found, as scikit-learn does, or no conversion")
print(f"seen:     {int(seen_labels[labels == 1].sum())} found, recall {recall_score(labels, seen_labels):.2f}")
apart = float(abs(seen_probabilities - tuned.predict_proba(rows)).max())
print(f"          probabilities differ by at most {apart:.0e}")
try:
    skl2onnx.to_onnx(FixedThresholdClassifier(LogisticRegression(), threshold=0.2).fit(rows, labels), rows[:1])
except Exception as error:
    print(f"          FixedThresholdClassifier: {type(error).__name__}")

cut_at_half = np.array_equal(seen_labels, tuned.predict_proba(rows)[:, 1] > 0.5)
sys.exit(0 if cut_at_half and apart < 1e-5 else "changed: the threshold is converted or refused now")
PY
