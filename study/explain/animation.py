"""The steps as one HTML file that plays them: play, pause, step, by mouse or keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from study.explain.step import Step
from study.explain.words import MOMENTS, moments, sentences, title
from study.report.colours import FREE_ORDERS, USED
from study.report.template import template
from study.report.zone_map import z_curve
from study.zone.settings import NR_ORDERS
from study.zone.trial.observe import Owner

_SHOWN = 12
"""Blocks of a list, or choices, that there is room for."""


BAR_PER_HIGH = 2
"""The bar of free pages ends at so many times the high mark: beyond, they are no concern."""


def render(steps: Sequence[Step], *, options: str) -> str:
    """The page as text; it names no other file.

    options  of `study explain`, by which these steps can be had again
    """
    pages = len(steps[0].owners)
    side = 1 << ((pages - 1).bit_length() + 1 >> 1)
    x, y = z_curve(side)
    orders = min(pages.bit_length(), NR_ORDERS)
    bar = min(BAR_PER_HIGH * steps[0].marks[2], pages)
    data = {
        "bar": bar,
        "orders": orders,
        "x": x[:pages].tolist(),
        "y": y[:pages].tolist(),
        "colours": {owner: colour for owner, _, colour in _legend(orders)},
        "steps": [
            _plain(step, before) for before, step in zip([None, *steps], steps, strict=False)
        ],
    }
    found = moments(steps)
    legend = _legend(orders)
    return str(
        template("explain.html.j2").render(
            data=data,
            options=options,
            pages=pages,
            bar=bar,
            marks=dict(zip(("min", "low", "high"), steps[0].marks, strict=True)),
            owners=[(name, colour) for _, name, colour in legend],
            names={owner: name for owner, name, _ in legend},
            moments=[
                (moment, found[moment.name].number) for moment in MOMENTS if moment.name in found
            ],
        )
    )


def _plain(step: Step, before: Step | None) -> dict[str, Any]:
    """A step as JSON: only the pages that changed, as pairs of pfn and owner."""
    changed = range(len(step.owners)) if before is None else step.changed
    return {
        "n": step.number,
        "ms": round(step.time_ns / 1e6, 3),
        "title": title(step),
        "says": sentences(step),
        "set": [[pfn, int(step.owners[pfn])] for pfn in changed],
        "lists": [list(blocks[:_SHOWN]) for blocks in step.lists],
        "counts": [len(blocks) for blocks in step.lists],
        "free": step.free,
        "awake": step.awake,
        "choices": [[c.pfn, c.cost, c.taken] for c in step.choices[:_SHOWN]],
    }


def _legend(orders: int) -> list[tuple[int, str, str]]:
    """Owner, what it is called, and its colour; free blocks of so many orders."""
    used = zip(
        (Owner.FILE, Owner.ANONYMOUS, Owner.KERNEL, Owner.NIC, Owner.RESERVED), USED, strict=True
    )
    free = [
        (int(Owner.FREE) + order, f"free, order {order}", FREE_ORDERS[order])
        for order in range(orders)
    ]
    return [*((int(owner), name, USED[name]) for owner, name in used), *free]
