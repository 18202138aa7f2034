"""YAML files as kubectl would read them, with the lines at which fields stand. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

STEP = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True)
class Document:
    """One document of a file; `number` counts from 1."""

    file: str
    number: int
    value: Any
    node: yaml.Node

    def line_of(self, path: str) -> int:
        """Where a field such as `spec.strategy.canary.steps[1].weight` stands, or the nearest one around it."""
        node = self.node
        for step in STEP.findall(path):
            inside = _inside(node, step)
            if inside is None:
                break
            node = inside
        return int(node.start_mark.line) + 1


@dataclass(frozen=True)
class Unreadable:
    """Why a file can't be read as YAML, and where."""

    line: int
    why: str


def documents(file: str, text: str) -> Iterator[Document | Unreadable]:
    """The objects of a file; of a List, each of its items."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        nodes = list(yaml.compose_all(text, loader))
        # Of nodes of their own: what is merged into an object would be added to ours.
        values = [SafeConstructor().construct_document(node) for node in yaml.compose_all(text, loader)]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        yield Unreadable(mark.line + 1 if mark else 1, str(getattr(error, "problem", None) or error))
        return
    except (ValueError, RecursionError) as error:  # a date that is none; a document within itself
        yield Unreadable(1, str(error))
        return
    for number, (node, value) in enumerate(zip(nodes, values, strict=True), 1):
        if value is not None:
            yield from _items(Document(file, number, value, node))


def _items(document: Document) -> Iterator[Document]:
    value = document.value
    items = value.get("items") if isinstance(value, dict) and str(value.get("kind")).endswith("List") else None
    inside = _inside(document.node, "items")
    if not isinstance(items, list) or not isinstance(inside, yaml.SequenceNode):
        yield document
        return
    for item, node in zip(items, inside.value, strict=True):
        yield Document(document.file, document.number, item, node)


def repeated_keys(node: yaml.Node, path: str = "") -> Iterator[tuple[str, int]]:
    """(path, line) of each key that an object has twice: the last counts, and kubectl refuses it."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            at = f"{path}.{key.value}" if path else str(key.value)
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                yield at, key.start_mark.line + 1
            seen.add(key.value)
            yield from repeated_keys(value, at)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from repeated_keys(item, f"{path}[{index}]")


def _inside(node: yaml.Node, step: str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode):
        items: Sequence[yaml.Node] = node.value
        return items[int(step)] if step.isdecimal() and int(step) < len(items) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None
