"""Results that show and draw themselves, for notebooks: the answer first, then figures."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results import ResultsError
from study.statistics import Findings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_VERDICTS_MOST = 20


class Panels(tuple["Axes", ...]):
    """The matplotlib Axes of a figure, one for each panel; a notebook shows the figure.

    Unpack them, or take the first: `panels[0].set_title("...")`.
    """

    __slots__ = ()

    @property
    def figure(self) -> Figure:
        """What they are on: a matplotlib Figure that belongs to no window."""
        figure = self[0].get_figure(root=True)
        assert figure is not None  # noqa: S101 - none of them was removed from it
        return figure

    def savefig(self, file: Any, **options: Any) -> None:
        """Write the figure, as matplotlib's Figure.savefig does.

        Parameters
        ----------
        file
            Name, path or open file.
        options
            As matplotlib has them.
        """
        from study.report.figures import house_style

        with house_style():
            self.figure.savefig(file, **options)

    def _repr_png_(self) -> bytes:
        import io

        file = io.BytesIO()
        self.savefig(file, format="png", dpi=110)
        return file.getvalue()


@dataclass(frozen=True, repr=False)
class Results(Findings):
    """The results of a study, with its figures.

    Each plot method returns matplotlib Axes, as a tuple that a notebook shows as a picture.

    Parameters
    ----------
    folder
        Of the results.
    extensions
        Code that may be imported when trials are simulated once more.
    """

    def _repr_html_(self) -> str:
        """The answer, the verdicts, and where the rest is."""
        from study.report.template import template
        from study.statistics.words import statements

        judged = statements(self.judged(), self.labels)
        text: str = template("results.html.j2").render(
            manifest=self.manifest,
            place=self.place,
            answer=self.answer.text,
            verdicts=judged[:_VERDICTS_MOST],
            more=len(judged) - _VERDICTS_MOST,
        )
        return text

    extensions: tuple[str, ...] = ()

    def plot_tradeoff(self) -> Panels:
        """Receive buffers served against what it cost, a mark for each policy; front marked.

        Returns
        -------
        Panels
            The matplotlib Axes, one for each panel.

        Raises
        ------
        ResultsError
            There is nothing to draw it from.
        """
        return self._draw("tradeoff")

    def plot_forest(self) -> Panels:
        """What each level changes against the first of its axis, paired by replicate.

        Returns
        -------
        Panels
            The matplotlib Axes, one for each panel.

        Raises
        ------
        ResultsError
            There is nothing to draw it from.
        """
        return self._draw("forest")

    def plot_success(self) -> Panels:
        """Requests served at each order that is asked for, by policy.

        Returns
        -------
        Panels
            The matplotlib Axes, one for each panel.

        Raises
        ------
        ResultsError
            There is nothing to draw it from.
        """
        return self._draw("success")

    def plot_buddyinfo(self) -> Panels:
        """Free pages by order over uptime, for a few cells.

        Returns
        -------
        Panels
            The matplotlib Axes, one for each panel.

        Raises
        ------
        ResultsError
            There is nothing to draw it from.
        """
        return self._draw("buddyinfo")

    def plot_indices(self) -> Panels:
        """The kernel's two fragmentation indices over uptime, for a few cells.

        Returns
        -------
        Panels
            The matplotlib Axes, one for each panel.

        Raises
        ------
        ResultsError
            There is nothing to draw it from.
        """
        return self._draw("indices")

    def plot_zone_map(self) -> Panels:
        """Every page of a zone by owner, for a few cells, at three moments of a trial.

        The first time these trials are simulated once more, for at most a minute.

        Returns
        -------
        Panels
            The matplotlib Axes, one for each panel.

        Raises
        ------
        ResultsError
            There is nothing to draw it from.
        """
        self._take_pictures()
        return self._draw("zone-map")

    def report(self) -> Path:
        """Write report.html into the results folder, with zone maps if they can be had.

        Returns
        -------
        Path
            Of report.html.

        Raises
        ------
        ResultsError
            The folder cannot be written.
        """
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
            study = study_of(self.manifest["scenario"], self.place, extensions=self.extensions)
            record_zone_maps(self, study)

    def _draw(self, name: str) -> Panels:
        from study.report.figures import draw

        return Panels(axes for axes in draw(name, self).axes if axes.get_visible())
