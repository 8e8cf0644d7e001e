"""The units of a study: a cell of the matrix, and one trial of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from operator import attrgetter
from typing import Any

from study.zone.settings import Extension, Recorded, Settings, declared

Level = str | int | float | bool | None


def level_name(level: object) -> str:
    """A level as text, as YAML has it."""
    return "null" if level is None else str(level)


@dataclass(frozen=True)
class Cell:
    """One combination of levels.

    Parameters
    ----------
    id
        8 hex digits that depend on the settings alone: the same machine has the same id in any
        study. Cells of one study whose 8 digits are the same have 16.
    levels
        Dotted key of an axis -> the level as the scenario writes it; the same keys for every cell.
    settings
        Of the simulated machine.
    """

    id: str
    levels: dict[str, Level]
    settings: Settings


@dataclass(frozen=True)
class Trial:
    """One simulated zone: a cell, and which of its replicates.

    Trials of one replicate meet the same workload in every cell with the same levels of nuisance
    axes.

    Parameters
    ----------
    cell
        What is simulated.
    replicate
        From 0.
    seed
        Of the cell, as Study.seeds() has it; with the replicate it decides all random numbers.
    """

    cell: Cell
    replicate: int
    seed: int


def seed_of(seed: int, nuisance: Sequence[str], levels: Mapping[str, Level]) -> int:
    """The seed of a cell's trials.

    Axes that no claim compares are averaged over, and averages of many loads are surer than those
    of one: each combination of their levels has a load of its own.

    Parameters
    ----------
    seed
        Of the study.
    nuisance
        Axes whose combinations have loads of their own; none: all cells share one.
    levels
        Of the cell.

    Returns
    -------
    int
        The study's seed if there is no such axis, else 63 bits that depend on it and on the levels
        of those axes, and on nothing else.
    """
    if not nuisance:
        return seed
    key = json.dumps([seed, [[axis, levels.get(axis)] for axis in sorted(nuisance)]])
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) >> 1


ID_DIGITS = 8
LONG_ID_DIGITS = 16


_IN_EVERY_ID = {
    "": "allocation",
    "memory": (
        "pages lowmem_pages reserved_pages percpu_lists swap grouping pageblock_order reserve "
        "nofragment placement buddyinfo"
    ),
    "watermarks": "marks explicit_pages boost_factor",
    "kswapd": "policy loop pages_per_ms",
    "reclaim": "lumpy",
    "compaction": "direct_order daemon proactiveness threshold rules",
    "defrag": "mode run choice order interval_ns blocks_wanted budget_pages scan_pages",
    "user": (
        "working_set_pages extent_pages zipf_exponent touches_per_s run_pages anonymous_share "
        "mapped_share write_share drifts_per_s deletes_per_s filled"
    ),
    "processes": (
        "stack_order stack_source forks_per_s lifetime_median_ns lifetime_sigma anonymous_pages "
        "page_table_pages live_max"
    ),
    "slab": (
        "initial_share pages_per_s lifetime_median_ns lifetime_sigma reclaimable_share "
        "objects_per_page"
    ),
    "nic": (
        "replaces frame_pages receive transmit ring recycle wire_ns rx_frames_per_s "
        "rx_burst_frames rx_hold_ns tx_frames_per_s tx_burst_frames tx_hold_ns rx_order tx_order"
    ),
    "huge": "order per_s lifetime_median_ns lifetime_sigma most",
    "costs": "refault_ns write_ns migrate_ns",
    "probe": "victims order blocks",
    "highalloc": "share order gap_ns",
    "churn": "rounds fill hold part gap_ns",
    "extension": "victims source numbers victims_digest source_digest",
    "clock": "ageing_ns measure_ns sample_ns",
}
"""Groups and names of the settings that there were when the first ids were given. Nothing is ever
added here, and nothing taken away: cells would be other cells."""
_ALWAYS = {(group, name) for group, names in _IN_EVERY_ID.items() for name in names.split()}
_RENAMED: dict[str, str] = {}
"""Dotted names of settings that have another one since, and what ids go on calling them."""


@cache
def _naming() -> list[tuple[attrgetter[Any], str, str, bool, Any]]:
    """Of each setting: how to get it, group and name in ids, is it always there, its default."""
    naming = []
    for name, one in declared().items():
        group, _, own = _RENAMED.get(name, name).rpartition(".")
        naming.append((attrgetter(name), group, own, (group, own) in _ALWAYS, one.default))
    return naming


def _written(settings: Settings) -> dict[str, Any]:
    """What an id is made from: group -> name -> value. A setting that was added later is in it
    only if it is not at its default, so that it leaves the ids of all earlier cells alone.
    """
    written: dict[str, Any] = {}
    for value_in, group, own, always, default in _naming():
        value = value_in(settings)
        if always or value != default:
            (written.setdefault(group, {}) if group else written)[own] = value
    # A machine without extensions is the one it was before there were any.
    if settings.extension == Extension():
        del written["extension"]
    return written


def _plain(value: Any) -> Any:
    """Of a value that JSON does not know: a recorded load is what its digest says."""
    if isinstance(value, Recorded):
        return value.digest
    return {name: own for name, own in asdict(value).items() if _ADDED.get(name, _NONE) != own}


_NONE = object()
_ADDED = {"hold_sigma": 0.0, "burst": 1.0}
"""Fields of requests that came later, by the values with which a request is what it was before."""


def cell_id(settings: Settings, digits: int = ID_DIGITS) -> str:
    """Hex digits that depend on the settings alone."""
    canonical = json.dumps(_written(settings), sort_keys=True, default=_plain)
    return hashlib.blake2b(canonical.encode(), digest_size=digits // 2).hexdigest()
