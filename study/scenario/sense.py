"""What no single key can tell: values that are each allowed but make no machine together."""

from __future__ import annotations

from collections.abc import Iterator

from study.scenario.model import Machine
from study.scenario.nic import MTU_LIMITS
from study.scenario.units import size_text
from study.zone.settings import NR_ORDERS

KMALLOC_ORDER_MAX = 5
"""kmalloc ends at 131072 bytes (include/linux/kmalloc_sizes.h, 2.6.8)."""
PAGES_MAX = 1 << 26
"""256 GiB: pfns are 32-bit numbers in the zone's tables, with room to spare."""
WORKING_SET_MAX = 1 << 28

Complaint = tuple[str, str]
"""Dotted key, and what is wrong with it."""


def complaints(machine: Machine) -> Iterator[Complaint]:
    """Everything impossible about one machine; nothing if it can be simulated."""
    yield from _memory(machine)
    yield from _marks(machine)
    yield from _orders(machine)
    yield from _pageblocks(machine)
    yield from _cures(machine)
    yield from _extension(machine)
    yield from _load(machine)
    yield from _clock(machine)


def _memory(machine: Machine) -> Iterator[Complaint]:
    pages, reserved = machine.zone.memory, machine.zone.reserved
    if pages < 1:
        yield "zone.memory", "is 0 pages; a zone has at least one"
    if pages > PAGES_MAX:
        yield "zone.memory", f"is {pages:,} pages; at most {PAGES_MAX:,} (256GiB) can be simulated"
    if reserved >= pages:
        yield (
            "zone.reserved",
            f"is {size_text(reserved)}, all of the zone, whose memory is {size_text(pages)}",
        )
    if machine.lowmem_pages() < pages:
        yield (
            "zone.lowmem",
            (
                f"is {machine.lowmem_pages():,} pages; it counts all lowmem zones, so at least the "
                f"{pages:,} of this one"
            ),
        )
    if machine.zone.buddyinfo is not None:
        free = sum(count << order for order, count in enumerate(machine.zone.buddyinfo))
        if free > pages - reserved:
            yield (
                "zone.buddyinfo",
                (
                    f"has {free:,} free pages; the zone holds {max(pages - reserved, 0):,} besides "
                    "the reserved ones"
                ),
            )


def _marks(machine: Machine) -> Iterator[Complaint]:
    given = {name: getattr(machine.watermarks, name) for name in ("min", "low", "high")}
    missing = [name for name, pages in given.items() if pages is None]
    if missing and len(missing) < len(given):
        yield f"watermarks.{missing[0]}", "is missing; min, low and high are given together"
    marks = machine.explicit_marks()
    if marks is None:
        return
    low, mid, high = marks
    if not low < mid < high:
        yield (
            "watermarks.min",
            (
                f"is out of order: min {low:,}, low {mid:,}, high {high:,}; "
                "it must be min < low < high"
            ),
        )
    if high >= machine.zone.memory:
        yield (
            "watermarks.high",
            f"is {high:,} pages, not below the zone's {machine.zone.memory:,}",
        )


def _orders(machine: Machine) -> Iterator[Complaint]:
    top = NR_ORDERS - 1
    for key, order, most, why in (
        ("zone.pageblock_order", machine.zone.pageblock_order, top, "blocks end at order 10"),
        ("defrag.order", machine.defrag.order, top, "the largest block is of order 10 (4MiB)"),
        ("probe.order", machine.probe.order, top, "the largest block is of order 10 (4MiB)"),
        ("nic.rx_order", machine.rx_order(), KMALLOC_ORDER_MAX, "kmalloc ends at order 5"),
        ("nic.tx_order", machine.tx_order(), KMALLOC_ORDER_MAX, "kmalloc ends at order 5"),
    ):
        if order > most:
            yield key, f"is {order}; {why}"
        elif key != "zone.pageblock_order" and 1 << order > machine.zone.memory >= 1:
            yield key, f"is {order}; a block of {1 << order} pages is larger than the whole zone"
    if machine.defrag.order < 1:
        yield "defrag.order", "is 0; single pages need no defragmenter, give 1 to 10"
    if machine.stacks.size not in (4_096, 8_192):
        yield "stacks.size", f"is {machine.stacks.size} bytes; THREAD_SIZE is 4KiB or 8KiB"
    least, most = MTU_LIMITS[machine.nic.driver]
    if not least <= machine.nic.mtu <= most:
        yield (
            "nic.mtu",
            f"is {machine.nic.mtu:,}; {machine.nic.driver} takes {least} to {most:,} bytes",
        )


def _pageblocks(machine: Machine) -> Iterator[Complaint]:
    """Switches that need mobility grouping, or go without it only."""
    for key, on in (
        ("zone.reserve", machine.zone.reserve != "off"),
        ("watermarks.boost_factor", machine.watermarks.boost_factor > 0),
        ("zone.nofragment", machine.zone.nofragment),
    ):
        if on and machine.zone.grouping == "off":
            yield key, "needs pageblocks; set zone.grouping to on"
    if machine.zone.placement == "by-lifetime" and machine.zone.grouping == "off":
        yield "zone.placement", "is by-lifetime, which needs pageblocks; set zone.grouping to on"
    if machine.zone.placement == "best-fit" and machine.zone.grouping == "on":
        yield "zone.placement", "is best-fit, which is a bound to 2.6.8; set zone.grouping to off"


def _cures(machine: Machine) -> Iterator[Complaint]:
    """Sizes beyond what later cures and demands mean."""
    for key, value, limit in (
        ("compaction.proactiveness", machine.compaction.proactiveness, 100),
        ("compaction.threshold", machine.compaction.threshold, 1_000),
        ("watermarks.boost_factor", machine.watermarks.boost_factor, 1_000_000),
        ("huge.lifetime_sigma", machine.huge.lifetime_sigma, 10),
    ):
        if value > limit:
            yield key, f"is {value:g}; at most {limit:,}"
    for key, order, used in (
        ("huge.order", machine.huge.order, machine.huge.rate > 0),
        ("highalloc.order", machine.highalloc.order, machine.highalloc.share > 0),
    ):
        if not 1 <= order <= NR_ORDERS - 1:
            yield key, f"is {order}; blocks have order 1 to {NR_ORDERS - 1}"
        elif used and 1 << order > machine.zone.memory >= 1:
            yield key, f"is {order}; a block of {1 << order} pages is larger than the whole zone"
    if machine.highalloc.gap <= 0:
        yield "highalloc.gap", "is 0; give the time between two requests"
    yield from _churn(machine)


def _churn(machine: Machine) -> Iterator[Complaint]:
    churn = machine.churn
    if churn.rounds == 0:
        return
    if churn.hold > churn.fill:
        yield "churn.hold", f"is {churn.hold:g}, more than is filled (churn.fill {churn.fill:g})"
    if round(churn.fill * machine.zone.memory) > machine.working_set_pages():
        yield "churn.fill", "is more than user.working_set has pages"
    if churn.gap <= 0:
        yield "churn.gap", "is 0; give the time between two rounds"


def _extension(machine: Machine) -> Iterator[Complaint]:
    if machine.extension.victims != "lru" and machine.reclaim.lumpy:
        told = "is not asked by lumpy reclaim, which takes whole blocks; set reclaim.lumpy to off"
        yield "extension.victims", told


def _load(machine: Machine) -> Iterator[Complaint]:
    user, processes = machine.user, machine.processes
    if machine.working_set_pages() < 1:
        yield (
            "user.working_set",
            f"is {machine.working_set_pages():,} pages, a working set of nothing",
        )
    elif user.extent > machine.working_set_pages():
        yield (
            "user.extent",
            (
                f"is {user.extent:,} pages, more than the working set of "
                f"{machine.working_set_pages():,}"
            ),
        )
    if machine.working_set_pages() > WORKING_SET_MAX:
        yield "user.working_set", f"is over {WORKING_SET_MAX:,} pages; that cannot be simulated"
    at_least_one: tuple[tuple[str, float], ...] = (
        ("user.extent", user.extent),
        ("user.run", user.run),
        ("processes.memory", processes.memory),
        ("processes.most", processes.most),
        ("slab.objects_per_page", machine.slab.objects_per_page),
        ("nic.rx_burst", machine.nic.rx_burst),
        ("nic.tx_burst", machine.nic.tx_burst),
        ("defrag.scan", machine.defrag.scan),
        ("probe.order", machine.probe.order),
        ("probe.blocks", machine.probe.blocks),
    )
    for key, value in at_least_one:
        if value < 1:
            yield key, f"is {value:g}; it must be at least 1"
    at_most = (
        ("user.extent", user.extent, 1 << 16),
        ("user.zipf", user.zipf, 10),
        ("user.touch_rate", user.touch_rate, 1e8),
        ("processes.most", processes.most, 1 << 16),
        ("processes.page_tables", processes.page_tables, 16),
        ("processes.lifetime_sigma", processes.lifetime_sigma, 10),
        ("slab.lifetime_sigma", machine.slab.lifetime_sigma, 10),
        ("nic.ring", machine.nic.ring, 1 << 16),
    )
    for key, value, limit in at_most:
        if value > limit:
            yield key, f"is {value:g}; at most {limit:g}"
    if machine.kswapd.speed <= 0:
        yield "kswapd.speed", "is 0; kswapd would never get anywhere"
    if machine.nic.line_rate <= 0:
        yield "nic.line_rate", "is 0; nothing would ever arrive"


def _clock(machine: Machine) -> Iterator[Complaint]:
    clock = machine.clock
    if clock.measure <= 0:
        yield "clock.measure", "is 0; there would be nothing to measure"
    if clock.sample <= 0:
        yield "clock.sample", "is 0; give the time between two looks at the free lists"
    elif clock.sample > clock.measure > 0:
        yield "clock.sample", "is longer than clock.measure; there would be no sample"
    elif (clock.ageing + clock.measure) / clock.sample > 1_000_000:
        yield "clock.sample", "gives over a million samples a trial; make it longer"
