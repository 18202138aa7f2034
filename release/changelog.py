"""The changelog: what isn't released yet becomes a version's section, and a section the notes of its release. Pure."""

import re
from datetime import date

from release.errors import ReleaseError

UNRELEASED = "## [Unreleased]"
_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\].*$", re.MULTILINE)


def released(text: str, version: str, day: date) -> str:
    """The changelog with what was unreleased below `version`, and an empty `Unreleased` above it.

    As it is where `version` has its section already. Raises ReleaseError where nothing is unreleased.
    """
    if version in (heading["version"] for heading in _HEADING.finditer(text)):
        return text
    if not section(text, "Unreleased"):
        raise ReleaseError("CHANGELOG.md has nothing below Unreleased; say first what users notice")
    return text.replace(UNRELEASED, f"{UNRELEASED}\n\n## [{version}] - {day.isoformat()}", 1)


def section(text: str, version: str) -> str:
    """What stands below the heading of a version. Raises ReleaseError where there is no such heading."""
    headings = list(_HEADING.finditer(text))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading["version"] == version:
            return text[heading.end() : following.start() if following else None].strip()
    raise ReleaseError(f"CHANGELOG.md has no heading `## [{version}]`; `make version V={version}` writes it")
