"""CloudEvents 1.0 with the types and attributes of KServe's logger, over HTTP. Pure.

https://github.com/cloudevents/spec, cloudevents/bindings/http-protocol-binding.md and formats/json-format.md.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import orjson

from tidegate_server.payload_log.settings import Format

TYPE = "org.kubeflow.serving.inference."
JSON, OCTETS = "application/json", "application/octet-stream"
MAX_ATTRIBUTE_LENGTH = 128
_UNQUOTED = "!#$&'()*+,/:;<=>?@[\\]^`{|}~"
"""All that a header may have as it is, but for the blank, the quotation mark and the percent sign."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who tells: a revision of a model."""

    namespace: str
    model: str
    revision: str


@dataclass(frozen=True, slots=True)
class Event:
    """The body of a request or of its answer."""

    kind: Literal["request", "response"]
    id: str
    """The same for both."""
    at: float
    """Unix seconds."""
    content_type: str
    body: bytes | None
    """None for one that was too large."""
    size: int
    encoding: str = ""
    """As in Content-Encoding."""
    json_bytes: str = ""
    """Of the JSON before binary tensors, as in Inference-Header-Content-Length."""
    traceparent: str = ""
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """What is sent."""

    headers: dict[str, str]
    body: bytes


def messages(events: Sequence[Event], origin: Origin, form: Format) -> list[HttpMessage]:
    """One for each event, or one for all of them as a batch."""
    if form == "binary":
        return [_binary(event, origin) for event in events]
    documents = [_document(event, origin) for event in events]
    if form == "batch":
        return [HttpMessage({"content-type": "application/cloudevents-batch+json"}, orjson.dumps(documents))]
    headers = {"content-type": "application/cloudevents+json"}
    return [HttpMessage(headers, orjson.dumps(document)) for document in documents]


def attributes(event: Event, origin: Origin) -> dict[str, str]:
    """Without the content type. Source and id together are one event's alone, as the specification wants it."""
    path = "/".join(quote(part, safe="") for part in (origin.namespace, origin.model, origin.revision))
    optional = {
        "contentencoding": event.encoding,
        "jsonbytes": event.json_bytes,
        "omittedbytes": str(event.size) if event.body is None else "",
        "traceparent": event.traceparent,
        "traceid": event.trace_id,
    }
    return {
        "specversion": "1.0",
        "type": TYPE + event.kind,
        "source": f"/tidegate/{path}/{event.kind}",
        "id": event.id,
        "time": datetime.fromtimestamp(event.at, UTC).isoformat(timespec="microseconds"),
        "inferenceservicename": origin.model,
        "namespace": origin.namespace,
        "component": "predictor",
        "revision": origin.revision,
        **{name: value for name, value in optional.items() if value},
    }


def readable(value: str | None) -> str:
    """A client's word as an attribute; empty where it is none that goes everywhere."""
    is_good = value is not None and value.isascii() and value.isprintable() and len(value) <= MAX_ATTRIBUTE_LENGTH
    return value.strip() if value and is_good else ""


def _binary(event: Event, origin: Origin) -> HttpMessage:
    headers = {f"ce-{name}": quote(value, safe=_UNQUOTED) for name, value in attributes(event, origin).items()}
    return HttpMessage({**headers, "content-type": event.content_type}, event.body or b"")


def _document(event: Event, origin: Origin) -> dict[str, Any]:
    document: dict[str, Any] = attributes(event, origin)
    if event.body is None:
        return document
    document["datacontenttype"] = event.content_type
    if _is_json(event):
        document["data"] = orjson.Fragment(event.body)
    else:
        document["data_base64"] = b64encode(event.body).decode()
    return document


def _is_json(event: Event) -> bool:
    """What says that it is, and is: others may send NaN, or anything, under that name."""
    kind = event.content_type.partition(";")[0].strip().lower()
    if event.encoding or event.json_bytes or not (kind == JSON or kind.endswith("+json")):
        return False
    try:
        orjson.loads(event.body or b"")
    except orjson.JSONDecodeError:
        return False
    return True
