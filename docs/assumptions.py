"""How strongly the conclusions depend on each assumed constant: one at a time, low and high.

python docs/assumptions.py [REPLICATES [CONSTANT...]] > assumptions.md

Each constant is set to a value below and one above its default while all others stay. Under each
the machine of scenarios/article.yaml is run stock, with the order-aware kswapd, and with the rmap
defragmenter as a daemon, on the same replicates, and the differences are printed as a table with
95 % intervals (study/intervals.py).
"""

from __future__ import annotations

import os
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

import study
from study.intervals import mean_interval

SCENARIO = Path(__file__).parents[1] / "scenarios" / "article.yaml"
CONSTANTS = {
    "user.working_set": ("1.0", "1.5"),
    "user.zipf": ("0.6", "1.1"),
    "user.extent": ("16KiB", "256KiB"),
    "user.run": ("4", "16"),
    "user.touch_rate": ("10000/s", "40000/s"),
    "user.anonymous": ("20%", "60%"),
    "user.mapped": ("10%", "40%"),
    "user.written": ("5%", "20%"),
    "user.drift_rate": ("5/s", "80/s"),
    "user.delete_rate": ("1/s", "20/s"),
    "processes.fork_rate": ("5/s", "80/s"),
    "processes.lifetime": ("50ms", "1s"),
    "processes.lifetime_sigma": ("1", "3"),
    "processes.memory": ("128KiB", "512KiB"),
    "slab.initial": ("1%", "6%"),
    "slab.rate": ("25/s", "400/s"),
    "slab.lifetime": ("500ms", "8s"),
    "slab.lifetime_sigma": ("1.5", "3"),
    "slab.reclaimable": ("25%", "75%"),
    "nic.rx_rate": ("1000/s", "4000/s"),
    "nic.rx_burst": ("8", "128"),
    "nic.rx_hold": ("5ms", "80ms"),
    "kswapd.speed": ("500", "4_000"),
    "zone.reserved": ("4MiB", "24MiB"),
    "costs.write": ("50us", "400us"),
    "defrag.interval": ("2s", "60s"),
    "defrag.budget": ("512 pages", "8192 pages"),
    "clock.ageing": ("120s", "960s"),
}
POLICIES = {
    "stock": ("count-only", "off"),
    "order-aware": ("order-aware", "off"),
    "daemon": ("count-only", "rmap-evict"),
}
FIXED = {
    "stacks.size": "8KiB",
    "nic.transmit": "linear",
    "nic.receive": "linear",
    "processes.fork_rate": "20/s",
    "defrag.run": "daemon",
    "clock.ageing": "240s",
    "clock.measure": "60s",
    "probe.victims": "lru",
    "probe.blocks": "16",
}
Task = tuple[str, ...]
METRICS = ["rx_success_ratio", "unusable_index_order3_mean", "reclaimed_pages", "probe_freed_pages"]


def task(key: str, value: str, policy: str, replicates: int) -> Task:
    """What is run: one policy with one constant changed (key '' for none)."""
    kswapd, defrag = POLICIES[policy]
    changed = {**FIXED, "kswapd.policy": kswapd, "defrag.mode": defrag}
    # A defragmenter that is off heeds nothing.
    if key and not (defrag == "off" and key.startswith("defrag.")):
        changed[key] = value
    return (*(f"{key}={value}" for key, value in changed.items()), f"replicates={replicates}")


def trials(overrides: Task) -> pd.DataFrame:
    """Its trials, by replicate."""
    with tempfile.TemporaryDirectory() as folder:
        one = study.load(SCENARIO, *overrides)
        found = study.run(one, out=Path(folder) / "results", ray=False).trials
    return found.set_index("replicate")[METRICS]


def interval(values: pd.Series) -> str:
    """Mean of paired differences and its 95 % interval."""
    found = mean_interval(values.to_numpy(np.float64))
    return f"{found.mean:+.2f} [{found.low:.2f}, {found.high:.2f}]"


def main(replicates: int, constants: list[str]) -> None:
    """Run everything, or what concerns these constants, and print the table, Markdown."""
    settings = [("", "")] + [(key, v) for key in constants or CONSTANTS for v in CONSTANTS[key]]
    tasks = list(
        dict.fromkeys(
            task(*setting, policy, replicates) for setting in settings for policy in POLICIES
        )
    )
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        found = dict(zip(tasks, pool.imap(trials, tasks), strict=True))
    print(
        "| constant | value | rx served, stock | useless to order 3, stock "
        "| rx: order-aware less stock | pages reclaimed: order-aware / stock "
        "| rx: daemon less stock | LRU pages freed per order-3 block |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for key, value in settings:
        stock, aware, daemon = (found[task(key, value, policy, replicates)] for policy in POLICIES)
        served = "rx_success_ratio"
        ratio = aware["reclaimed_pages"].mean() / stock["reclaimed_pages"].mean()
        print(
            f"| {f'`{key}`' if key else '(all at their defaults)'} | {value} "
            f"| {stock[served].mean():.2f} | {stock['unusable_index_order3_mean'].mean():.2f} "
            f"| {interval(aware[served] - stock[served])} | {ratio:.2f} "
            f"| {interval(daemon[served] - stock[served])} "
            f"| {stock['probe_freed_pages'].mean() / 16:,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:])
