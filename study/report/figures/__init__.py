"""The figures of a study, by matplotlib: for the report, for papers, and for notebooks.

Each is made in two steps: what it shows is gathered from the results, once; then it is drawn, on a
sheet as wide as the reader has it, and told in words for who cannot see it. Importing this package
loads matplotlib.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.report.figures import curves, forest, pages, policies, uptime
from study.report.figures.sheet import PAGE, PHONE, Sheet, house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from study.statistics import Findings

__all__ = ["FIGURES", "PAGE", "PHONE", "Kind", "draw", "house_style", "image"]


@dataclass(frozen=True)
class Kind:
    """A kind of figure.

    gather    what it shows; raises ResultsError when the results have nothing to draw it from
    render    draws what was gathered
    describe  says in a sentence or two what is to be seen
    """

    gather: Callable[[Findings], Any]
    render: Callable[[Any, Sheet], Figure]
    describe: Callable[[Any], str]

    def draw(self, gathered: Any, sheet: Sheet = PAGE) -> Figure:
        """The figure, in the house's style; it belongs to no window."""
        with house_style():
            return self.render(gathered, sheet)


FIGURES = {
    "tradeoff": Kind(policies.compared, policies.tradeoff, policies.describe_tradeoff),
    "curves": Kind(curves.along_axes, curves.curves, curves.describe_curves),
    "forest": Kind(forest.paired_differences, forest.forest, forest.describe_forest),
    "success": Kind(policies.served, policies.success, policies.describe_success),
    "buddyinfo": Kind(uptime.over_time, uptime.buddyinfo, uptime.describe_buddyinfo),
    "indices": Kind(uptime.over_time, uptime.indices, uptime.describe_indices),
    "zone-map": Kind(pages.kept_maps, pages.zone_map, pages.describe_zone_map),
}
"""The figures by name, in the order of the report."""


def draw(name: str, findings: Findings, sheet: Sheet = PAGE) -> Figure:
    """One of FIGURES as a matplotlib figure.

    Raises ResultsError when the results have nothing to draw it from.
    """
    kind = FIGURES[name]
    return kind.draw(kind.gather(findings), sheet)


def image(name: str, findings: Findings, form: str) -> bytes:
    """One of FIGURES as the bytes of a file.

    Parameters
    ----------
    name
        One of FIGURES.
    findings
        What to draw it from.
    form
        `png`, `svg` or `pdf`.

    Raises
    ------
    ResultsError
        The results have nothing to draw it from.
    """
    figure = draw(name, findings)
    file = io.BytesIO()
    with house_style():
        # No date: the same results give the same file.
        bare = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
        figure.savefig(file, format=form, dpi=300, metadata=bare.get(form))
    return file.getvalue()
