"""The OpenAPI document of the served model, made from its graph, and the page to try it. Pure.

It describes every response: what a client may rely on is what a test can check against the running server.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from tidegate_server.protocol.response_schemas import error_responses, response_schemas
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensor_schemas import (
    input_schema,
    nested_schema,
    record,
    requested_schema,
    row_schema,
    takes_rows,
)
from tidegate_server.protocol.tensors import Array
from tidegate_server.protocol.v2 import LENGTH_HEADER

Json = dict[str, Any]

MAX_EXAMPLE_ELEMENTS = 2**14
"""A larger input is no example that anybody would read."""

_JSON, _OCTETS = "application/json", "application/octet-stream"
_SECURITY: list[Json] = [{"key": []}, {"bearer": []}]
_BINARY_WORDS = (
    f"In application/octet-stream, the header {LENGTH_HEADER} says how many bytes of JSON come first. The bytes of "
    "each input with parameters.binary_data_size follow, in the order of the inputs. With 0 there is no JSON, and all "
    "bytes are the only input."
)
_OF_INFERENCE = ("400", "404", "413", "415", "500", "503", "504")


def openapi_document(
    name: str,
    revision: str,
    signature: Signature,
    *,
    server_version: str,
    secured: bool,
    allow_nan: bool = False,
    answered: Mapping[str, Array] | None = None,
    example: Any = None,
    body_schemas: Sequence[Mapping[str, Any]] = (),
) -> Json:
    """`answered` are inputs that the model has answered; without them there is no example.

    `allow_nan`: null among the numbers of a request is a missing value.
    `example` is a body of /predict; `body_schemas` of what is understood there beside the model's tensors.
    """
    small = answered if answered is not None and _is_small(answered) else None
    infer, predict = _infer_example(signature, small), _predict_example(signature, small, example)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": revision,
            "description": f"Model {name} in revision {revision}, served by tidegate-server {server_version}.",
        },
        "paths": _Paths(secured, infer, predict).all(),
        "components": {
            "schemas": {
                **response_schemas(name, revision, signature, server_version),
                "InferRequest": _infer_schema(signature, allow_nan),
                "PredictRequest": _predict_schema(signature, allow_nan, body_schemas),
            },
            "parameters": {
                "model_name": _path_parameter("model_name", name),
                "model_version": _path_parameter("model_version", revision),
            },
            "responses": error_responses(),
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            }
            if secured
            else {},
        },
        # What the page shows.
        "x-model": {
            "inputs": [spec.as_json() for spec in signature.inputs],
            "outputs": [spec.as_json() for spec in signature.outputs],
            "examples": {"predict": predict, f"v2/models/{name}/infer": infer},
        },
    }


@cache
def page(document_url: str) -> str:
    """HTML that needs nothing but the document at `document_url`, which may be relative."""
    # In a script, where "</script>" would end it.
    quoted = json.dumps(document_url).replace("<", "\\u003c")
    text = files("tidegate_server.protocol").joinpath("page.html").read_text("utf-8")
    return text.replace('"DOCUMENT_URL"', quoted)


class _Paths:
    """Every path with its methods."""

    def __init__(self, secured: bool, infer: Any, predict: Any) -> None:
        self._secured, self._infer, self._predict = secured, infer, predict

    def all(self) -> Json:
        infer = self._operation("infer", "Run the model", _infer_response(), *_OF_INFERENCE)
        infer["requestBody"] = _body("InferRequest", self._infer, binary=True)
        predict = self._operation("predict", "Ask the model in plain JSON", _response("PredictAnswer"), *_OF_INFERENCE)
        predict["requestBody"] = _body("PredictRequest", self._predict)
        return {
            "/predict": {"post": predict},
            **self._versioned("/infer", {"post": infer}),
            "/v2": {"get": self._operation("server", "The server", _response("ServerMetadata"))},
            "/v2/health/live": {"get": self._probe("live", "Whether the process lives", "Live")},
            "/v2/health/ready": {"get": self._probe("ready", "Whether requests are welcome", "Ready")},
            "/v2/models": {"get": self._operation("models", "The names of all models", _response("ModelNames"))},
            "/v2/models/stats": {"get": self._operation("allStatistics", "Since the start", _response("Statistics"))},
            **self._versioned("", {"get": self._operation("model", "What it is like", _response("Model"), "404")}),
            **self._versioned("/ready", {"get": self._probe("modelReady", "Whether to ask it", "ModelReady", "404")}),
            **self._versioned(
                "/stats", {"get": self._operation("statistics", "Since the start", _response("Statistics"), "404")}
            ),
            "/v2/repository/index": {
                "post": self._operation("index", "All models and their states", _response("Index"))
            },
            **({"/v2/selftest": {"post": self._selftest()}} if self._secured else {}),
            "/openapi.json": {"get": self._operation("document", "This document", _response("Document"))},
            "/": {
                "get": self._operation("page", "A page to try the model", _page_response()),
                "post": self._pipeline(),
            },
        }

    def _pipeline(self) -> Json:
        """The one of other servers' paths that is also one of this server's."""
        anything: Json = {"description": "Answered", "content": {_JSON: {}}}
        pipeline = self._operation("pipeline", "Ask as Hugging Face's pipelines are asked", anything, *_OF_INFERENCE)
        schema = {"type": "object", "required": ["inputs"]}
        pipeline["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
        return pipeline

    def _selftest(self) -> Json:
        """For callers with a key; without keys it is on the admin port only."""
        selftest = self._operation("selftest", "Ask the stored questions again", _response("Selftest"))
        selftest["responses"]["500"] = _response("Selftest", "Error", words="A stored question has another answer")
        return selftest

    def _operation(self, identifier: str, summary: str, response: Json, *codes: str) -> Json:
        known = (*codes, *(("401", "403") if self._secured else ()), "429")
        responses = {code: {"$ref": f"#/components/responses/{code}"} for code in sorted(known)}
        return {
            "operationId": identifier,
            "summary": summary,
            "responses": {"200": response, **responses, "default": {"$ref": "#/components/responses/default"}},
            **({"security": _SECURITY} if self._secured else {}),
        }

    def _probe(self, identifier: str, summary: str, schema: str, *codes: str) -> Json:
        """Open to everybody, and never rejected."""
        operation = _Paths(False, None, None)._operation(identifier, summary, _response(schema), *codes)
        operation["responses"]["503"] = _response(schema, "Error", words="Not now")
        return operation

    def _versioned(self, ending: str, methods: Json) -> Json:
        """Twice: the version may be left out."""
        with_version = {
            method: {**operation, "operationId": f"{operation['operationId']}OfVersion"}
            for method, operation in methods.items()
        }
        return {
            f"/v2/models/{{model_name}}{ending}": {"parameters": _refs("model_name"), **methods},
            f"/v2/models/{{model_name}}/versions/{{model_version}}{ending}": {
                "parameters": _refs("model_name", "model_version"),
                **with_version,
            },
        }


def _refs(*names: str) -> list[Json]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _path_parameter(parameter: str, value: str) -> Json:
    schema = {"type": "string", "enum": [value]}
    return {"name": parameter, "in": "path", "required": True, "schema": schema}


def _schema_of(*names: str) -> Json:
    found = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _response(*schemas: str, words: str = "Answered") -> Json:
    return {"description": words, "content": {_JSON: {"schema": _schema_of(*schemas)}}}


def _infer_response() -> Json:
    length = {"description": "Bytes of JSON before those of the tensors", "schema": {"type": "integer", "minimum": 0}}
    return {
        "description": "Answered; bytes of tensors follow the JSON when an output was wanted so",
        "headers": {LENGTH_HEADER: length},
        "content": {_JSON: {"schema": _schema_of("InferAnswer")}, _OCTETS: {}},
    }


def _page_response() -> Json:
    return {"description": "HTML", "content": {"text/html": {"schema": {"type": "string"}}}}


def _body(schema: str, example: Any, *, binary: bool = False) -> Json:
    quoted = {} if example is None else {"example": example}
    content: Json = {_JSON: {"schema": _schema_of(schema), **quoted}}
    if binary:
        content[_OCTETS] = {}
    words = {"description": _BINARY_WORDS} if binary else {}
    return {"required": True, **words, "content": content}


# --- request bodies


def _infer_schema(signature: Signature, allow_nan: bool) -> Json:
    inputs = [input_schema(spec, allow_nan) for spec in signature.inputs]
    required = len(signature.required_inputs)
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"], "description": "comes back in the answer"},
            "inputs": {
                "type": "array",
                "description": "in any order",
                "minItems": required,
                "maxItems": len(inputs),
                **({"prefixItems": inputs} if inputs and required == len(inputs) else {}),
            },
            "outputs": {"type": ["array", "null"], "uniqueItems": True, "items": requested_schema(signature)},
            "parameters": {
                "type": ["object", "null"],
                "properties": {
                    "timeout": {"type": ["integer", "null"], "minimum": 0, "description": "in microseconds"},
                    "binary_data_output": {"type": "boolean", "description": "all outputs as bytes after the JSON"},
                },
            },
        },
    }


def _predict_schema(signature: Signature, allow_nan: bool, more: Sequence[Mapping[str, Any]]) -> Json:
    """The tensors by name, alone or as rows, and what else is understood."""
    forms: list[Json] = [dict(form) for form in more]
    required = signature.required_inputs
    nested = {spec.name: nested_schema(spec, allow_nan) for spec in signature.inputs}
    optional = {spec.name: nested[spec.name] for spec in signature.inputs if spec.optional}
    named = record({spec.name: nested[spec.name] for spec in required}, optional)
    forms.append({"title": "inputs by name", **record({"inputs": named})})
    if len(required) == 1:
        alone = nested[required[0].name]
        forms.append({"title": "the only input", **record({"inputs": alone})})
        if required[0].shape:
            forms.append({"title": "the only input, bare", **alone})
    if takes_rows(signature):
        rows = {"type": "array", "minItems": 1, "items": row_schema(signature, allow_nan)}
        forms.append({"title": "rows", **record({"rows": rows})})
    return {"anyOf": forms}


def _infer_example(signature: Signature, answered: Mapping[str, Array] | None) -> Any:
    if answered is None:
        return None
    tensors = [
        {
            "name": spec.name,
            "shape": list(answered[spec.name].shape),
            "datatype": spec.datatype,
            "data": answered[spec.name].ravel().tolist(),
        }
        for spec in signature.inputs
        if spec.name in answered
    ]
    return {"inputs": tensors}


def _predict_example(signature: Signature, answered: Mapping[str, Array] | None, example: Any) -> Any:
    if example is not None or answered is None:
        return example
    values = {name: array.tolist() for name, array in answered.items()}
    if len(values) > 1 and takes_rows(signature) and signature.is_batchable:
        row = {name: rows[0][0] if _is_cell(rows[0]) else rows[0] for name, rows in values.items()}
        return {"rows": [row]}
    return {"inputs": values}


def _is_small(arrays: Mapping[str, Array]) -> bool:
    return sum(array.size for array in arrays.values()) <= MAX_EXAMPLE_ELEMENTS


def _is_cell(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list)
