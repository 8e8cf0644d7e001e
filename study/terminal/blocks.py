"""A table too wide for the terminal, in blocks one below the other: no column is dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

LABEL_LETTERS = 34
"""At most, of what stands at the left of each row."""
_HEADING = 16
"""Letters of a line of a heading, if its column is not wider anyway."""
_BETWEEN = (3, 2)
"""Blanks between columns, the better number first."""


def in_blocks(
    title: Text | str,
    labels: Sequence[str],
    columns: Sequence[tuple[str, Sequence[str]]],
    *,
    width: int,
) -> Iterator[Table]:
    """Tables with as many columns each as fit, the row labels at the left of every one.

    Parameters
    ----------
    title
        Above the first one.
    labels
        Of the rows.
    columns
        (heading, a text for each row); headings are folded, texts never.
    width
        Letters there are.
    """
    needed = [_letters(heading, cells) for heading, cells in columns]
    left, numbers, between = _layout(labels, needed, width)
    first = True
    for number in numbers or [0]:
        yield _block(
            title if first else "", labels, columns[:number], needed[:number], left, between
        )
        columns, needed, first = columns[number:], needed[number:], False


def _layout(labels: Sequence[str], needed: Sequence[int], width: int) -> tuple[int, list[int], int]:
    """Letters for the labels, how many columns go into each block, and blanks between columns.

    Labels fold between words, down to two thirds, and columns move together, where that saves a
    block, and before a figure is cut.
    """
    least = min(_BETWEEN)
    longest = max(map(cell_len, labels), default=0)
    most = max(min(longest, LABEL_LETTERS, width - max(needed, default=0) - least), 8)
    word = max((cell_len(word) for label in labels for word in label.split()), default=0)
    found = [
        (left, _filled(needed, width - left, between), between)
        for left in range(most, min(max(2 * most // 3, word - 1), most - 1), -1)
        for between in _BETWEEN
    ]
    return min(found, key=lambda one: len(one[1]))


def _filled(needed: Sequence[int], room: int, between: int) -> list[int]:
    """How many columns go beside each other, block by block; one at least."""
    numbers: list[int] = []
    left = 0
    for letters in needed:
        if not numbers or letters + between > left:
            numbers.append(0)
            left = room
        numbers[-1] += 1
        left -= letters + between
    return numbers


def _letters(heading: str, cells: Sequence[str]) -> int:
    """How wide a column is: its figures stay whole, its heading folds between words."""
    words = max(map(cell_len, heading.split()), default=0)
    folded = min(cell_len(heading), max(_HEADING, words))
    return max([folded, *map(cell_len, cells)])


def _block(
    title: Text | str,
    labels: Sequence[str],
    columns: Sequence[tuple[str, Sequence[str]]],
    letters: Sequence[int],
    left: int,
    between: int,
) -> Table:
    # The line between two columns is blank, and the only letter that rich adds.
    table = bare_table(title or None, blanks=0)
    table.add_column("", width=left, overflow="fold")
    for (heading, _), wide in zip(columns, letters, strict=True):
        table.add_column(Text(heading), justify="right", overflow="fold", width=wide + between - 1)
    for row, label in enumerate(labels):
        table.add_row(Text(label), *(Text(cells[row], no_wrap=True) for _, cells in columns))
    return table


def bare_table(title: Any, *, blanks: int = 1) -> Table:
    """An empty table with a line below its headings and no others.

    blanks  on either side of each column
    """
    return Table(
        title=title,
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, blanks),
        show_edge=False,
    )
