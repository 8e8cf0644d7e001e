"""The command `study presets`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from study.commands.completion import preset_names
from study.commands.refusal import refuse

if TYPE_CHECKING:
    from study.scenario.presets import Preset


@click.command()
@click.argument("name", required=False, shell_complete=preset_names)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def presets(name: str | None, *, as_json: bool) -> None:
    """List the presets that a scenario can extend, or show what NAME sets and where it is from.

    NAME may be a kind: machine, nic, workload, policy.
    """
    from study.scenario.errors import did_you_mean
    from study.scenario.presets import KINDS
    from study.scenario.presets import presets as all_presets

    known = all_presets()
    chosen = [p for p in known.values() if name in (None, p.name, p.name.partition("/")[0])]
    if not chosen:
        hint = did_you_mean(str(name), [*known, *KINDS]) or f"; the kinds are {', '.join(KINDS)}"
        refuse(ValueError(f"there is no preset {name}{hint}"))
    if as_json:
        told = {p.name: {"about": p.about, "source": p.source, "base": p.base} for p in chosen}
        click.echo(json.dumps(told, indent=2))
    elif name is None:
        _list(chosen)
    else:
        _show(chosen)


def _list(chosen: list[Preset]) -> None:
    from rich.table import Table

    from study.commands.listing import show as out

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    kind = chosen[0].name.partition("/")[0]
    for preset in chosen:
        if preset.name.partition("/")[0] != kind:
            table.add_row()
            kind = preset.name.partition("/")[0]
        table.add_row(preset.name, preset.about)
    out(table)
    click.echo("\nWhat one sets, and its source: study presets NAME")


def _show(chosen: list[Preset]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from study.commands.listing import show as out
    from study.commands.listing import word

    for index, preset in enumerate(chosen):
        out(Text(("\n" if index else "") + preset.name, style="bold"))
        out(Padding(Text(preset.about), (0, 0, 0, 2)))
        out(Padding(Text(f"source: {preset.source}", style="dim"), (0, 0, 0, 2)))
        for group, keys in preset.base.items():
            told = keys.items() if isinstance(keys, dict) else [("", keys)]
            for key, value in told:
                out(Text(f"    {group}{'.' * bool(key)}{key}: {word(value)}"))
