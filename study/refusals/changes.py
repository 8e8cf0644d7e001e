"""The smallest single changes that would have let a request pass, each tried by the same test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from study.refusals import gfp
from study.refusals.report import NO_LOWMEM, Report, ZoneState
from study.refusals.verdict import Cause, Verdict, ZoneVerdict
from study.refusals.watermark import (
    SCALE_FACTOR,
    Marks,
    Outcome,
    ZoneFree,
    above_min,
    last_try,
    marks_of,
)

_MOST = 1 << 24
"""Pages beyond which a change is none: 64 GB."""


@dataclass(frozen=True)
class Change:
    """One change, which the test says would have let the request pass.

    what   in words
    zone   its zone
    cost   pages that are held free more than before (less, if below 0); None if that is no cost
    price  the cost in words
    """

    what: str
    zone: str
    cost: int | None
    price: str


@dataclass(frozen=True)
class _Try:
    """A zone's last try, to be repeated with other figures."""

    verdict: Verdict
    zone: ZoneVerdict
    marks: Marks

    def __call__(self, pages: ZoneFree, marks: Marks, order: int) -> Outcome | None:
        verdict = self.verdict
        assert verdict.rules is not None  # noqa: S101 - a zone was tested, so all of it is known
        assert verdict.flags is not None  # noqa: S101
        access = gfp.access(verdict.flags, order, verdict.rules.version)
        waits = gfp.may_wait(verdict.flags)
        return last_try(pages, verdict.rules, marks, order, access, waits=waits)

    def passes(self, pages: ZoneFree, marks: Marks, order: int | None = None) -> bool:
        if order is None:
            order = self.verdict.order or 0
        outcome = self(pages, marks, order)
        return outcome is not None and outcome.passes and outcome.decided


def smallest(passes: Callable[[int], bool], most: int = _MOST) -> int | None:
    """The smallest n >= 1 for which something passes that passes for all larger; None if none."""
    low, high = 0, 1
    while not passes(high):
        if high >= most:
            return None
        low, high = high, min(high * 2, most)
    while high - low > 1:
        middle = (low + high) // 2
        if passes(middle):
            high = middle
        else:
            low = middle
    return high


def changes(verdict: Verdict) -> list[Change]:
    """What would have let the request pass: for each zone that refused, the smallest first."""
    result: list[Change] = []
    if (
        verdict.cause is None
        or verdict.cause in (Cause.YOUNGER, Cause.NONE, Cause.CGROUP)
        or verdict.order is None
    ):
        return result
    for zone in verdict.zones:
        if zone.last is None or zone.last.passes or zone.marks is None:
            continue
        result += _for_zone(verdict, _Try(verdict, zone, zone.marks), verdict.order)
    return result


def _for_zone(verdict: Verdict, attempt: _Try, order: int) -> list[Change]:
    zone, pages, marks = attempt.zone, attempt.zone.pages, attempt.marks
    title = zone.zone.title
    page_kb = verdict.report.page_kb
    # No more can be free than is in use: a small zone whose reserve is larger serves nobody.
    size_kb = zone.zone.size_kb
    room = _MOST if size_kb is None else max(size_kb // page_kb - pages.free, 0)
    result = []
    if order and pages.nr_free and order < len(pages.nr_free):
        blocks = smallest(lambda n: attempt.passes(with_blocks(pages, order, n), marks))
        if blocks is not None and blocks << order <= room:
            more = f"{blocks:,} more free block{'' if blocks == 1 else 's'}"
            size = f"{page_kb << order:,} kB (order {order})"
            price = _pages(blocks << order)
            result.append(Change(f"{more} of {size}", title, blocks << order, price))
    single = smallest(lambda n: attempt.passes(with_blocks(pages, 0, n), marks))
    if single is not None and single > room:
        single = None
    if single is not None:
        result.append(
            Change(
                f"{single:,} more free page{'' if single == 1 else 's'}",
                title,
                single,
                _pages(single),
            )
        )
        result += _by_reclaim(zone.zone, single, page_kb)
    if marks.boost:
        lower = replace(marks, min=marks.min - marks.boost, boost=0)
        if attempt.passes(pages, lower):
            what = "boost off (vm.watermark_boost_factor 0)"
            price = f"{_pages(marks.boost)} fewer held free"
            result.append(Change(what, title, -marks.boost, price))
    result += _lower_min(verdict, attempt, pages, marks)
    if single is not None:
        result += [
            change
            for change in _higher_min(verdict, attempt, pages, marks)
            if change.cost is not None and change.cost <= room
        ]
    if zone.cause is Cause.RESERVE:
        result += _lower_reserve(verdict, attempt, pages, marks)
    lower_order = next(
        (k for k in range(order - 1, -1, -1) if attempt.passes(pages, marks, k)), None
    )
    if lower_order is not None:
        what = f"a request of order {lower_order} ({page_kb << lower_order:,} kB) instead"
        result.append(Change(what, title, None, "none: it passes as it is"))
    return result


def with_blocks(pages: ZoneFree, order: int, more: int) -> ZoneFree:
    """A zone with more free blocks of an order, on a list that serves everybody."""
    counts = list(pages.nr_free)
    types = list(pages.types)
    if order < len(counts):
        counts[order] += more
    if order < len(types):
        types[order] = (types[order] or frozenset()) | {"U", "M"}
    return replace(
        pages, free=pages.free + (more << order), nr_free=tuple(counts), types=tuple(types)
    )


def _by_reclaim(zone: ZoneState, needed: int, page_kb: int) -> list[Change]:
    """What reclaim in the zone itself could give (zone_reclaim_mode), if that can be read."""
    held = zone.inactive_file_kb
    if held is None or held // page_kb < needed:
        return []
    what = f"reclaim in the zone (vm.zone_reclaim_mode): {needed:,} pages"
    price = f"{_pages(needed)} of {held // page_kb:,} of inactive file cache"
    return [Change(what, zone.title, needed, price)]


def moved(marks: Marks, least: int, kind: str, pages: int) -> Marks:
    """The marks of a zone with another min, boost aside; low and high follow by the formula.

    Parameters
    ----------
    marks
        As they are.
    least
        The min to have, without the boost.
    kind
        Rules.marks, as for marks_of().
    pages
        Of the zone; 0 if that is not known.
    """
    base = marks.min - marks.boost
    apart = pages * SCALE_FACTOR // 10_000
    if marks.low is not None and marks.low - marks.min > base // 4:
        # As the report has it: the scale may have been set.
        apart = marks.low - marks.min
    # What the report has need not be the formula's: it is moved by as much as that moves.
    low, high = (
        None if mark is None else max(mark + after - before, 0)
        for mark, before, after in zip(
            (marks.low, marks.high),
            above_min(base, kind, apart),
            above_min(least, kind, apart),
            strict=True,
        )
    )
    return replace(marks, min=least + marks.boost, low=low, high=high)


def _moved(attempt: _Try, least: int) -> Marks:
    verdict = attempt.verdict
    assert verdict.rules is not None  # noqa: S101 - a zone was tested, so all of it is known
    size = (attempt.zone.zone.size_kb or 0) // verdict.report.page_kb
    return moved(attempt.marks, least, verdict.rules.marks, size)


def _lower_min(verdict: Verdict, attempt: _Try, pages: ZoneFree, marks: Marks) -> list[Change]:
    """The largest lower min_free_kbytes with which the same lists pass."""
    base = marks.min - marks.boost
    if base <= 0:
        return []
    down = smallest(lambda n: attempt.passes(pages, _moved(attempt, base - n)), most=base)
    if down is None:
        return []
    return _as_sysctl(verdict, attempt.zone, base - down, -down, "down")


def _higher_min(verdict: Verdict, attempt: _Try, pages: ZoneFree, marks: Marks) -> list[Change]:
    """The smallest higher one, if kswapd keeps as many more pages free as its low mark rises."""
    base = marks.min - marks.boost

    def more(up: int) -> int:
        raised = _moved(attempt, base + up)
        return up * 5 // 4 if raised.low is None or marks.low is None else raised.low - marks.low

    up = smallest(
        lambda n: attempt.passes(with_blocks(pages, 0, more(n)), _moved(attempt, base + n))
    )
    return [] if up is None else _as_sysctl(verdict, attempt.zone, base + up, more(up), "up")


def _as_sysctl(verdict: Verdict, zone: ZoneVerdict, mark: int, cost: int, way: str) -> list[Change]:
    """A mark of one zone as the min_free_kbytes that gives it, checked by the kernel's formula."""
    value = min_free_for(verdict.report, zone.zone, mark, way=way)
    title = zone.zone.title
    if value is None:
        what = f"min of the zone {way} to {mark:,} pages"
    else:
        what = f"vm.min_free_kbytes {way} to {value}"
    if way == "down":
        price = f"{_pages(-cost)} fewer held free"
    else:
        price = f"{_pages(cost)} more held free, if kswapd keeps up"
    return [Change(what, title, cost, price)]


def no_marks_help(found: Sequence[Change]) -> bool:
    """Whether no value of vm.min_free_kbytes, up or down, is among the changes."""
    return not any("min_free_kbytes" in one.what or "min of the zone" in one.what for one in found)


_RATIO_SINCE = (2, 6, 12)
"""mm/page_alloc.c, setup_per_zone_lowmem_reserve; before it vm.lower_zone_protection held."""


def ratio_times(reserve: int, left: int) -> float:
    """How many times as large a ratio brings a reserve down to so many pages, to a tenth above.

    The reserve is the number of pages of the zones above, divided by the ratio and cut to a whole
    number (mm/page_alloc.c, setup_per_zone_lowmem_reserve).
    """
    return -(-10 * (reserve + 1) // (left + 1)) / 10


def _lower_reserve(verdict: Verdict, attempt: _Try, pages: ZoneFree, marks: Marks) -> list[Change]:
    down = smallest(
        lambda n: attempt.passes(replace(pages, reserve=pages.reserve - n), marks),
        most=pages.reserve,
    )
    if down is None:
        return []
    left = pages.reserve - down
    what = f"lowmem_reserve of the zone down to {left:,} pages"
    if verdict.rules is not None and verdict.rules.version >= _RATIO_SINCE:
        times = f"{ratio_times(pages.reserve, left):,}".removesuffix(".0")
        what += f" (its entry of vm.lowmem_reserve_ratio {times} times as large)"
    price = f"{_pages(down)} fewer kept for requests that can use no higher zone"
    return [Change(what, attempt.zone.zone.title, -down, price)]


def _pages(count: int) -> str:
    return f"{count:,} page" if count == 1 else f"{count:,} pages"


def share_of(report: Report, zone: ZoneState) -> tuple[int, int] | None:
    """What part of min_free_kbytes a zone gets: (its size, size of all), in pages or in marks."""
    if zone.name in NO_LOWMEM:
        return None
    whole = report.lowmem_pages
    return None if whole is None else ((zone.size_kb or 0) // report.page_kb, whole)


def marks_for(report: Report, zone: ZoneState, min_free_kbytes: int, kind: str) -> Marks | None:
    """The marks a min_free_kbytes would give a zone; None if the zones' sizes are not known."""
    share = share_of(report, zone)
    if share is None or share[1] == 0:
        return None
    return marks_of(min_free_kbytes, *share, kind, report.page_kb)


def min_free_for(report: Report, zone: ZoneState, mark: int, *, way: str) -> int | None:
    """The min_free_kbytes that gives a zone a min of so many pages: at most, or at least, those."""
    share = share_of(report, zone)
    if share is None or not share[0]:
        return None
    size, whole = share
    page_kb = report.page_kb
    if way == "up":
        return -(-mark * whole // size) * page_kb
    # The last value before the mark would be one page more.
    return (-(-(mark + 1) * whole // size)) * page_kb - 1
