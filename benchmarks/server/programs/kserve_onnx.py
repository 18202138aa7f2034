"""KServe's Python model server around an ONNX session, as its documentation says to serve a model of one's own."""

import os

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid

OUTPUTS = {"class": "INT64", "scores": "FP32"}


class OnnxModel(Model):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.load()

    def load(self) -> bool:
        self._session: onnxruntime.InferenceSession | None = None
        self.ready = True
        return self.ready

    def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        if self._session is None:  # its workers are other processes, and a session can't travel there
            self._session = open_session()
        results = self._session.run(list(OUTPUTS), {one.name: one.as_numpy() for one in payload.inputs})
        outputs = []
        for (name, datatype), array in zip(OUTPUTS.items(), results, strict=True):
            output = InferOutput(name=name, shape=list(array.shape), datatype=datatype)
            output.set_data_from_numpy(array, binary_data=_binary(payload, name))
            outputs.append(output)
        return InferResponse(
            response_id=payload.id or generate_uuid(),
            model_name=self.name,
            infer_outputs=outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


def _binary(payload: InferRequest, name: str) -> bool:
    for asked in payload.request_outputs or ():
        if asked.name == name and asked.binary_data is not None:
            return bool(asked.binary_data)
    return bool(payload.use_binary_outputs)


def open_session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["BENCH_INTRA"])
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, ["CPUExecutionProvider"])


if __name__ == "__main__":
    ModelServer(
        http_port=int(os.environ["BENCH_PORT"]),
        workers=int(os.environ["BENCH_WORKERS"]),
        enable_grpc=False,
        enable_latency_logging=False,
    ).start([OnnxModel(os.environ["BENCH_NAME"])])
