"""MLflow's scoring protocol, and so SageMaker's: four forms of JSON, and CSV. Pure."""

import csv
from io import StringIO
from typing import Any

from tidegate_server.dialects.dialect import Call, Dialect, ServedModel, json_object
from tidegate_server.dialects.rows import call_instances, call_table
from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.json_codec import dump_json

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_JSON_TYPES = frozenset({"", "application/json", "application/x-www-form-urlencoded"})
"""The last one is what curl says of any body that nobody has described."""


def _read(body: bytes, content_type: str, model: ServedModel) -> Call:
    if content_type == "text/csv":
        return _read_csv(body, model)
    if content_type not in _JSON_TYPES:
        raise InvalidRequest(f"content-type is {content_type!r}; send application/json or text/csv", 415)
    document = json_object(body, f"an object with one of {', '.join(FORMS)}")
    found = [form for form in FORMS if form in document]
    if len(found) != 1:
        raise InvalidRequest(f"the body needs one of {', '.join(FORMS)}, and has {', '.join(found) or 'none'}")
    (form,) = found
    if form == "dataframe_split":
        return _read_split(document[form], model)
    if form == "dataframe_records":
        return _read_records(document[form], model)
    return call_instances(document[form], form, model)


def _read_split(given: Any, model: ServedModel) -> Call:
    columns = given.get("columns") if isinstance(given, dict) else None
    if not isinstance(given, dict) or "data" not in given or not isinstance(columns, list | None):
        raise InvalidRequest('dataframe_split must be {"columns": [...], "data": [[...], ...]}')
    rows = given["data"]
    if columns is None:
        width = len(rows[0]) if isinstance(rows, list) and rows and isinstance(rows[0], list) else 0
        columns = list(range(width))
    return call_table([_column(column) for column in columns], rows, "dataframe_split", model)


def _column(column: Any) -> Any:
    """Names of several levels come as lists."""
    return str(column) if isinstance(column, list | dict) else column


def _read_records(records: Any, model: ServedModel) -> Call:
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InvalidRequest('dataframe_records must be a list of objects such as {"column": value}')
    return call_instances(records, "dataframe_records", model)


def _read_csv(body: bytes, model: ServedModel) -> Call:
    try:
        lines = list(csv.reader(StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest(f"the body isn't CSV in UTF-8 ({error})") from None
    lines = [line for line in lines if line]
    if not lines:
        raise InvalidRequest("the body has no line; the first has the names of the columns")
    takes_text = any(spec.datatype == "BYTES" for spec in model.signature.inputs) or not model.signature.inputs
    texts = {spec.name for spec in model.signature.inputs if spec.datatype == "BYTES"}
    columns = lines[0]
    only_text = takes_text and len(model.signature.inputs) == 1
    rows = [
        [cell if column in texts or only_text else _number(cell) for column, cell in zip(columns, line, strict=False)]
        for line in lines[1:]
    ]
    return call_table(columns, rows, "the CSV", model)


def _number(cell: str) -> Any:
    """A number where it is one, nothing where it is empty, else the text itself: the model says what it wants."""
    if not cell.strip():
        return None
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell


def _write_error(status: int, sentence: str) -> bytes:
    code = {429: "RESOURCE_EXHAUSTED", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 413: "BAD_REQUEST"}
    kind = code.get(status, "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR")
    return dump_json({"error_code": kind, "message": sentence})


MLFLOW = Dialect(_read, _write_error)
