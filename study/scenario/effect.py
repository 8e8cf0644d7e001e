"""What is said without effect: overrides and axes that change nothing in any cell."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from study.scenario.errors import Fault, ScenarioError, listing, shown
from study.scenario.model import Machine
from study.scenario.origin import Unfolded
from study.scenario.override import apply_overrides, key_of, origin_of
from study.scenario.read import Document
from study.zone.settings import (
    DefragMode,
    DefragRun,
    Grouping,
    ProbeVictims,
    Resample,
    Settings,
)

Asleep = tuple[tuple[str, ...], Callable[[Settings], bool], str]


def _compacts(s: Settings) -> bool:
    compaction = s.compaction
    return bool(compaction.direct_order) or compaction.daemon or compaction.proactiveness > 0


_NO_EFFECT: tuple[Asleep, ...] = (
    (
        ("defrag.run", "defrag.order", "defrag.interval", "defrag.blocks_wanted",
         "defrag.budget", "defrag.scan"),
        # The probe chooses its blocks as the defragmenter would.
        lambda s: s.defrag.mode == DefragMode.OFF and s.probe.victims < ProbeVictims.RMAP_EVICT,
        "defrag.mode is off",
    ),
    (("defrag.choice",), lambda s: s.defrag.mode == DefragMode.OFF, "defrag.mode is off"),
    (("defrag.interval",), lambda s: s.defrag.run == DefragRun.INLINE, "defrag.run is inline"),
    (("defrag.scan",), lambda s: s.defrag.run == DefragRun.DAEMON, "defrag.run is daemon"),
    (
        ("probe.order", "probe.blocks"),
        lambda s: s.probe.victims == ProbeVictims.OFF,
        "probe.victims is off",
    ),
    (
        ("extension.numbers",),
        lambda s: not s.extension.victims and not s.extension.source,
        "there is no extension",
    ),
    (
        ("zone.pageblock_order",),
        lambda s: s.memory.grouping == Grouping.OFF and not _compacts(s),
        "zone.grouping is off",
    ),
    (
        ("compaction.rules",),
        lambda s: not _compacts(s),
        "nobody compacts (compaction.direct, daemon, proactiveness)",
    ),
    (
        ("compaction.threshold",),
        lambda s: not s.compaction.direct_order and not s.compaction.daemon,
        "compaction.direct and compaction.daemon are off",
    ),
    (("zone.nofragment",), lambda s: not s.memory.percpu_lists, "zone.percpu_lists is false"),
    (
        ("watermarks.boost_factor",),
        lambda s: 4 << s.memory.pageblock_order > s.memory.pages,
        "the zone has fewer than four pageblocks",
    ),
    (
        ("huge.order", "huge.lifetime", "huge.lifetime_sigma", "huge.most"),
        lambda s: s.huge.per_s == 0,
        "huge.rate is 0",
    ),
    (("load.replicates", "load.block"), lambda s: s.load.trace is None, "there is no load.trace"),
    (
        ("load.block",),
        lambda s: s.load.replicates != Resample.BLOCKS,
        "load.replicates is not blocks",
    ),
    (
        ("highalloc.order", "highalloc.gap"),
        lambda s: s.highalloc.share == 0,
        "highalloc.share is 0",
    ),
    (
        ("churn.fill", "churn.hold", "churn.part", "churn.gap"),
        lambda s: s.churn.rounds == 0,
        "churn.rounds is 0",
    ),
    (
        ("processes.lifetime", "processes.lifetime_sigma", "processes.memory",
         "processes.page_tables"),
        lambda s: s.processes.forks_per_s == 0,
        "processes.fork_rate is 0",
    ),
    (("nic.rx_burst", "nic.rx_hold", "nic.recycle"), lambda s: s.nic.ring == 0, "nic.ring is 0"),
    (
        ("nic.rx_burst", "nic.rx_hold", "nic.recycle"),
        lambda s: s.nic.rx_frames_per_s == 0,
        "nic.rx_rate is 0",
    ),
    (
        ("nic.tx_burst", "nic.tx_hold"),
        lambda s: s.nic.tx_frames_per_s == 0,
        "nic.tx_rate is 0",
    ),
    (
        ("cpu.mips", "cpu.miss"),
        lambda s: s.kswapd.pages_per_ms > 0,
        "kswapd.speed is given",
    ),
    (
        ("watermarks.marks", "zone.lowmem"),
        lambda s: s.watermarks.explicit_pages is not None,
        "watermarks.min, low and high are given",
    ),
)  # fmt: skip


def why_no_effect(key: str, machines: Iterable[Settings]) -> str:
    """Why a setting makes no difference to any of the machines; empty if it may make one."""
    machines = list(machines)
    reasons: dict[str, None] = {}
    for machine in machines:
        why = next((why for keys, rests, why in _NO_EFFECT if key in keys and rests(machine)), "")
        if not why:
            return ""
        reasons[why] = None
    return " or ".join(reasons)


def without_effect(
    before: Document,
    overrides: Sequence[str],
    unfolded: Unfolded,
    unfold: Callable[[Document], Unfolded],
) -> tuple[list[Fault], list[str]]:
    """The overrides without which the study would be the same.

    Parameters
    ----------
    before
        The document without any override.
    overrides
        In their order.
    unfolded
        The study with all of them.
    unfold
        Makes a study of a document.

    Returns
    -------
    tuple
        A fault for each that cannot do what it says, and a sentence for each that says what is so
        already: a loop over several values may well begin with that of the file.
    """
    faults, equal = [], []
    for index, text in enumerate(overrides):
        others = [*overrides[:index], *overrides[index + 1 :]]
        why = _hindered(text, overrides[index + 1 :], unfolded)
        if not why:
            document = copy.deepcopy(before)
            apply_overrides(document, others)
            if _changes(document, key_of(text), unfolded, unfold):
                continue
            why = _shadowed(document, key_of(text), unfolded)
        if why:
            faults.append(Fault(origin_of(text), None, None, f"has no effect: {why}"))
        else:
            equal.append(f"{origin_of(text)}: {_so_already(document, key_of(text))}")
    return faults, equal


def _hindered(text: str, later: Sequence[str], unfolded: Unfolded) -> str:
    """Why an override can change nothing, whatever it says; empty if it may."""
    key, study = key_of(text), unfolded.study
    again = next((other for other in later if key_of(other) == key), None)
    if again is not None:
        return f"'{shown(again)}' behind it sets {key} as well"
    return why_no_effect(key, (c.settings for c in study.cells)) if key not in study.axes else ""


def _changes(
    document: Document, key: str, unfolded: Unfolded, unfold: Callable[[Document], Unfolded]
) -> bool:
    """Is the study another one than that of the document, which lacks an override of this key?"""
    path = _path(document, key)
    return _certain(document, unfolded.document, path) or _differs(document, unfolded, unfold)


def _shadowed(document: Document, key: str, unfolded: Unfolded) -> str:
    """Which axis sets the key instead; empty if none does."""
    setters = sorted(
        {axis for axis, levels in unfolded.named.items() for told in levels.values() if key in told}
    )
    if not setters:
        return ""
    return f"{key} is set by the axis {setters[0]} ({document.where(('axes', setters[0]))})"


def _so_already(document: Document, key: str) -> str:
    path = _path(document, key)
    if path not in document.places:
        return f"{key} is so by default"
    value = document.value
    for step in path:
        value = value[step]
    told = listing(value) if isinstance(value, list | dict) else shown(value)
    return f"{key} is {told} already ({document.where(path)})"


def _differs(
    document: Document, unfolded: Unfolded, unfold: Callable[[Document], Unfolded]
) -> bool:
    try:
        without = unfold(copy.deepcopy(document))
    except ScenarioError:
        return True  # without it there is no study at all
    return _decisive(without) != _decisive(unfolded)


def _certain(document: Document, after: Document, path: tuple[Any, ...]) -> bool:
    """Is it plain that the override changes the machine, so that no cell need be compared?

    The base has another value for the key, of a kind that no axis and no entry touches.
    """
    if path[0] != "base" or len(path) != 3 or document.value.get("include"):
        return False
    axes = document.value.get("axes") or {}
    if any(isinstance(levels, dict) for levels in axes.values()):
        return False
    group, key = path[1:]
    try:
        old, new = (_group(d, group) for d in (document, after))
    except ValueError:
        return False
    number = isinstance(getattr(new, key, None), int | float)
    return number and getattr(old, key, None) != getattr(new, key) and group != "nic"


def _group(document: Document, group: str) -> Any:
    raw = (document.value.get("base") or {}).get(group) or {}
    return Machine.model_fields[group].annotation.model_validate(raw)  # type: ignore[union-attr]


def _path(document: Document, key: str) -> tuple[Any, ...]:
    if key in (document.value.get("axes") or {}):
        return ("axes", key)
    parts = key.split(".")
    head = key in document.value or parts[0] not in Machine.model_fields
    return tuple(parts) if head else ("base", *parts)


def _decisive(unfolded: Unfolded) -> tuple[Any, ...]:
    study = unfolded.study
    return (
        study.name,
        study.question,
        study.seed,
        study.replicates,
        study.stopping,
        study.axes,
        [(cell.id, cell.levels) for cell in study.cells],
        [claim.plain() for claim in study.claims],
        study.document.get("sampling"),
        study.nuisance,
    )
