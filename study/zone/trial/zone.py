"""Zone: owns the memory behind one simulated zone and sets it up from Settings."""

from __future__ import annotations

import numpy as np

from study.zone.engine.dice import log_of_going_on, seed_streams
from study.zone.engine.layout import (
    FRAGMENTS_MAX,
    MAX_ORDER_PAGES,
    NO_PFN,
    NR_CACHES,
    NR_HEADS,
    NR_TYPED_HEADS,
    PAGE_TABLES_MAX,
    PROCESS_PAGES_MAX,
    TABLES,
    ZONE,
)
from study.zone.load.user import alias_table
from study.zone.mm.linux_2_6.kmalloc import cache_limits
from study.zone.mm.linux_2_6.percpu import batch_pages
from study.zone.mm.linux_2_6.watermark import marks_of
from study.zone.mm.linux_2_6.writeback import CONGESTED_PAGES
from study.zone.settings import Grouping, Settings
from study.zone.trial import boot

SECOND_NS = 1_000_000_000
REQUEST_ROWS = 4_096
SOON_ROWS = 4_096
"""What finds no room on the wheel goes to the heap."""


class Zone:
    """One zone's state.

    state   the zone record, a row of dtype ZONE, which kernels take as their first argument
    frame, vpage, ...   the tables, structured arrays by the names in layout.TABLES

    A Zone made with `empty=True` has no page free and no workload: for tests of single parts.
    """

    frame: np.ndarray
    vpage: np.ndarray
    extent: np.ndarray
    event: np.ndarray
    pageblock: np.ndarray
    process: np.ndarray
    slot: np.ndarray

    def __init__(
        self, settings: Settings, *, seed: int = 0, replicate: int = 0, empty: bool = False
    ) -> None:
        self.settings = settings
        self.record = np.zeros(1, ZONE)
        self.state = self.record[0]
        extents = _extents(settings)
        for name, rows in _table_rows(settings).items():
            # An alias table is read only, and the same for every trial of a cell.
            if name == "alias":
                rows_array = alias_table(extents, settings.user.zipf_exponent)
            else:
                rows_array = np.zeros(rows, TABLES[name])
            setattr(self, name, rows_array)
            self.state[f"{name}_at"] = rows_array.ctypes.data
            self.state[f"{name}_rows"] = len(rows_array)
        self.extents = extents
        self._set_constants()
        seed_streams(self.state["dice"], seed, replicate)
        boot.prepare(self.state, settings.user.anonymous_share, settings.user.mapped_share)
        if not empty:
            self._start()

    def _set_constants(self) -> None:
        z, s = self.state, self.settings
        memory, user, processes, slab, nic = s.memory, s.user, s.processes, s.slab, s.nic
        z["pages"] = memory.pages
        z["head"] = len(self.frame) - NR_HEADS
        explicit = s.watermarks.explicit_pages
        marks = explicit or marks_of(s.watermarks.marks, memory.pages, memory.lowmem_pages)
        z["min"], z["low"], z["high"] = marks
        z["grouping"] = memory.grouping
        z["pageblock_order"] = memory.pageblock_order
        z["typed_heads"] = NR_TYPED_HEADS if memory.grouping else 0
        z["reserve"] = memory.reserve
        z["nofragment"] = bool(memory.grouping) and memory.nofragment
        z["placement"] = memory.placement
        z["boost_factor"] = s.watermarks.boost_factor
        z["lumpy"] = s.reclaim.lumpy
        z["compact_direct"] = s.compaction.direct_order
        z["compact_daemon"] = s.compaction.daemon
        z["compact_threshold"] = s.compaction.threshold
        z["compact_rules"] = s.compaction.rules
        z["proactiveness"] = s.compaction.proactiveness
        z["allocation"] = s.allocation
        z["percpu"] = memory.percpu_lists
        z["swap"] = memory.swap
        z["pcp_batch"] = batch_pages(memory.pages)
        z["prev_priority"] = z["temp_priority"] = 12
        z["process_vpages"] = self.extents * user.extent_pages
        z["extents"] = z["zipf_rows"] = self.extents
        z["extent_pages"] = user.extent_pages
        z["touch_period"] = _gap_ns(user.touches_per_s)
        if user.touches_per_s <= 0:
            z["next_touch"] = 1 << 62
        z["run_log"] = log_of_going_on(user.run_pages)
        z["write_share"] = user.write_share
        z["drift_gap"] = _gap_ns(user.drifts_per_s)
        z["delete_gap"] = _gap_ns(user.deletes_per_s)
        z["kswapd_policy"] = s.kswapd.policy
        z["kswapd_loop"] = s.kswapd.loop
        z["kswapd_ns_per_page"] = 1e6 / s.kswapd.pages_per_ms
        z["defrag_mode"] = s.defrag.mode
        z["defrag_run"] = s.defrag.run
        z["defrag_choice"] = s.defrag.choice
        z["defrag_order"] = s.defrag.order
        z["defrag_interval"] = s.defrag.interval_ns
        z["defrag_last"] = -s.defrag.interval_ns
        z["defrag_wanted"] = s.defrag.blocks_wanted
        z["defrag_budget"] = s.defrag.budget_pages
        z["defrag_window"] = s.defrag.scan_pages
        z["stack_order"] = processes.stack_order
        z["stack_source"] = processes.stack_source
        z["fork_gap"] = _gap_ns(processes.forks_per_s)
        z["lifetime_median"] = processes.lifetime_median_ns
        z["lifetime_sigma"] = processes.lifetime_sigma
        z["process_log"] = log_of_going_on(processes.anonymous_pages)
        z["process_tables"] = min(processes.page_table_pages, PAGE_TABLES_MAX)
        z["slab_gap"] = _gap_ns(slab.pages_per_s)
        z["slab_median"] = slab.lifetime_median_ns
        z["slab_sigma"] = slab.lifetime_sigma
        z["slab_objects"] = slab.objects_per_page
        z["reclaimable_share"] = slab.reclaimable_share
        z["rx_mode"], z["tx_mode"] = nic.receive, nic.transmit
        z["ring"] = nic.ring
        z["rx_replaces"] = nic.replaces
        z["recycle"] = nic.recycle
        z["huge_gap"] = _gap_ns(s.huge.per_s)
        z["huge_order"] = s.huge.order
        z["huge_median"] = s.huge.lifetime_median_ns
        z["huge_sigma"] = s.huge.lifetime_sigma
        z["huge_most"] = s.huge.most
        z["held_first"] = NO_PFN
        self._link_extension()
        z["rx_order"], z["tx_order"] = nic.rx_order, nic.tx_order
        z["fragments"] = min(nic.frame_pages, FRAGMENTS_MAX)
        z["wire"] = nic.wire_ns
        z["rx_log"] = log_of_going_on(nic.rx_burst_frames)
        z["tx_log"] = log_of_going_on(nic.tx_burst_frames)
        z["rx_gap"] = _burst_gap_ns(nic.rx_frames_per_s, nic.rx_burst_frames, nic.wire_ns)
        z["tx_gap"] = _burst_gap_ns(nic.tx_frames_per_s, nic.tx_burst_frames, nic.wire_ns)
        z["rx_hold"], z["tx_hold"] = nic.rx_hold_ns, nic.tx_hold_ns
        z["refault_cost"] = s.costs.refault_ns
        z["write_cost"] = s.costs.write_ns
        z["migrate_cost"] = s.costs.migrate_ns
        for order in range(NR_CACHES):
            limit, batch, free_limit = cache_limits(order)
            z["cache_limit"][order] = limit
            z["cache_batch"][order] = batch
            z["cache_free_limit"][order] = free_limit

    def _link_extension(self) -> None:
        z, asked = self.state, self.settings.extension
        if not asked.victims and not asked.source:
            return
        from study.zone.extension import TRAFFIC, VICTIM, address

        z["numbers"][: len(asked.numbers)] = asked.numbers
        z["victims_at"] = address(VICTIM, asked.victims, asked.victims_digest)
        z["source_at"] = address(TRAFFIC, asked.source, asked.source_digest)

    def _start(self) -> None:
        memory, slab = self.settings.memory, self.settings.slab
        slab_pages = int(slab.initial_share * memory.pages)
        if memory.buddyinfo is None:
            boot.free_all(self.state, memory.reserved_pages)
            boot.boot_slabs(self.state, slab_pages)
            if self.settings.user.filled:
                boot.fill_memory(self.state)
        else:
            blocks = np.array(memory.buddyinfo, np.int64)
            if not boot.start_from_buddyinfo(self.state, memory.reserved_pages, blocks, slab_pages):
                raise ValueError("the free blocks of memory.buddyinfo do not fit into the zone")
        boot.start_workload(self.state)


def _gap_ns(rate_per_s: float) -> int:
    """Mean time between events of a rate; 0 stands for never."""
    return round(SECOND_NS / rate_per_s) if rate_per_s > 0 else 0


def _burst_gap_ns(frames_per_s: float, burst_frames: float, wire_ns: int) -> int:
    """Mean silence between bursts so that frames come at a mean rate; at least 1 us."""
    if frames_per_s <= 0:
        return 0
    return max(1_000, round(SECOND_NS * burst_frames / frames_per_s - burst_frames * wire_ns))


def _extents(settings: Settings) -> int:
    return max(1, settings.user.working_set_pages // settings.user.extent_pages)


def _table_rows(settings: Settings) -> dict[str, int]:
    """Rows of each table, by its name in layout.TABLES."""
    pages = settings.memory.pages
    blocks = -(-pages // MAX_ORDER_PAGES)
    live_max = settings.processes.live_max
    extents = _extents(settings)
    working_set = extents * settings.user.extent_pages
    grouping = settings.memory.grouping != Grouping.OFF
    pageblock_order = settings.memory.pageblock_order
    return {
        "frame": blocks * MAX_ORDER_PAGES + (NR_TYPED_HEADS if grouping else 0) + NR_HEADS,
        "pageblock": blocks * MAX_ORDER_PAGES >> pageblock_order if grouping else 0,
        "vpage": working_set + live_max * PROCESS_PAGES_MAX,
        # Every slab page, frame in flight, process and sleeper books at most one event.
        "event": 2 * pages + live_max + REQUEST_ROWS + 64,
        "soon": SOON_ROWS,
        "alias": extents,
        "extent": extents,
        "write": CONGESTED_PAGES + 1,
        "dirty": working_set + 1,
        "slot": pages,
        "reclaimable": pages,
        "process": live_max,
        "request": REQUEST_ROWS,
        "posted": max(1, settings.nic.ring),
        "recycled": max(1, settings.nic.ring if settings.nic.recycle else 0),
        "candidate": pages,
        "bucket": MAX_ORDER_PAGES + 1,
    }


def zone_bytes(settings: Settings) -> int:
    """Memory of a zone's tables, in bytes; what is never touched of it stays with the system."""
    rows = _table_rows(settings)
    return ZONE.itemsize + sum(TABLES[name].itemsize * n for name, n in rows.items())
