"""Tables that fit a terminal: plain columns, the last one cut or folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def show(*parts: RenderableType) -> None:
    """Print parts one below the other; colours on a terminal only, and not with NO_COLOR."""
    from study.terminal.console import console

    out = console()
    with out.capture() as captured:
        for part in parts:
            out.print(part)
    for line in captured.get().split("\n")[:-1]:
        click.echo(line.rstrip(), file=out.file)


def listing(*columns: str, dim: Sequence[int] = ()) -> Table:
    """An empty table with these headings and no lines; the columns in `dim` are faint."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for index, name in enumerate(columns):
        table.add_column(name, overflow="fold", style="dim" if index in dim else None)
    return table


def word(value: Any) -> str:
    """A level as a scenario would write it."""
    from study.scenario.errors import shown

    return shown(value, 40)
