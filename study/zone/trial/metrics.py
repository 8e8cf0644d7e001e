"""Every metric of a trial, declared once: its name, its unit, what it is and what it comes from.

From these declarations come the columns of the results and their order (measure.py computes them),
the names that claims may use, what tables show first and what they call it, and docs/metrics.md. No
numpy here: the names are needed before anything is simulated.

A section below is a class, a metric an attribute with a sentence under it. A name that has been
given is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from math import nan
from typing import Any

from study.zone.engine.enums import Caller, Reclaimer
from study.zone.settings import NR_ORDERS, REQUESTS_MAX

SHARE = "share"
"""The unit of what lies between 0 and 1, whatever happens."""


@dataclass(frozen=True)
class Label:
    """What tables and pages call a metric; one without a label goes by its name.

    Parameters
    ----------
    text
        Without a unit.
    place
        Among the metrics that tables show by default; None: it is none of them.
    """

    text: str
    place: int | None = None


def _sum(*counted: Any) -> Any:
    return sum(counted)


@dataclass(frozen=True)
class Metric:
    """A metric, or one for each member of a family.

    Parameters
    ----------
    unit
        Of its values; SHARE only if they cannot leave 0 to 1.
    counters
        What it comes from: names of counters (engine/record.py) or of what measure.py takes from
        zone and samples. Unless given, the counter of its own name. In a family each is an array,
        of which the member's entry is taken.
    by
        Makes their values into the metric.
    label
        What tables call it.
    labels
        The same for a family, by the name of the member.
    """

    unit: str
    counters: str = ""
    by: Callable[..., Any] = _sum
    label: Label | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)


class Result(Metric):
    """A metric that a test after the measured time hands over by its name, if it is run."""


def _sum_of_all(by_member: Any) -> Any:
    return by_member.sum()


def _mean(over_samples: Any) -> Any:
    return over_samples.mean()


def _last(over_samples: Any) -> Any:
    return over_samples[-1]


def _ms(nanoseconds: Any) -> Any:
    return nanoseconds / 1e6


def _ratio(part: Any, whole: Any) -> Any:
    """part / whole; NaN where there was nothing to take a part of."""
    return part / whole if whole else nan


def _part(part: Any, rest: Any) -> Any:
    return _ratio(part, part + rest)


def _served(attempts: Any, failures: Any, excused: Any = 0) -> Any:
    """Share of requests served; one refused may have been made during ageing."""
    return _ratio(max(attempts - max(failures - excused, 0), 0), attempts)


_NAMED = range(1, REQUESTS_MAX + 1)


class Requests:
    """`CALLER` is one of `user` (pages of programs and files), `stack`, `page_table` (of
    processes), `slab`, `huge` (2 MB pages of programs), `rx`, `tx` (receive and send buffers),
    `source` (a load of your own), `request` (all requests by name, with the single pages that
    they fall back to) and `trace` (all of a recorded load); `SLEEPER` is one of the first five,
    `request` or `trace`, which may wait for memory.
    """

    CALLER_attempts = Metric(
        "requests",
        "attempts",
        labels={
            "rx": Label("receive buffers asked for"),
            "tx": Label("send buffers asked for"),
            "stack": Label("stacks asked for"),
            "huge": Label("huge pages asked for"),
        },
    )
    """All requests."""
    CALLER_failures = Metric(
        "requests",
        "failures",
        labels={
            "rx": Label("receive buffers refused"),
            "tx": Label("send buffers refused"),
            "stack": Label("stack requests refused"),
            "huge": Label("huge pages refused"),
        },
    )
    """Those refused."""
    CALLER_success_ratio = Metric(
        SHARE,
        "attempts failures",
        _served,
        labels={
            "rx": Label("receive buffer requests served", 3),
            "tx": Label("send buffer requests served", 5),
            "huge": Label("huge pages had while running", 6),
            "source": Label("blocks that the added source got", 7),
            "trace": Label("requests of the recorded load served", 17),
        },
    )
    """Share of its requests that were served."""
    CALLER_dma_share = Metric(
        SHARE,
        "below attempts failures",
        lambda below, attempts, failures: _ratio(below, attempts - failures),
    )
    """Of those served: from zone DMA, where the machine has one; 0 without."""
    CALLER_starved = Metric("requests", "starved")
    """Of those refused: the marks would have refused a single page as well."""
    CALLER_contiguity_ratio = Metric(SHARE, "attempts failures starved", _served)
    """Share served if those starved are not counted as refused: what fragmentation alone leaves."""

    SLEEPER_stalls = Metric(
        "requests", "stalls", labels={"stack": Label("stack requests that had to wait", 10)}
    )
    """Requests that had to reclaim or wait."""
    SLEEPER_stall_mean_ms = Metric(
        "ms",
        "stall_ns stalls",
        lambda nanoseconds, stalls: _ratio(_ms(nanoseconds), stalls),
        labels={"huge": Label("wait for a huge page (ms)")},
    )
    """How long from the request to its end, on average."""
    SLEEPER_stall_longest_ms = Metric("ms", "stall_longest_ns", _ms)
    """The longest of these times."""
    SLEEPER_stall_rounds = Metric("rounds", "stall_rounds")
    """Rounds of direct reclaim in them."""
    SLEEPER_stall_reclaimed_pages = Metric(
        "pages",
        "stall_reclaimed",
        labels={"stack": Label("pages reclaimed by stack requests that wait")},
    )
    """Pages freed in them."""


class RequestsByName:
    """`NAMED` is `request1` to `request4`: the requests under `requests:` of a scenario, in the
    order of their names.
    """

    NAMED_attempts = Metric("requests", "asked_named")
    """All requests of the name."""
    NAMED_success_ratio = Metric(
        SHARE,
        "got_named asked_named",
        lambda got, asked: _ratio(min(got, asked), asked),
        labels={f"request{n}": Label(f"requests by name no. {n}: got their block") for n in _NAMED},
    )
    """Share that got a block of the order wished for; those of ageing that still wait count as
    none.
    """
    NAMED_at_once_ratio = Metric(
        SHARE,
        "at_once_named asked_named",
        _ratio,
        labels={f"request{n}": Label(f"requests by name no. {n}: at once") for n in _NAMED},
    )
    """Share that got it without having to reclaim, compact or wait."""
    NAMED_first_refused = Metric(
        SHARE,
        "first_named asked_named",
        lambda first, asked: 1 - first if asked else nan,
    )
    """Whether the first of them did not get it at once (1) or did (0): what a report tells of."""
    NAMED_served_ratio = Metric(
        SHARE,
        "got_named fell_back_named asked_named",
        lambda got, fell_back, asked: _ratio(min(got + fell_back, asked), asked),
        labels={f"request{n}": Label(f"requests by name no. {n}: served") for n in _NAMED},
    )
    """Share that got memory, if need be in single pages."""
    NAMED_fallbacks = Metric("requests", "fell_back_named")
    """Those content with single pages."""
    NAMED_waits = Metric("requests", "waited_named")
    """Those that had to reclaim, compact or wait."""


class Orders:
    """Requests of order `N`, 0 to 10, over all callers, and blocks of that order."""

    orderN_attempts = Metric(
        "requests",
        "attempts_order",
        labels={str(order): Label(f"requests of order {order}") for order in (1, 2, 3)},
    )
    """All requests."""
    orderN_failures = Metric("requests", "failures_order")
    """Those refused."""
    orderN_success_ratio = Metric(SHARE, "attempts_order failures_order", _served)
    """Share served."""
    orderN_blocks_formed = Metric("blocks", "formed")
    """Blocks that two halves merged into."""
    orderN_blocks_split = Metric("blocks", "split")
    """Blocks cut in two."""


class FreeMemoryAndFragmentation:
    """`_mean` is over the samples of `series/`, `_end` the last of them. All are of the first zone
    (Normal), but for those named after DMA, which are 0 without it, and after the machine.
    """

    free_pages_mean = Metric("pages", "free_pages", _mean, Label("free pages, on average"))
    """Free pages."""
    free_pages_end = Metric("pages", "free_pages", _last)
    """The same at the end."""
    dma_free_pages_mean = Metric("pages", "dma_free_pages", _mean)
    """Free pages of zone DMA."""
    machine_free_pages_mean = Metric(
        "pages", "free_pages dma_free_pages", lambda free, below: (free + below).mean()
    )
    """Free pages of all zones."""
    largest_free_order_mean = Metric("order", "largest_free_order", _mean)
    """Order of the largest free block; -1 if nothing is free."""
    largest_free_order_end = Metric("order", "largest_free_order", _last)
    """The same at the end."""

    free_orderN_blocks_mean = Metric("blocks", "free_blocks", _mean)
    """Free blocks, a column of `/proc/buddyinfo`."""
    free_orderN_blocks_end = Metric("blocks", "free_blocks", _last)
    """The same at the end."""
    orderN_absent_share = Metric(
        SHARE, "absent", _mean, labels={"3": Label("time without a free order-3 block", 11)}
    )
    """Share of samples in which no free block was of order N or larger."""
    unusable_index_orderN_mean = Metric(
        SHARE, "unusable_index", _mean, labels={"3": Label("free memory useless to order 3", 12)}
    )
    """Share of free memory in blocks too small for order N (`unusable_index` of debugfs)."""
    extfrag_index_orderN_mean = Metric("index", "extfrag_index")
    """Why order N failed, in samples without a block: towards 0 for want of memory, towards 1
    because it is scattered; below 0 if a block or two are all that is free (`extfrag_index`).
    """


class Reclaim:
    """`RECLAIMER` is `kswapd`, or `direct` for requests that found too little."""

    RECLAIMER_scanned_pages = Metric("pages", "scanned")
    """Pages looked at."""
    RECLAIMER_reclaimed_pages = Metric(
        "pages",
        "reclaimed",
        labels={
            "direct": Label("pages reclaimed by those who asked"),
            "kswapd": Label("pages reclaimed by kswapd"),
        },
    )
    """Pages freed."""

    reclaimed_pages = Metric("pages", "reclaimed", _sum_of_all, Label("pages reclaimed", 13))
    """Pages freed in LRU order and from slab, by kswapd and by those who asked; what the
    defragmenter evicts is not in it.
    """
    dma_reclaimed_pages = Metric("pages", "dma_reclaimed", _sum_of_all)
    """Of the reclaimed pages, those of zone DMA; 0 without it."""
    reclaimed_pages_per_order3_block = Metric(
        "pages",
        "reclaimed formed",
        lambda reclaimed, formed: _ratio(reclaimed.sum(), formed[3]),
        Label("pages LRU reclaims for an order-3 block"),
    )
    """Reclaimed pages for each order-3 block formed, for whatever reason."""
    slab_reclaimed_pages = Metric("pages", "slab_reclaimed")
    """Of the reclaimed pages, slab pages."""
    deactivated_pages = Metric("pages", "deactivated")
    """Moved from the active list."""
    activated_pages = Metric("pages", "activated")
    """Moved to the active list."""
    written_pages = Metric("pages", "written")
    """Written to disk."""
    swapped_out_pages = Metric("pages", "swapped_out")
    """Of those written, to swap."""
    kswapd_wakeups = Metric("times", "wakeups")
    """Times that kswapd was woken."""
    kswapd_wakeups_refused = Metric("times", "wakeups_refused")
    """Times that it was called and found nothing to do."""
    blockless_requests = Metric("requests", "blockless")
    """Requests above order 0 that met no free block of their order or larger."""
    blockless_kswapd_rests_ratio = Metric(
        SHARE,
        "blockless_rests blockless",
        _ratio,
        Label("requests without a block that leave kswapd at rest"),
    )
    """Share of them that left kswapd at rest."""
    blockless_above_low_asked = Metric("requests", "blockless_asked")
    """Those that found kswapd at rest while more pages than the low mark were free."""
    blockless_above_low_woken = Metric("requests", "blockless_woken")
    """Of those, the ones that woke it."""
    blockless_above_low_woken_ratio = Metric(
        SHARE,
        "blockless_woken blockless_asked",
        _ratio,
        Label("requests without a block, above the low mark, that wake kswapd"),
    )
    """Their share."""
    kswapd_busy_share = Metric("ratio", "kswapd_ns measure_ns", _ratio)
    """Time that it works, against the measured time: above 1 if its last step ends later."""
    oom_kills = Metric("requests", "oom")
    """Requests that found nothing to reclaim, where the kernel would have killed a process."""


class TheDefragmenter:
    """What it does with the reverse map."""

    defrag_runs = Metric("runs")
    """Runs of the defragmenter."""
    defrag_scanned_pages = Metric("pages", "defrag_scanned")
    """Frames looked at."""
    defrag_blocks = Metric("blocks")
    """Blocks emptied."""
    defrag_evicted_pages = Metric(
        "pages", "defrag_evicted", label=Label("pages the defragmenter evicts")
    )
    """Pages that the defragmenter threw out."""
    defrag_migrated_pages = Metric("pages", "defrag_migrated")
    """Pages that the defragmenter moved."""
    defrag_moved_pages = Metric(
        "pages",
        "defrag_evicted defrag_migrated",
        label=Label("pages the defragmenter evicts or migrates"),
    )
    """Pages that the defragmenter threw out or moved."""
    defrag_pages_per_block = Metric(
        "pages",
        "defrag_evicted defrag_migrated defrag_blocks",
        lambda evicted, migrated, blocks: _ratio(evicted + migrated, blocks),
        Label("pages the defragmenter takes for a block"),
    )
    """Pages that it threw out or moved for each block emptied."""
    defrag_written_pages = Metric("pages", "defrag_written")
    """Dirty pages written for it."""
    defrag_busy_ms = Metric("ms", "defrag_ns", _ms)
    """Time it took."""


class CompactionAndOtherCures:
    """0 where the cure is off."""

    moved_pages = Metric(
        "pages",
        "defrag_evicted defrag_migrated compact_migrated",
        label=Label("pages evicted or migrated", 14),
    )
    """Evicted or migrated by the defragmenter, or migrated by compaction."""
    stolen_blocks = Metric(
        "blocks", "stolen", label=Label("blocks taken from pageblocks of another kind")
    )
    """Blocks smaller than a pageblock that a request took from another migratetype's list (the
    external fragmentation events of mmtests).
    """
    actions = Metric("times")
    """Times that an administrator acted (`actions`)."""
    boosts = Metric("times")
    """Times that a steal raised the marks."""
    recycled_buffers = Metric("buffers", "recycled")
    """Receive buffers taken from the card's own pool instead of the allocator."""
    reserved_pages_end = Metric("pages", "nr_reserved")
    """Pages in pageblocks kept for atomic requests, at the end."""
    compact_stalls = Metric("runs")
    """Direct compactions run."""
    compact_deferred = Metric("runs")
    """Put off after failures (kcompactd's too)."""
    compact_skipped = Metric("runs")
    """Not begun, as too little was free or want of memory was the cause."""
    compact_successes = Metric("runs")
    """Compactions of any kind after which a block was there."""
    compact_failures = Metric("runs")
    """Compactions of any kind after which a block was not there."""
    compact_migrated_pages = Metric("pages", "compact_migrated")
    """Pages that compaction moved."""
    compact_scanned_pages = Metric("pages", "compact_scanned")
    """Frames that compaction looked at."""
    compact_busy_ms = Metric("ms", "compact_ns", _ms)
    """Time it took."""
    kcompactd_wakeups = Metric("times")
    """Times that kcompactd was woken."""
    kcompactd_busy_ms = Metric("ms", "kcompactd_ns", _ms)
    """Time that kcompactd took."""


class KernelPages:
    """Where pages lie that cannot be moved, at the end."""

    unmovable_share_end = Metric(SHARE, "unmovable")
    """Share of pages that are the kernel's."""
    unmovable_blocks_share_end = Metric(
        SHARE, "unmovable_blocks", label=Label("pageblocks that hold kernel pages at the end")
    )
    """Share of 2 MB blocks with such a page."""
    huge_free_blocks_end = Metric("blocks", "huge_free_blocks")
    """Whole 2 MB blocks that are free."""


class WhatItDoesToPrograms:
    """The load itself does not slow down."""

    touches = Metric("touches")
    """Visits to pages by programs."""
    events = Metric("events", "touches events")
    """Everything that happened, touches included."""
    first_faults = Metric("pages")
    """Pages brought in that had never been in memory, or had left it by the program's own doing."""
    minor_faults = Metric("pages")
    """Pages wanted back that reclaim had unmapped and not yet freed."""
    refaults = Metric("pages", label=Label("refaults", 15))
    """Pages wanted back that reclaim or the defragmenter had thrown out."""
    refaults_after_defrag = Metric(
        "pages", label=Label("refaults on pages the defragmenter evicted")
    )
    """Of these, thrown out by the defragmenter."""
    refault_ratio = Metric(SHARE, "refaults touches", _ratio)
    """Refaults as a share of touches."""
    time_lost_share = Metric(SHARE, "lost_ns measure_ns", _part, Label("time lost to refaults", 16))
    """Time that refaults would have cost (`costs.refault`) against that plus the measured time."""
    trace_left_out = Metric("requests")
    """Recorded requests that were not made, as more pages of the recording were in use than it ever
    had at once, and half as many again.
    """
    forks = Metric("processes", label=Label("processes begun"))
    """Processes begun."""
    forks_refused = Metric("processes")
    """Processes that found no memory to begin with."""
    exits = Metric("processes")
    """Processes ended."""
    frames_received = Metric("frames")
    """Network frames received."""
    frames_dropped = Metric("frames", label=Label("frames dropped"))
    """Dropped for want of a posted buffer."""
    frames_dropped_ratio = Metric(
        SHARE, "frames_dropped frames_received", _part, Label("received frames dropped", 4)
    )
    """Share of those that arrived."""
    frames_sent = Metric("frames", label=Label("frames sent"))
    """Network frames sent."""
    frames_unsent = Metric("frames")
    """Not sent for want of a buffer."""
    frames_unsent_ratio = Metric(SHARE, "frames_unsent frames_sent", _part)
    """Share of those that were to be sent."""


class AfterTheMeasuredTime:
    """NaN unless the test is run (`highalloc.share`, `churn.rounds`, `probe.victims`). `K` is an
    order, 1 to 10.
    """

    highalloc_pass1_ratio = Result(
        SHARE, label=Label("huge pages had under load, asked at once", 8)
    )
    """Share of `highalloc.share` of memory had in huge pages under load."""
    highalloc_pass2_ratio = Result(SHARE)
    """The same, at once again."""
    highalloc_rest_ratio = Result(SHARE, label=Label("huge pages had at rest", 9))
    """The same, with the load ended."""
    churn_whole_start = Result("blocks")
    """Free 2 MB blocks before LLFree's rounds of freeing and asking again."""
    churn_whole_end = Result("blocks")
    """Free 2 MB blocks after them."""
    churn_whole_possible = Result("blocks")
    """How many of them the free memory would make."""
    churn_score = Result("score", label=Label("huge pages won back (0 none, 1 all)"))
    """Share of the missing 2 MB blocks that the rounds brought back: 1 all, 0 none, below 0 if more
    are broken.
    """
    probe_freed_pages = Result("pages", label=Label("pages that the probe had to free or move", 1))
    """Pages the probe freed or moved until its blocks were there; NaN if it did not get there."""
    probe_written_pages = Result("pages")
    """Pages written for it."""
    probe_touches_lost_share = Result(
        "change of share", label=Label("touches that lose their page by it", 2)
    )
    """Share of visits that would no longer find their page."""
    probe_orderK_freed_pages = Result("pages")
    """As `probe_freed_pages`, for as many blocks of order K."""


SECTIONS: tuple[type, ...] = (
    *(Requests, RequestsByName, Orders, FreeMemoryAndFragmentation, Reclaim, TheDefragmenter),
    *(CompactionAndOtherCures, KernelPages, WhatItDoesToPrograms, AfterTheMeasuredTime),
)
"""In the order of the columns."""

_SLEEPERS = (
    *(Caller.USER, Caller.STACK, Caller.PAGE_TABLE, Caller.SLAB, Caller.HUGE),
    *(Caller.REQUEST, Caller.TRACE),
)
FAMILIES: dict[str, dict[str, int]] = {
    "CALLER": {c.name.lower(): c for c in Caller if c != Caller.MIGRATION},
    "SLEEPER": {c.name.lower(): c for c in _SLEEPERS},
    "NAMED": {f"request{n}": n - 1 for n in _NAMED},
    "RECLAIMER": {r.name.lower(): r for r in Reclaimer},
    "N": {str(order): order for order in range(NR_ORDERS)},
    "K": {str(order): order for order in range(1, NR_ORDERS)},
}
"""What stands for a member in a metric's name -> name of each member, and its index in counters."""


@dataclass(frozen=True)
class Column:
    """One metric of a trial.

    Parameters
    ----------
    name
        In full.
    metric
        Its declaration.
    index
        Of the member in the family's counters; None outside a family.
    label
        What tables call it, if not its name.
    """

    name: str
    metric: Metric
    index: int | None
    label: Label | None

    def value(self, values: Mapping[str, Any]) -> float:
        """Compute the metric from the values of all counters."""
        counted = [values[name] for name in (self.metric.counters or self.name).split()]
        if self.index is not None:
            counted = [by_member[self.index] for by_member in counted]
        return float(self.metric.by(*counted))


def declared(section: type) -> dict[str, Metric]:
    """The metrics of a section, by the names that stand for them."""
    return {name: value for name, value in vars(section).items() if isinstance(value, Metric)}


def family_of(name: str) -> str:
    """What stands for a member in a declared name; empty if it is of no family."""
    return next((word for word in FAMILIES if word in name), "")


def _columns() -> Iterator[Column]:
    metrics = [pair for section in SECTIONS for pair in declared(section).items()]
    # The columns of one member stand together.
    for family, together in groupby(metrics, lambda pair: family_of(pair[0])):
        if not family:
            yield from (Column(name, m, None, m.label) for name, m in together)
            continue
        of_family = list(together)
        for member, index in FAMILIES[family].items():
            for name, m in of_family:
                yield Column(name.replace(family, member), m, index, m.labels.get(member))


COLUMNS: dict[str, Column] = {column.name: column for column in _columns()}
METRICS: tuple[str, ...] = tuple(COLUMNS)
"""Every name that a trial's metrics have, in the order of the columns."""
_LABELLED = {column.name: column.label for column in COLUMNS.values() if column.label}
LABELS: dict[str, str] = {name: label.text for name, label in _LABELLED.items()}
"""Metric -> what it is called; a metric that is not in it goes by its name."""
_PLACES = {label.place: name for name, label in _LABELLED.items() if label.place is not None}
HEADLINE: tuple[tuple[str, str], ...] = tuple(
    (_PLACES[place], LABELS[_PLACES[place]]) for place in sorted(_PLACES)
)
"""The metrics to look at first, and what to call them."""


_SERVICE = (
    *("success_ratio", "contiguity_ratio", "served_ratio", "at_once_ratio"),
    *("pass1_ratio", "pass2_ratio"),
)


def is_service(name: str) -> bool:
    """Is it the share of those who asked that were served?"""
    return is_share(name) and name.endswith(_SERVICE)


def is_share(name: str) -> bool:
    """Does the metric lie between 0 and 1, whatever happens?"""
    return name in COLUMNS and COLUMNS[name].metric.unit == SHARE
