"""A ModelDeployment's spec from a file, for commands that need no cluster."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.set_option import refused_in
from tidegate.errors import InvalidSpec
from tidegate.resources.crd_schema import Schema, told_unknown, unknown_fields, with_defaults


def read_spec(file: Path, schema: Schema, parts: Sequence[str], lacking: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec of the first ModelDeployment in a file, or on stdin for `-`, with the CRD's defaults.

    `lacking` is there where the file has nothing of that name. Only `parts` have to be as the API server takes them.
    Raises Unusable where the file can't be read, and InvalidSpec for what is in it.
    """
    try:
        documents = list(yaml.safe_load_all(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")))
    except OSError as error:
        raise Unusable(f"{file} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidSpec(f"{file} isn't YAML: {' '.join(str(error).split())}") from error
    for document in documents:
        if isinstance(document, Mapping) and document.get("kind") == "ModelDeployment":
            given = document.get("spec") or {}
            if unknown := next(unknown_fields(schema, given, "spec"), None):
                raise InvalidSpec(f"{file}: {told_unknown(*unknown)}")
            spec: Mapping[str, Any] = with_defaults(schema, {**lacking, **given})
            if refused := refused_in(spec, schema, parts):
                raise InvalidSpec(f"{file}: {refused}")
            return spec
    raise InvalidSpec(f"{file} holds no ModelDeployment")
