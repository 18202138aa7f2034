"""A version is set in both places that state it, and nothing else of them changes."""

from pathlib import Path

import pytest

from release.errors import ReleaseError
from release.version import CHART, WORKSPACE, differing, set_version, version_of

TOML = '[project]\nname = "w"\nversion = "0.1.0" # the one place\n\n[tool.other]\nnumber = "0.1.0"\n'
YAML = "apiVersion: v2\n# Both repeat it.\nversion: 0.1.0\nappVersion: 0.1.0\nkubeVersion: '>=1.29.0-0'\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for place, text in ((WORKSPACE, TOML), (CHART, YAML)):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    return tmp_path


def test_both_places_have_the_new_version(checkout: Path) -> None:
    set_version(checkout, "1.2.3")
    assert version_of(checkout) == "1.2.3"
    assert (checkout / WORKSPACE).read_text() == TOML.replace('version = "0.1.0"', 'version = "1.2.3"')
    assert (checkout / CHART).read_text() == YAML.replace("0.1.0", "1.2.3")


@pytest.mark.parametrize("wrong", ["1.2", "v1.2.3", "1.2.3-rc1", "1.2.3\n", ""])
def test_what_is_no_version_changes_nothing(checkout: Path, wrong: str) -> None:
    with pytest.raises(ReleaseError, match="three numbers, as in"):
        set_version(checkout, wrong)
    assert version_of(checkout) == "0.1.0"


def test_a_part_of_another_version_is_named() -> None:
    said = {"chart": "0.2.0", "wheel": "0.1.0", "SBOM": ""}
    assert differing("0.2.0", said) == ["wheel says 0.1.0, not 0.2.0", "SBOM says no version, not 0.2.0"]
