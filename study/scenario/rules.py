"""Rules across settings: values that are each allowed but make no machine together."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from study.refusals.kernel import spell
from study.scenario.errors import shown
from study.scenario.machine import sysctls
from study.scenario.machine.kernels import parse
from study.scenario.machine.lists import TYPES
from study.scenario.machine.sysctls import SYSCTLS
from study.scenario.model import Machine
from study.scenario.nic import MTU_LIMITS
from study.scenario.units import LONGEST_NS, size_text, time_text
from study.zone.engine.enums import Stream, stream_key, stream_of_request
from study.zone.marks import marks_for
from study.zone.settings import (
    KMALLOC_ORDER_MAX,
    Grouping,
    Placement,
    Reserve,
    Settings,
    declared,
)

WORKING_SET_MAX = 1 << 28
SAMPLES_MAX = 1_000_000
PASSES = 3
"""Of stress-highalloc."""

_LARGE_KMALLOC = (2, 6, 22)
"""Since SLUB, and in SLAB from then on, kmalloc goes up to the largest block."""

Complaint = tuple[str, str]
"""Dotted key, and what is wrong with it."""


def complaints(machine: Machine, settings: Settings) -> Iterator[Complaint]:
    """Everything impossible about one machine; nothing if it can be simulated.

    settings  the same machine, in the kernel's units
    """
    yield from _memory(settings)
    yield from _marks(machine, settings)
    yield from _reserve(machine, settings)
    yield from _orders(settings)
    least, most = MTU_LIMITS[machine.nic.driver]
    if not least <= machine.nic.mtu <= most:
        yield (
            "nic.mtu",
            f"is {machine.nic.mtu:,}; {machine.nic.driver} takes {least} to {most:,} bytes",
        )
    yield from _pageblocks(settings)
    yield from _profiles(settings)
    yield from _churn(settings)
    yield from _highalloc(settings)
    yield from _bursts(settings)
    yield from _streams(settings)
    if settings.extension.victims and settings.reclaim.lumpy:
        why = "is not asked by lumpy reclaim, which takes whole blocks; set reclaim.lumpy to off"
        yield "extension.victims", why
    yield from _sysctls(machine)
    yield from _starts(machine, settings)
    yield from _requests(machine, settings)
    yield from _working_set(settings)
    yield from _clock(settings)


def _memory(s: Settings) -> Iterator[Complaint]:
    pages, reserved = s.memory.pages, s.memory.reserved_pages
    if reserved >= pages:
        yield (
            "zone.reserved",
            f"is {size_text(reserved)}, all of the zone, whose memory is {size_text(pages)}",
        )
    dma = s.memory.dma_pages
    if s.memory.lowmem_pages < pages + dma:
        yield (
            "zone.lowmem",
            (
                f"is {s.memory.lowmem_pages:,} pages; it counts all lowmem zones, so at least the "
                f"{pages + dma:,} of this one" + (" and zone.dma" if dma else "")
            ),
        )
    free = sum(count << order for order, count in enumerate(s.memory.buddyinfo or ()))
    if free > max(pages - reserved, 0):
        yield (
            "zone.buddyinfo",
            (
                f"has {free:,} free pages; the zone holds {max(pages - reserved, 0):,} besides the "
                "reserved ones"
            ),
        )


def _marks(machine: Machine, s: Settings) -> Iterator[Complaint]:
    given = {name: getattr(machine.watermarks, name) for name in ("min", "low", "high")}
    missing = [name for name, value in given.items() if value is None]
    if missing and missing != ["low", "high"] and len(missing) < len(given):
        yield (
            f"watermarks.{missing[0]}",
            "is missing; min, low and high are given together, or min alone",
        )
    if s.watermarks.explicit_pages is None:
        least = marks_for(s.memory, s.watermarks)[0]
        if s.watermarks.min_free_kbytes and least > s.memory.pages:
            key = "watermarks.min_free_kbytes"
            if machine.vm.min_free_kbytes is not None:
                key = "vm.min_free_kbytes"
            yield key, f"gives a min mark of {least:,} pages; the zone has {s.memory.pages:,}"
        return
    if s.watermarks.min_free_kbytes:
        yield "watermarks.min_free_kbytes", "and watermarks.min both set the marks; give one"
    low, mid, high = s.watermarks.explicit_pages
    if not low < mid < high and high > 0:
        yield (
            "watermarks.min",
            (
                f"is out of order: min {low:,}, low {mid:,}, high {high:,}; "
                "it must be min < low < high"
            ),
        )
    if high >= s.memory.pages:
        yield "watermarks.high", f"is {high:,} pages, not below the zone's {s.memory.pages:,}"


def _reserve(machine: Machine, s: Settings) -> Iterator[Complaint]:
    """Pages held back from every request that the zone is simulated for."""
    held = s.watermarks.lowmem_reserve_pages
    if held >= s.memory.pages:
        key = "watermarks.lowmem_reserve"
        if machine.watermarks.lowmem_reserve_ratio:
            key += "_ratio"
        yield key, f"holds back {held:,} pages; the zone has {s.memory.pages:,}"


def _sysctls(machine: Machine) -> Iterator[Complaint]:
    """Sysctls by name: those that the kernel does not have, and those that are set twice."""
    named = {name: getattr(machine.vm, name) for name in SYSCTLS}
    named = {name: value for name, value in named.items() if value is not None}
    yield from sysctls.complaints(named, machine.kernel)
    for name, value in named.items():
        group, _, key = SYSCTLS[name].key.partition(".")
        other = getattr(getattr(machine, group), key)
        if other != value:
            yield f"vm.{name}", f"is {value:,}, but {group}.{key} is {other:,}: it is one setting"
    if machine.watermarks.lowmem_reserve_ratio and not machine.zone.above:
        key = "watermarks.lowmem_reserve_ratio"
        if "lowmem_reserve_ratio" in named:
            key = "vm.lowmem_reserve_ratio"
        yield key, "has no effect without a higher zone; say its pages with zone.above"


def _starts(machine: Machine, s: Settings) -> Iterator[Complaint]:
    """What only a start from lists can use."""
    lists = s.memory.buddyinfo is not None
    if machine.zone.name is not None and not lists:
        yield "zone.name", "has no effect without zone.buddyinfo"
    if machine.zone.pageblocks is not None:
        unknown = [letter for letter in machine.zone.pageblocks if letter not in TYPES]
        if unknown:
            yield "zone.pageblocks", f"has {shown(unknown[0])}; letters are {', '.join(TYPES)}"
        if s.memory.typed_blocks is None:
            yield "zone.pageblocks", "has no effect without lists by type under zone.buddyinfo"
        counted = sum(machine.zone.pageblocks.values())
        most = s.memory.pages >> s.memory.pageblock_order
        if counted > most:
            yield "zone.pageblocks", f"counts {counted:,}; the zone has {most:,} pageblocks"
    if s.memory.highatomic_pages and s.memory.reserve != Reserve.HIGHATOMIC:
        yield "zone.highatomic", "needs zone.reserve highatomic (kernel 4.4)"
    if s.memory.highatomic_pages > s.memory.pages:
        yield "zone.highatomic", f"is {s.memory.highatomic_pages:,} pages, more than the zone has"


def _requests(machine: Machine, s: Settings) -> Iterator[Complaint]:
    for one in s.requests:
        if machine.requests[one.name].asked()[0] is None:
            yield f"requests.{one.name}.order", "is missing: the block has 2 ** order pages"
        elif 1 << one.order > s.memory.pages:
            yield f"requests.{one.name}.order", f"is {one.order}, larger than the whole zone"
        if one.per_s <= 0 and one.first_ns < 0:
            yield f"requests.{one.name}.rate", "is missing: how many come, as 1/min or 20/s"
    for action in machine.actions:
        if action.at >= s.clock.measure_ns:
            yield "actions", f"has one at {time_text(action.at)}, when the measured time is over"
        if (action.do is None) == (action.set is None):
            yield "actions", "needs either do or set in each"
    old = (parse(machine.kernel) or ()) < _LARGE_KMALLOC
    for key, order in (("nic.rx_order", s.nic.rx_order), ("nic.tx_order", s.nic.tx_order)):
        if order > KMALLOC_ORDER_MAX and old:
            why = (
                f"is {order}; kmalloc of Linux {machine.kernel} ends at order {KMALLOC_ORDER_MAX} "
                f"(131,072 bytes), since {spell(_LARGE_KMALLOC)} at order 10"
            )
            yield key, why


def _orders(s: Settings) -> Iterator[Complaint]:
    for key, order, used in (
        ("defrag.order", s.defrag.order, True),
        ("probe.order", s.probe.order, True),
        ("nic.rx_order", s.nic.rx_order, True),
        ("nic.tx_order", s.nic.tx_order, True),
        ("huge.order", s.huge.order, s.huge.per_s > 0),
        ("highalloc.order", s.highalloc.order, s.highalloc.share > 0),
    ):
        if used and 1 << order > s.memory.pages:
            yield key, f"is {order}; a block of {1 << order} pages is larger than the whole zone"


def _pageblocks(s: Settings) -> Iterator[Complaint]:
    """Switches that need mobility grouping, or go without it only."""
    for key, on in (
        ("zone.reserve", s.memory.reserve != Reserve.OFF),
        ("watermarks.boost_factor", s.watermarks.boost_factor > 0),
        ("zone.nofragment", s.memory.nofragment),
    ):
        if on and s.memory.grouping == Grouping.OFF:
            yield key, "needs pageblocks; set zone.grouping to on"
    placement, grouping = s.memory.placement, s.memory.grouping
    if placement == Placement.BY_LIFETIME and grouping == Grouping.OFF:
        yield "zone.placement", "is by-lifetime, which needs pageblocks; set zone.grouping to on"
    if placement == Placement.BEST_FIT and grouping == Grouping.ON:
        yield "zone.placement", "is best-fit, which is a bound to 2.6.8; set zone.grouping to off"


def _highalloc(s: Settings) -> Iterator[Complaint]:
    asked = s.highalloc
    blocks = PASSES * (int(asked.share * s.memory.pages) >> asked.order)
    if blocks * asked.gap_ns > LONGEST_NS:
        yield (
            "highalloc.gap",
            f"gives {blocks:,} requests in {PASSES} passes over 10,000h in all; make it shorter",
        )


def _profiles(s: Settings) -> Iterator[Complaint]:
    """Pieces in which an uneven load comes faster than an even one may."""
    most = declared()["user.touches_per_s"].setting.most or inf
    for key, profile in (
        ("user.touch_profile", s.user.touch_profile),
        ("nic.rx_profile", s.nic.rx_profile),
        ("nic.tx_profile", s.nic.tx_profile),
    ):
        fastest = max((rate for _, rate in profile), default=0.0)
        if fastest > most:
            yield key, f"comes to {fastest:,.0f}/s; at most {most:,.0f}/s"


def _bursts(s: Settings) -> Iterator[Complaint]:
    """Bursts so long, and frames or requests so rare, that one comes in 10,000 hours at most."""
    for key, burst, rate in (
        ("nic.rx_burst", s.nic.rx_burst_frames, s.nic.rx_frames_per_s),
        ("nic.tx_burst", s.nic.tx_burst_frames, s.nic.tx_frames_per_s),
        *((f"requests.{one.name}.burst", one.burst, one.per_s) for one in s.requests),
    ):
        if burst * 1e9 > rate * LONGEST_NS > 0:
            yield key, f"is {burst:g}, of which one comes in over 10,000h at {rate:g}/s"


def _streams(s: Settings) -> Iterator[Complaint]:
    """Requests by name whose random numbers would be those of another source."""
    taken = {stream_key(stream.name): f"the load's {stream.name}" for stream in Stream}
    for one in s.requests:
        key = stream_key(stream_of_request(one.name))
        if key in taken:
            why = f"would have the random numbers of {taken[key]}; give it another name"
            yield f"requests.{one.name}", why
        taken[key] = one.name


def _churn(s: Settings) -> Iterator[Complaint]:
    churn = s.churn
    if churn.rounds == 0:
        return
    if churn.rounds * churn.gap_ns > LONGEST_NS:
        yield "churn.gap", f"gives {churn.rounds:,} rounds over 10,000h in all; make it shorter"
    if churn.hold > churn.fill:
        yield "churn.hold", f"is {churn.hold:g}, more than is filled (churn.fill {churn.fill:g})"
    if round(churn.fill * s.memory.pages) > s.user.working_set_pages:
        yield "churn.fill", "is more than user.working_set has pages"


def _working_set(s: Settings) -> Iterator[Complaint]:
    """The working set may be a multiple of the zone's memory, so its bounds are no single key's."""
    pages, extent = s.user.working_set_pages, s.user.extent_pages
    if pages < 1:
        yield "user.working_set", f"is {pages:,} pages, a working set of nothing"
    elif extent > pages:
        yield "user.extent", f"is {extent:,} pages, more than the working set of {pages:,}"
    if pages * s.costs.refault_ns > LONGEST_NS:
        cost = time_text(s.costs.refault_ns)
        yield "costs.refault", f"is {cost}, over 10,000h for the {pages:,} pages of the working set"
    if pages > WORKING_SET_MAX:
        yield "user.working_set", f"is over {WORKING_SET_MAX:,} pages; that cannot be simulated"


def _clock(s: Settings) -> Iterator[Complaint]:
    clock = s.clock
    if clock.sample_ns > clock.measure_ns:
        yield "clock.sample", "is longer than clock.measure; there would be no sample"
    elif (clock.ageing_ns + clock.measure_ns) / clock.sample_ns > SAMPLES_MAX:
        yield "clock.sample", "gives over a million samples a trial; make it longer"
