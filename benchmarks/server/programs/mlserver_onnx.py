"""An ONNX runtime for MLServer, which ships none: as its documentation says to write one, with its own numpy codec."""

import os

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

OUTPUTS = ["class", "scores"]


class OnnxModel(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["BENCH_INTRA"])
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, ["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        results = self._session.run(OUTPUTS, {one.name: NumpyCodec.decode_input(one) for one in payload.inputs})
        outputs = [NumpyCodec.encode_output(name, array) for name, array in zip(OUTPUTS, results, strict=True)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
