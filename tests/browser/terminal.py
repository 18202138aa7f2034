"""Makes a picture that moves of what a terminal showed. Run by another Python, which has pyte: see `__main__`.

Reads an asciicast (version 2) and writes an SVG that needs no script: its frames lie side by side, and one after the
other is shown. Who wants no movement sees the last one.
"""

import html
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyte

CHARACTER, LINE, MARGIN, SIZE = 8.43, 19, 16, 14
EACH_SECONDS = 2.5
"""Of the run, from one frame to the next."""
SPEED = 4
LAST_SECONDS = 4
"""So long the last frame stays, by the picture's own time."""
BACKGROUND, FOREGROUND = "#16181d", "#d6dae2"
COLOURS = {
    "default": FOREGROUND,
    "black": "#5b6270",
    "red": "#f47067",
    "green": "#6bc46d",
    "brown": "#daaa3f",
    "blue": "#6cb6ff",
    "magenta": "#dcbdfb",
    "cyan": "#56d4dd",
    "white": "#d6dae2",
    "brightblack": "#8b949e",
}
Row = tuple[tuple[str, str, bool], ...]
"""Text, colour and whether it is bold, from left to right."""


def frames(cast: Sequence[str]) -> Iterator[tuple[Row, ...]]:
    """What the terminal showed each so many seconds, where it is something else than before."""
    head = json.loads(cast[0])
    screen = pyte.Screen(head["width"], head["height"])
    stream = pyte.Stream(screen)
    before: tuple[Row, ...] = ()
    events = [json.loads(line) for line in cast[1:]]
    for _, group in itertools.groupby(events, key=lambda event: int(event[0] / EACH_SECONDS)):
        for event in group:
            stream.feed(event[2])
        shown = tuple(_row(screen, line) for line in range(screen.lines))
        if shown != before and any(shown):
            before = shown
            yield shown


def _row(screen: Any, line: int) -> Row:
    cells = [screen.buffer[line][column] for column in range(screen.columns)]
    groups = itertools.groupby(cells, key=lambda cell: (cell.fg, cell.bold))
    parts = [("".join(cell.data for cell in group), colour, bold) for (colour, bold), group in groups]
    while parts and not parts[-1][0].strip():
        parts.pop()
    return tuple(parts)


def svg(shown: Sequence[tuple[Row, ...]], columns: int, title: str) -> str:
    """The picture; `shown` has one frame at least."""
    lines = max(1 + max((number for number, row in enumerate(frame) if row), default=0) for frame in shown)
    width, height = columns * CHARACTER + 2 * MARGIN, lines * LINE + 2 * MARGIN
    each = EACH_SECONDS / SPEED
    whole = each * (len(shown) - 1) + LAST_SECONDS
    steps = "".join(
        f"{100 * each * number / whole:.3f}%{{transform:translateX({-width * number:.2f}px)}}"
        for number in range(len(shown))
    )
    body = "".join(
        f'<g transform="translate({width * number:.2f} 0)">{_frame(frame, lines)}</g>'
        for number, frame in enumerate(shown)
    )
    last = f"transform:translateX({-width * (len(shown) - 1):.2f}px)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.2f} {height}" role="img" '
        f'aria-label="{html.escape(title, quote=True)}"><title>{html.escape(title)}</title><style>'
        f"@keyframes frames{{{steps}100%{{{last}}}}}"
        f"#frames{{animation:frames {whole:.2f}s step-end infinite}}"
        f"@media (prefers-reduced-motion:reduce){{#frames{{animation:none;{last}}}}}"
        f"text{{font:{SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}}"
        f'.b{{font-weight:700}}</style><rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>'
        f'<g id="frames">{body}</g></svg>\n'
    )


def _frame(frame: tuple[Row, ...], lines: int) -> str:
    return "".join(_line(row, number) for number, row in enumerate(frame[:lines]) if row)


def _line(row: Row, number: int) -> str:
    found, column = [], 0
    for text, colour, bold in row:
        x = MARGIN + column * CHARACTER
        length = f' textLength="{len(text) * CHARACTER:.1f}"' if text.strip() else ""
        weight = ' class="b"' if bold else ""
        if text.strip():
            found.append(
                f'<tspan x="{x:.1f}"{length}{weight} fill="{_colour(colour)}">{html.escape(text, quote=False)}</tspan>'
            )
        column += len(text)
    return f'<text y="{MARGIN + SIZE + number * LINE}" xml:space="preserve">{"".join(found)}</text>'


def _colour(name: str) -> str:
    return COLOURS.get(name) or (f"#{name}" if len(name) == 6 else FOREGROUND)


def main() -> int:
    """Reads the cast that the first argument names, and writes the second."""
    cast = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    head = json.loads(cast[0])
    Path(sys.argv[2]).write_text(svg(list(frames(cast)), head["width"], head["title"]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
