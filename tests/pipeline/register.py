"""Runs in the environment with MLflow: logs models and registers them, as a training run does at its end.

Reads `{"name": NAME, "models": [{"onnx": FILE, "labels": [...], "alias": ALIAS}]}`; each model is the next version.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import onnx


def main() -> None:
    asked = json.load(sys.stdin)
    client = mlflow.MlflowClient()
    mlflow.set_experiment("training")
    for model in asked["models"]:
        version = register(asked["name"], model)
        if model.get("alias"):
            client.set_registered_model_alias(asked["name"], model["alias"], version)


def register(name: str, model: dict[str, Any]) -> str:
    """The version."""
    with mlflow.start_run(), TemporaryDirectory() as folder:
        logged = mlflow.onnx.log_model(onnx.load(model["onnx"]), name="model")
        (Path(folder) / "labels.json").write_text(json.dumps(model["labels"]))
        mlflow.MlflowClient().log_model_artifacts(logged.model_id, folder)
        return str(mlflow.register_model(logged.model_uri, name).version)


if __name__ == "__main__":
    main()
