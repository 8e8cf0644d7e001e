"""The marks of a zone and the test of free pages against them, in plain Python.

The compiled zone has the same for the versions it simulates (study/zone: watermark); tests hold
the two equal on random states. Here every step is kept with its numbers, for people to read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt

from study.refusals.gfp import Access
from study.refusals.kernel import MarkTest, Rules

SERVING = frozenset("UEM")
"""Letters of the lists that serve everybody: unmovable, reclaimable, movable."""
SCALE_FACTOR = 10
"""vm.watermark_scale_factor as it comes, 4.6: the marks' distance in 1/10000 of the zone."""


@dataclass(frozen=True)
class Marks:
    """min, low and high in pages, with the boost in them (5.0) in pages."""

    min: int
    low: int | None = None
    high: int | None = None
    boost: int = 0


@dataclass(frozen=True)
class ZoneFree:
    """What of a zone the test looks at; all in pages.

    free        NR_FREE_PAGES
    nr_free     free blocks of each order; () if they are not known
    types       for each order the letters of the lists that hold a block; None if not known
    reserve     lowmem_reserve against this request
    highatomic  pages taken off for HIGHATOMIC pageblocks, see kernel.Reserved
    cma         free pages in CMA areas
    """

    free: int
    nr_free: tuple[int, ...] = ()
    types: tuple[frozenset[str] | None, ...] = ()
    reserve: int = 0
    highatomic: int = 0
    cma: int = 0


@dataclass(frozen=True)
class Step:
    """One comparison of the test: it holds if usable > needed.

    order   None: all free pages; k: what is left once the blocks of order k are taken off too
    usable  pages
    needed  mark plus lowmem_reserve, in pages
    mark    of it, the mark
    """

    order: int | None
    usable: int
    needed: int
    mark: int

    @property
    def holds(self) -> bool:
        """Whether there is more than is needed; the kernel's comparison is strict."""
        return self.usable > self.needed


@dataclass(frozen=True)
class Outcome:
    """How a try ended.

    passes     the request would have been served from this zone
    steps      the comparisons up to the one that refused
    blocks     free blocks at least as large as asked for; None if the list is not known
    serving    of these, whether one is on a list that may serve it; None if not known
    looked     whether the test looked for a block
    """

    passes: bool
    steps: tuple[Step, ...]
    blocks: int | None
    serving: bool | None
    looked: bool

    @property
    def short(self) -> int:
        """By how many pages the last comparison failed; 0 if it held."""
        last = self.steps[-1]
        return 0 if last.holds else last.needed - last.usable

    @property
    def decided(self) -> bool:
        """Whether the answer is known: a list that is missing leaves it open."""
        return not self.passes or not self.looked or self.serving is not None


_PLAIN = Access()


def marks_of(min_free_kbytes: int, zone: int, lowmem: int, kind: str, page_kb: int = 4) -> Marks:
    """The marks of a zone that a min_free_kbytes gives (setup_per_zone_wmarks).

    Parameters
    ----------
    min_free_kbytes
        vm.min_free_kbytes.
    zone, lowmem
        Managed pages (present ones before 3.8) of the zone and of all zones but HighMem.
    kind
        Rules.marks: 2.6.8 has low and high at 2 and 3 times min; 2.6.10 at 5/4 and 6/4 of it; since
        4.6 they lie apart by at least a thousandth of the zone.
    page_kb
        Page size in kB.
    """
    pages_min = min_free_kbytes // page_kb * zone // lowmem
    return Marks(pages_min, *above_min(pages_min, kind, zone * SCALE_FACTOR // 10_000))


def above_min(pages_min: int, kind: str, apart: int) -> tuple[int, int]:
    """Low and high above a min (setup_per_zone_wmarks), in pages.

    Parameters
    ----------
    pages_min
        The zone's min.
    kind
        Rules.marks, as for marks_of().
    apart
        By how much they lie apart at least, since 4.6.
    """
    if kind == "2.6.8":
        return 2 * pages_min, 3 * pages_min
    if kind == "4.6":
        step = max(pages_min // 4, apart)
        return pages_min + step, pages_min + 2 * step
    return pages_min * 5 // 4, pages_min * 6 // 4


def min_free_kbytes_of(lowmem_kb: int, kind: str) -> int:
    """The min_free_kbytes a kernel sets at boot (init_per_zone_wmark_min)."""
    if kind == "2.6.8":
        return min(max(isqrt(lowmem_kb), 128), 16384)
    return min(max(isqrt(16 * lowmem_kb), 128), 65536)


def watermark_ok(
    zone: ZoneFree, rules: Rules, order: int, mark: int, given: Access = _PLAIN
) -> Outcome:
    """Hold a zone against a mark as the kernel named does (zone_watermark_ok).

    given says what the request may take beyond the mark.
    """
    if rules.test is MarkTest.BLOCK:
        return _enough_and_a_block(zone, rules, order, mark, given)
    if rules.test is MarkTest.ORDERS:
        if given.high:
            mark -= mark // 2
        if given.harder:
            mark -= mark // 4
        return _each_order(zone, rules, order, mark, given)
    return _count(zone, order, mark)


def _count(zone: ZoneFree, order: int, mark: int) -> Outcome:
    """Pages only: free >= mark + 2^order is the same as free - 2^order + 1 > mark."""
    usable = zone.free - (1 << order) + 1
    step = Step(None, usable, mark + zone.reserve, mark)
    blocks = _blocks(zone, order)
    return Outcome(
        passes=step.holds and blocks != 0,
        steps=(step,),
        blocks=blocks,
        serving=None if blocks is None else blocks > 0,
        looked=step.holds,
    )


def _each_order(zone: ZoneFree, rules: Rules, order: int, mark: int, given: Access) -> Outcome:
    """zone_watermark_ok, 2.6.11 (206ca74edc) to 4.3.

    Each smaller order's pages are taken off, the mark is halved, and what remains must still exceed
    it. CMA pages are taken off in the first comparison only.
    """
    usable = zone.free - (1 << order) + 1
    off = zone.cma if rules.cma and not given.cma else 0
    steps = [Step(None, usable - off, mark + zone.reserve, mark)]
    blocks = _blocks(zone, order)
    if order > 0 and blocks is None and steps[0].holds:
        return Outcome(True, tuple(steps), None, None, looked=True)
    for smaller in range(order):
        if not steps[-1].holds:
            break
        usable -= zone.nr_free[smaller] << smaller if smaller < len(zone.nr_free) else 0
        mark >>= 1
        steps.append(Step(smaller, usable, mark, mark))
    passes = steps[-1].holds
    serving = _serves(zone, order, _letters(rules, given))
    return Outcome(
        passes=passes and (order == 0 or serving is not False),
        steps=tuple(steps),
        blocks=blocks,
        serving=serving,
        looked=passes and order > 0,
    )


def _enough_and_a_block(
    zone: ZoneFree, rules: Rules, order: int, mark: int, given: Access
) -> Outcome:
    """__zone_watermark_ok since 4.4 (97a16fc82a), and the shortcuts for one page."""
    blocks = _blocks(zone, order)
    off = 0 if given.cma else zone.cma
    short = Step(None, zone.free - off, mark + zone.reserve, mark)
    if given.high:
        mark -= mark // 2
    if given.harder:
        mark -= mark // 4
    if not given.reserved:
        off += zone.highatomic
    usable = zone.free - (1 << order) + 1 - off
    step = Step(None, usable, mark + zone.reserve, mark)
    if order == 0 and rules.shortcut and not step.holds and short.holds:
        step = short
    if order == 0 or not step.holds:
        return Outcome(step.holds, (step,), blocks, None, looked=False)
    serving = _serves(zone, order, _letters(rules, given))
    return Outcome(serving is not False, (step,), blocks, serving, looked=True)


def _letters(rules: Rules, given: Access) -> frozenset[str] | None:
    """The lists on which the test wants to see a block; None: any."""
    if rules.any_for_harder and given.harder:
        return None
    return _served_from(rules, given)


def _served_from(rules: Rules, given: Access) -> frozenset[str]:
    """The lists that a request may be served from."""
    letters = SERVING
    if rules.test is not MarkTest.BLOCK:
        letters |= {"R"}
    if given.blocks:
        letters |= {"H"}
    if given.cma:
        letters |= {"C"}
    return letters


def _blocks(zone: ZoneFree, order: int) -> int | None:
    return sum(zone.nr_free[order:]) if zone.nr_free else None


def _serves(zone: ZoneFree, order: int, letters: frozenset[str] | None) -> bool | None:
    """Whether a block of an order is on one of the lists; a list without letters is open to all."""
    if not zone.nr_free:
        return None
    for larger in range(order, len(zone.nr_free)):
        if not zone.nr_free[larger]:
            continue
        held = zone.types[larger] if larger < len(zone.types) else None
        if held is None or letters is None or held & letters:
            return True
    return False


def first_try(
    zone: ZoneFree, rules: Rules, marks: Marks, order: int, given: Access, *, waits: bool
) -> Outcome | None:
    """The try of the fast path, at the low mark; None if that mark is not known.

    2.6.8 also lets a request without __GFP_WAIT pass if free pages reach the high mark.
    """
    if marks.low is None:
        return None
    plain = Access(cma=given.cma)
    outcome = watermark_ok(zone, rules, order, marks.low, plain)
    if rules.test is MarkTest.LOW:
        return _or_high(outcome, zone, marks, order, waits=waits)
    return outcome


def last_try(
    zone: ZoneFree, rules: Rules, marks: Marks, order: int, given: Access, *, waits: bool
) -> Outcome | None:
    """The try at min with what the request may take beyond it; None if the mark is not known."""
    if rules.test is MarkTest.LOW:
        if marks.low is None:
            return None
        mark = marks.low - marks.low // 4 if given.high else marks.low
        return _or_high(watermark_ok(zone, rules, order, mark), zone, marks, order, waits=waits)
    mark = marks.min
    if rules.test is MarkTest.COUNT:
        if given.high:
            mark //= 2
        if given.harder:
            mark -= mark // 4
        return watermark_ok(zone, rules, order, mark)
    if rules.boost_spares and order == 0 and given.high and given.harder:
        # The boost is to wake kswapd, not to refuse a page (zone_watermark_fast, 5.9).
        mark -= marks.boost
    return _taken(watermark_ok(zone, rules, order, mark, given), zone, rules, order, given)


def _taken(outcome: Outcome, zone: ZoneFree, rules: Rules, order: int, given: Access) -> Outcome:
    """What a test that passes is worth where it did not look at whose lists the blocks are on.

    From 4.4 to 4.14 a block of any type satisfied who may try harder (__zone_watermark_ok), but
    rmqueue() takes none off a list that may not serve the request: that of CMA, above all.
    """
    if not (rules.any_for_harder and given.harder and outcome.passes and outcome.looked):
        return outcome
    if _serves(zone, order, _served_from(rules, given)) is False:
        return replace(outcome, passes=False, serving=False)
    return outcome


def _or_high(outcome: Outcome, zone: ZoneFree, marks: Marks, order: int, *, waits: bool) -> Outcome:
    """2.6.8: a request without __GFP_WAIT passes as well if free pages reach the high mark."""
    if outcome.passes or waits or marks.high is None or zone.free < marks.high:
        return outcome
    blocks = _blocks(zone, order)
    return replace(outcome, passes=blocks != 0, looked=True)
