"""`tidegate migrate`: reads files, and writes ModelDeployments with what they don't say above each."""

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.output import write_line
from tidegate.cli.lint.command import read_documents
from tidegate.cli.lint.findings import Finding
from tidegate.cli.migrate.convert import KNOWN, Migrated, converter, migrated
from tidegate.model.units import counted

EXACT, REMARKS = 0, 1


def migrate(files: Sequence[Path], model: str = "") -> int:
    """The exit code: 1 where something couldn't be carried over as it was."""
    found = list[Migrated]()
    for each in read_documents(files):
        if isinstance(each, Finding):
            raise Unusable(f"{each.file}:{each.line}: {each.what}")
        if convert := converter(each.value):
            found.append(migrated(each.value, convert, model))
    if not found:
        kinds = ", ".join(sorted(kind for _, kind in KNOWN))
        raise Unusable(f"there is none of {kinds} in {', '.join(map(str, files))}")
    for number, one in enumerate(found):
        _write(one, first=number == 0)
    left = sum(len(one.remarks) for one in found)
    told = "nothing is left out" if not left else f"{counted(left, 'remark')} above: read each before you apply it"
    write_line(sys.stderr, f"{counted(len(found), 'ModelDeployment')}; {told}")
    return REMARKS if left else EXACT


def _write(one: Migrated, *, first: bool) -> None:
    lines = [] if first else ["---"]
    lines += [f"# {remark.path}: {remark.sentence}" for remark in one.remarks]
    text = yaml.safe_dump(one.manifest, sort_keys=False, allow_unicode=True, width=1000)
    write_line(sys.stdout, "\n".join([*lines, text.rstrip()]))
