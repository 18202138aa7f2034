"""Writes a model by each converter, with its default options, into a folder. Runs in an environment of its own."""

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import onnxmltools
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
TEXTS, MOODS = np.array(["good food", "bad food", "very good", "very bad"]), [1, 0, 1, 0]
FEATURES = [("input", FloatTensorType([None, 4]))]


def of_scikit_learn() -> Iterator[tuple[str, Callable[[], Any]]]:
    """skl2onnx, with nothing but the model and a row."""
    logistic = LogisticRegression(max_iter=500)
    two = np.c_[Y, Y[::-1]]
    yield "logistic", lambda: to_onnx(logistic.fit(X, Y), X[:1])
    yield "logistic_names", lambda: to_onnx(logistic.fit(X, NAMES), X[:1])
    yield "logistic_odd_classes", lambda: to_onnx(logistic.fit(X, Y * 3 - 3), X[:1])
    yield "forest", lambda: to_onnx(RandomForestClassifier(10, random_state=0).fit(X, NAMES), X[:1])
    yield "svc", lambda: to_onnx(SVC(probability=True).fit(X, Y), X[:1])
    yield "imputer", lambda: to_onnx(make_pipeline(SimpleImputer(), StandardScaler(), logistic).fit(X, Y), X[:1])
    yield "linear", lambda: to_onnx(LinearRegression().fit(X, Y), X[:1])
    yield "several_targets", lambda: to_onnx(MultiOutputClassifier(logistic).fit(X, two), X[:1])
    with_std = {GaussianProcessRegressor: {"return_std": True}}
    yield "gaussian_std", lambda: to_onnx(GaussianProcessRegressor().fit(X[:20], Y[:20]), X[:1], options=with_std)
    words = make_pipeline(TfidfVectorizer(), LogisticRegression())
    text = [("text", StringTensorType([None, 1]))]
    yield "words", lambda: to_onnx(words.fit(TEXTS, MOODS), initial_types=text)


def of_onnxmltools() -> Iterator[tuple[str, Callable[[], Any]]]:
    """LightGBM and XGBoost."""
    boosted = {"n_estimators": 5, "verbose": -1}
    light, extreme = onnxmltools.convert_lightgbm, onnxmltools.convert_xgboost
    binary = (Y > 0).astype(int)
    yield "lightgbm", lambda: light(lightgbm.LGBMClassifier(**boosted).fit(X, Y), initial_types=FEATURES)
    yield "lightgbm_binary", lambda: light(lightgbm.LGBMClassifier(**boosted).fit(X, binary), initial_types=FEATURES)
    yield "lightgbm_regressor", lambda: light(lightgbm.LGBMRegressor(**boosted).fit(X, Y), initial_types=FEATURES)
    yield "xgboost", lambda: extreme(xgboost.XGBClassifier(n_estimators=5).fit(X, Y), initial_types=FEATURES)
    yield "xgboost_regressor", lambda: extreme(xgboost.XGBRegressor(n_estimators=5).fit(X, Y), initial_types=FEATURES)


def save_catboost(folder: Path) -> None:
    """It writes files itself."""
    boosted = {"iterations": 5, "verbose": 0, "allow_writing_files": False}
    for name, model, target in (
        ("catboost", catboost.CatBoostClassifier(**boosted), Y),
        ("catboost_binary", catboost.CatBoostClassifier(**boosted), (Y > 0).astype(int)),
        ("catboost_names", catboost.CatBoostClassifier(**boosted), NAMES),
        ("catboost_regressor", catboost.CatBoostRegressor(**boosted), Y),
    ):
        model.fit(X, target).save_model(str(folder / f"{name}.onnx"), format="onnx")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    made = Path(sys.argv[1])
    made.mkdir(parents=True, exist_ok=True)
    for converter in (of_scikit_learn, of_onnxmltools):
        for kind, make in converter():
            (made / f"{kind}.onnx").write_bytes(make().SerializeToString())
    save_catboost(made)
