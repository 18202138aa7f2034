"""A BentoML service around an ONNX session. A batch can be cut along one array only, so class and scores share one."""

import os

import bentoml
import numpy as np
import onnxruntime

BATCHING = os.environ["BENCH_BATCHING"] == "on"


@bentoml.service(workers=int(os.environ["BENCH_WORKERS"]), logging={"access": {"enabled": False}})
class Onnx:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["BENCH_INTRA"])
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, ["CPUExecutionProvider"])

    def _run(self, rows: np.ndarray) -> np.ndarray:
        label, scores = self._session.run(["class", "scores"], {"x": rows.astype(np.float32, copy=False)})
        return np.column_stack([label, scores])

    if BATCHING:

        @bentoml.api(batchable=True, max_batch_size=16, max_latency_ms=10_000)
        def predict(self, rows: np.ndarray) -> np.ndarray:
            return self._run(rows)

    else:

        @bentoml.api
        async def predict(self, rows: np.ndarray) -> np.ndarray:
            return self._run(rows)
