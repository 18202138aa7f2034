"""What is unreleased becomes a version's section, which becomes the notes of its release."""

from datetime import date

import pytest

from release.changelog import released, section
from release.errors import ReleaseError
from release.notes import notes

DAY = date(2026, 12, 1)
BEFORE = """# Changelog

## [Unreleased]

### Added

- Something.

## [0.1.0] - 2026-10-01

- The first.
"""


def test_what_is_unreleased_becomes_the_versions_section() -> None:
    cut = BEFORE.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n")
    assert released(BEFORE, "0.2.0", DAY) == cut
    assert (section(cut, "0.2.0"), section(cut, "Unreleased")) == ("### Added\n\n- Something.", "")


def test_a_version_that_has_its_section_is_not_cut_again() -> None:
    once = released(BEFORE, "0.2.0", DAY)
    assert released(once, "0.2.0", date(2026, 12, 24)) == once


def test_nothing_unreleased_is_no_release() -> None:
    with pytest.raises(ReleaseError, match="nothing below Unreleased"):
        released(released(BEFORE, "0.2.0", DAY), "0.3.0", DAY)


@pytest.mark.parametrize(("version", "told"), [("0.1.0", "- The first."), ("Unreleased", "### Added\n\n- Something.")])
def test_a_section_ends_where_the_next_begins(version: str, told: str) -> None:
    assert section(BEFORE, version) == told


def test_an_unknown_version_has_no_notes() -> None:
    with pytest.raises(ReleaseError, match=r"no heading `## \[9\.9\.9\]`"):
        notes(BEFORE, "9.9.9", "owner/name", "registry.example/folder")


def test_notes_say_how_to_check_what_was_downloaded() -> None:
    told = notes(BEFORE, "0.1.0", "owner/name", "registry.example/folder")
    assert told.startswith("- The first.\n\n## Check what you have\n")
    assert "https://github.com/owner/name/.github/workflows/release.yaml@refs/tags/v0.1.0" in told
    assert "registry.example/folder/operator:0.1.0" in told
