"""How much memory the values of a JSON document can take, seen from its bytes before anybody reads it. Pure."""

from tidegate_server.errors import InvalidRequest

MAX_CONTAINERS = 2**19
"""Lists and objects of one document. Reading so many takes 0.2 s, in which no other Python code runs."""
_LIST_BYTES, _OBJECT_BYTES, _VALUE_BYTES, _QUOTE_BYTES = 96, 240, 48, 32


def check_containers(document: bytes | memoryview) -> None:
    """Raises InvalidRequest for more lists and objects than any tensor needs. Those inside of strings count too."""
    body = bytes(document)
    count = body.count(b"[") + body.count(b"{")
    if count > MAX_CONTAINERS:
        raise InvalidRequest(
            f"the JSON has {count} lists and objects, and at most {MAX_CONTAINERS} are taken; send numbers as one flat "
            'list with its "shape" to /v2/models/NAME/infer, or as binary tensors',
            status=413,
        )


def most_value_bytes(document: bytes | memoryview) -> int:
    """What its values take at most, while they are read and made into arrays."""
    body = bytes(document)
    return (
        len(body)
        + _LIST_BYTES * body.count(b"[")
        + _OBJECT_BYTES * body.count(b"{")
        + _VALUE_BYTES * body.count(b",")
        + _QUOTE_BYTES * body.count(b'"')
    )
