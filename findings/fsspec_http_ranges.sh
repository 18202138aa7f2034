#!/usr/bin/env bash
# fsspec's `cat_file(url, start, end)` and `cat_ranges` return the whole file, from byte 0, when the HTTP
# server doesn't know Range (it may ignore it, RFC 9110); `open`, `seek`, `read` and `read_block` on the same
# address raise. A slice that was asked for isn't cut out or checked.
# Matters to whoever reads a model's header or one tensor remotely (safetensors, Parquet, ONNX external data,
# Zarr): it works on S3 and gives the file's first bytes on a plain server, a test's for example.
# Seen with fsspec 2026.9.0 (aiohttp 3.14.5) and Python's http.server: 4 bytes asked for at offset 6 of 10
# give b"0123456789".
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" fsspec==2026.9.0 aiohttp==3.14.5
printf 0123456789 >tensor.bin
venv/bin/python - <<'PY'
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import fsspec

START, END = 6, 10


class Files(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/tensor.bin"
files = fsspec.filesystem("http")

print(f"fsspec {version('fsspec')}, aiohttp {version('aiohttp')}, Python {sys.version.split()[0]}")
print("expected: b'6789' from each way of reading, or an error")
by_range = {
    "cat_file": files.cat_file(address, start=START, end=END),
    "cat_ranges": files.cat_ranges([address], [START], [END])[0],
}
for name, answer in by_range.items():
    print(f"seen:     {name}: {answer}")
try:
    refused = not files.read_block(address, START, END - START)
except ValueError as error:
    refused = True
    print(f"seen:     read_block: {type(error).__name__}: {str(error).split('.')[0]}")

whole = all(answer == b"0123456789" for answer in by_range.values())
sys.exit(0 if whole and refused else "changed: ranges are cut out or refused now")
PY
