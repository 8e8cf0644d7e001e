"""Keys, metrics and kernels, in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from study.terminal.listing import show

if TYPE_CHECKING:
    from study.scenario.machine.reference import Kernel, Key, MetricEntry


def show_list(entries: Iterable[tuple[str, str]]) -> None:
    """Print names and what they stand for; groups of keys are set apart."""
    table = _plain_table()
    group: str | None = None
    for name, about in entries:
        own = name.partition(".")[0] if "." in name else ""
        if group is not None and own != group:
            table.add_row()
        group = own
        table.add_row(Text(name), Text(about))
    show(table)


def show_key(key: Key) -> None:
    """Print all that is known of a key."""
    _show_one(
        key.name,
        key.about,
        {
            "values": key.values,
            "default": key.default,
            "by kernel": "; ".join(key.by_kernel),
            "sysctl": ", ".join(key.sysctls),
            "setting": f"Settings.{key.setting}" if key.setting else "",
            "kind": _kind(key),
        },
    )


def _kind(key: Key) -> str:
    if key.of_study:
        return "the study"
    return "a policy: figures compare it" if key.is_policy else "the machine or its load"


def show_metric(metric: MetricEntry) -> None:
    """Print all that is known of a metric."""
    told = {"in tables": metric.label, "unit": metric.unit, "section": metric.section}
    _show_one(metric.name, metric.about, told)


def show_family(family: str, members: Iterable[str]) -> None:
    """Print what stands for the capitals in the names of some metrics."""
    show(Text(f"{family} is {', '.join(members)}."))


def show_kernels(known: Iterable[Kernel]) -> None:
    """Print kernels, each with what it sets anew."""
    table = _plain_table()
    for kernel in known:
        table.add_row(Text(kernel.name), Text("\n".join(kernel.sets)))
    show(table, Text("\nAny other version is taken as the nearest one below it."))


def _show_one(name: str, about: str, rows: dict[str, str]) -> None:
    table = _plain_table()
    for what, text in rows.items():
        if text:
            table.add_row(Text(f"  {what}", style="dim"), Text(text))
    show(Text(name, style="bold"), Padding(Text(f"{about}."), (0, 0, 0, 2)), table)


def _plain_table() -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    return table
