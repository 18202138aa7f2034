"""What files hold in the place of a ModelDeployment, and whether one of ours was meant. Pure."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from tidegate.cli.lint.documents import Document
from tidegate.cli.lint.findings import KIND, TEMPLATE_KIND
from tidegate.resources.names import GROUP, VERSION

OURS = (KIND, TEMPLATE_KIND)
MOST_KINDS = 5
"""Of those that are named."""
ALIKE = 0.85
"""From which on one word is another one misspelt: ModelDeploymnet is, and Deployment isn't."""


def instead(there: Sequence[Document]) -> str:
    """`, only Deployment, Service`, and what to write where a kind of ours was meant; nothing for no object at all."""
    kinds = list(dict.fromkeys(_kinds(there)))
    if not kinds:
        return ""
    others = f", only {', '.join(kinds[:MOST_KINDS])}{' and others' if len(kinds) > MOST_KINDS else ''}"
    return "; ".join((others, *_meant(kinds)))


def _kinds(there: Sequence[Document]) -> Iterator[str]:
    for each in there:
        kind = each.value.get("kind") if isinstance(each.value, dict) else None
        if isinstance(kind, str):
            yield kind


def _meant(kinds: Sequence[str]) -> Iterator[str]:
    for kind in kinds:
        if kind in OURS:
            yield f"to be one of ours, a {kind} has apiVersion {GROUP}/{VERSION}"
        elif near := get_close_matches(kind, OURS, 1, ALIKE):
            yield f"{kind} is no kind of ours: is it {near[0]}?"
