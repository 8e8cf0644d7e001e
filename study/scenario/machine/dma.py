"""Zone DMA beside the zone: none, or how large it is and what of it is never free.

dma: off
dma: { memory: 16MiB, reserved: 3MiB }
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.scenario.errors import did_you_mean, shown
from study.scenario.units import pages_from, size_text

DMA_PAGES_MOST = 4_096
"""The first 16 MB (MAX_DMA_ADDRESS, include/asm-i386/dma.h, 2.6.8)."""
_LOOKS = "off, or a mapping: { memory: 16MiB, reserved: 3MiB }"
_KEYS = ("memory", "reserved")


@dataclass(frozen=True)
class Dma:
    """Zone DMA.

    Parameters
    ----------
    memory
        Its present pages; 0 if there is none.
    reserved
        Of these, what the kernel's image and boot memory have taken for good.
    """

    memory: int = 0
    reserved: int = 0

    def __str__(self) -> str:
        if self == OFF:
            return "off"
        return f"{size_text(self.memory)}, {size_text(self.reserved)} of it reserved"

    def plain(self) -> str | dict[str, str]:
        """As a scenario says it; read again it gives the same."""
        if self == OFF:
            return "off"
        return {key: size_text(getattr(self, key)) for key in _KEYS}


OFF = Dma()


def dma_from(value: Any) -> Dma:
    """The zone DMA that a scenario says.

    Raises ValueError with what is wrong, as the rest of a sentence.
    """
    if isinstance(value, Dma):
        return value
    if value is False or value == "off":
        return OFF
    if not isinstance(value, Mapping):
        raise ValueError(f"is {shown(value)}; it must be {_LOOKS}")
    unknown = next((key for key in value if key not in _KEYS), None)
    if unknown is not None:
        raise ValueError(f"has {shown(unknown)}{did_you_mean(str(unknown), _KEYS)}; {_LOOKS}")
    if "memory" not in value:
        raise ValueError(f"does not say its memory; it must be {_LOOKS}")
    pages = {}
    for key, told in value.items():
        try:
            pages[key] = pages_from(told)
        except ValueError as error:
            raise ValueError(f"has {key}, which {error}") from None
    dma = Dma(**pages)
    if not 0 < dma.memory <= DMA_PAGES_MOST:
        raise ValueError(
            f"has memory, which is {shown(value['memory'])}; above 0, and at most "
            f"{size_text(DMA_PAGES_MOST)}"
        )
    if dma.reserved > dma.memory:
        raise ValueError(
            f"has reserved, which is {size_text(dma.reserved)}, more than its memory, "
            f"{size_text(dma.memory)}"
        )
    return dma
