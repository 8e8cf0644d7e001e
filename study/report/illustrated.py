"""Results that draw themselves, for notebooks: matplotlib figures, shown by being looked at."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from study.results import ResultsError
from study.statistics import Findings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Illustrated(Findings):
    """The results of a study, with its figures.

    Each plot_ method returns a matplotlib Figure that belongs to no window, and raises
    ResultsError when the results have nothing to draw it from.

    extensions  what may be imported when trials are simulated once more
    """

    extensions: tuple[str, ...] = ()

    def plot_tradeoff(self) -> Figure:
        """Receive buffers served against what it cost, a mark for each policy; front marked."""
        return self._draw("tradeoff")

    def plot_forest(self) -> Figure:
        """What each level changes against the first of its axis, paired by replicate."""
        return self._draw("forest")

    def plot_success(self) -> Figure:
        """Requests served at each order that is asked for, by policy."""
        return self._draw("success")

    def plot_buddyinfo(self) -> Figure:
        """Free pages by order over uptime, for a few cells."""
        return self._draw("buddyinfo")

    def plot_indices(self) -> Figure:
        """The kernel's two fragmentation indices over uptime, for a few cells."""
        return self._draw("indices")

    def plot_zone_map(self) -> Figure:
        """Every page of a zone by owner, for a few cells, at three moments of a trial.

        The first time these trials are simulated once more, for at most a minute.
        """
        self._take_pictures()
        return self._draw("zone-map")

    def report(self) -> Path:
        """Write report.html into the results folder, with zone maps; returns where it lies."""
        from study.report.page import write_report

        # A report is worth having without them.
        with suppress(ResultsError):
            self._take_pictures()
        path = write_report(self)
        self.folder.publish()
        return path

    def _take_pictures(self) -> None:
        """Keep pictures of a few zones, unless there are some."""
        from study.report.zone_map import read_zone_maps, record_zone_maps
        from study.results import study_of

        if not read_zone_maps(self.folder) and self.manifest["counts"]["finished"]:
            study = study_of(self.manifest, self.place, extensions=self.extensions)
            record_zone_maps(self, study)

    def _draw(self, name: str) -> Figure:
        from study.report.figures import draw

        return draw(name, self)
