"""What the packages and the chart say about themselves: one version, one licence."""

import re
import tomllib
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Any

import pytest
import yaml

import tidegate_server

REPOSITORY = Path(__file__).parents[2]
MEMBERS = {"operator": "tidegate", "server": "tidegate-server", "demo": "tidegate-demo"}


def project(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return table


def chart() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((REPOSITORY / "charts" / "tidegate" / "Chart.yaml").read_text())
    return read


VERSION = project(REPOSITORY)["version"]


def test_the_chart_and_every_package_have_the_workspaces_version() -> None:
    told = {package: version(package) for package in MEMBERS.values()}
    told |= {"chart": chart()["version"], "appVersion": chart()["appVersion"], "server": tidegate_server.__version__}
    assert told == dict.fromkeys(told, VERSION)


@pytest.mark.parametrize("member", MEMBERS)
def test_no_package_states_a_version_of_its_own(member: str) -> None:
    assert "version" not in project(REPOSITORY / member)


@pytest.mark.parametrize("member", MEMBERS)
def test_every_package_carries_the_licence(member: str) -> None:
    told = metadata(MEMBERS[member])
    assert (told["License-Expression"], told.get_all("License-File")) == ("Apache-2.0", ["LICENSE"])
    assert (REPOSITORY / member / "LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()


def test_the_chart_tells_the_licence() -> None:
    assert chart()["annotations"] == {"artifacthub.io/license": project(REPOSITORY)["license"]}


@pytest.mark.parametrize("name", ["Dockerfile.operator", "Dockerfile.server"])
def test_images_are_built_with_the_makefiles_uv(name: str) -> None:
    (ours,) = re.findall(r"^UV_VERSION := (\S+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"\buv==(\S+)", (REPOSITORY / name).read_text()) == [ours]
