"""Zone: owns the memory behind one simulated zone and sets it up from Settings."""

from __future__ import annotations

from typing import Any

import numpy as np

from study.zone.engine.dice import log_of_going_on, seed_streams
from study.zone.engine.layout import (
    FRAGMENTS_MAX,
    NO_PFN,
    PAGE_TABLES_MAX,
    PROCESS_PAGES_MAX,
    TABLES,
)
from study.zone.engine.record import MACHINE, counters
from study.zone.load.user import alias_table
from study.zone.mm.interface import REQUEST_ROWS, free_all, set_constants, table_rows
from study.zone.settings import Settings
from study.zone.trial import boot

SECOND_NS = 1_000_000_000
SOON_ROWS = 4_096
"""What finds no room on the wheel goes to the heap."""


class Zone:
    """One zone's state.

    state   the record, a row of dtype MACHINE, which kernels take as their first argument
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
        self.record = np.zeros(1, MACHINE)
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

    @property
    def now(self) -> int:
        """Time since the trial began, in ns."""
        return int(self.state["now"])

    @property
    def own(self) -> np.void:
        """What is the zone's in the record, by the names in record.ZONE; can be set."""
        own: np.void = self.state["zone"]
        return own

    @property
    def pages(self) -> int:
        """Page frames."""
        return self.settings.memory.pages

    @property
    def free(self) -> int:
        """Pages in the free areas."""
        return int(self.own["free"])

    @property
    def nr_free(self) -> np.ndarray:
        """Free blocks of each order, 11 numbers: the record's own."""
        blocks: np.ndarray = self.own["nr_free"]
        return blocks

    @property
    def marks(self) -> tuple[int, int, int]:
        """(min, low, high) in pages, as they stand."""
        return int(self.own["min"]), int(self.own["low"]), int(self.own["high"])

    @property
    def count(self) -> dict[str, Any]:
        """What was counted since reset_counters(), by name."""
        return counters(self.state)

    def reset_counters(self) -> None:
        """Count from 0 on."""
        self.state["count"] = 0
        self.own["count"] = 0

    def _set_constants(self) -> None:
        z, s = self.state, self.settings
        user, processes, slab, nic = s.user, s.processes, s.slab, s.nic
        set_constants(z, s)
        z["process_vpages"] = self.extents * user.extent_pages
        z["extents"] = z["zipf_rows"] = self.extents
        z["extent_pages"] = user.extent_pages
        z["touch_period_ns"] = _gap_ns(user.touches_per_s)
        if user.touches_per_s <= 0:
            z["next_touch"] = 1 << 62
        z["run_log"] = log_of_going_on(user.run_pages)
        z["write_share"] = user.write_share
        z["drift_gap_ns"] = _gap_ns(user.drifts_per_s)
        z["delete_gap_ns"] = _gap_ns(user.deletes_per_s)
        z["stack_order"] = processes.stack_order
        z["stack_source"] = processes.stack_source
        z["fork_gap_ns"] = _gap_ns(processes.forks_per_s)
        z["lifetime_median_ns"] = processes.lifetime_median_ns
        z["lifetime_sigma"] = processes.lifetime_sigma
        z["process_log"] = log_of_going_on(processes.anonymous_pages)
        z["process_tables"] = min(processes.page_table_pages, PAGE_TABLES_MAX)
        z["slab_gap_ns"] = _gap_ns(slab.pages_per_s)
        z["slab_median_ns"] = slab.lifetime_median_ns
        z["slab_sigma"] = slab.lifetime_sigma
        z["reclaimable_share"] = slab.reclaimable_share
        z["rx_mode"], z["tx_mode"] = nic.receive, nic.transmit
        z["ring"] = nic.ring
        z["rx_replaces"] = nic.replaces
        z["recycle"] = nic.recycle
        z["huge_gap_ns"] = _gap_ns(s.huge.per_s)
        z["huge_order"] = s.huge.order
        z["huge_median_ns"] = s.huge.lifetime_median_ns
        z["huge_sigma"] = s.huge.lifetime_sigma
        z["huge_most"] = s.huge.most
        z["held_first"] = NO_PFN
        self._link_extension()
        z["rx_order"], z["tx_order"] = nic.rx_order, nic.tx_order
        z["fragments"] = min(nic.frame_pages, FRAGMENTS_MAX)
        z["wire_ns"] = nic.wire_ns
        z["rx_log"] = log_of_going_on(nic.rx_burst_frames)
        z["tx_log"] = log_of_going_on(nic.tx_burst_frames)
        z["rx_gap_ns"] = _burst_gap_ns(nic.rx_frames_per_s, nic.rx_burst_frames, nic.wire_ns)
        z["tx_gap_ns"] = _burst_gap_ns(nic.tx_frames_per_s, nic.tx_burst_frames, nic.wire_ns)
        z["rx_hold_ns"], z["tx_hold_ns"] = nic.rx_hold_ns, nic.tx_hold_ns
        z["refault_cost_ns"] = s.costs.refault_ns

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
            free_all(self.state, memory.reserved_pages)
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
    live_max = settings.processes.live_max
    extents = _extents(settings)
    working_set = extents * settings.user.extent_pages
    return {
        **table_rows(settings, working_set),
        "vpage": working_set + live_max * PROCESS_PAGES_MAX,
        # Every slab page, frame in flight, process and sleeper books at most one event.
        "event": 2 * settings.memory.pages + live_max + REQUEST_ROWS + 64,
        "soon": SOON_ROWS,
        "alias": extents,
        "extent": extents,
        "process": live_max,
        "posted": max(1, settings.nic.ring),
        "recycled": max(1, settings.nic.ring if settings.nic.recycle else 0),
    }


def zone_bytes(settings: Settings) -> int:
    """Memory of a zone's tables, in bytes; what is never touched of it stays with the system."""
    rows = _table_rows(settings)
    return MACHINE.itemsize + sum(TABLES[name].itemsize * n for name, n in rows.items())
