"""The handler as a Flask app."""

from flask import Flask, Response, request
from handler import JSON, answer

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 16 * 2**20


@app.post("/v2/models/<name>/infer")
def infer(name: str) -> Response:
    return Response(answer(request.get_data()), content_type=JSON)
