"""Registers two versions of one model, by MLflow's own client. Run by an environment that has it."""

import sys

import mlflow
import numpy as np
from onnx import ModelProto, TensorProto, helper


def model(weight: float) -> ModelProto:
    """Large enough that MLflow keeps its weights in a file of their own."""
    weights = np.full((4, 400), weight, np.float32)
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [4, 400], weights.tobytes(), raw=True)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 400])]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", inputs, outputs, [tensor])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def main(address: str, name: str) -> None:
    """Versions 1 and 2, of which `champion` is the first."""
    mlflow.set_tracking_uri(address)
    for weight in (1.0, 2.0):
        with mlflow.start_run():
            mlflow.onnx.log_model(model(weight), name="model", registered_model_name=name)
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(name, "champion", "1")
    client.set_model_version_tag(name, "1", "approved", "true")


if __name__ == "__main__":
    main(*sys.argv[1:])
