"""Hold each zone of a report against the test of its kernel, and name what refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import combinations

from study.refusals import gfp
from study.refusals.gfp import Access, Flags
from study.refusals.kernel import MarkTest, Reserved, Rules, Version, rules_of, spell
from study.refusals.report import ZONES, FreeList, Report, ZoneState
from study.refusals.watermark import Marks, Outcome, ZoneFree, first_try, last_try

_HIGHEST = 20
"""Orders no kernel has, where no list shows how many there are."""


class Cause(Enum):
    """Why a zone refused, in one word or line."""

    STARVED = "starved"
    ORDER_TEST = "order test"
    NO_BLOCK = "no block of the order"
    TYPE = "blocks are of a type that may not serve it"
    BOOST = "boost"
    RESERVE = "lowmem_reserve"
    HIGHATOMIC = "highatomic"
    CMA = "CMA"
    YOUNGER = "not decidable: the list is younger than the refusal"
    CGROUP = "the limit of a cgroup"
    NONE = "none: as it stands the request passes"


@dataclass(frozen=True)
class Missing:
    """Something that the text lacks, and the option that would supply it."""

    what: str
    option: str


@dataclass
class ZoneVerdict:
    """What the test says of one zone.

    pages     what it looked at
    first     the try at low; None if that mark is not known
    last      the try at min with what the request may take; None if it could not be made
    by_list   the last try with the sum of the list in place of the printed free pages
    cause     why the last try failed; None if it passed or could not be made
    hidden    pages that may be reserved for HIGHATOMIC without the report saying so
    """

    zone: ZoneState
    pages: ZoneFree
    marks: Marks | None
    first: Outcome | None = None
    last: Outcome | None = None
    by_list: Outcome | None = None
    cause: Cause | None = None
    hidden: int = 0
    missing: list[Missing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Verdict:
    """What a report comes to.

    cause     in one of the words of Cause; None if something is missing
    because   the sentence that goes with it
    """

    report: Report
    rules: Rules | None
    order: int | None
    flags: Flags | None
    access: Access
    zones: list[ZoneVerdict] = field(default_factory=list)
    cause: Cause | None = None
    because: str = ""
    missing: list[Missing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def deciding(self) -> ZoneVerdict | None:
        """The zone that the cause is about: the first one tried of those that could be tested."""
        tested = [zone for zone in self.zones if zone.last is not None]
        passing = [zone for zone in tested if zone.last is not None and zone.last.passes]
        return next(iter(passing or tested), None)


def judge(report: Report) -> Verdict:
    """Hold the zones of a report against the test of its kernel, in the order it tries them.

    Parameters
    ----------
    report
        As found in the text, with what the command line adds.

    Returns
    -------
    Verdict
        With everything that is missing for an answer; nothing missing is taken for granted but
        what notes say.
    """
    report.settle()
    request = report.request
    order = None if request is None else request.order
    version = None if report.kernel is None else report.kernel.version
    flags = None
    if request is not None and version is not None:
        flags = request.flags
        if flags is None and request.names:
            flags = gfp.from_names(request.names, version)
        if flags is None and request.mask is not None:
            flags = gfp.from_mask(request.mask, version)
    rules = None if version is None else rules_of(version)
    access = Access()
    if flags is not None and order is not None and version is not None:
        access = gfp.access(flags, order, version)
    verdict = Verdict(report, rules, order, flags, access)
    if report.kind.endswith("cgroup"):
        verdict.cause = Cause.CGROUP
        verdict.because = (
            "A cgroup had reached its own limit: no zone refused anything. Its memory.max (or "
            "memory.limit_in_bytes) decides, not free pages, marks or blocks."
        )
        return verdict
    _ask(verdict)
    if rules is None or flags is None or order is None or version is None:
        return verdict
    if order >= (report.orders or _HIGHEST):
        verdict.cause = Cause.NO_BLOCK
        verdict.because = (
            f"This kernel has no lists above order {(report.orders or _HIGHEST) - 1}: it refuses "
            f"order {order} before it looks at any zone."
        )
        verdict.missing = []
        return verdict
    waits = gfp.may_wait(flags)
    for zone in zones_tried(report, flags):
        verdict.zones.append(_judge_zone(report, zone, rules, order, access, flags, waits=waits))
    if not verdict.zones:
        _ask_for_zones(verdict)
        return verdict
    _conclude(verdict, order)
    return verdict


def zones_tried(report: Report, flags: Flags) -> list[ZoneState]:
    """The zones that a request is tried on, node by node, in the kernel's order."""
    nodes = sorted(
        {node for node, _ in report.zones}, key=lambda node: -1 if node is None else node
    )
    result = []
    for node in nodes:
        if report.request is not None and not report.request.may_use(node):
            continue
        for name in gfp.zones_of(flags):
            zone = report.zones.get((node, name))
            if zone is not None and not zone.is_empty:
                result.append(zone)
    return result


def _ask(verdict: Verdict) -> None:
    """Note what of the request is missing, with the option that would supply it."""
    report = verdict.report
    if report.request is None or report.request.order is None:
        verdict.missing.append(Missing("the order asked for", "--order N"))
    if verdict.flags is None:
        request = report.request
        unnamed = request is None or (request.mask is None and not request.names)
        if unnamed or report.kernel is not None:
            verdict.missing.append(
                Missing("the flags of the request", "--atomic, or --gfp GFP_KERNEL")
            )
    if report.kernel is None:
        verdict.missing.append(Missing("the kernel's version", "--kernel 2.6.17"))
    if verdict.rules is None or verdict.flags is None or verdict.order is None:
        _ask_for_marks(verdict)


def _ask_for_marks(verdict: Verdict) -> None:
    report = verdict.report
    zones = [zone for zone in report.zones.values() if not zone.is_empty]
    if not any(zone.free_list is not None or zone.free_kb is not None for zone in zones):
        _ask_for_zones(verdict)
        return
    lacking = [zone for zone in zones if not zone.has_marks]
    if lacking:
        titles = ", ".join(zone.title for zone in lacking[:4])
        several = len(zones) > 1
        option = f"--zone {_quoted(lacking[-1])} --min 3756kB" if several else "--min 3756kB"
        verdict.missing.append(Missing(f"the marks of {titles}", option))


def _ask_for_zones(verdict: Verdict) -> None:
    verdict.missing.append(
        Missing("the zones: free pages, marks and lists", "--list 'N N N ...' --min 3756kB")
    )


def _quoted(zone: ZoneState) -> str:
    return zone.name if zone.node is None else f"{zone.node}/{zone.name}"


def _in_pages(kb: int | None, page_kb: int) -> int | None:
    return None if kb is None else kb // page_kb


def zone_pages(
    report: Report, zone: ZoneState, rules: Rules, flags: Flags, access: Access
) -> tuple[ZoneFree, int, list[str]]:
    """What the test looks at in a zone: (figures, pages hidden in reserves, notes)."""
    page_kb = report.page_kb
    notes: list[str] = []
    listed = zone.free_list or FreeList(())
    free = _in_pages(zone.free_kb, page_kb)
    if free is None:
        free = listed.pages
        notes.append("Free pages are the sum of the list: the text has no other figure.")
    reserve, note = reserve_of(report, zone, flags, rules.version)
    notes += [note] if note else []
    cma = _in_pages(zone.free_cma_kb, page_kb) or 0
    if zone.free_cma_kb is None and "C" in listed.by_type:
        cma = sum(n << order for order, n in enumerate(listed.by_type["C"]))
    highatomic, hidden = _highatomic(report, zone, listed, rules, access)
    if hidden:
        notes.append(
            f"This kernel does not print what is reserved for atomic requests: at most {hidden:,} "
            "pages, none of them taken off here."
        )
    counts = () if listed.is_cut else listed.counts
    figures = ZoneFree(free, counts, listed.types, reserve, highatomic, cma)
    return figures, hidden, notes


def _highatomic(  # noqa: PLR0911 - a case each
    report: Report, zone: ZoneState, listed: FreeList, rules: Rules, access: Access
) -> tuple[int, int]:
    """(pages taken off, pages that may have to be taken off unseen)."""
    page_kb = report.page_kb
    block = 1 << report.pageblock_order
    if rules.reserved is Reserved.NONE:
        return 0, 0
    printed = zone.reserved_highatomic_kb
    if rules.reserved is Reserved.FREE and zone.free_highatomic_kb is not None:
        printed = zone.free_highatomic_kb
    if printed is not None:
        return printed // page_kb, 0
    if "H" in listed.by_type:
        if rules.reserved is Reserved.ALL and "H" in zone.pageblocks:
            return zone.pageblocks["H"] * block, 0
        return sum(n << order for order, n in enumerate(listed.by_type["H"])), 0
    held = [letters for letters in listed.types if letters]
    if access.reserved or (held and not any("H" in letters for letters in held)):
        return 0, 0
    managed = (zone.size_kb or 0) // page_kb
    if rules.version < (6, 8):
        return 0, managed // 100 + block if managed else 0
    return 0, -(-(managed // 100) // block) * block if managed // 100 >= block else 0


_OWN_LOW_LEFT_OUT = (2, 6, 9)


def reserve_of(
    report: Report, zone: ZoneState, flags: Flags, version: Version
) -> tuple[int, str | None]:
    """lowmem_reserve of a zone against a request: (pages, what is uncertain about it).

    The array has an entry for each zone the kernel was built with, which the text need not name:
    all sets of zones that fit are looked at.
    """
    wanted = gfp.zones_of(flags)[0]
    if zone.reserve is None:
        if zone.name == wanted or not _above(report, zone, wanted):
            return 0, None
        return 0, "lowmem_reserve[] is not in the text: taken as 0 (--reserve PAGES)."
    if len(zone.reserve) == 1:
        return zone.reserve[0], None
    # Up to 2.6.8 protection[] has a zone's own low mark in it (setup_per_zone_protection), which
    # the test counts with the marks.
    own = (_in_pages(zone.low_kb, report.page_kb) or 0) if version < _OWN_LOW_LEFT_OUT else 0
    seen = {z.name for z in report.on_node(zone.node)} | {"Normal"}
    values: list[int] = []
    for built in _builds(report, zone.node, seen, len(zone.reserve), version):
        below = [i for i, name in enumerate(built) if ZONES.index(name) <= ZONES.index(wanted)]
        if below:
            values.append(max(zone.reserve[below[-1]] - own, 0))
    if not values:
        last = max(zone.reserve[-1] - own, 0)
        return last, "Which entry of lowmem_reserve[] counts is not clear: the last."
    if len(set(values)) > 1:
        others = ", ".join(f"{value:,}" for value in sorted(set(values)) if value != values[0])
        return values[0], f"lowmem_reserve may also be {others}: the text does not name all zones."
    return values[0], None


def _above(report: Report, zone: ZoneState, wanted: str) -> bool:
    """Whether the machine has memory between a zone and the one asked for first, if that shows."""
    known = [z for z in report.on_node(zone.node) if z is not zone]
    if not known:
        return True
    low, high = ZONES.index(zone.name), ZONES.index(wanted)
    return any(low < ZONES.index(z.name) <= high and not z.is_empty for z in known)


def _builds(
    report: Report, node: int | None, seen: set[str], length: int, version: Version
) -> list[tuple[str, ...]]:
    """The sets of zones a kernel may have been built with, the likeliest first."""
    must = seen | ({"Movable"} if version >= (2, 6, 23) else set())
    arrays = [
        (z.name, z.reserve)
        for z in report.on_node(node)
        if z.reserve is not None and len(z.reserve) == length
    ]
    fitting = []
    for built in combinations(ZONES, length):
        if not must <= set(built) or ("Device" in built and version < (4, 3)):
            continue
        if "Movable" in built and version < (2, 6, 23):
            continue
        # No zone is protected from requests for itself, or for one below.
        own = version >= _OWN_LOW_LEFT_OUT
        if any(any(numbers[: built.index(name) + own]) for name, numbers in arrays):
            continue
        unlikely = ("HighMem" in built and "HighMem" not in seen) + (
            "DMA32" in built and "DMA32" not in seen
        )
        fitting.append((unlikely, built))
    likeliest = min((unlikely for unlikely, _ in fitting), default=0)
    return [built for unlikely, built in fitting if unlikely == likeliest]


def _marks(report: Report, zone: ZoneState, rules: Rules) -> tuple[Marks | None, list[str]]:
    """The marks of a zone in pages; low and boost are worked out where that leaves no doubt."""
    page_kb = report.page_kb
    least, low, high = (_in_pages(kb, page_kb) for kb in (zone.min_kb, zone.low_kb, zone.high_kb))
    boost = _in_pages(zone.boost_kb, page_kb) or 0
    notes = []
    if least is None:
        if low is None or rules.test is not MarkTest.LOW:
            return None, []
        least = low // 2
    if low is None and rules.marks == "2.6.10":
        low, high = least * 5 // 4, least * 6 // 4
        notes.append("low and high follow from min by this kernel's formula.")
    elif low is None and rules.marks == "2.6.8":
        low, high = least * 2, least * 3
        notes.append("low and high follow from min by this kernel's formula.")
    if zone.boost_kb is None and low is not None and (5, 0) <= rules.version < (5, 17):
        # low - min is at least a quarter of the unboosted min, and the boost is in both.
        hidden = least - (4 * (low - least) + 3)
        if hidden > 0 and low > least:
            boost = hidden
            notes.append(f"At least {hidden:,} pages of min are boost, by the marks' distance.")
    return Marks(least, low, high, min(boost, least)), notes


def _judge_zone(
    report: Report,
    zone: ZoneState,
    rules: Rules,
    order: int,
    access: Access,
    flags: Flags,
    *,
    waits: bool,
) -> ZoneVerdict:
    pages, hidden, notes = zone_pages(report, zone, rules, flags, access)
    marks, about_marks = _marks(report, zone, rules)
    result = ZoneVerdict(zone, pages, marks, hidden=hidden, notes=notes + about_marks)
    named = f"--zone {_quoted(zone)} " if len(report.zones) > 1 else ""
    if marks is None:
        result.missing.append(Missing(f"the marks of {zone.title}", f"{named}--min 3756kB"))
    if zone.free_kb is None and zone.whole_list is None:
        result.missing.append(Missing(f"the free pages of {zone.title}", f"{named}--free 9656kB"))
    if result.missing or marks is None:
        result.notes = []
        return result
    result.first = first_try(pages, rules, marks, order, access, waits=waits)
    result.last = last_try(pages, rules, marks, order, access, waits=waits)
    if result.last is not None and not result.last.decided:
        result.missing.append(
            Missing(f"the free blocks of {zone.title} by order", f"{named}--list 'N N N ...'")
        )
        result.last = None
        return result
    if result.last is None:
        result.missing.append(Missing(f"the low mark of {zone.title}", f"{named}--low 4692kB"))
        return result
    listed = zone.whole_list
    if listed is not None and listed.pages != pages.free:
        summed = replace(pages, free=listed.pages)
        result.by_list = last_try(summed, rules, marks, order, access, waits=waits)
    if not result.last.passes:
        result.cause = _cause(result, rules, marks, order, access, waits=waits)
    return result


def _cause(  # noqa: PLR0911 - a cause each
    result: ZoneVerdict, rules: Rules, marks: Marks, order: int, access: Access, *, waits: bool
) -> Cause:
    """Name what refused: of all that was taken off or asked for, what alone made the difference."""
    outcome, pages = result.last, result.pages
    assert outcome is not None  # noqa: S101 - only called for a zone that was tested
    if outcome.steps[-1].holds:
        return Cause.TYPE if outcome.blocks else Cause.NO_BLOCK
    if outcome.steps[-1].order is not None:
        return Cause.ORDER_TEST if outcome.blocks else Cause.NO_BLOCK

    def enough(pages: ZoneFree, marks: Marks) -> bool:
        again = last_try(pages, rules, marks, order, access, waits=waits)
        return again is not None and again.steps[0].holds

    if marks.boost and enough(pages, _unboosted(marks)):
        return Cause.BOOST
    if pages.cma and enough(replace(pages, cma=0), marks):
        return Cause.CMA
    if pages.reserve and enough(replace(pages, reserve=0), marks):
        return Cause.RESERVE
    if pages.highatomic and enough(replace(pages, highatomic=0), marks):
        return Cause.HIGHATOMIC
    return Cause.STARVED


def _unboosted(marks: Marks) -> Marks:
    low = None if marks.low is None else marks.low - marks.boost
    high = None if marks.high is None else marks.high - marks.boost
    return Marks(marks.min - marks.boost, low, high, 0)


def _conclude(verdict: Verdict, order: int) -> None:
    """One cause for the whole report, and the sentence that goes with it."""
    tested = [zone for zone in verdict.zones if zone.last is not None]
    for zone in verdict.zones:
        verdict.missing += zone.missing
    if not tested:
        return
    passing = [zone for zone in tested if zone.last is not None and zone.last.passes]
    if passing:
        zone = passing[0]
        verdict.cause = Cause.YOUNGER if verdict.report.is_refusal else Cause.NONE
        verdict.because = _passing(verdict, zone, order)
        if zone is not tested[0] and tested[0].cause is not None:
            before = sentence(tested[0], order)
            verdict.because += f" Tried before it and refused ({tested[0].cause.value}): {before}"
        if zone.hidden and zone.last is not None:
            room = zone.last.steps[-1].usable - zone.last.steps[-1].needed
            if room <= zone.hidden:
                verdict.because += (
                    f" With {room:,} pages or more reserved for atomic requests, of which this "
                    f"kernel prints nothing and keeps at most {zone.hidden:,}, it would be refused."
                )
        return
    first = tested[0]
    verdict.cause = first.cause
    verdict.because = sentence(first, order)
    if first.by_list is not None and first.by_list.passes and first.last is not None:
        step = first.by_list.steps[-1]
        verdict.because += (
            f" By the sum of the list, read a moment later, it passes by "
            f"{step.usable - step.needed:,} pages: the list is younger than the refusal."
        )
    untested = [zone.zone.title for zone in verdict.zones if zone.last is None]
    if untested:
        verdict.notes.append(f"Not tested, for want of figures: {', '.join(untested)}.")


def _passing(verdict: Verdict, zone: ZoneVerdict, order: int) -> str:
    assert zone.last is not None  # noqa: S101 - only called for a zone that passed
    step = zone.last.steps[-1]
    what = f"order {order}" if order else "one page"
    text = f"{zone.zone.title} passes as printed: {step.usable:,} pages against {step.needed:,}"
    if order and zone.last.blocks is not None:
        text += f", {_blocks(zone.last.blocks)} of order {order} or more"
    if verdict.report.is_refusal:
        return (
            f"{text}. What was printed is what was left a moment after {what} was refused, when "
            "others had freed pages."
        )
    return f"{text}."


def _blocks(count: int) -> str:
    return f"{count:,} block" if count == 1 else f"{count:,} blocks"


def sentence(result: ZoneVerdict, order: int) -> str:
    """Why a zone refused, with its numbers."""
    outcome, pages, zone = result.last, result.pages, result.zone
    assert outcome is not None  # noqa: S101 - only called for a zone that was tested
    step = outcome.steps[-1]
    title = zone.title
    pages_left = "page" if step.usable == 1 else "pages"
    against = f"{step.usable:,} {pages_left} against {step.needed:,}"
    largest = None if zone.free_list is None else zone.free_list.largest
    match result.cause:
        case Cause.NO_BLOCK:
            have = "no free block at all" if largest is None else f"none above order {largest}"
            text = f"{title} has {pages.free:,} free pages, but no block of order {order}: {have}."
        case Cause.TYPE:
            held = sorted({
                letter
                for letters in pages.types[order:]
                if letters
                for letter in letters
            })  # fmt: skip
            text = (
                f"{title} has {_blocks(outcome.blocks or 0)} of order {order} or more, on lists "
                f"that may not serve the request: {', '.join(map(_list_name, held))}."
            )
        case Cause.ORDER_TEST:
            text = (
                f"{title} has blocks of order {order}, but {against} above order {step.order}: "
                f"refused by {outcome.short:,}."
            )
        case Cause.BOOST:
            marks = result.marks or Marks(0)
            text = (
                f"{title}: {against}: refused by {outcome.short:,}. {marks.boost:,} pages of min "
                "are watermark boost, raised since a pageblock was mixed; without it it passes."
            )
        case Cause.RESERVE:
            text = (
                f"{title}: {against}: refused by {outcome.short:,}. {pages.reserve:,} of these are "
                "kept for requests that can use no higher zone (lowmem_reserve)."
            )
        case Cause.HIGHATOMIC:
            text = (
                f"{title}: {against}: refused by {outcome.short:,}. {pages.highatomic:,} pages are "
                "reserved for atomic requests."
            )
        case Cause.CMA:
            text = (
                f"{title}: {against}: refused by {outcome.short:,}. Of {pages.free:,} free pages "
                f"{pages.cma:,} are CMA, which only movable requests may use."
            )
        case _:
            text = (
                f"{title} is short of free pages: {against}: refused by {outcome.short:,}."
                f"{'' if order else ' Fragmentation has no part in it.'}"
            )
    return text


_LISTS = {
    "U": "unmovable (U)", "E": "reclaimable (E)", "M": "movable (M)", "R": "reserve (R)",
    "H": "reserved for atomic requests (H)", "C": "CMA (C)", "I": "isolated (I)",
}  # fmt: skip


def _list_name(letter: str) -> str:
    return _LISTS.get(letter, letter)


def kernel_in_words(report: Report) -> str:
    """Which kernel's test is used, and how that is known."""
    kernel = report.kernel
    if kernel is None:
        return "not in the text"
    if kernel.how == "form":
        span = []
        if kernel.oldest is not None:
            span.append(f"not before {spell(kernel.oldest)}")
        if kernel.newest is not None:
            span.append(f"not after {spell(kernel.newest)}")
        return (
            f"taken as {spell(kernel.version)}: the text does not name it; by its form "
            f"({kernel.why}) {' and '.join(span)}; --kernel sets it"
        )
    source = {"option": ", by --kernel", "machine": ", this machine"}.get(kernel.how, "")
    return ".".join(map(str, kernel.version)) + source
