"""A step as a person sees it in a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from study.explain.step import Step
from study.explain.words import sentences, title
from study.zone.settings import NR_ORDERS
from study.zone.trial.observe import Owner

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from study.explain.words import Moment

_WIDTH = 64
# Letter and colour: the picture must read without colour too.
_LOOKS = {
    Owner.RESERVED: ("x", "bright_black"),
    Owner.FILE: ("f", "blue"),
    Owner.ANONYMOUS: ("a", "cyan"),
    Owner.KERNEL: ("K", "bold red"),
    Owner.NIC: ("N", "bold magenta"),
    Owner.PERCPU: (",", "yellow"),
}
KEY = (
    "One letter is a page, 64 a line: f file, a anonymous, K kernel, N network card,\n"
    "x reserved; a digit is a page of a free block of that order (A is 10)."
)


def parts(step: Step, moment: Moment | None = None) -> list[RenderableType]:
    """Title, sentences, the zone as a picture, and the free lists; a moment with its lesson."""
    from rich.text import Text

    head = Text()
    if moment:
        head.append(f"{moment.label}\n", "bold underline")
        head.append(f"{moment.lesson}\n\n", "italic")
    head.append(f"step {step.number}  ", "bold")
    head.append(f"{step.time_ns / 1e6:.3f} ms  ", "dim")
    head.append(title(step), "bold cyan")
    if step.quiet:
        head.append(f"  (after {step.quiet} that changed nothing)", "dim")
    shown: list[RenderableType] = [head]
    shown += [Text(sentence) for sentence in sentences(step)]
    shown += [picture(step), free_lists(step), Text()]
    return shown


def picture(step: Step) -> Text:
    """Every page as a letter, 64 a line; what has just changed stands out."""
    from rich.text import Text

    text = Text()
    changed = np.zeros(len(step.owners), bool)
    changed[list(step.changed)] = True
    for start in range(0, len(step.owners), _WIDTH):
        text.append(f"{start:>5}  ", "dim")
        line = step.owners[start : start + _WIDTH]
        for owner, new in zip(line, changed[start : start + _WIDTH], strict=True):
            letter, style = _look(int(owner))
            text.append(letter, f"{style} reverse" if new and step.number else style)
        text.append("\n")
    text.right_crop(1)
    return text


def _look(owner: int) -> tuple[str, str]:
    if owner >= Owner.FREE:
        order = owner - Owner.FREE
        return "0123456789A"[order], "bold green" if order >= 3 else "bold yellow"
    return _LOOKS[Owner(owner)]


def free_lists(step: Step) -> Text:
    """The free lists as /proc/buddyinfo counts them, then the blocks on each by first page."""
    from rich.text import Text

    low, high = step.marks[1:]
    kswapd = "works" if step.awake else "rests"
    text = Text(f"{step.free} pages free (low {low}, high {high}), kswapd {kswapd}", "dim")
    for order in range(NR_ORDERS):
        blocks = step.lists[order]
        if not blocks:
            continue
        shown = " ".join(map(str, blocks[:10]))
        more = f" and {len(blocks) - 10} more" if len(blocks) > 10 else ""
        text.append(f"\n  order {order:>2}  {len(blocks):>3} x {1 << order:<4} at {shown}{more}")
    return text
