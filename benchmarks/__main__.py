"""All benchmarks of one machine: a table of ratios, a file, and what has become slower."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row

LATEST = Path(__file__).resolve().parent / "latest.json"
GROUPS = ("buddy", "dice", "zone", "switches", "startup", "why", "merging")
QUICK = ("buddy",)
"""What has yardsticks of its own, so that its ratios mean something on any machine."""
SLOWER = 1.10
"""A ratio that has grown by more is worth a warning."""


def measured(groups: tuple[str, ...], rounds: int | None) -> list[Row]:
    """The rows of the groups named."""
    rows: list[Row] = []
    for group in groups:
        print(f"measuring {group}", file=sys.stderr)
        measure = importlib.import_module(f"benchmarks.{group}").measure
        rows += measure(rounds) if rounds else measure()
    return rows


def show(rows: list[Row]) -> None:
    """The table, with the goals beside the figures."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "median", "", "ratio", "goal", ""):
        table.add_column(heading, justify="right" if heading in ("median", "ratio") else "left")
    for row in rows:
        sign = ">=" if row.more else "<="
        table.add_row(
            row.what,
            f"{row.value:.3g}",
            row.unit,
            f"{row.ratio:.2f} x {row.yardstick}" if row.ratio else "",
            f"{sign} {row.goal:g}" if row.goal else "",
            "" if not row.goal else "met" if row.met else "missed",
        )
    Console(width=100).print(table)


def slower(rows: list[Row], before: dict[str, dict[str, float]]) -> list[str]:
    """A line for each ratio that has grown by more than a tenth since the file was made.

    Only ratios: times are those of one machine, ratios hold on the next one too.
    """
    lines = []
    for row in rows:
        known = before.get(row.what, {}).get("ratio")
        if not row.ratio or not known or row.yardstick == "ours":
            continue
        if row.ratio > SLOWER * known:
            lines.append(f"{row.what}: {row.ratio:.2f} x {row.yardstick}, was {known:.2f}")
    return lines


@click.command()
@click.argument("groups", nargs=-1, type=click.Choice(GROUPS))
@click.option("--quick", is_flag=True, help="The allocator only, few rounds.")
@click.option("--rounds", type=click.IntRange(min=1), help="Turns each variant takes.")
@click.option("--write", is_flag=True, help=f"Make this the file to compare with ({LATEST.name}).")
def main(groups: tuple[str, ...], *, quick: bool, rounds: int | None, write: bool) -> None:
    """Measure GROUPS (all, if none is named), print a table, warn of what has become slower."""
    chosen = groups or (QUICK if quick else GROUPS)
    rows = measured(chosen, rounds or (3 if quick else None))
    show(rows)
    before = json.loads(LATEST.read_text())["rows"] if LATEST.exists() else {}
    for line in slower(rows, before):
        print(f"warning: slower than what was committed: {line}", file=sys.stderr)
    if write:
        kept = before | {row.what: row.as_json() for row in rows}
        content = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "load": [round(load, 2) for load in os.getloadavg()],
            "rows": kept,
        }
        LATEST.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
