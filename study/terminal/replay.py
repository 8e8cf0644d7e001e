"""What a replay found, for people: a verdict in a line, then what was odd, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from study.replay.fit import WINDOWS_US, Features, Fit
from study.replay.replay import Replay
from study.replay.source import OPERATION, SourceReplay

_DIFFERENCES_SHOWN = 12


def verdict(result: Replay) -> str:
    """One line: how the counts and the choices compare."""
    if result.snapshots_exact is None:
        counts = "counts not compared"
    elif result.snapshots_exact == result.snapshots:
        counts = _all(result.snapshots, "snapshot") + " exact"
    else:
        counts = f"{result.snapshots_exact:,} of {result.snapshots:,} snapshots exact"
    if result.pfn_exact is None:
        choices = f"{result.zone_requests:,} requests not compared"
    elif result.free_running:
        choices = _all(result.zone_requests, "request") + " alike"
    else:
        choices = f"{_share(result)} of {result.zone_requests:,} requests alike"
    return f"{_name(result)}: {counts}; {choices}"


def source_verdict(result: SourceReplay) -> list[str]:
    """One line: how many operations came out as the kernel's code had them; where they did not."""
    name, n = Path(result.recording).name, result.operations
    noun = "operation" if result.version else "zone"
    if result.equal == n:
        lines = [f"{name}: {_all(n, noun)} equal"]
    else:
        lines = [f"{name}: {result.equal:,} of {n:,} {noun}s equal"]
    if result.naps_equal != n:
        lines[0] += f", waits after {result.naps_equal:,}"
    first = result.first_difference
    if first is not None:
        what = f"the kernel {first.kernel}, ours {first.ours}"
        if first.field == OPERATION:
            what = "the kernel did it, ours cannot"
        elif first.field in {"free_lists", "lru_lists", "flags"}:
            what = "they differ"
        where = f"{noun} {first.row:,} ({first.about})"
        lines.append(f"  first difference: {where}, {first.field.replace('_', ' ')}: {what}")
    return lines


def show(results: Sequence[Replay | SourceReplay], console: Console) -> None:
    """Print all results: verdict and oddities of each, then a table of the traces."""
    for result in results:
        if isinstance(result, SourceReplay):
            first, *rest = source_verdict(result)
            console.print(first, style="bold", soft_wrap=True)
            for line in rest:
                console.print(line, soft_wrap=True)
    _show_traces([result for result in results if isinstance(result, Replay)], console)


def _show_traces(results: Sequence[Replay], console: Console) -> None:
    for result in results:
        console.print(_contents(result), soft_wrap=True)
        console.print(verdict(result), style="bold", soft_wrap=True)
        for line in result.not_compared:
            console.print(f"  not compared: {line}")
        if any(result.irregularities.values()):
            console.print(_irregularities(result))
        if result.differences:
            console.print(_differences(result))
            more = sum(len(d) for d in _changes(result)) - _DIFFERENCES_SHOWN
            if more > 0:
                console.print(f"  and {more:,} more")
        console.print()
    if results:
        console.print(_overview(results))


def _contents(result: Replay) -> Table:
    """What the trace holds, whatever lies beside it."""
    held = result.contents.plain()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")

    def row(name: str, counts: dict[str, int], more: str = "") -> None:
        said = ", ".join(f"{key} {count:,}" for key, count in counts.items())
        if said:
            table.add_row(name, said + more)

    row(f"{_name(result)} holds", held["events"])
    failed = f"; {held['failed']:,} failed" if held["failed"] else ""
    row("requests by order", held["orders"], failed)
    row("their flags", held["flags"])
    row("asked by", held["callers"])
    if held["seconds"] is not None:
        busiest = f"; {held['busiest_second']:,} requests in the busiest second"
        table.add_row("time", f"{held['seconds']:.6g} s{busiest * bool(held['busiest_second'])}")
    if held["lifetimes"]:
        first, middle, third = held["lifetime_quartiles_s"]
        seen = f"half between {first:.3g} and {third:.3g} s, median {middle:.3g} s"
        table.add_row("lifetimes", f"{held['lifetimes']:,} seen: {seen}")
    if held["fallbacks"]:
        serious = f"{held['serious_fallbacks']:,} of them below a pageblock (serious)"
        table.add_row("fallbacks", f"{held['fallbacks']:,} to another type's list, {serious}")
    if held["buddyinfo_lines"]:
        told = (
            "lines of /proc/buddyinfo, not compared: see snapshots_NAME.json.gz in docs/replay.md"
        )
        table.add_row("between them", f"{held['buddyinfo_lines']:,} {told}")
    if held["unparsed"]:
        aside = held["unparsed_by_address"]
        told = ", and read as such"
        if aside:
            told += f"; {aside:,} have no pfn but the address of a struct page, as before 4.1"
        table.add_row("not parsed", f"{held['unparsed']:,} as trace-cmd found them recorded{told}")
    return table


def _all(count: int, noun: str) -> str:
    return f"all {count:,} {noun}s" if count > 1 else f"{count} {noun}{'' if count else 's'}"


def _name(result: Replay) -> str:
    return Path(result.trace).name


def _share(result: Replay) -> str:
    """Requests alike in percent, never rounded up to all of them."""
    exact, requests = result.pfn_exact or 0, result.zone_requests
    if requests == 0:
        return "none"
    return f"{exact * 10_000 // requests / 100:.2f} %"


def _overview(results: Sequence[Replay]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("trace", overflow="fold")
    for heading in ("rows", "snapshots", "indices", "requests", "same pfn", "end lists"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        table.add_row(
            _name(result).removeprefix("trace_"),
            f"{result.rows:,}",
            _part(result.snapshots_exact, result.snapshots),
            _part(result.indices_exact, result.indices),
            f"{result.zone_requests:,}",
            "-" if result.pfn_exact is None else _share(result),
            _part(result.lists_exact, result.lists),
        )
    return table


def _part(exact: int | None, total: int) -> str:
    return "-" if exact is None else f"{exact}/{total}"


def _irregularities(result: Replay) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    for kind, count in result.irregularities.items():
        if count:
            table.add_row("  " + kind.replace("_", " "), f"{count:,}")
    table.columns[1].justify = "right"
    return table


def _changes(result: Replay) -> list[list[tuple[str, ...]]]:
    """Per differing zone of a snapshot, the orders that differ."""
    return [
        [
            (f"{d.snapshot}", d.zone, f"{order}", f"{kernel:,}", f"{ours:,}")
            for order, (kernel, ours) in enumerate(zip(d.kernel, d.ours, strict=True))
            if kernel != ours
        ]
        for d in result.differences
    ]


def _differences(result: Replay) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2))
    table.add_column("  snapshot", justify="right")
    table.add_column("zone")
    for heading in ("order", "kernel", "ours"):
        table.add_column(heading, justify="right")
    rows = [row for change in _changes(result) for row in change]
    for row in rows[:_DIFFERENCES_SHOWN]:
        table.add_row(*row)
    return table


def show_fit(name: str, found: Fit, console: Console) -> None:
    """Print a fitted load beside both halves of the trace, source by source."""
    console.print(f"{name}: {found.requests:,} requests in the first half", style="bold")
    if found.left_out:
        console.print(f"  {found.left_out:,} of them, of rarer kinds, are left out")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for heading in ("first half", "fit", "second half"):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in found.parts:
        table.add_row(part.name, style="bold")
        columns = [_feature_words(one) for one in (part.first, part.fit, part.second)]
        for word in columns[0]:
            table.add_row(f"  {word}", *(column.get(word, "-") for column in columns))
    table.add_row("share by order", style="bold")
    for order, shares in found.orders.items():
        table.add_row(f"  {order}", *(f"{100 * share:.2f} %" for share in shares))
    console.print(table)
    console.print(
        "held: so long at most by a quarter of them, by half, by three quarters; of files that is "
        "left to reclaim\nspread: variance of the number of requests in such a time over its mean; "
        "1 if they come one by one, by chance\npages of files come at the rates of the first half, "
        "over and over, where they come in bursts\nnot fitted: bursts of single kernel pages; of "
        "the other sources those of a second and longer; what sources have to do with each other; "
        "rarer kinds",
        style="dim",
    )


def _feature_words(one: Features) -> dict[str, str]:
    words = {"rate": f"{one.rate:,.4g}/s"}
    for label, held in zip(
        ("held, 1/4", "held, 1/2", "held, 3/4"), one.holds_ms or (), strict=False
    ):
        words[label] = "to the end" if held == float("inf") else f"{held:,.4g} ms"
    for window, spread in zip(WINDOWS_US, one.spread, strict=True):
        label = "10 ms" if window < 1_000_000 else "1 s"
        words[f"spread, {label}"] = "-" if spread != spread else f"{spread:,.3g}"  # noqa: PLR0124
    return words
