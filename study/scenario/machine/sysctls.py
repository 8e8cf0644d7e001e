"""The sysctls of vm.*: which of them are modelled, by what key, and which kernels have them.

Documentation/admin-guide/sysctl/vm.rst; the versions by kernel/sysctl.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from study.refusals.kernel import Version, spell
from study.scenario.errors import did_you_mean
from study.scenario.machine.kernels import parse


@dataclass(frozen=True)
class Sysctl:
    """A sysctl that is modelled.

    key    the setting that it gives
    since  the first kernel that has it
    about  what it is
    """

    key: str
    since: Version
    about: str


SYSCTLS: dict[str, Sysctl] = {
    "min_free_kbytes": Sysctl(
        "watermarks.min_free_kbytes", (2, 6, 0), "Split over the lowmem zones; all marks follow."
    ),
    "watermark_scale_factor": Sysctl(
        "watermarks.scale_factor", (4, 6), "Least distance of the marks, in 1/10000 of the zone."
    ),
    "watermark_boost_factor": Sysctl(
        "watermarks.boost_factor", (5, 0), "Most that a steal raises the marks, in 1/10000 of high."
    ),
    "swappiness": Sysctl("reclaim.swappiness", (2, 6, 0), "How soon mapped pages are fair game."),
    "lowmem_reserve_ratio": Sysctl(
        "watermarks.lowmem_reserve_ratio",
        (2, 6, 11),
        "Of the zone that is simulated: it holds back zone.above pages divided by this.",
    ),
    "extfrag_threshold": Sysctl(
        "compaction.threshold", (2, 6, 35), "A lower index is lack of memory and left to reclaim."
    ),
    "compaction_proactiveness": Sysctl(
        "compaction.proactiveness", (5, 9), "How much kcompactd works unasked, 0 to 100."
    ),
}

NOT_MODELLED = frozenset(
    [
        "admin_reserve_kbytes",
        "block_dump",
        "compact_memory",
        "compact_unevictable_allowed",
        "defrag_mode",
        "dirty_background_bytes",
        "dirty_background_ratio",
        "dirty_bytes",
        "dirty_expire_centisecs",
        "dirty_ratio",
        "dirty_writeback_centisecs",
        "dirtytime_expire_seconds",
        "drop_caches",
        "enable_soft_offline",
        "extra_free_kbytes",
        "highmem_is_dirtyable",
        "hugepages_treat_as_movable",
        "hugetlb_optimize_vmemmap",
        "hugetlb_shm_group",
        "laptop_mode",
        "legacy_va_layout",
        "lower_zone_protection",
        "max_map_count",
        "memfd_noexec",
        "memory_failure_early_kill",
        "memory_failure_recovery",
        "min_slab_ratio",
        "min_unmapped_ratio",
        "mmap_min_addr",
        "mmap_rnd_bits",
        "nr_hugepages",
        "nr_hugepages_mempolicy",
        "nr_overcommit_hugepages",
        "nr_pdflush_threads",
        "nr_trim_pages",
        "numa_stat",
        "numa_zonelist_order",
        "oom_dump_tasks",
        "oom_kill_allocating_task",
        "overcommit_kbytes",
        "overcommit_memory",
        "overcommit_ratio",
        "page-cluster",
        "page_lock_unfairness",
        "panic_on_oom",
        "percpu_pagelist_fraction",
        "percpu_pagelist_high_fraction",
        "scan_unevictable_pages",
        "stat_interval",
        "stat_refresh",
        "swap_token_timeout",
        "unprivileged_userfaultfd",
        "user_reserve_kbytes",
        "vdso_enabled",
        "vfs_cache_pressure",
        "zone_reclaim_mode",
    ]
)
"""Sysctls of vm.* that Linux has or had, and the study has not."""
_ACTIONS = {"drop_caches": "drop_caches", "compact_memory": "compact_memory"}


def about_unknown(name: str) -> str:
    """What to say of a name under vm. that is no key: '; ...'."""
    if name in _ACTIONS:
        return f"; it is an action: actions: [{{ at: 60s, do: {name} }}]"
    if name in NOT_MODELLED:
        return f"; Linux has the sysctl vm.{name}, but it is not modelled"
    near = did_you_mean(name, SYSCTLS)
    return near.replace("did you mean ", "did you mean vm.") or (
        f"; no sysctl of that name is known; modelled are {', '.join(SYSCTLS)}"
    )


def complaints(named: dict[str, Any], kernel: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the sysctls of a machine: those that its kernel does not have.

    Parameters
    ----------
    named
        Name -> value, only those that are set.
    kernel
        As the scenario names it.
    """
    version = parse(kernel) or ()
    for name in named:
        since = SYSCTLS[name].since
        if version < since:
            yield (
                f"vm.{name}",
                f"is no sysctl of Linux {kernel}, which has none; it came with {spell(since)}",
            )
