"""Where programs come from, and in which order."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tidegate_demo.cluster import programs
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.programs import ETCD, KUBERNETES, PROMETHEUS, PROMTOOL, Downloads, Program

PLAIN = Program(
    name="tool",
    version="v1.2.3",
    accepts=r"v1\.2\.",
    download="https://downloads.invalid/{arch}/tool",
    checksums="https://downloads.invalid/{arch}/tool.sha256",
    module="tools",
    package="example.org/tool",
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(programs, "_unreachable_hosts", set())
    monkeypatch.setattr(programs, "cache_folder", lambda: tmp_path)
    return tmp_path


def has(place: str) -> programs.Source:
    return lambda _: Path(place)


def has_not(_: Program) -> Path | None:
    return None


def answers(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], bytes]) -> list[str]:
    """Lets `answer` stand for the network; returns the list of what will have been asked for."""
    asked: list[str] = []

    def get(url: str) -> bytes:
        asked.append(url)
        return answer(url)

    monkeypatch.setattr(programs, "_get", get)
    return asked


def test_the_first_source_that_has_a_program_wins() -> None:
    assert programs.find(PLAIN, (has_not, has("/second"), has("/third"))) == Path("/second")


def test_a_program_that_no_source_has_is_an_error_that_names_it() -> None:
    with pytest.raises(ClusterError, match=r"tool v1\.2\.3"):
        programs.find(PLAIN, (has_not, has_not))


@pytest.mark.parametrize(
    ("says", "taken"),
    [
        pytest.param("v1.2.9", True, id="another patch of the same minor version is taken"),
        pytest.param("v1.3.0", False, id="another minor version is not"),
    ],
)
def test_programs_on_path(says: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\necho tool {says}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert programs.on_path(PLAIN) == (tool if taken else None)


def test_a_download_with_the_published_digest_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(b"program").hexdigest().encode()
    answers(monkeypatch, lambda url: digest if url.endswith(".sha256") else b"program")
    place = Downloads()(PLAIN)
    assert place == programs.cached_at(PLAIN)
    assert (place.read_bytes(), place.stat().st_mode & 0o777) == (b"program", 0o755)


def test_a_download_with_another_digest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, lambda url: b"0" * 64 if url.endswith(".sha256") else b"program")
    assert Downloads()(PLAIN) is None
    assert not programs.cached_at(PLAIN).exists()


def test_an_unreachable_host_is_asked_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str) -> bytes:
        raise requests.ConnectionError(url)

    asked = answers(monkeypatch, unreachable)
    assert [Downloads()(PLAIN), Downloads()(PLAIN)] == [None, None]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("abc\n", "abc", id="a digest alone"),
        pytest.param("one  other.tar.gz\nabc  tool.tar.gz\n", "abc", id="a list of files"),
        pytest.param("abc *tool.tar.gz\n", "abc", id="a list of binary files"),
        pytest.param("one  other.tar.gz\n", "", id="a list without the file"),
    ],
)
def test_published_digests(text: str, expected: str) -> None:
    assert programs.published_digest(text, "tool.tar.gz") == expected


def test_kubernetes_is_built_with_the_version_it_says() -> None:
    assert programs.build_command(KUBERNETES[0], Path("/go"), Path("/out")) == [
        *("/go", "build", "-trimpath", "-ldflags"),
        "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2"
        " -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37",
        *("-o", "/out", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ]


def test_prometheus_is_built_with_one_discovery_only() -> None:
    command = programs.build_command(PROMETHEUS, Path("/go"), Path("/out"))
    assert command[3:5] == ["-tags", "remove_all_sd,enable_kubernetes_sd"]


@pytest.mark.parametrize(
    "program", [*KUBERNETES, ETCD, PROMETHEUS, PROMTOOL, programs.HELM], ids=lambda program: program.name
)
def test_what_is_built_is_the_version_that_is_downloaded(program: Program) -> None:
    major, minor, patch = program.version.removeprefix("v").split(".")
    version = f"v0.{int(major) * 100 + int(minor)}.{patch}" if program in (PROMETHEUS, PROMTOOL) else program.version
    module = program.package.partition("/cmd/")[0]
    required = (programs.MODULES / program.module / "go.mod").read_text().split("\n")
    assert f"{module} {version}" in [line.strip().removesuffix(" // indirect") for line in required]


def test_every_program_has_its_modules_in_the_package() -> None:
    modules = [
        programs.MODULES / program.module for program in (*KUBERNETES, ETCD, PROMETHEUS, PROMTOOL, programs.HELM)
    ]
    assert [module for module in modules if not {"go.mod", "go.sum"} <= {file.name for file in module.iterdir()}] == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("go1.26.8", (1, 26), id="a release"),
        pytest.param("go1.30rc1", (1, 30), id="a candidate"),
        pytest.param("", (0, 0), id="nothing"),
    ],
)
def test_go_versions(said: str, expected: tuple[int, int]) -> None:
    assert programs.go_version(said) == expected
