"""The command `study show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import click

from study.commands.allowing import allow_option
from study.commands.completion import cells, keys
from study.commands.refusal import refuse
from study.printable import json_text

if TYPE_CHECKING:
    from study.scenario import Cell
    from study.scenario.origin import Unfolded


@click.command()
@click.argument("scenario", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=keys)
@click.option(
    "--cell", "identity", metavar="ID", shell_complete=cells,
    help="Which cell; its first digits will do.",
)  # fmt: skip
@click.option("--changed", is_flag=True, help="Leave out what is a default.")
@allow_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def show(
    scenario: str,
    overrides: tuple[str, ...],
    *,
    identity: str | None,
    changed: bool,
    extensions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show every setting of one cell of SCENARIO, and where each comes from.

    A value comes from a file (with line and column), a preset, an override, a kernel version that
    sets it along with others, or is a default. `study plan` lists the cells.
    """
    from study.scenario import ScenarioError
    from study.scenario.load import unfold
    from study.terminal.cell import show_cell

    try:
        unfolded = unfold(scenario, overrides, extensions=extensions)
    except ScenarioError as fault:
        refuse(fault)
    cell = _chosen(unfolded, identity)
    settings = [s for s in unfolded.settings(cell) if s.place or not changed]
    if as_json:
        told = {
            s.key: {"value": s.value, "text": s.text, "from": s.place or "default"}
            | ({"through": s.through} if s.through else {})
            for s in settings
        }
        click.echo(json_text({"cell": cell.id, "levels": cell.levels, "settings": told}, indent=2))
    else:
        show_cell(unfolded, cell, settings)


def _chosen(unfolded: Unfolded, identity: str | None) -> Cell:
    cells = unfolded.study.cells
    if not identity:
        if len(cells) == 1:
            return cells[0]
        _refuse(f"the scenario has {len(cells)} cells; choose one with --cell ID:", cells)
    found = [cell for cell in cells if cell.id.startswith(identity)]
    if not found:
        _refuse(f"no cell has the id {identity}; there are:", cells)
    if len(found) > 1:
        _refuse(f"{len(found)} cells begin with {identity}:", found)
    return found[0]


def _refuse(text: str, cells: list[Cell] | tuple[Cell, ...]) -> NoReturn:
    from study.terminal.listing import word

    lines = [text]
    for cell in cells[:10]:
        levels = ", ".join(f"{key} {word(level)}" for key, level in cell.levels.items())
        lines.append(f"  {cell.id}  {levels}")
    if len(cells) > 10:
        lines.append(f"  and {len(cells) - 10:,} more: study plan --cells")
    refuse(ValueError("\n".join(lines)))
