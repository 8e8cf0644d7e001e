"""What a trial measured, as small as it can be kept: the names are shared, the numbers packed.

A driver holds thousands of rows with two hundred numbers each: as dicts they took nine times the
memory, and most of the driver's time went into taking them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

Names = tuple[str, ...]


class Metrics(Mapping[str, float]):
    """Name -> value, in the order they were measured.

    names    shared by all metrics of the same names
    numbers  f8, one a name
    """

    __slots__ = ("names", "numbers")

    def __init__(self, names: Names, numbers: Any) -> None:
        self.names = names
        self.numbers = numbers

    @classmethod
    def of(cls, measured: Mapping[str, float]) -> Metrics:
        """Pack a mapping."""
        import numpy as np

        numbers = np.fromiter(measured.values(), np.float64, len(measured))
        return cls(_shared(tuple(measured)), numbers)

    def __getitem__(self, name: str) -> float:
        return float(self.numbers[_places(self.names)[name]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Metrics({dict(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (self.names, self.numbers.tobytes())


@lru_cache(maxsize=64)
def _shared(names: Names) -> Names:
    """The same names, always as the same object, so that a task's rows carry them once."""
    return names


@lru_cache(maxsize=64)
def _places(names: Names) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _unpacked(names: Names, numbers: bytes) -> Metrics:
    import numpy as np

    return Metrics(_shared(names), np.frombuffer(numbers))
