"""The machine's own /proc: what would happen now to a request of every order and class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.refusals.find import find, join
from study.refusals.gfp import CLASSES
from study.refusals.kernel import NEWEST, parse_version
from study.refusals.report import Kernel, Report, Request
from study.refusals.verdict import Cause, Verdict, ZoneVerdict, judge

PROC = Path("/proc")
_CELL = 21
_SHORT = {
    Cause.STARVED: "starved",
    Cause.ORDER_TEST: "order test",
    Cause.NO_BLOCK: "no block",
    Cause.TYPE: "wrong type",
    Cause.BOOST: "boost",
    Cause.RESERVE: "lowmem_reserve",
    Cause.HIGHATOMIC: "highatomic",
    Cause.CMA: "CMA",
}


class HereError(Exception):
    """The machine's /proc cannot be used, in a sentence for people."""


@dataclass(frozen=True)
class Now:
    """What would become of a request now.

    zone     the zone that would serve it, or else the first that refuses
    served   whether one would
    slow     served only at the last try: kswapd is woken first
    margin   pages above what the test wants, or (negative) below
    cause    why not; None if served
    """

    zone: str
    served: bool
    slow: bool
    margin: int
    cause: Cause | None


def read(proc: Path = PROC) -> Report:
    """The machine's state as a report without a request.

    Raises
    ------
    HereError
        If buddyinfo or zoneinfo cannot be read, as on another system than Linux.
    """
    reports = []
    notes = []
    for name in ("buddyinfo", "zoneinfo", "pagetypeinfo"):
        path = proc / name
        try:
            text = path.read_text(errors="replace")
        except OSError as problem:
            if name == "pagetypeinfo":
                notes.append(
                    f"{path} cannot be read ({(problem.strerror or '').lower()}): on which lists "
                    "blocks are is not known, and not held against a request."
                )
                continue
            reason = (problem.strerror or str(problem)).lower()
            raise HereError(f"{path}: {reason}; --here needs Linux's own /proc") from None
        reports += find(text).reports[:1]
    if not reports or not any(
        zone.has_marks for report in reports for zone in report.zones.values()
    ):
        raise HereError(f"{proc}: buddyinfo and zoneinfo show no zone with marks")
    whole = reports[0]
    for other in reports[1:]:
        whole.pageblock = whole.pageblock or other.pageblock
        for key, zone in other.zones.items():
            join(whole.zones.setdefault(key, zone), zone)
    whole.kind = "this machine"
    whole.line = 0
    whole.notes = notes
    whole.set_page_size(os.sysconf("SC_PAGE_SIZE") // 1024)
    release = proc / "sys/kernel/osrelease"
    try:
        version = parse_version(release.read_text())
    except OSError:
        version = None
    if version is None:
        raise HereError(f"{release}: no kernel version in it")
    whole.kernel = Kernel(version, "machine")
    return whole


def requests(report: Report) -> dict[str, list[Verdict]]:
    """For each class of request the verdicts by order."""
    result: dict[str, list[Verdict]] = {}
    for name, flags in CLASSES.items():
        verdicts = []
        for order in range(report.orders or 11):
            report.request = Request(order=order, names=flags)
            verdicts.append(judge(report))
        result[name] = verdicts
    report.request = None
    return result


def now(verdict: Verdict) -> Now | None:
    """What a verdict says in short; None if no zone could be tested."""
    at_once = [zone for zone in verdict.zones if _first_passes(zone)]
    zone = at_once[0] if at_once else verdict.deciding
    if zone is None or zone.last is None:
        return None
    step = zone.last.steps[-1]
    return Now(
        zone=zone.zone.title,
        served=zone.last.passes,
        slow=not at_once,
        margin=step.usable - step.needed,
        cause=None if zone.last.passes else zone.cause,
    )


def _first_passes(zone: ZoneVerdict) -> bool:
    return zone.first is not None and zone.first.passes


def table(report: Report, title: str) -> str:
    """The table for people: a row an order, a column a class of requests; 78 columns wide."""
    by_class = requests(report)
    page_kb = report.page_kb
    version = "" if report.kernel is None else ".".join(map(str, report.kernel.version))
    lines = [f"Linux {version}, {title}" if title else f"Linux {version}"]
    for zone in report.zones.values():
        if zone.is_empty:
            continue
        marks = [
            f"{name} {kb // page_kb:,}"
            for name, kb in (
                ("free", zone.free_kb), ("min", zone.min_kb), ("low", zone.low_kb),
                ("high", zone.high_kb), ("boost", zone.boost_kb or None),
                ("CMA", zone.free_cma_kb or None),
            )
            if kb is not None
        ]  # fmt: skip
        lines.append(f"  {zone.title:<14} {', '.join(marks)} (pages)"[:78])
    lines += ["", "  order      size  " + "".join(f"{name:<{_CELL}}" for name in by_class).rstrip()]
    for order in range(report.orders or 11):
        cells = [_cell(now(verdicts[order])) for verdicts in by_class.values()]
        row = f"  {order:>5}  {_size(page_kb << order):>8}  "
        lines.append((row + "".join(f"{cell:<{_CELL}}" for cell in cells)).rstrip())
    lines += [
        "",
        "  +N: served, N pages above what the test wants; ~: only after waking kswapd;",
        "  no: refused, and why; -N: by how many pages. At the last try's mark.",
    ]
    lines += [f"  {note}" for each in report.notes for note in _wrapped(each)]
    if report.kernel is not None and report.kernel.version[:2] > NEWEST:
        lines.append(f"  Tested by the rules of {NEWEST[0]}.{NEWEST[1]}, the newest known here.")
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 76)


def _size(kb: int) -> str:
    return f"{kb >> 10:,} MB" if kb >= 1024 else f"{kb} kB"


def _cell(result: Now | None) -> str:
    if result is None:
        return "not known"
    if result.served:
        return f"{result.zone.split()[-1]} {'~' if result.slow else ''}+{result.margin:,}"
    why = _SHORT.get(result.cause, "") if result.cause else ""
    short = f" -{-result.margin:,}" if result.margin <= 0 else ""
    return f"no: {why}{short}"[: _CELL - 1]


def as_data(report: Report) -> dict[str, Any]:
    """The same as what JSON can hold."""
    result: dict[str, Any] = {}
    for name, verdicts in requests(report).items():
        result[name] = [
            None if (one := now(verdict)) is None else {
                "order": verdict.order, "zone": one.zone, "served": one.served,
                "slow": one.slow, "margin": one.margin,
                "cause": None if one.cause is None else one.cause.value,
            }
            for verdict in verdicts
        ]  # fmt: skip
    kernel = "" if report.kernel is None else ".".join(map(str, report.kernel.version))
    return {"kernel": kernel, "page_kb": report.page_kb, "requests": result}
