"""Compiles the modules that every request goes through, by mypyc, for a wheel of one Python and one machine.

    HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 uv build --wheel server

Without the variable nothing happens, and the wheel is plain Python. The modules are named in pyproject.toml; they stay
in the wheel as Python too, for tracebacks and for whoever reads them.
"""

from contextlib import chdir
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "tidegate_server"
# What is wrong with types is said by `make check`; here the types of packages may be missing.
_MYPY = ("--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--explicit-package-bases")


class CompileHook(BuildHookInterface[Any]):
    """hatchling's: runs before a wheel is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """hatchling: `version` is "editable" for an installation that follows the source."""
        if version == "editable":
            return
        self._scratch = TemporaryDirectory(prefix="tidegate-compile-")
        built = compile_modules(Path(self.root, "src"), Path(self._scratch.name), self.config["modules"])
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"] |= {str(built / library): library for library in _libraries(built)}

    def finalize(self, version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """hatchling: the wheel is there."""
        if version != "editable":
            self._scratch.cleanup()


def compile_modules(source: Path, scratch: Path, modules: list[str]) -> Path:
    """`modules` below PACKAGE. The folder in which their libraries lie as in the wheel."""
    from mypyc.build import mypycify
    from setuptools import Distribution  # type: ignore[import-untyped]

    copytree(source, scratch / "source", ignore=ignore_patterns("__pycache__"))
    with chdir(scratch / "source"):
        files = [f"{PACKAGE}/{module.replace('.', '/')}.py" for module in modules]
        extensions = mypycify([*_MYPY, *files], opt_level="3", debug_level="0", group_name=PACKAGE)
        command = Distribution({"name": PACKAGE, "ext_modules": extensions}).get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(scratch / "built"), str(scratch / "objects")
        command.ensure_finalized()
        command.run()
    return scratch / "built"


def _libraries(built: Path) -> list[str]:
    return [str(path.relative_to(built)) for path in sorted(built.rglob("*.so"))]
