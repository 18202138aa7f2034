"""One object of another tool's, whose fields are taken one by one; what nobody took has to be told of. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
NOT_CARRIED_OVER = "it isn't carried over: docs/modeldeployment.md has every field that there is"
SERVER_SIDE = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Remark:
    """What wasn't carried over as it was: a field of the source, and one sentence."""

    path: str
    sentence: str


@dataclass
class Source:
    """An object as YAML has it. `take` gives a field and notes that it was seen, with all that is in it."""

    value: Mapping[str, Any]
    remarks: list[Remark] = field(default_factory=list)
    _taken: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        for path in ("apiVersion", "kind", "status", *(f"metadata.{name}" for name in SERVER_SIDE)):
            self.take(path)
        self._taken.add(("metadata", "annotations", APPLIED))

    def take(self, path: str, default: Any = None) -> Any:
        """A field such as `spec.predictor.model.storageUri` or `spec.canary.0`."""
        steps = parsed(path)
        self._taken.add(steps)
        return found(self.value, steps, default)

    def look(self, path: str, default: Any = None) -> Any:
        """The same without taking it."""
        return found(self.value, parsed(path), default)

    def remark(self, path: str, sentence: str) -> None:
        """Of a field that is there."""
        if self.take(path) is not None:
            self.say(path, sentence)

    def say(self, path: str, sentence: str) -> None:
        """Of a field, whether it is there or not."""
        self.remarks.append(Remark(shown(parsed(path)), sentence))

    def told(self) -> tuple[Remark, ...]:
        """All remarks, and one for each field that nobody has taken."""
        left = (Remark(shown(path), NOT_CARRIED_OVER) for path in self._left(self.value, ()))
        return (*self.remarks, *left)

    def _left(self, value: Any, path: Path) -> Iterator[Path]:
        """The topmost fields in which nothing was taken."""
        if path in self._taken:
            return
        inside = [each for each in self._taken if each[: len(path)] == path]
        if not inside:
            yield path
        else:
            for name, inner in entries(value):
                yield from self._left(inner, (*path, name))


def entries(value: Any) -> Sequence[tuple[str | int, Any]]:
    """Of a mapping or a list."""
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def parsed(path: str) -> Path:
    """Numbers are places in lists."""
    return tuple(int(step) if step.isdigit() else step for step in path.split("."))


def shown(path: Path) -> str:
    """`spec.containers[0].env`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def found(value: Any, path: Path, default: Any) -> Any:
    """What is at a path, or the default."""
    for step in path:
        inside = dict(entries(value))
        if step not in inside:
            return default
        value = inside[step]
    return default if value is None else value


def without_nothing(value: Any) -> Any:
    """A manifest without the fields that nothing was said for."""
    if not isinstance(value, Mapping):
        return value
    kept = {name: without_nothing(inner) for name, inner in value.items()}
    return {name: inner for name, inner in kept.items() if inner not in (None, {}, [])}


Convert = Callable[[Source, str], Mapping[str, Any]]
"""A source, and the model's URI where somebody said it, as the spec of a ModelDeployment."""
