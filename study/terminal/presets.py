"""Presets, in a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from study.terminal.listing import show, word

if TYPE_CHECKING:
    from study.scenario.presets import Preset


def show_list(chosen: list[Preset]) -> None:
    """Print the names of presets, a line each."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    kind = chosen[0].name.partition("/")[0]
    for preset in chosen:
        if preset.name.partition("/")[0] != kind:
            table.add_row()
            kind = preset.name.partition("/")[0]
        table.add_row(preset.name, preset.about)
    show(table)
    click.echo("\nWhat one sets, and its source: study presets NAME")


def show_presets(chosen: list[Preset]) -> None:
    """Print what each preset sets, and its source."""
    for index, preset in enumerate(chosen):
        show(Text(("\n" if index else "") + preset.name, style="bold"))
        show(Padding(Text(preset.about), (0, 0, 0, 2)))
        show(Padding(Text(f"source: {preset.source}", style="dim"), (0, 0, 0, 2)))
        for group, keys in preset.base.items():
            told = keys.items() if isinstance(keys, dict) else [("", keys)]
            for key, value in told:
                name = f"{group}{'.' * bool(key)}{key}"
                # A request by name has keys of its own.
                each = value.items() if isinstance(value, dict) and group == "requests" else ()
                for own, inner in each:
                    show(Text(f"    {name}.{own}: {word(inner)}"))
                if not each:
                    show(Text(f"    {name}: {word(value)}"))
