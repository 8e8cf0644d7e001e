"""Which trials of a study are done: a byte each, so that a million of them take a megabyte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Finished:
    """A set of (cell, replicate) that stays small however many there are.

    Parameters
    ----------
    trials
        Those done so far: cell id and replicate.
    """

    def __init__(self, trials: Iterable[tuple[str, int]] = ()) -> None:
        self._cells: dict[str, bytearray] = {}
        for cell, replicate in trials:
            self.add(cell, replicate)

    def add(self, cell: str, replicate: int) -> None:
        """Note that a trial is done.

        Parameters
        ----------
        cell
            Id of its cell.
        replicate
            Which of the cell's, from 0.
        """
        replicates = self._cells.setdefault(cell, bytearray())
        if replicate >= len(replicates):
            replicates.extend(bytes(replicate + 1 - len(replicates)))
        replicates[replicate] = 1

    def __contains__(self, trial: tuple[str, int]) -> bool:
        cell, replicate = trial
        replicates = self._cells.get(cell, b"")
        return replicate < len(replicates) and bool(replicates[replicate])

    def count(self, wanted: Mapping[str, int]) -> int:
        """How many are done of the replicates that are wanted.

        Parameters
        ----------
        wanted
            Cell id -> its first so many replicates.

        Returns
        -------
        int
            Trials of these that are done.
        """
        return sum(sum(self._cells.get(cell, b"")[:most]) for cell, most in wanted.items())
