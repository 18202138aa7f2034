"""`tidegate lint`: reads files, and writes what a cluster would refuse in them."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tidegate.cli.common.crd_file import METRIC_TEMPLATES, schema_of_all
from tidegate.cli.common.documents import Output, document
from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.output import write_line
from tidegate.cli.lint.cel_rules import cel_rules
from tidegate.cli.lint.documents import Document, Unreadable, documents
from tidegate.cli.lint.findings import KIND, TEMPLATE_KIND, Finding, findings, is_ours
from tidegate.cli.lint.other_kinds import instead
from tidegate.model.units import counted

GOOD, BAD = 0, 1
WITHOUT_CEL = "install what reads them with: pip install 'tidegate[lint]'"
SUFFIXES = (".yaml", ".yml", ".json")


def lint(files: Sequence[Path], output: Output) -> int:
    """The exit code: 1 where anything is wrong."""
    schemas = {KIND: schema_of_all(), TEMPLATE_KIND: schema_of_all(METRIC_TEMPLATES)}
    rule_holds, read = cel_rules(), list(read_documents(files))
    found = [each for each in read if isinstance(each, Finding)]
    there = [each for each in read if isinstance(each, Document)]
    models, templates = ([each for each in there if is_ours(each, kind)] for kind in schemas)
    for each in (*models, *templates):
        found += findings(each, schemas[each.value["kind"]], rule_holds, templates)
    _write(found, output)
    if not models and not templates and not found:
        raise Unusable(f"there is no ModelDeployment in {', '.join(map(str, files))}{instead(there)}")
    _summary(len(models), len(templates), len(found), rule_holds is not None)
    return BAD if found else GOOD


def _summary(looked: int, templates: int, wrong: int, by_cel: bool) -> None:
    models = counted(looked, "ModelDeployment")
    if templates:
        models += f" and {counted(templates, 'MetricTemplate')}"
    problems = counted(wrong, "problem") if wrong else "nothing is wrong"
    left = "" if by_cel else f"; some of the CRD's rules weren't checked: {WITHOUT_CEL}"
    write_line(sys.stderr, f"{models}: {problems}{left}")


def _write(found: Sequence[Finding], output: Output) -> None:
    if output in (Output.JSON, Output.YAML):
        write_line(sys.stdout, document([asdict(each) for each in found], output))
    elif output is Output.NAME:
        for name in dict.fromkeys(each.name for each in found):
            write_line(sys.stdout, name)
    else:
        for each in found:
            write_line(sys.stdout, f"{each.file}:{each.line}: {f'{each.name}: ' if each.name else ''}{each.what}")


def read_documents(files: Sequence[Path]) -> Iterator[Document | Finding]:
    """Every object of the files; a Finding for what can't be read as YAML. Raises Unusable where a file isn't there."""
    for file in (each for given in files for each in _inside(given)):
        for each in documents(str(file), _read(file)):
            if isinstance(each, Unreadable):
                yield Finding(str(file), each.line, 1, "", "", f"this isn't YAML: {each.why}")
            else:
                yield each


def _inside(given: Path) -> list[Path]:
    """A file, or the YAML and JSON files in a folder."""
    if not given.is_dir():
        return [given]
    return sorted(each for each in given.rglob("*") if each.suffix in SUFFIXES and each.is_file())


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Unusable(f"{file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unusable(f"{file} can't be read: it isn't UTF-8") from error
