"""What a scenario may say about one machine, in people's words and units; checked by pydantic.

Each group of keys is a class, each key a field with its default. `Machine.settings()` turns the
words into the plain numbers that the simulated zone is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from study.scenario import nic as nic_rules
from study.scenario.errors import shown
from study.scenario.units import (
    Bytes,
    Count,
    Duration,
    LineRate,
    Number,
    Pages,
    Rate,
    ScanSpeed,
    Share,
    SizeOrNumber,
    Switch,
    number_from,
    pages_from,
)
from study.trust.extensions import only_named
from study.zone import settings as plain

_Bundle = dict[str, dict[str, Any]]


def _after(before: _Bundle, **changes: dict[str, Any]) -> _Bundle:
    """The settings of a kernel that differs from the one before it in these."""
    return {group: before.get(group, {}) | changes.get(group, {}) for group in before | changes}


def _kernels() -> dict[str, _Bundle]:
    """What each kernel sets; every later one says what it changed.

    Between 2.6.8 and 2.6.11 more changed than the patch: the marks (c07161d8c0, 2.6.10-rc3), the
    allocation path (ac12db05e3, 2.6.9-rc2; f86789bcbb, 2.6.11-rc1), kswapd's loop (31a9b2ac21,
    2.6.9-rc4) and what it counts as scanned. The patch itself is kswapd.policy (d4cf10128c).
    """
    found: dict[str, _Bundle] = {}
    found["2.6.8"] = {
        "zone": {"grouping": "off", "reserve": "off", "nofragment": False},
        "watermarks": {"marks": "2.6.8", "boost_factor": 0},
        "allocation": {"path": "2.6.8"},
        "kswapd": {"loop": "2.6.8", "policy": "count-only"},
        "reclaim": {"lumpy": False},
        "compaction": {"direct": "off", "daemon": False, "proactiveness": 0, "rules": "2.6.35"},
    }
    found["2.6.9"] = _after(found["2.6.8"], allocation={"path": "2.6.9"}, kswapd={"loop": "2.6.9"})
    found["2.6.10"] = _after(
        found["2.6.9"], watermarks={"marks": "2.6.10"}, kswapd={"loop": "2.6.10"}
    )
    found["2.6.11"] = _after(
        found["2.6.10"],
        allocation={"path": "2.6.11"},
        kswapd={"loop": "2.6.11", "policy": "order-aware"},
    )
    found["2.6.23"] = _after(found["2.6.11"], reclaim={"lumpy": True})
    found["2.6.24"] = _after(
        found["2.6.23"],
        zone={"grouping": "on", "reserve": "migrate-reserve"},
        allocation={"path": "2.6.24"},
    )
    found["2.6.35"] = _after(found["2.6.24"], compaction={"direct": "costly"})
    # By then compaction served every order (2.6.38), kswapd compacted as well and left the order
    # to it (3.3), and lumpy reclaim was gone (c53919adc0). The daemon stands for kswapd's own.
    found["3.5"] = _after(
        found["2.6.35"],
        reclaim={"lumpy": False},
        kswapd={"loop": "3.3"},
        compaction={"direct": "all", "daemon": True},
    )
    found["4.4"] = _after(
        found["3.5"],
        zone={"reserve": "highatomic"},
        allocation={"path": "4.4"},
        compaction={"rules": "3.19"},
    )
    found["4.8"] = _after(
        found["4.4"],
        watermarks={"marks": "4.6"},
        kswapd={"loop": "4.8"},
    )
    found["5.0"] = _after(
        found["4.8"], watermarks={"boost_factor": 15_000}, zone={"nofragment": True}
    )
    found["5.9"] = _after(found["5.0"], compaction={"proactiveness": 20})
    return found


KERNELS: dict[str, _Bundle] = _kernels()

T = TypeVar("T")
POLICY = "policy"
Policy = Annotated[T, POLICY]
"""A key by which kernels and their administrators choose how memory is managed. All others are the
machine and its load: what there is, and who asks for what. Figures compare the former."""


@dataclass(frozen=True)
class OneOf:
    """The words that a key may have."""

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> Any:
        return core_schema.literal_schema(list(self.words))


def of(members: type[IntEnum]) -> OneOf:
    """The words for the members of a zone enum."""
    return OneOf(tuple(plain.words_of(members)))


_COMPACTING_FROM = {"off": 0, "costly": 4, "all": 1}
"""Order from which a request compacts, by the word for it."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _working_set(value: Any) -> str | float:
    """A multiple of the zone's memory (1.2) or a size (1GiB); kept as it was written."""
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
            pages_from(value)
            return value
        return number_from(value)
    except ValueError as error:
        if "looks like" not in str(error):
            raise
    raise ValueError(
        f"is {shown(value)}; it must be a multiple of the zone's memory (1.2) or a size (1GiB)"
    )


def _buddyinfo(value: Any) -> tuple[int, ...] | None:
    """Free blocks per order from a list, eleven numbers, or a line of /proc/buddyinfo."""
    if value is None:
        return None
    words = value.split() if isinstance(value, str) else value
    if isinstance(words, list) and "zone" in words:
        words = words[words.index("zone") + 2 :]
    if not isinstance(words, list | tuple) or len(words) != plain.NR_ORDERS:
        raise ValueError(
            f"is {shown(value)}; it must be {plain.NR_ORDERS} numbers, the free blocks of order "
            "0 to 10, as in /proc/buddyinfo"
        )
    if not all(re.fullmatch("[0-9]{1,9}", str(word)) for word in words):
        raise ValueError(f"is {shown(value)}; each must be a whole number, 0 to 999,999,999")
    return tuple(int(word) for word in words)


class ZoneGroup(_Group):
    memory: Pages = 225_280
    """Present pages of the zone: 880MiB is zone Normal of a 1 GB i386 machine (16 to 896 MB)."""
    lowmem: Pages | None = None
    """Present pages of all lowmem zones, from which the marks follow; unless given, this zone's."""
    reserved: Pages = 3_072
    """Kernel image, mem_map and boot memory, never freed. Assumed."""
    percpu_lists: Policy[Switch] = True
    """Order-0 pages go through per-cpu lists (hot and cold), as in every 2.6 kernel."""
    swap: Policy[Switch] = True
    """Anonymous pages can be swapped out."""
    grouping: Policy[Annotated[str, of(plain.Grouping)]] = "off"
    """Free lists per migratetype, with fallback and stealing: off is 2.6.8, on is 6.1."""
    pageblock_order: Policy[Count] = 10
    """Size of a pageblock, for grouping and compaction: 10 is a huge page of i386 (4 MB)."""
    reserve: Policy[Annotated[str, of(plain.Reserve)]] = "off"
    """Pageblocks for who cannot wait: two from boot on (2.6.24) or as needed (4.4)."""
    nofragment: Policy[Switch] = False
    """Refills of per-cpu lists do not break into pageblocks of other types (5.0)."""
    placement: Policy[Annotated[str, of(plain.Placement)]] = "buddy"
    """Linux's choice of a block, or a bound: by lowest address, or knowing kernel pages' lives."""
    buddyinfo: Annotated[
        tuple[int, ...] | None,
        BeforeValidator(_buddyinfo, json_schema_input_type=str | list[int | str] | None),
    ] = None
    """Start with these free blocks, everything else in use: a line of /proc/buddyinfo."""


class WatermarksGroup(_Group):
    marks: Policy[Annotated[str, of(plain.Marks)]] = "2.6.8"
    """The formula for min, low and high."""
    boost_factor: Policy[Count] = 0
    """vm.watermark_boost_factor: most that a steal raises the marks, in 1/10000 of high (5.0)."""
    min: Policy[Pages | None] = None
    """Given together with low and high, instead of the formula."""
    low: Policy[Pages | None] = None
    """kswapd is woken below it."""
    high: Policy[Pages | None] = None
    """kswapd rests above it."""


class AllocationGroup(_Group):
    path: Policy[Annotated[str, of(plain.AllocationPath)]] = "2.6.8"
    """Which __alloc_pages: who may go below which mark."""


class KswapdGroup(_Group):
    policy: Policy[Annotated[str, of(plain.KswapdPolicy)]] = "count-only"
    """Rest when enough pages are free, or (Nick Piggin's patch) enough in large enough blocks."""
    loop: Policy[Annotated[str, of(plain.KswapdLoop)]] = "2.6.8"
    """How balance_pgdat ends a run."""
    speed: ScanSpeed = 200.0
    """Pages scanned per millisecond. Assumed."""


class ReclaimGroup(_Group):
    lumpy: Policy[Switch] = False
    """Take the neighbours of a victim in its aligned block as well (2.6.23 to 3.4)."""


class CompactionGroup(_Group):
    direct: Policy[Annotated[str, OneOf(tuple(_COMPACTING_FROM))]] = "off"
    """Requests that may sleep compact before they reclaim: above order 3 (2.6.35) or 0 (2.6.38)."""
    daemon: Policy[Switch] = False
    """kswapd wakes kcompactd before it sleeps (4.6)."""
    proactiveness: Policy[Count] = 0
    """vm.compaction_proactiveness, 0 to 100: kcompactd also works unasked (5.9 has 20)."""
    threshold: Policy[Count] = 500
    """vm.extfrag_threshold, 0 to 1000: a lower index is lack of memory and left to reclaim."""
    rules: Policy[Annotated[str, of(plain.CompactionRules)]] = "2.6.35"
    """Each run scans anew and keeps low free; or runs resume, drain, and keep min free."""


class DefragGroup(_Group):
    mode: Policy[Annotated[str, of(plain.DefragMode)]] = "off"
    """What the reverse-map defragmenter does with the pages of a block it wants free."""
    run: Policy[Annotated[str, of(plain.DefragRun)]] = "daemon"
    """From kswapd, or rarely and in a process of its own."""
    choice: Policy[Annotated[str, of(plain.DefragChoice)]] = "cheapest"
    """The block with the fewest pages to move, or one around a free half (Marcelo Tosatti)."""
    order: Policy[Count] = 3
    """The order whose blocks it frees."""
    interval: Policy[Duration] = 10_000_000_000
    """Daemon: shortest time between two runs."""
    blocks_wanted: Policy[Count] = 64
    """A run ends when so many blocks of the order are free."""
    budget: Policy[Pages] = 2_048
    """Most pages that a run evicts or migrates."""
    scan: Policy[Pages] = 4_096
    """Inline: pages looked at per run."""


class StacksGroup(_Group):
    size: Bytes = 8_192
    """THREAD_SIZE: 8KiB, or 4KiB with CONFIG_4KSTACKS."""
    source: Annotated[str, of(plain.StackSource)] = "kmalloc"
    """One block; single pages (4.9); or single pages where no block is free."""


class UserGroup(_Group):
    working_set: Annotated[
        str | float, BeforeValidator(_working_set, json_schema_input_type=SizeOrNumber)
    ] = 1.2
    """Distinct pages that programs touch: a multiple of the zone's memory, or a size."""
    extent: Pages = 16
    """Neighbouring pages that become popular together."""
    zipf: Number = 0.9
    """Exponent of popularity: 0 is uniform."""
    touch_rate: Rate = 20_000.0
    """Pages touched per second."""
    run: Number = 8.0
    """Mean number of neighbouring pages touched per visit."""
    anonymous: Share = 0.4
    """Share of the working set that has no file behind it."""
    mapped: Share = 0.2
    """Share of file extents that are mapped rather than read."""
    written: Share = 0.1
    """Share of visits that write."""
    drift_rate: Rate = 20.0
    """Pairs of extents per second that swap popularity."""
    delete_rate: Rate = 5.0
    """Extents per second that are freed at once (truncate, unlink, munmap)."""
    filled: Switch = True
    """Start with memory full of the most popular extents."""


class ProcessesGroup(_Group):
    fork_rate: Rate = 20.0
    """Short-lived processes per second."""
    lifetime: Duration = 200_000_000
    """Median; lognormal."""
    lifetime_sigma: Number = 2.0
    """Standard deviation of the lifetime's logarithm."""
    memory: Pages = 64
    """Mean private pages (geometric, at most 512)."""
    page_tables: Count = 4
    """Page-table pages of each (order 0, unmovable)."""
    most: Count = 1_024
    """Most processes alive at once."""


class SlabGroup(_Group):
    initial: Share = 0.03
    """Share of the zone in slab pages at start."""
    rate: Rate = 100.0
    """New slab pages per second."""
    lifetime: Duration = 2_000_000_000
    """Median; lognormal."""
    lifetime_sigma: Number = 2.5
    """Standard deviation of the lifetime's logarithm."""
    reclaimable: Share = 0.5
    """Share of slab pages of dentries and inodes, which reclaim may empty."""
    objects_per_page: Count = 16
    """A slab page is free when all its objects are."""


class NicGroup(_Group):
    driver: Annotated[str, OneOf(tuple(nic_rules.MTU_LIMITS))] = "e1000"
    """Whose rules give the order of receive buffers (study/scenario/nic.py)."""
    mtu: Count = 9_000
    """Bytes; with the driver it decides the order of receive buffers."""
    receive: Annotated[str, of(plain.NicReceive)] = "linear"
    """One contiguous buffer a frame, or order-0 fragments."""
    transmit: Annotated[str, of(plain.NicTransmit)] = "linear"
    """One contiguous copy a frame, or order-0 fragments."""
    ring: Count = 256
    """Receive descriptors; 0 switches receiving off."""
    recycle: Switch = False
    """Post the buffers that come back again, as a page pool does (4.18)."""
    line_rate: LineRate = 1e9
    """Speed of the wire, which spaces the frames of a burst."""
    rx_rate: Rate = 2_000.0
    """Mean frames received per second."""
    rx_burst: Number = 32.0
    """Mean frames per burst."""
    rx_hold: Duration = 20_000_000
    """Mean time until the reader frees a buffer."""
    tx_rate: Rate = 1_000.0
    """Mean frames sent per second."""
    tx_burst: Number = 8.0
    """Mean frames per burst."""
    tx_hold: Duration = 1_000_000
    """Mean time until the card has sent a frame and its memory is freed."""
    rx_order: Count | None = None
    """Order of a linear receive buffer, if not what driver and MTU imply."""
    tx_order: Count | None = None
    """Order of a linear frame to send, if not what the MTU implies."""


class HugeGroup(_Group):
    order: Count = 9
    """Of a huge page: 9 is 2 MB (x86-64), 10 is 4 MB (i386)."""
    rate: Rate = 0.0
    """Huge pages asked for per second."""
    lifetime: Duration = 5_000_000_000
    """Median; lognormal. Assumed."""
    lifetime_sigma: Number = 1.0
    """Standard deviation of the lifetime's logarithm."""
    most: Count = 64
    """No more are asked for while so many live."""


class CostsGroup(_Group):
    refault: Duration = 1_000_000
    """Time a refault costs: a random read, spread over the run it brings in. Assumed."""
    write: Duration = 100_000
    """Time the disk takes to write a page. Assumed."""
    migrate: Duration = 2_000
    """Time to copy and remap a page. Assumed."""


class ProbeGroup(_Group):
    victims: Annotated[str, of(plain.ProbeVictims)] = "off"
    """After the measured time, free such pages until `blocks` more blocks of `order` are free."""
    order: Count = 3
    """The order of the blocks that it asks for."""
    blocks: Count = 1
    """How many more of them must become free."""


class HighallocGroup(_Group):
    share: Share = 0.0
    """After the measured time, ask for this share of the zone in huge pages: stress-highalloc."""
    order: Count = 9
    """Of these huge pages: 9 is 2 MB (x86-64), 10 is 4 MB (i386)."""
    gap: Duration = 100_000_000
    """Time between two requests."""


class ChurnGroup(_Group):
    rounds: Count = 0
    """After the measured time, LLFree's test: so often memory is freed and asked for again."""
    fill: Share = 0.92
    """Share of the zone that is filled in sequence at first; of the rest whole blocks stay."""
    hold: Share = 0.48
    """Share of the zone that stays in use after random pages of it were freed."""
    part: Share = 0.1
    """Share of what is held that a round frees and asks for again."""
    gap: Duration = 1_000_000_000
    """Time between two rounds."""


_NAME_LETTERS_MOST = 200


def _extension(kind: str, none: str) -> BeforeValidator:
    """A check that a name is that of a registered extension, or the word for none."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError(f"is {shown(value)}; it must be a name, or {none}")
        if len(value) > _NAME_LETTERS_MOST:
            raise ValueError(f"is {shown(value)}; it has at most {_NAME_LETTERS_MOST} letters")
        if value != none and not only_named():
            from study.zone.extension import find

            find(kind, value)
        return value

    return BeforeValidator(check, json_schema_input_type=str)


class ExtensionGroup(_Group):
    victims: Policy[Annotated[str, _extension("victims", "lru")]] = "lru"
    """Who picks reclaim's next victim: LRU, or a function of yours (docs/scenarios.md)."""
    source: Annotated[str, _extension("source", "none")] = "none"
    """A further load: a function of yours (docs/scenarios.md)."""
    numbers: Annotated[tuple[Number, ...], Field(max_length=plain.NUMBERS_MAX)] = ()
    """What it is told, at most eight numbers; what they mean is its affair."""

    def settings(self) -> plain.Extension:
        """The same, with the versions there are."""
        asked = {"victims": self.victims, "source": self.source}
        names = {kind: "" if name in ("lru", "none") else name for kind, name in asked.items()}
        if not any(names.values()):
            return plain.Extension()
        if only_named():
            return plain.Extension(**names, numbers=self.numbers)
        from study.zone.extension import find

        versions = {kind: find(kind, name).digest if name else "" for kind, name in names.items()}
        return plain.Extension(
            victims=names["victims"],
            source=names["source"],
            numbers=self.numbers,
            victims_digest=versions["victims"],
            source_digest=versions["source"],
        )


class ClockGroup(_Group):
    ageing: Duration = 240_000_000_000
    """Simulated time before anything counts."""
    measure: Duration = 60_000_000_000
    """Simulated time that is measured."""
    sample: Duration = 1_000_000_000
    """Time between two looks at /proc/buddyinfo."""


class Machine(_Group):
    """One cell of the matrix: a machine, its kernel's policies and its load."""

    kernel: Policy[Annotated[str, OneOf(tuple(KERNELS))]] = "2.6.8"
    """Sets all that a kernel changed: marks, paths, kswapd, grouping, reclaim, compaction."""
    zone: ZoneGroup = Field(default_factory=ZoneGroup)
    watermarks: WatermarksGroup = Field(default_factory=WatermarksGroup)
    allocation: AllocationGroup = Field(default_factory=AllocationGroup)
    kswapd: KswapdGroup = Field(default_factory=KswapdGroup)
    reclaim: ReclaimGroup = Field(default_factory=ReclaimGroup)
    compaction: CompactionGroup = Field(default_factory=CompactionGroup)
    defrag: DefragGroup = Field(default_factory=DefragGroup)
    stacks: StacksGroup = Field(default_factory=StacksGroup)
    user: UserGroup = Field(default_factory=UserGroup)
    processes: ProcessesGroup = Field(default_factory=ProcessesGroup)
    slab: SlabGroup = Field(default_factory=SlabGroup)
    nic: NicGroup = Field(default_factory=NicGroup)
    huge: HugeGroup = Field(default_factory=HugeGroup)
    costs: CostsGroup = Field(default_factory=CostsGroup)
    probe: ProbeGroup = Field(default_factory=ProbeGroup)
    highalloc: HighallocGroup = Field(default_factory=HighallocGroup)
    churn: ChurnGroup = Field(default_factory=ChurnGroup)
    extension: ExtensionGroup = Field(default_factory=ExtensionGroup)
    clock: ClockGroup = Field(default_factory=ClockGroup)

    def lowmem_pages(self) -> int:
        """Present pages of all lowmem zones."""
        return self.zone.lowmem or self.zone.memory

    def working_set_pages(self) -> int:
        """Distinct pages of the working set."""
        if isinstance(self.user.working_set, str):
            return pages_from(self.user.working_set)
        return round(self.user.working_set * self.zone.memory)

    def rx_order(self) -> int:
        """Order of a linear receive buffer, given or implied by driver and MTU."""
        if self.nic.rx_order is not None:
            return self.nic.rx_order
        return nic_rules.rx_order(self.nic.driver, self.nic.mtu)

    def tx_order(self) -> int:
        """Order of a linear frame to send, given or implied by the MTU."""
        if self.nic.tx_order is not None:
            return self.nic.tx_order
        return nic_rules.tx_order(self.nic.mtu)

    def settings(self) -> plain.Settings:
        """The same machine in the kernel's units."""
        return plain.Settings(
            memory=plain.Memory(
                pages=self.zone.memory,
                lowmem_pages=self.lowmem_pages(),
                reserved_pages=self.zone.reserved,
                percpu_lists=self.zone.percpu_lists,
                swap=self.zone.swap,
                grouping=_member(plain.Grouping, self.zone.grouping),
                pageblock_order=self.zone.pageblock_order,
                reserve=_member(plain.Reserve, self.zone.reserve),
                nofragment=self.zone.nofragment,
                placement=_member(plain.Placement, self.zone.placement),
                buddyinfo=self.zone.buddyinfo,
            ),
            watermarks=plain.Watermarks(
                marks=_member(plain.Marks, self.watermarks.marks),
                explicit_pages=self.explicit_marks(),
                boost_factor=self.watermarks.boost_factor,
            ),
            allocation=_member(plain.AllocationPath, self.allocation.path),
            kswapd=plain.Kswapd(
                policy=_member(plain.KswapdPolicy, self.kswapd.policy),
                loop=_member(plain.KswapdLoop, self.kswapd.loop),
                pages_per_ms=self.kswapd.speed,
            ),
            reclaim=plain.Reclaim(lumpy=self.reclaim.lumpy),
            compaction=plain.Compaction(
                direct_order=_COMPACTING_FROM[self.compaction.direct],
                daemon=self.compaction.daemon,
                proactiveness=self.compaction.proactiveness,
                threshold=self.compaction.threshold,
                rules=_member(plain.CompactionRules, self.compaction.rules),
            ),
            defrag=self._defrag_settings(),
            user=self._user_settings(),
            processes=plain.Processes(
                stack_order=nic_rules.kmalloc_order(self.stacks.size),
                stack_source=_member(plain.StackSource, self.stacks.source),
                forks_per_s=self.processes.fork_rate,
                lifetime_median_ns=self.processes.lifetime,
                lifetime_sigma=self.processes.lifetime_sigma,
                anonymous_pages=float(self.processes.memory),
                page_table_pages=self.processes.page_tables,
                live_max=self.processes.most,
            ),
            slab=plain.Slab(
                initial_share=self.slab.initial,
                pages_per_s=self.slab.rate,
                lifetime_median_ns=self.slab.lifetime,
                lifetime_sigma=self.slab.lifetime_sigma,
                reclaimable_share=self.slab.reclaimable,
                objects_per_page=self.slab.objects_per_page,
            ),
            nic=self._nic_settings(),
            huge=plain.Huge(
                order=self.huge.order,
                per_s=self.huge.rate,
                lifetime_median_ns=self.huge.lifetime,
                lifetime_sigma=self.huge.lifetime_sigma,
                most=self.huge.most,
            ),
            costs=plain.Costs(
                refault_ns=self.costs.refault,
                write_ns=self.costs.write,
                migrate_ns=self.costs.migrate,
            ),
            probe=plain.Probe(
                victims=_member(plain.ProbeVictims, self.probe.victims),
                order=self.probe.order,
                blocks=self.probe.blocks,
            ),
            highalloc=plain.HighAlloc(
                share=self.highalloc.share,
                order=self.highalloc.order,
                gap_ns=self.highalloc.gap,
            ),
            churn=plain.Churn(
                rounds=self.churn.rounds,
                fill=self.churn.fill,
                hold=self.churn.hold,
                part=self.churn.part,
                gap_ns=self.churn.gap,
            ),
            extension=self.extension.settings(),
            clock=plain.Clock(
                ageing_ns=self.clock.ageing,
                measure_ns=self.clock.measure,
                sample_ns=self.clock.sample,
            ),
        )

    def explicit_marks(self) -> tuple[int, int, int] | None:
        """min, low and high if all three are given."""
        low, high = self.watermarks.low, self.watermarks.high
        if self.watermarks.min is None or low is None or high is None:
            return None
        return self.watermarks.min, low, high

    def _defrag_settings(self) -> plain.Defrag:
        return plain.Defrag(
            mode=_member(plain.DefragMode, self.defrag.mode),
            run=_member(plain.DefragRun, self.defrag.run),
            choice=_member(plain.DefragChoice, self.defrag.choice),
            order=self.defrag.order,
            interval_ns=self.defrag.interval,
            blocks_wanted=self.defrag.blocks_wanted,
            budget_pages=self.defrag.budget,
            scan_pages=self.defrag.scan,
        )

    def _user_settings(self) -> plain.User:
        return plain.User(
            working_set_pages=self.working_set_pages(),
            extent_pages=self.user.extent,
            zipf_exponent=self.user.zipf,
            touches_per_s=self.user.touch_rate,
            run_pages=self.user.run,
            anonymous_share=self.user.anonymous,
            mapped_share=self.user.mapped,
            write_share=self.user.written,
            drifts_per_s=self.user.drift_rate,
            filled=self.user.filled,
            deletes_per_s=self.user.delete_rate,
        )

    def _nic_settings(self) -> plain.Nic:
        return plain.Nic(
            receive=_member(plain.NicReceive, self.nic.receive),
            transmit=_member(plain.NicTransmit, self.nic.transmit),
            ring=self.nic.ring,
            replaces=self.nic.driver in nic_rules.REPLACING,
            recycle=self.nic.recycle,
            rx_order=self.rx_order(),
            tx_order=self.tx_order(),
            frame_pages=nic_rules.frame_pages(self.nic.mtu),
            rx_frames_per_s=self.nic.rx_rate,
            rx_burst_frames=self.nic.rx_burst,
            rx_hold_ns=self.nic.rx_hold,
            tx_frames_per_s=self.nic.tx_rate,
            tx_burst_frames=self.nic.tx_burst,
            tx_hold_ns=self.nic.tx_hold,
            wire_ns=nic_rules.wire_ns(self.nic.mtu, self.nic.line_rate),
        )


@lru_cache(maxsize=1)
def fields() -> dict[str, FieldInfo]:
    """Every dotted key that a machine has, in the order of the groups: kernel, zone.memory, ..."""
    found: dict[str, FieldInfo] = {}
    for name, field in Machine.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            found |= {f"{name}.{key}": inner for key, inner in group.model_fields.items()}
        else:
            found[name] = field
    return found


@lru_cache(maxsize=1)
def policy_keys() -> frozenset[str]:
    """The dotted keys by which kernels and administrators choose how memory is managed."""
    return frozenset(key for key, field in fields().items() if POLICY in field.metadata)


def _member(enum: type[Any], word: str) -> Any:
    return plain.words_of(enum)[word]
