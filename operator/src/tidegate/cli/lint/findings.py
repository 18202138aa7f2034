"""What a cluster would refuse in a ModelDeployment, each with its field and what to write. Pure.

The CRD's own schema and rules come in, as does whoever evaluates CEL. The operator's own reading of the spec is asked
last: what passes here is understood by it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.cli.lint.documents import Document, repeated_keys
from tidegate.errors import InvalidSpec
from tidegate.model.metric_template import filled_in, parse_template
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.resources.crd_schema import Holds, Schema, refusals, told_unknown, unknown_fields, with_defaults
from tidegate.resources.names import GROUP, VERSION

FIELD = re.compile(r"\b(?:spec|metadata|apiVersion|kind)(?:\.[A-Za-z_][\w-]*|\[\d+\])*")
KIND, TEMPLATE_KIND = "ModelDeployment", "MetricTemplate"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong; `what` is a sentence that names the field and says what to write."""

    file: str
    line: int
    document: int
    name: str
    """namespace/name of the object, as far as it says."""
    field: str
    what: str


def is_ours(document: Document, kind: str = KIND) -> bool:
    """Whether it means to be a ModelDeployment, or another kind of ours."""
    value = document.value
    return isinstance(value, Mapping) and value.get("kind") == kind and str(value.get("apiVersion")).startswith(GROUP)


def findings(
    document: Document, schema: Schema, rule_holds: Holds | None, templates: Sequence[Document] = ()
) -> Iterator[Finding]:
    """All of one ModelDeployment or MetricTemplate; `schema` is of the whole object.

    `templates` are the MetricTemplates of the same files. One that is elsewhere isn't looked for.
    """
    for line, what in (*_sentences(document, schema, rule_holds), *_of_templates(document, schema, templates)):
        found = FIELD.search(what)
        field = found[0] if found else ""
        yield Finding(document.file, line or document.line_of(field), document.number, _name(document), field, what)


def _sentences(document: Document, schema: Schema, rule_holds: Holds | None) -> Iterator[tuple[int | None, str]]:
    value, wanted = document.value, f"{GROUP}/{VERSION}"
    for path, line in repeated_keys(document.node):
        yield line, f"{path} is given twice in one object, and only the last would count; keep one"
    if value.get("apiVersion") != wanted:
        yield None, f"apiVersion must be {wanted}, not {value.get('apiVersion')!r}"
    if not isinstance(value.get("metadata"), Mapping) or not value["metadata"].get("name"):
        yield None, "metadata.name has to be given"
        return
    yield from ((None, told_unknown(*found)) for found in unknown_fields(schema, value, ""))
    refused = list(refusals(schema, with_defaults(schema, value), "", rule_holds))
    yield from ((None, each.lstrip(". ")) for each in refused)
    if not refused and value.get("kind") == KIND:
        yield from _unparsed(schema, value)


def _unparsed(schema: Schema, value: Mapping[str, Any]) -> Iterator[tuple[None, str]]:
    try:
        ModelDeploymentSpec.parse(with_defaults(schema, value)["spec"])
    except InvalidSpec as error:
        yield None, str(error).removesuffix("; is the CRD older than the operator?")


def _of_templates(
    document: Document, schema: Schema, templates: Sequence[Document]
) -> Iterator[tuple[int | None, str]]:
    """Where a query and the template that it names don't fit."""
    try:
        spec = ModelDeploymentSpec.parse(with_defaults(schema, document.value)["spec"])
        there = {_place(each): parse_template(each.value) for each in templates}
    except (InvalidSpec, KeyError, TypeError, AttributeError):
        return  # which is told elsewhere
    namespace = document.value["metadata"].get("namespace")
    for number, query in enumerate(spec.analysis.queries):
        found = there.get((namespace, query.template)) if query.template else None
        if found and (problem := filled_in(query, found).problem):
            yield None, f"spec.analysis.queries[{number}] can't be asked: {problem}"


def _place(template: Document) -> tuple[str | None, str]:
    metadata = template.value["metadata"]
    return metadata.get("namespace"), metadata["name"]


def _name(document: Document) -> str:
    metadata = document.value.get("metadata")
    if not isinstance(metadata, Mapping):
        return ""
    return "/".join(str(metadata[part]) for part in ("namespace", "name") if metadata.get(part))
