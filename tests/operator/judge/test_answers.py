"""Two answers to one request: the same within tolerances, or different, and in what."""

from typing import Any

import orjson
import pytest

from tidegate.judge.answers import Compare, Kind, Reply, Tolerances, difference


def tensor(data: list[Any], datatype: str = "FP32", shape: list[int] | None = None, name: str = "y") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def infer(*outputs: dict[str, Any], revision: str = "a") -> dict[str, Any]:
    return {"model_name": "m", "model_version": revision, "id": revision, "outputs": list(outputs)}


def row(label: str, score: float, **more: Any) -> dict[str, Any]:
    return {"label": label, "score": score, "model": "m", "revision": label, **more}


ROWS = tensor([0.2, 0.8, 0.6, 0.4], shape=[2, 2])


@pytest.mark.parametrize(
    ("stable", "other", "values", "classes"),
    [
        pytest.param(infer(ROWS), infer(ROWS, revision="b"), None, None, id="only who answers differs"),
        pytest.param(infer(ROWS), infer(tensor(ROWS["data"], shape=[4])), Kind.SHAPE, Kind.SHAPE, id="another shape"),
        pytest.param(infer(ROWS), infer({**ROWS, "name": "z"}), Kind.NAMES, Kind.NAMES, id="another name"),
        pytest.param(infer(ROWS), infer({**ROWS, "datatype": "FP64"}), Kind.TYPE, Kind.TYPE, id="another type"),
        pytest.param(infer(ROWS), infer(ROWS, ROWS), Kind.SHAPE, Kind.SHAPE, id="one more output"),
        pytest.param(
            infer(ROWS), infer(tensor([0.20005, 0.8, 0.6, 0.4], shape=[2, 2])), None, None, id="within the tolerance"
        ),
        pytest.param(infer(ROWS), infer(tensor([0.3, 0.7, 0.6, 0.4], shape=[2, 2])), Kind.NUMBER, None, id="less sure"),
        pytest.param(
            infer(ROWS),
            infer(tensor([0.2, 0.8, 0.4, 0.6], shape=[2, 2])),
            Kind.NUMBER,
            Kind.CLASS,
            id="another best class in the second row",
        ),
        pytest.param(
            infer(tensor([1, 2], shape=[1, 2])), infer(tensor([1.0, 2.0], shape=[1, 2])), None, None, id="1 and 1.0"
        ),
        pytest.param(
            infer(tensor([7], "INT64")), infer(tensor([8], "INT64")), Kind.CLASS, Kind.CLASS, id="another whole number"
        ),
        pytest.param(
            infer(tensor(["a b"], "BYTES")), infer(tensor(["a c"], "BYTES")), Kind.TEXT, Kind.TEXT, id="another text"
        ),
        pytest.param(
            infer(tensor([True], "BOOL")), infer(tensor([False], "BOOL")), Kind.TEXT, Kind.TEXT, id="yes and no"
        ),
        pytest.param(
            infer(tensor([1.0])), infer(tensor([None])), Kind.TYPE, Kind.TYPE, id="a number that is none any more"
        ),
        pytest.param(row("cat", 0.91), row("cat", 0.915), None, None, id="a score within its tolerance"),
        pytest.param(row("cat", 0.91), row("cat", 0.8), Kind.SCORE, None, id="another score"),
        pytest.param(row("cat", 0.91), row("dog", 0.5), Kind.CLASS, Kind.CLASS, id="another label and score"),
        pytest.param(
            {"predictions": [row("cat", 0.9)] * 2},
            {"predictions": [row("cat", 0.9)]},
            Kind.SHAPE,
            Kind.SHAPE,
            id="fewer rows",
        ),
        pytest.param(row("cat", 0.9), row("cat", 0.9, truncated=True), Kind.NAMES, Kind.NAMES, id="one more field"),
        pytest.param([0.1, 0.9], {"a": 1}, Kind.TYPE, Kind.TYPE, id="a list and an object"),
    ],
)
def test_answers(stable: Any, other: Any, values: Kind | None, classes: Kind | None) -> None:
    replies = Reply(200, orjson.dumps(stable)), Reply(200, orjson.dumps(other))
    assert difference(*replies, Tolerances()) == values
    assert difference(*replies, Tolerances(Compare.CLASSES)) == classes


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param(Reply(400, b"no"), Kind.REFUSED, id="refused"),
        pytest.param(Reply(0), Kind.REFUSED, id="no answer"),
        pytest.param(Reply(200, b"\x00\x01"), Kind.TEXT, id="other bytes that are no JSON"),
        pytest.param(Reply(200, b"{}"), None, id="the same bytes"),
    ],
)
def test_what_is_no_json_answer(other: Reply, expected: Kind | None) -> None:
    assert difference(Reply(200, b"{}"), other, Tolerances()) == expected
