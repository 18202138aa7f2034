"""KServe's first protocol, which is TensorFlow Serving's and Vertex AI's: `{"instances": [...]}`. Pure."""

from tidegate_server.dialects.dialect import Call, Dialect, ServedModel, json_object
from tidegate_server.dialects.rows import call_instances
from tidegate_server.errors import InvalidRequest

_WANTED = '{"instances": [...]}'


def _read(body: bytes, _content_type: str, model: ServedModel) -> Call:
    document = json_object(body, _WANTED)
    fields = [field for field in ("instances", "inputs") if field in document]
    if len(fields) != 1:
        raise InvalidRequest(f"the body must be {_WANTED} with an entry for each row, or the same as inputs")
    return call_instances(document[fields[0]], fields[0], model)


KSERVE_V1 = Dialect(_read)
