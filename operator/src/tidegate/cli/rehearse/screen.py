"""A rehearsal as it goes on: the tree of `tidegate status --watch` in a terminal, lines elsewhere."""

from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from tidegate.cli.common.output import write_line
from tidegate.cli.status.screen import LiveTree, PlainTree, can_draw
from tidegate.rehearsal.engine import Scene
from tidegate.rehearsal.router import NAMESPACE
from tidegate.view.rollout_view import RolloutView


class Tree(Protocol):
    """Where a rollout is shown; a context manager."""

    def __enter__(self) -> "Tree": ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, view: RolloutView, now: Any, notes: list[str]) -> None: ...


class Screen:
    """Shows scenes inside of `with`."""

    def __init__(self, out: TextIO, name: str, spec: Mapping[str, Any]) -> None:
        self._out, self._spec = out, spec
        self._metadata = {"namespace": NAMESPACE, "name": name, "generation": 1}
        self._tree: Tree | None = None
        self._said = ""

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *error: object) -> None:
        if self._tree:
            self._tree.__exit__(*error)

    def show(self, scene: Scene) -> None:
        """As it is now."""
        if scene.note:
            self._say(scene.note)
            return
        if self._tree is None:
            self._tree = LiveTree() if can_draw(self._out) else PlainTree(self._out)
            self._tree.__enter__()
        manifest = {"metadata": self._metadata, "spec": self._spec, "status": scene.status.to_dict()}
        self._tree.show(RolloutView.of(manifest), scene.now, [])

    def _say(self, note: str) -> None:
        """What comes before the release, a line each."""
        if note != self._said:
            self._said = note
            write_line(self._out, note)
