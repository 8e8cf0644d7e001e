"""Zone: owns the memory behind one simulated zone and sets it up from Settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from study.zone.demand import rows_of
from study.zone.engine.agenda import book
from study.zone.engine.dice import seed_streams
from study.zone.engine.enums import Event
from study.zone.engine.layout import TABLES
from study.zone.engine.record import MACHINE, counters, set_settings
from study.zone.load.setup import (
    load_table_rows,
    nr_extents,
    set_load,
    set_paces,
    trace_pages,
)
from study.zone.load.user import alias_table
from study.zone.mm.interface import (
    REQUEST_ROWS,
    free_all,
    free_zone,
    set_constants,
    start_clock,
    table_rows,
)
from study.zone.settings import Reserve, Settings
from study.zone.trial import boot
from study.zone.trial.fill import fill_memory

SOON_ROWS = 4_096
"""What finds no room on the wheel goes to the heap."""


class Zone:
    """One zone's state.

    state   the record, a row of dtype MACHINE, which kernels take as their first argument
    frame, vpage, ...   the tables, structured arrays by the names in layout.TABLES

    A Zone made with `empty=True` has no page free and no workload: for tests of single parts.
    `check_time_limit` is called while memory is filled, as in pass_time.
    """

    frame: np.ndarray
    vpage: np.ndarray
    extent: np.ndarray
    event: np.ndarray
    pageblock: np.ndarray
    pace: np.ndarray
    process: np.ndarray
    slot: np.ndarray

    def __init__(
        self,
        settings: Settings,
        *,
        seed: int = 0,
        replicate: int = 0,
        empty: bool = False,
        check_time_limit: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.record = np.zeros(1, MACHINE)
        self.state = self.record[0]
        extents = nr_extents(settings)
        for name, rows in _table_rows(settings).items():
            # These are read only, and the same for every trial of a cell.
            if name == "alias":
                rows_array = alias_table(extents, settings.user.zipf_exponent)
            elif name == "demand" and settings.load.trace is not None:
                rows_array = rows_of(settings.load.trace)
            else:
                rows_array = np.zeros(rows, TABLES[name])
            setattr(self, name, rows_array)
            self.state[f"{name}_at"] = rows_array.ctypes.data
            self.state[f"{name}_rows"] = len(rows_array)
        self.extents = extents
        set_settings(self.state, settings)
        set_constants(self.state, settings)
        set_load(self.state, settings)
        set_paces(self.state, self.pace, settings)
        self._link_extension()
        named = [request.name for request in settings.requests]
        seed_streams(self.state["dice"], seed, replicate, named)
        boot.prepare(self.state, settings.user.anonymous_share, settings.user.mapped_share)
        if not empty:
            self._start(check_time_limit)

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
    def dma(self) -> np.void:
        """The same of zone DMA, where there is one; all 0 otherwise."""
        dma: np.void = self.state["others"][0]
        return dma

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
        self.state["others"]["count"] = 0

    def _link_extension(self) -> None:
        z, asked = self.state, self.settings.extension
        if not asked.victims and not asked.source:
            return
        from study.zone.extension import TRAFFIC, VICTIM, address

        z["numbers"][: len(asked.numbers)] = asked.numbers
        z["victims_at"] = address(VICTIM, asked.victims, asked.victims_digest)
        z["source_at"] = address(TRAFFIC, asked.source, asked.source_digest)

    def _start(self, check_time_limit: Callable[[], None]) -> None:
        memory, slab = self.settings.memory, self.settings.slab
        slab_pages = int(slab.initial_share * memory.pages)
        if memory.buddyinfo is None:
            self._free_dma()
            free_all(self.state, memory.reserved_pages)
            boot.boot_slabs(self.state, slab_pages)
            boot.post_ring(self.state)
            if self.settings.user.filled:
                fill_memory(self.state, check_time_limit)
                start_clock(self.state, self.settings)
                self.reset_counters()
        else:
            self._start_from_lists(slab_pages)
        if memory.reserve == Reserve.HIGHATOMIC:
            self.own["nr_reserved"] = memory.highatomic_pages
        boot.start_workload(self.state)
        for row, action in enumerate(self.settings.actions):
            book(self.state, action.at_ns, Event.ACTION, row)

    def _free_dma(self) -> None:
        memory = self.settings.memory
        if memory.dma_pages:
            first = int(self.state["dma_first"])
            free_zone(self.state, first + memory.dma_reserved_pages, first + memory.dma_pages)

    def _start_from_lists(self, slab_pages: int) -> None:
        memory = self.settings.memory
        self._free_dma()
        typed, reserved = memory.typed_blocks, memory.reserved_pages
        if typed is None or not memory.grouping:
            blocks = np.array(memory.buddyinfo, np.int64)
            fits = boot.start_from_buddyinfo(self.state, reserved, blocks, slab_pages)
        else:
            blocks = np.array(typed, np.int64).ravel()
            pageblocks = np.array(memory.typed_pageblocks or (0, 0, 0, 0), np.int64)
            fits = boot.start_from_lists(self.state, reserved, blocks, pageblocks, slab_pages)
        if not fits:
            raise ValueError("the free blocks of memory.buddyinfo do not fit into the zone")


def _table_rows(settings: Settings) -> dict[str, int]:
    """Rows of each table, by its name in layout.TABLES."""
    recorded = trace_pages(settings)
    pages = settings.memory.pages + settings.memory.dma_pages
    events = 2 * pages + settings.processes.live_max + REQUEST_ROWS + 64
    return {
        **table_rows(settings, nr_extents(settings) * settings.user.extent_pages + recorded),
        **load_table_rows(settings),
        # Every slab page, frame in flight, process, recorded page and sleeper books at most one
        # event, but for a recorded page whose asker still sleeps when its time is over.
        "event": events + recorded,
        "soon": SOON_ROWS,
    }


def zone_bytes(settings: Settings) -> int:
    """Memory of a zone's tables, in bytes; what is never touched of it stays with the system."""
    rows = _table_rows(settings)
    return MACHINE.itemsize + sum(TABLES[name].itemsize * n for name, n in rows.items())
