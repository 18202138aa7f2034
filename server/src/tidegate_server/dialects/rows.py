"""Rows as other servers' clients send them: instances, and tables with named columns. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

from tidegate_server.dialects.dialect import Call, ServedModel, call_of
from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.predictor import ParsedRequest
from tidegate_server.predict.text_predictor import TextPredictor
from tidegate_server.protocol.json_codec import dump_json

Document = Callable[[list[Any]], Any]
MAX_SHOWN_COLUMNS = 8


def predictions(rows: list[Any]) -> dict[str, list[Any]]:
    """The answer that KServe, MLflow and Vertex AI share."""
    return {"predictions": rows}


def call_instances(instances: Any, where: str, model: ServedModel, document: Document = predictions) -> Call:
    """One answer for each of `instances`, which the client calls `where`. Raises InvalidRequest."""
    if isinstance(instances, dict):
        return call_of(model.read({"inputs": instances}), document)
    if not isinstance(instances, list):
        raise InvalidRequest(f"{where} must be a list with an entry for each row")
    if not instances:
        return Call((), lambda _: dump_json(document([])))
    return call_of(_read_instances(instances, where, model), document)


def _read_instances(instances: list[Any], where: str, model: ServedModel) -> ParsedRequest:
    if set(map(type, instances)) == {dict}:
        columns = list(instances[0])
        if any(list(instance) != columns and set(instance) != set(columns) for instance in instances):
            raise InvalidRequest(f"{where}: every entry must have the same fields as the first: {_shown(columns)}")
        return read_table(columns, [[instance[column] for column in columns] for instance in instances], where, model)
    if isinstance(model.predictor, TextPredictor) and not isinstance(instances[0], list):
        return model.predictor.read_texts(instances, where, model.signature, model.limits)
    return model.read({"inputs": instances})


def call_table(
    columns: Sequence[Any], rows: Any, where: str, model: ServedModel, document: Document = predictions
) -> Call:
    """One answer for each row of a table. Raises InvalidRequest."""
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
        raise InvalidRequest(f"{where}: every row must be a list of {len(columns)} values, one for each column")
    if not rows:
        return Call((), lambda _: dump_json(document([])))
    return call_of(read_table(columns, rows, where, model), document)


def read_table(columns: Sequence[Any], rows: list[list[Any]], where: str, model: ServedModel) -> ParsedRequest:
    """Columns by the names of the inputs, in any order and with others among them; or all of them as the only input."""
    names = [spec.name for spec in model.signature.inputs]
    place = {column: position for position, column in enumerate(columns)}
    if names and all(name in place for name in names):
        return model.read({"rows": [{name: row[place[name]] for name in names} for row in rows]})
    if isinstance(model.predictor, TextPredictor):
        texts = _texts(place, rows, where)
        return model.predictor.read_texts(texts, where, model.signature, model.limits)
    if len(names) != 1:
        words = f"{where}: the columns are {_shown(columns)}; the model's inputs are {_shown(names)}"
        raise InvalidRequest(f"{words}, and each needs a column")
    return model.read({"inputs": rows})


def _texts(place: dict[Any, int], rows: list[list[Any]], where: str) -> list[Any]:
    if len(place) == 1:
        return [row[0] for row in rows]
    if "text" not in place:
        raise InvalidRequest(f"{where}: this model takes texts; send one column, or one that is called text")
    fields = [field for field in ("text", "text_pair") if field in place]
    return [{field: row[place[field]] for field in fields} for row in rows]


def _shown(names: Sequence[Any]) -> str:
    more = ", …" if len(names) > MAX_SHOWN_COLUMNS else ""
    return ", ".join(str(name)[:80] for name in names[:MAX_SHOWN_COLUMNS]) + more or "none"
