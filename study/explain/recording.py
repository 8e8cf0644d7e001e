"""The run that `study explain` shows by itself, recorded: it is there before a compiler would be.

recording.jsonl has a line per step, of what the step changed. `python docs/explain.py` writes it
from the compiled zone, and a test holds the two equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from study.explain.step import Choice, Counts, Step
from study.zone.engine.enums import Event
from study.zone.settings import NR_ORDERS, KswapdPolicy

SEED = 1
STEPS = 512
"""Of the zone that `lesson.settings()` gives by default."""
FILE = Path(__file__).with_name("recording.jsonl")


def text_of(steps: Iterable[Step]) -> str:
    """Steps as lines of JSON, each with what differs from the step before."""
    lines: list[str] = []
    last: Step | None = None
    for step in steps:
        grown = vars(step.grown)
        if last:
            grown = {name: value for name, value in grown.items() if np.any(value)}
        changed = step.changed if last else range(len(step.owners))
        line: dict[str, Any] = {
            "time_ns": step.time_ns,
            "what": None if step.what is None else step.what.name,
            "quiet": step.quiet,
            "owners": list(_runs(changed, step)),
            "lists": {
                order: blocks
                for order, blocks in enumerate(step.lists)
                if not last or blocks != last.lists[order]
            },
            "awake": step.awake,
            "order_wanted": step.order_wanted,
            "grown": grown,
            "choices": [[choice.pfn, choice.cost, choice.taken] for choice in step.choices],
        }
        if not last:
            line |= {"pages": len(step.owners), "marks": step.marks, "policy": step.policy.name}
        lines.append(json.dumps(line, separators=(",", ":")) + "\n")
        last = step
    return "".join(lines)


def recorded(steps: int = STEPS) -> Iterator[Step]:
    """The first steps of the recording, at most STEPS; step 0 is the zone before anything
    happened.
    """
    with FILE.open(encoding="utf-8") as file:
        yield from _read(json.loads(line) for _, line in zip(range(steps + 1), file, strict=False))


def _read(lines: Iterable[dict[str, Any]]) -> Iterator[Step]:
    first: dict[str, Any] = {}
    before = np.zeros(0, np.uint8)
    lists: list[tuple[int, ...]] = [()] * NR_ORDERS
    was_awake = False
    for number, line in enumerate(lines):
        if not number:
            first, before = line, np.zeros(line["pages"], np.uint8)
            was_awake = line["awake"]
        owners = before.copy()
        for start, pages, owner in line["owners"]:
            owners[start : start + pages] = owner
        for order, blocks in line["lists"].items():
            lists[int(order)] = tuple(blocks)
        grown: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in (first["grown"] | line["grown"]).items()
        }
        yield Step(
            number=number,
            time_ns=line["time_ns"],
            what=None if line["what"] is None else Event[line["what"]],
            quiet=line["quiet"],
            owners=owners,
            lists=tuple(lists),
            free=sum(len(blocks) << order for order, blocks in enumerate(lists)),
            marks=tuple(first["marks"]),
            awake=line["awake"],
            was_awake=was_awake,
            policy=KswapdPolicy[first["policy"]],
            order_wanted=line["order_wanted"],
            grown=Counts(**grown),
            changed=tuple(int(pfn) for pfn in np.flatnonzero(owners != before)) if number else (),
            choices=tuple(Choice(*choice) for choice in line["choices"]),
        )
        before, was_awake = owners, line["awake"]


def _runs(changed: Iterable[int], step: Step) -> Iterator[tuple[int, int, int]]:
    """Pages side by side of one owner: the first pfn, how many, whose."""
    places = enumerate((pfn, int(step.owners[pfn])) for pfn in changed)
    for (_, owner), run in groupby(places, lambda place: (place[1][0] - place[0], place[1][1])):
        pfns = [pfn for _, (pfn, _) in run]
        yield pfns[0], len(pfns), owner
