"""The state of one machine again and again, as a loop logs it: how many, from when to when."""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import groupby

from study.refusals.report import Report
from study.refusals.text import Text

LEAST = 3
"""As many in a row are a log; two are a before and an after, and both are shown."""
_ABOVE = 4
"""Lines above a table in which its time is looked for."""
_CLOCK = re.compile(r"\b\d\d?:\d\d:\d\d\b|\A\s{0,4}(?:# ?)?1\d{9}(?:\.\d{1,9})?\s{0,4}\Z")
_DATED = re.compile(
    r"\s{0,8}\[?((?:[A-Z][a-z]{2},? )?[A-Z][a-z]{2} [ \d]\d(?: \d{4})? \d\d:\d\d:\d\d(?: \d{4})?"
    r"|\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
    r"|1\d{9}(?:\.\d{1,9})?(?=[ :])|\d\d:\d\d:\d\d)"
)
_FRAME = re.compile(r"\A[\s#=*>-]{0,20}(?:zzz\s{0,3}\*{0,3})?\s{0,4}|[\s#=*<-]{0,20}\Z")
_PART = re.compile(r"[^\W\d]{1,4}[.,]?|[\d:.,/+-]{1,24}(?:T[\d:.,+-]{5,24})?Z?")
"""Of a time: a day's or month's name, AM, a time zone; or figures. No host is called so."""
_PARTS_MOST = 8


def number_snapshots(text: Text, reports: list[Report], *, is_cut: bool) -> None:
    """Say of each table of /proc, if it is one of a row of the same kind, which one it is.

    Parameters
    ----------
    text
        In which they were found.
    reports
        In its order; `place`, `of` and `when` of theirs are set.
    is_cut
        Whether the text goes on behind the last of them, unread.
    """
    lines: list[str] = []
    number = 0
    for _, run in groupby(reports, key=lambda one: (one.kind, tuple(one.zones))):
        alike = list(run)
        number += len(alike)
        if len(alike) < LEAST or not alike[0].kind.startswith("/proc"):
            continue
        lines = lines or text.whole.split("\n")
        for place, report in enumerate(alike, start=1):
            report.place, report.of = place, len(alike)
            report.when = _when(lines, bisect_left(text.number, report.line))
        last = alike[-1]
        span = f", {alike[0].when} to {last.when}" if alike[0].when and last.when else ""
        more = ", and no more are read: the log goes on" if is_cut and last is reports[-1] else ""
        last.notes.append(
            f"The last of {last.of:,} snapshots in a row{span} (reports {number - last.of + 1:,} "
            f"to {number:,}{more}); --report N shows another."
        )


def _when(lines: list[str], at: int) -> str:
    """The time of the table that begins in a line: before it there, or in a line above."""
    if at >= len(lines):
        return ""
    prefix = _DATED.match(lines[at].partition("Node")[0])
    if prefix is not None:
        return prefix[1]
    for line in reversed(lines[max(at - _ABOVE, 0) : at]):
        if ", zone" in line:
            break
        told = _FRAME.sub("", line[:200])
        # A time by itself: of a line that says more, which may name a host, nothing is kept.
        parts = told.split()
        if len(parts) <= _PARTS_MOST and all(map(_PART.fullmatch, parts)) and _CLOCK.search(told):
            return told
    return ""
