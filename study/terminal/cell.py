"""Settings of one cell, in a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from study.terminal.listing import listing, show, word
from study.zone.settings import NicReceive, NicTransmit

if TYPE_CHECKING:
    from study.scenario import Cell
    from study.scenario.origin import Setting, Unfolded


def show_cell(unfolded: Unfolded, cell: Cell, settings: list[Setting]) -> None:
    """Print the settings of a cell, where each comes from, and what follows from them."""
    show(Text(f"Cell {cell.id} of {unfolded.study.name}", style="bold"))
    for key, level in cell.levels.items():
        show(Text(f"  {key}: {word(level)}"))
    show("")
    table = listing("key", "value", "from", dim=(2,))
    for setting in settings:
        place = setting.place or "default"
        through = f" ({setting.through})" if setting.through else ""
        style = "" if setting.place else "dim"
        table.add_row(
            Text(setting.key, style=style), Text(setting.text, style=style), Text(place + through)
        )
    show(table)
    nic = cell.settings.nic
    by_page = "page by page"
    received = _block(nic.rx_order) if nic.receive == NicReceive.LINEAR else by_page
    sent = _block(nic.tx_order) if nic.transmit == NicTransmit.LINEAR else by_page
    stack = _block(cell.settings.processes.stack_order)
    text = f"It follows: frames are received into {received}, sent from {sent}; a stack is {stack}."
    show(Text(f"\n{text}"))


def _block(order: int) -> str:
    from study.scenario.units import size_text

    size = f"{4 << order}KiB" if order < 8 else size_text(1 << order)
    return f"a block of order {order} ({size})"
