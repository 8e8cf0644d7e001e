"""What the settings of the load come to in the record and its tables."""

from __future__ import annotations

from typing import Any

from study.zone.demand import user_pages_most
from study.zone.engine.dice import log_of_going_on
from study.zone.engine.enums import Paced
from study.zone.engine.layout import (
    FRAGMENTS_MAX,
    NEVER,
    NO_PFN,
    PAGE_TABLES_MAX,
    PROCESS_PAGES_MAX,
)
from study.zone.marks import after, dma_marks_for, marks_for
from study.zone.settings import AdminAction, Settings

SECOND_NS = 1_000_000_000


def _gap_ns(rate_per_s: float) -> int:
    """Mean time between events of a rate; 0 stands for never."""
    return round(SECOND_NS / rate_per_s) if rate_per_s > 0 else 0


def _burst_gap_ns(frames_per_s: float, burst_frames: float, wire_ns: int) -> int:
    """Mean silence between bursts so that frames come at a mean rate; at least 1 us."""
    if frames_per_s <= 0:
        return 0
    return max(1_000, round(SECOND_NS * burst_frames / frames_per_s - burst_frames * wire_ns))


def nr_extents(settings: Settings) -> int:
    """Extents of the working set."""
    return max(1, settings.user.working_set_pages // settings.user.extent_pages)


def trace_pages(settings: Settings) -> int:
    """Virtual pages for those of a recorded load.

    As many as it had in use at once, and half of that more where pieces of it meet; and for each
    frame one that reclaim took when it was recorded, and has not taken here.
    """
    trace = settings.load.trace
    if trace is None:
        return 0
    return user_pages_most(trace) * 3 // 2 + settings.memory.pages


def _profiles(s: Settings) -> tuple[tuple[tuple[int, float], ...], ...]:
    """The profiles by Paced; one that brings nothing at all is none."""
    user, nic = s.user, s.nic
    profiles = user.touch_profile, nic.rx_profile, nic.tx_profile
    return tuple(p if any(rate > 0 for _, rate in p) else () for p in profiles)


def set_paces(z: Any, table: Any, s: Settings) -> None:
    """Write the pieces of uneven loads into the table of paces."""
    nic = s.nic
    row = 0
    for source, profile in zip(Paced, _profiles(s), strict=True):
        z["pace_first"][source] = row
        z["pace_pieces"][source] = len(profile)
        z["pace_ends"][source] = profile[0][0] if profile else 0
        for lasts, rate in profile:
            if source == Paced.TOUCH:
                gap = _gap_ns(rate)
            else:
                burst = nic.rx_burst_frames if source == Paced.RX else nic.tx_burst_frames
                gap = _burst_gap_ns(rate, burst, nic.wire_ns)
            table[row] = lasts, min(gap, NEVER)
            row += 1


def load_table_rows(settings: Settings) -> dict[str, int]:
    """Rows of each table of the load, by its name in layout.TABLES."""
    extents, live_max = nr_extents(settings), settings.processes.live_max
    return {
        "vpage": extents * settings.user.extent_pages
        + live_max * PROCESS_PAGES_MAX
        + trace_pages(settings),
        "alias": extents,
        "extent": extents,
        "process": live_max,
        "pace": max(1, sum(map(len, _profiles(settings)))),
        "posted": max(1, settings.nic.ring),
        "recycled": max(1, settings.nic.ring if settings.nic.recycle else 0),
        "demand": settings.load.trace.nr_requests if settings.load.trace else 0,
    }


def set_load(z: Any, s: Settings) -> None:
    """Write into the record what follows from the settings and does not change during a trial."""
    user, processes, slab, nic = s.user, s.processes, s.slab, s.nic
    z["process_vpages"] = nr_extents(s) * user.extent_pages
    z["extents"] = z["zipf_rows"] = nr_extents(s)
    z["touch_period_ns"] = _gap_ns(user.touches_per_s)
    if user.touches_per_s <= 0:
        z["next_touch"] = NEVER
    z["run_log"] = log_of_going_on(user.run_pages)
    z["drift_gap_ns"] = _gap_ns(user.drifts_per_s)
    z["delete_gap_ns"] = _gap_ns(user.deletes_per_s)
    z["fork_gap_ns"] = _gap_ns(processes.forks_per_s)
    z["process_log"] = log_of_going_on(processes.anonymous_pages)
    z["process_tables"] = min(processes.page_table_pages, PAGE_TABLES_MAX)
    z["slab_gap_ns"] = _gap_ns(slab.pages_per_s)
    z["huge_gap_ns"] = _gap_ns(s.huge.per_s)
    z["held_first"] = NO_PFN
    z["nr_named"] = len(s.requests)
    for row, request in enumerate(s.requests):
        z["named_order"][row] = request.order
        z["named_gfp"][row] = request.gfp
        z["named_gap_ns"][row] = _gap_ns(request.per_s / request.burst)
        z["named_sigma"][row] = request.hold_sigma
        if request.burst > 1:
            z["named_burst_log"][row] = log_of_going_on(request.burst)
        z["named_hold_ns"][row] = request.hold_ns
        z["named_otherwise"][row] = request.otherwise
        z["named_first_ns"][row] = request.first_ns
    if s.load.trace is not None:
        z["trace_length"] = s.load.trace.length_ns
        z["trace_first_page"] = z["process_vpages"] + processes.live_max * PROCESS_PAGES_MAX
        z["trace_pages"] = trace_pages(s)
    z["fragments"] = min(nic.frame_pages, FRAGMENTS_MAX)
    z["rx_log"] = log_of_going_on(nic.rx_burst_frames)
    z["tx_log"] = log_of_going_on(nic.tx_burst_frames)
    z["rx_gap_ns"] = _burst_gap_ns(nic.rx_frames_per_s, nic.rx_burst_frames, nic.wire_ns)
    z["tx_gap_ns"] = _burst_gap_ns(nic.tx_frames_per_s, nic.tx_burst_frames, nic.wire_ns)
    _set_actions(z, s)


def _set_actions(z: Any, s: Settings) -> None:
    """What an administrator does, with all that can be set as it then stands."""
    for row, action in enumerate(s.actions):
        keeps_marks = True
        if action.deed == AdminAction.SET:
            keeps_marks = not action.setting.startswith("watermarks.")
            s = after(s, action.setting, action.value)
        z["action_at_ns"][row] = action.at_ns
        z["action_deed"][row] = action.deed
        z["action_values"][row] = (
            *((-1, -1, -1) if keeps_marks else marks_for(s.memory, s.watermarks)),
            *dma_marks_for(s.memory, s.watermarks),
            s.watermarks.boost_factor,
            s.reclaim.swappiness,
            s.compaction.threshold,
            s.compaction.proactiveness,
        )
