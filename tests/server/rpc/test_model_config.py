"""What load generators are told of a model's rows and shapes."""

from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.rpc import open_inference_pb2 as pb
from tidegate_server.rpc.messages import message_from
from tidegate_server.rpc.model_config import MAX_BATCH_SIZE, model_config


def test_rows_are_set_apart_where_the_model_takes_any_number_of_them() -> None:
    signature = Signature(
        (TensorSpec("pixels", "FP32", ("N", 4)), TensorSpec("words", "BYTES", ("N",))),
        (TensorSpec("scores", "FP64", ("N", 3)),),
    )

    assert model_config("digits", signature) == {
        "name": "digits",
        "platform": "onnx_onnxv1",
        "max_batch_size": MAX_BATCH_SIZE,
        "input": [
            {"name": "pixels", "data_type": "TYPE_FP32", "dims": [4]},
            {"name": "words", "data_type": "TYPE_STRING", "dims": []},
        ],
        "output": [{"name": "scores", "data_type": "TYPE_FP64", "dims": [3]}],
    }


def test_shapes_are_whole_where_the_first_dimension_is_fixed() -> None:
    signature = Signature((TensorSpec("x", "INT8", (1, None)),), (TensorSpec("y", "BOOL", ("N", 2)),))

    config = message_from({"config": model_config("digits", signature)}, pb.ModelConfigResponse()).config

    assert config.max_batch_size == 0
    assert (list(config.input[0].dims), list(config.output[0].dims)) == ([1, -1], [-1, 2])
