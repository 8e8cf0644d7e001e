"""rich's console, for text of others: no markup is read in it, no control character leaves it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from study.printable import printable_lines
from study.terminal.guard import behind

_SIZE = re.compile("[1-9][0-9]{0,3}")


class CleanConsole(Console):
    """A console that cleans all text it is given before it lays it out.

    What rich itself writes to move the cursor, for a bar that is drawn again and again, stays.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Segments of a renderable, their text printable."""
        if isinstance(renderable, Text) and not renderable.plain.isprintable():
            renderable = renderable.copy()
            # As many letters as before, so that colours stay where they are.
            renderable.plain = printable_lines(renderable.plain)
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)

    def render_str(self, text: str, **options: Any) -> Text:
        """A plain string as text."""
        return super().render_str(printable_lines(text), **options)


def width() -> int:
    """Letters in a line of standard output; 80 where it is no terminal and COLUMNS is not set."""
    return console().width


def console(*, error: bool = False) -> Console:
    """A console on standard output or error, past the guard before them."""
    stream = behind(sys.stderr if error else sys.stdout)
    return CleanConsole(
        file=stream, highlight=False, markup=False, emoji=False, _environ=_surroundings()
    )


def _surroundings() -> dict[str, str]:
    """The environment, without a size of the terminal that no terminal has."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in {"COLUMNS", "LINES"} or _SIZE.fullmatch(value)
    }
