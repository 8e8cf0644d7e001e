"""All that is said of the reports in a text: for the terminal, for programs, and for a notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from study.refusals.find import find
from study.refusals.render import answer, as_data, nothing, summary
from study.refusals.report import Found
from study.refusals.verdict import Verdict, judge

_LINE = f"\n{'-' * 78}\n"


@dataclass(frozen=True)
class Refusals:
    """What a text says of refused requests for memory, and why they were refused.

    It is shown as text, in a notebook too.

    Parameters
    ----------
    found
        The reports, and what else of a kernel's words was seen.
    """

    found: Found

    def __len__(self) -> int:
        return len(self.found.reports)

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """One for each report: its zones, each held against that kernel's own test."""
        return [judge(report) for report in self.found.reports]

    def as_data(self, *, names: bool = False) -> dict[str, Any]:
        """The same as JSON has it; sizes in pages.

        Parameters
        ----------
        names
            Also the names of the tasks that asked.

        Returns
        -------
        dict
            `reports`, one mapping each; `traces` and `hints` of other kernel messages.
        """
        return {
            "reports": [as_data(verdict, names=names) for verdict in self.verdicts],
            "traces": self.found.traces,
            "hints": self.found.hints,
        }

    def text(
        self,
        name: str = "the text",
        most: int | None = None,
        *,
        what_if: int | None = None,
        names: bool = False,
    ) -> str:
        """For people, at most 78 columns wide.

        Parameters
        ----------
        name
            What the text is called where nothing was found in it.
        most
            Reports that are told in full; the others are counted by what they have in common,
            and of snapshots in a row the last one stands for all. None: every one is told.
        what_if
            Another vm.min_free_kbytes to try.
        names
            Also the names of the tasks that asked.

        Returns
        -------
        str
            Each report with its watermark test, cause and cure.
        """
        count = len(self)
        # Of a log only the last snapshot is told, unless all are wanted.
        told = [
            (number, verdict)
            for number, verdict in enumerate(self.verdicts, start=1)
            if most is None or not verdict.report.is_older
        ]
        full = [
            answer(verdict, number, count, names=names, what_if=what_if)
            for number, verdict in told[:most]
        ]
        rest = [verdict for _, verdict in told[len(full) :]]
        said = f"\n{_LINE}\n".join([*full, *([summary(rest)] if rest else [])])
        if self.found.traces or not count:
            said += ("\n\n" if count else "") + nothing(self.found, name)
        return said

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def refusals_in(text: str) -> Refusals:
    """What a text says of refused requests: dmesg, a journal, a mail, /proc/buddyinfo, ...

    Nothing is simulated.
    """
    return Refusals(find(text))
