#!/usr/bin/env bash
# A HistGradientBoostingRegressor for counts or amounts (loss "poisson" or "gamma") predicts the logarithm
# after conversion to ONNX: the exponential, the link's inverse, is left out, without a warning. The linear
# models with the same losses (PoissonRegressor, GammaRegressor) keep theirs.
# Matters to frequency and claims models, whose answers stay plausible small numbers of the right order in
# which rows rank; a metric of ranking (AUC, Gini) doesn't notice.
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1, onnxruntime 1.32.0: mean predictions of 2.78 and 3.16 are
# 0.93 and 1.08 in ONNX; exp() of each answer is right to 2e-7.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" \
  skl2onnx==1.20.0 scikit-learn==1.9.1 onnxruntime==1.32.0 onnx==1.23.2 protobuf==6.33.6 numpy==2.4.6
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnxruntime as ort
import skl2onnx
import sklearn
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import GammaRegressor, PoissonRegressor

print(f"skl2onnx {skl2onnx.__version__}, scikit-learn {sklearn.__version__}, onnxruntime {ort.__version__}")
random = np.random.default_rng(0)
rows = random.normal(size=(1000, 3)).astype(np.float32)
counts = random.poisson(np.exp(1 + rows[:, 0] * 0.4))


def in_onnx(model):
    converted = skl2onnx.to_onnx(model, rows[:1]).SerializeToString()
    return ort.InferenceSession(converted).run(None, {"X": rows})[0].ravel()


logarithms = []
for loss, linear in (("poisson", PoissonRegressor()), ("gamma", GammaRegressor())):
    target = counts if loss == "poisson" else counts + 0.5
    trees = HistGradientBoostingRegressor(loss=loss, max_iter=30, random_state=0).fit(rows, target)
    expected, seen = trees.predict(rows), in_onnx(trees)
    apart = float(abs(np.exp(seen) / expected - 1).max())
    print(f"{loss}, expected: a mean prediction of {expected.mean():.3f}, as scikit-learn's, or no conversion")
    print(
        f"{loss}, seen:     {seen.mean():.3f}; exp() of the answers is off by at most {apart:.0e} of the right ones"
    )
    kept = np.allclose(in_onnx(linear.fit(rows, target)), linear.predict(rows), rtol=1e-4)
    print(f"{loss}, {type(linear).__name__} keeps its exponential: {kept}")
    logarithms.append(apart < 1e-4 and kept)
sys.exit(0 if all(logarithms) else "changed: the link is converted or refused now")
PY
