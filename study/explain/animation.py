"""The steps as one HTML file that plays them: play, pause, step, by mouse or keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from study.explain.watch import Step
from study.explain.words import MOMENTS, moments, sentences, title
from study.report.colours import FREE_ORDERS, OWNERS
from study.report.page import template
from study.report.zone_map import z_curve
from study.zone.observe import Owner


def render(steps: Sequence[Step], *, seed: int, about: str) -> str:
    """The page as text; it names no other file.

    about  what zone this is, in a few words
    """
    pages = len(steps[0].owners)
    side = 1 << ((pages - 1).bit_length() + 1 >> 1)
    x, y = z_curve(side)
    data = {
        "x": x[:pages].tolist(),
        "y": y[:pages].tolist(),
        "colours": _colours(),
        "steps": [
            _plain(step, before) for before, step in zip([None, *steps], steps, strict=False)
        ],
    }
    found = moments(steps)
    return str(
        template("explain.html.j2").render(
            data=data,
            seed=seed,
            about=about,
            pages=pages,
            marks=steps[0].marks,
            owners=[(name, colour) for _, name, colour in _legend()],
            names={owner: name for owner, name, _ in _legend()},
            moments=[(label, found[name].number) for name, label in MOMENTS if name in found],
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
        "lists": [list(blocks[:12]) for blocks in step.lists],
        "counts": [len(blocks) for blocks in step.lists],
        "free": step.free,
        "awake": step.awake,
        "choices": [[c.pfn, c.cost, c.taken] for c in step.choices[:12]],
    }


def _colours() -> dict[int, str]:
    names = list(OWNERS.values())
    free = {Owner.FREE + order: colour for order, colour in enumerate(FREE_ORDERS)}
    used = (
        (Owner.FILE, names[0]),
        (Owner.ANONYMOUS, names[1]),
        (Owner.KERNEL, "#5B3F8C"),
        (Owner.NIC, names[3]),
        (Owner.PERCPU, names[4]),
        (Owner.RESERVED, names[8]),
    )
    return {int(owner): colour for owner, colour in used} | {int(k): v for k, v in free.items()}


def _legend() -> list[tuple[int, str, str]]:
    colours = _colours()
    named = [
        ("file page", Owner.FILE),
        ("anonymous page", Owner.ANONYMOUS),
        ("kernel", Owner.KERNEL),
        ("network card", Owner.NIC),
        ("reserved", Owner.RESERVED),
    ]
    free = [(f"free, order {order}", int(Owner.FREE) + order) for order in range(len(FREE_ORDERS))]
    return [(int(owner), name, colours[int(owner)]) for name, owner in [*named, *free]]
