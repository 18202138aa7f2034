"""Where the story is told: a live panel on a terminal, plain lines everywhere else."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.syntax import Syntax
from typing_extensions import override

from tidegate_demo.panel import View, change_line, draw, milliseconds

PLAIN_SECONDS = 10.0


class Teller(Protocol):
    def __enter__(self) -> Teller: ...

    def __exit__(self, *_: object) -> None: ...

    def line(self, text: str) -> None: ...

    def yaml(self, text: str) -> None: ...

    def show(self, view: View, now: float) -> None: ...


def teller(console: Console) -> Teller:
    return LiveTeller(console) if console.is_terminal else PlainTeller(console)


class LiveTeller(Teller):
    """Lines and YAML scroll by above; the panel stays at the bottom."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)

    @override
    def __enter__(self) -> LiveTeller:
        self._live.start()
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self._live.stop()

    @override
    def line(self, text: str) -> None:
        self._console.print(text, markup=False)

    @override
    def yaml(self, text: str) -> None:
        self._console.print(Syntax(text.rstrip(), "yaml", background_color="default"))

    @override
    def show(self, view: View, now: float) -> None:
        self._live.update(draw(view), refresh=True)


class PlainTeller(Teller):
    """A line when something changed, and one every ten seconds in any case."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""
        self._events = 0
        self._told = 0.0

    @override
    def __enter__(self) -> PlainTeller:
        return self

    @override
    def __exit__(self, *_: object) -> None:
        pass

    @override
    def line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    @override
    def yaml(self, text: str) -> None:
        self.line(text.rstrip())

    @override
    def show(self, view: View, now: float) -> None:
        fresh = view.events[self._events :]
        self._events = len(view.events)
        for event in fresh:
            self.line(f"  event {event.reason}: {event.message}")
        changed = change_line(view.seen)
        if changed == self._last and now - self._told < PLAIN_SECONDS:
            return
        self._last, self._told = changed, now
        recent, total = view.recent, view.total
        self.line(
            f"  {view.elapsed:3.0f} s  {changed}; {recent.sent / view.recent_seconds:.0f} requests/s, "
            f"p50 {milliseconds(recent.p50)}, p99 {milliseconds(recent.p99)}; "
            f"{total.model_errors} model errors, {total.wrong} wrong, {total.lost} lost so far"
        )
        if view.seen.analysis:
            self.line(f"         {view.seen.analysis}")
