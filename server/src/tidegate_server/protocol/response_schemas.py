"""JSON Schemas of every response. Pure."""

from typing import Any

from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensor_schemas import Schema, answered_schema, output_schema, record
from tidegate_server.protocol.v2 import EXTENSIONS, PLATFORM, model_names

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_ERROR_RESPONSES = {
    "400": "The request doesn't fit the model; the sentence names the tensor and says what was expected",
    "401": "No key or token, or none that is good here",
    "403": "The key or token isn't for this",
    "404": "No such model or version",
    "413": "The body is too large, or means too many values",
    "415": "The body's type or encoding isn't supported",
    "429": "Too many requests wait already; Retry-After says when to try again",
    "500": "The model failed on this input, or answered what JSON can't carry",
    "503": "The server is ending; ask another one",
    "504": "The answer wasn't there in time",
}


def response_schemas(name: str, revision: str, signature: Signature, server_version: str) -> dict[str, Schema]:
    """By the names that the paths refer to."""
    return {
        "Error": record({"error": _TEXT}),
        "InferAnswer": _infer_response(name, revision, signature),
        "PredictAnswer": _predict_response(name, revision, signature),
        "ServerMetadata": _server(server_version),
        "Model": _model(name, revision, signature),
        "ModelNames": {"const": model_names(name)},
        "Live": record({"live": {"type": "boolean"}}),
        "Ready": record({"ready": {"type": "boolean"}}),
        "ModelReady": record({"name": {"const": name}, "ready": {"type": "boolean"}}),
        "Statistics": _statistics(name),
        "Index": _index(name, revision),
        "Selftest": record(
            {
                "passed": {"type": "boolean"},
                "cases": _COUNT,
                "failed": _COUNT,
                "failures": {"type": "array", "items": _TEXT},
            }
        ),
        "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
    }


def error_responses() -> dict[str, Any]:
    """By status. "default" is for what is wrong with the HTTP itself, such as a method or a head that is too large."""
    known = {**_ERROR_RESPONSES, "default": "Refused"}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {code: {"description": words, "content": content, **_headers(code)} for code, words in known.items()}


def _headers(code: str) -> dict[str, Any]:
    if code == "429":
        return {"headers": {"Retry-After": {"description": "Seconds", "required": True, "schema": _COUNT}}}
    return {}


def _infer_response(name: str, revision: str, signature: Signature) -> Schema:
    outputs: Schema = {"type": "array", "items": {"anyOf": [output_schema(spec) for spec in signature.outputs]}}
    identity: dict[str, Schema] = {"model_name": {"const": name}, "model_version": {"const": revision}}
    return record({**identity, "outputs": outputs}, {"id": _TEXT})


def _predict_response(name: str, revision: str, signature: Signature) -> Schema:
    """With the outputs by name or by row, or with what labels and a tokenizer make of them."""
    # The graph's shape of an output is a hint: the runtime answers other shapes under it too.
    outputs = {spec.name: {"anyOf": [answered_schema(spec.datatype), {"type": "array"}]} for spec in signature.outputs}
    return {
        "type": "object",
        "required": ["model", "revision"],
        "properties": {
            "model": {"const": name},
            "revision": {"const": revision},
            "outputs": {"type": "object", "properties": outputs},
            "rows": {"type": "array", "items": {"type": "object"}},
            "predictions": {"type": "array", "items": {"type": "object"}},
        },
    }


def _server(version: str) -> Schema:
    return record(
        {
            "name": _TEXT,
            "version": {"const": version},
            "extensions": {"type": "array", "items": {"enum": list(EXTENSIONS)}},
        }
    )


def _model(name: str, revision: str, signature: Signature) -> Schema:
    return record(
        {
            "name": {"const": name},
            "versions": {"const": [revision]},
            "platform": {"const": PLATFORM},
            "inputs": {"const": [spec.as_json() for spec in signature.inputs]},
            "outputs": {"const": [spec.as_json() for spec in signature.outputs]},
        },
        {"properties": {"type": "object", "additionalProperties": _TEXT}},
    )


def _index(name: str, revision: str) -> Schema:
    model: dict[str, Schema] = {
        "name": {"const": name},
        "version": {"const": revision},
        "state": {"enum": ["READY", "UNAVAILABLE"]},
        "reason": _TEXT,
    }
    return {"type": "array", "items": record(model)}


def _statistics(name: str) -> Schema:
    duration = record({"count": _COUNT, "ns": _COUNT})
    phases = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
    batch = {"batch_size": _COUNT, **dict.fromkeys(("compute_input", "compute_infer", "compute_output"), duration)}
    model: dict[str, Schema] = {
        "name": {"const": name},
        "version": {**_TEXT, "description": "a number, for tools that read it as one"},
        "last_inference": {**_COUNT, "description": "milliseconds of Unix time; 0 before the first"},
        "inference_count": {**_COUNT, "description": "rows"},
        "execution_count": {**_COUNT, "description": "runs of the model"},
        "inference_stats": record(dict.fromkeys(phases, duration)),
        "response_stats": {"type": "object"},
        "batch_stats": {"type": "array", "items": record(batch)},
        "memory_usage": {"type": "array"},
    }
    return record({"model_stats": {"type": "array", "items": record(model)}})
