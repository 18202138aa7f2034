#!/usr/bin/env bash
# Which of the Open Inference Protocol's two transports a client takes changes an answer of MLServer that
# isn't finite: infinity arrives as infinity over gRPC and as NaN over REST (JSON has neither; both are
# written as null, and tritonclient reads null as NaN). NaN arrives as NaN over REST, while the same request
# fails over gRPC.
# Matters to distances, log-odds and perplexities that are compared with a limit (inf > limit holds, NaN >
# limit doesn't), and to judging a release: the same bad model shows failed requests on one transport and NaN
# on the other.
# Seen with mlserver 1.7.1 and tritonclient 2.73.0: log [1, 0] is [0, nan] over REST and [0, -inf] over gRPC;
# log [1, -1] is [0, nan] over REST and "required argument is not a float" over gRPC.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" \
  mlserver==1.7.1 tritonclient==2.73.0 numpy==2.4.6
cat >answers.py <<'PY'
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Logarithm(MLModel):
    async def predict(self, payload):
        values = NumpyCodec.decode_input(payload.inputs[0])
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", np.log(values))])
PY
echo '{"name": "logarithm", "implementation": "answers.Logarithm"}' >model-settings.json
venv/bin/python - <<'PY'
import json
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


ports = {name: free_port() for name in ("http_port", "grpc_port", "metrics_port")}
Path("settings.json").write_text(
    json.dumps({"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **ports})
)
with Path("log").open("w") as log:
    command = [sys.executable, "-m", "mlserver.cli.main", "start", "."]
    server = subprocess.Popen(command, stdout=log, stderr=log)


def ask(transport, port, values):
    """What the client gets for the logarithms of values, as a list of numbers, or the name of its error."""
    client = transport.InferenceServerClient(f"127.0.0.1:{port}")
    sent = transport.InferInput("x", [len(values)], "FP32")
    array = np.array(values, np.float32)
    if transport is tritonclient.http:
        sent.set_data_from_numpy(array, binary_data=False)
    else:
        sent.set_data_from_numpy(array)
    try:
        return client.infer("logarithm", [sent]).as_numpy("y").ravel().tolist()
    except tritonclient.utils.InferenceServerException as error:
        return f"error: {error.message()}"
    finally:
        client.close()


def is_ready():
    try:
        return tritonclient.http.InferenceServerClient(f"127.0.0.1:{ports['http_port']}").is_model_ready(
            "logarithm"
        )
    except OSError:
        return False


try:
    until = time.monotonic() + 60
    while not is_ready():
        if time.monotonic() > until or server.poll() is not None:
            sys.exit("MLServer didn't start:\n" + Path("log").read_text()[-2000:])
        time.sleep(0.5)
    seen = {
        (transport.__name__.split(".")[1], value): ask(transport, ports[port], [1, value])
        for value in (0, -1)
        for transport, port in ((tritonclient.http, "http_port"), (tritonclient.grpc, "grpc_port"))
    }
finally:
    server.terminate()
    server.wait()

print(*(f"{name} {version(name)}" for name in ("mlserver", "tritonclient", "numpy")), sep=", ")
print("expected: log [1, 0] and log [1, -1] are [0, -inf] and [0, nan] over both, or an error over both")
for (transport, value), answer in seen.items():
    print(f"seen:     log [1, {value}] over {transport}: {answer}")
of_zero = {transport: repr(seen[transport, 0]) for transport in ("http", "grpc")}
of_minus_one = {transport: repr(seen[transport, -1]) for transport in ("http", "grpc")}
as_described = of_zero == {"http": "[0.0, nan]", "grpc": "[0.0, -inf]"}
as_described &= of_minus_one["http"] == "[0.0, nan]" and "error" in of_minus_one["grpc"]
sys.exit(0 if as_described else "changed: the transports agree, or differ in another way")
PY
