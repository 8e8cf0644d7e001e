"""Settings of one cell, in a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from study.terminal.listing import listing, show, word
from study.zone.marks import marks_for, start_boost
from study.zone.settings import NicReceive, NicTransmit

if TYPE_CHECKING:
    from study.scenario import Cell
    from study.scenario.origin import Setting, Unfolded


_MARKS = ("min", "low", "high")


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
    settings_of = cell.settings
    low = marks_for(settings_of.memory, settings_of.watermarks)
    boost = start_boost(settings_of.watermarks)
    marks = ", ".join(f"{name} {pages + boost:,}" for name, pages in zip(_MARKS, low, strict=True))
    said = f"Marks in pages: {marks}"
    said += f", of which {boost:,} are boost" if boost else ""
    reserve = settings_of.watermarks.lowmem_reserve_pages
    said += f"; {reserve:,} more are held back by lowmem_reserve" if reserve else ""
    show(Text(f"{said}."))
    for note in unfolded.study.notes():
        show(Text(f"Note: {note}."))


def _block(order: int) -> str:
    from study.scenario.units import size_text

    size = f"{4 << order}KiB" if order < 8 else size_text(1 << order)
    return f"a block of order {order} ({size})"
