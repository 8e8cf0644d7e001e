"""A study: a scenario that was checked and unfolded into cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from study.scenario.claims.comparison import Claim
from study.scenario.stopping import Stopping
from study.scenario.trial import Cell, Level, Trial, seed_of


@dataclass(frozen=True, repr=False)
class Study:
    """A scenario, checked and unfolded.

    Parameters
    ----------
    name, question, seed
        As the scenario has them.
    replicates
        Of every cell; the least number if `stopping` may ask for more.
    axes
        Dotted key -> levels in the order of the file.
    cells
        The combinations of levels.
    document
        The whole scenario with overrides and defaults, as values that JSON knows.
    source
        Name of the file, for messages.
    claims
        What the study is to decide.
    stopping
        When a cell has enough replicates; None if just `replicates` are run.
    nuisance
        Axes whose combinations of levels have a load each; all other axes share one.
    remarks
        Overrides that change nothing, a sentence each.
    allowed
        Extensions that its trials may import; given by who runs it, never by the scenario.
    """

    name: str
    question: str
    seed: int
    replicates: int
    axes: dict[str, tuple[Level, ...]]
    cells: tuple[Cell, ...]
    document: dict[str, Any]
    source: str
    claims: tuple[Claim, ...] = ()
    stopping: Stopping | None = None
    nuisance: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=(), compare=False)
    allowed: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return self.replicates * len(self.cells)

    def __repr__(self) -> str:
        counts = f"{len(self.cells)} cells x {self.replicates} replicates = {len(self)} trials"
        return f"<Study {self.name!r} of {self.source}: {counts}>"

    def notes(self) -> list[str]:
        """What a reader must know that no setting says: kernels taken for others, lost starts.

        Returns
        -------
        list of str
            One sentence each.
        """
        from study.scenario.machine.notes import notes_of

        return notes_of(self.document)

    def extensions(self) -> list[str]:
        """Versions of the extensions that its cells use.

        Returns
        -------
        list of str
            Digests of 16 hex digits, sorted; empty if no cell uses an extension.
        """
        asked = [cell.settings.extension for cell in self.cells]
        used = {version for one in asked for version in (one.victims_digest, one.source_digest)}
        return sorted(used - {""})

    def trials(self, replicates: Mapping[str, int] | None = None) -> Iterator[Trial]:
        """All trials, replicate by replicate, so that a run cut short has whole comparisons.

        Parameters
        ----------
        replicates
            Cell id -> how many, where it is not the same number for every cell.

        Yields
        ------
        Trial
            Cell, replicate and seed.
        """
        most = self.replicates if replicates is None else max(replicates.values(), default=0)
        seeds = self.seeds()
        for replicate in range(most):
            for cell in self.cells:
                if replicates is None or replicate < replicates[cell.id]:
                    yield Trial(cell, replicate, seeds[cell.id])

    def seeds(self) -> dict[str, int]:
        """The seeds of the trials.

        Returns
        -------
        dict
            Cell id -> seed; cells that meet the same load have the same one.
        """
        return {cell.id: seed_of(self.seed, self.nuisance, cell.levels) for cell in self.cells}
