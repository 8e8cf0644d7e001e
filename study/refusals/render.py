"""A verdict as plain text for people, at most 78 columns wide, and as plain data for programs."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from study.refusals import gfp
from study.refusals.changes import Change, changes, marks_for, no_marks_help
from study.refusals.kernel import MarkTest
from study.refusals.report import Found, Report
from study.refusals.text import printable
from study.refusals.verdict import Verdict, ZoneVerdict, kernel_in_words
from study.refusals.watermark import Marks, Outcome, last_try

WIDTH = 78
_LABEL = 13
_NO_SPACE = "\x00"
"""Before a space at which a line may end and which is none: no text that is shown has it."""


def _entry(label: str, text: str) -> list[str]:
    """A labelled paragraph that hangs; a row of flags is broken between two of them."""
    lines = textwrap.wrap(
        re.sub(r"\|(?=\S)", f"|{_NO_SPACE} ", printable(text)), WIDTH,
        initial_indent=f"  {label:<{_LABEL - 2}}",
        subsequent_indent=" " * _LABEL, break_long_words=True, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace(f"{_NO_SPACE} ", "").replace(_NO_SPACE, "") for line in lines]


def _paragraph(text: str, indent: int = 0) -> list[str]:
    pad = " " * indent
    return textwrap.wrap(
        printable(text), WIDTH, initial_indent=pad, subsequent_indent=pad, break_on_hyphens=False
    )


def answer(verdict: Verdict, number: int, count: int, *, names: bool, what_if: int | None) -> str:
    """One report's answer.

    number, count  which report of how many
    names          also the name of the task that asked
    what_if        another min_free_kbytes to try
    """
    report = verdict.report
    where = f"line {report.line}" if report.line else "the command line"
    title = report.kind if count == 1 else f"Report {number} of {count}: {report.kind}"
    when = f", {report.when}" if report.when else ""
    lines = [printable(f"{title[:1].upper()}{title[1:]} ({where}{when})")]
    lines += _entry("asked for", _asked(verdict, names=names))
    lines += _entry("kernel", kernel_in_words(report))
    if report.zones or report.page_size_known:
        lines += _entry("machine", _machine(report))
    for note in report.notes:
        lines += _entry("note", note)
    if report.counters:
        shown = ", ".join(f"{name} {number:,}" for name, number in report.counters.items())
        lines += _entry("counters", shown)
    tested = {id(zone.zone) for zone in verdict.zones}
    for zone in verdict.zones:
        lines += ["", *_zone(verdict, zone, what_if)]
    others = [zone for zone in report.zones.values() if id(zone) not in tested]
    if others and not verdict.zones:
        lines.append("")
        for other in others:
            lines += _read_only(report, other)
    elif others:
        titles = ", ".join(z.title + (" (empty)" if z.is_empty else "") for z in others)
        lines += ["", *_paragraph(f"Not tried for this request: {titles}.", 2)]
    lines += ["", *_cause(verdict)]
    found = changes(verdict)
    if found:
        lines += ["", "Any of these alone would have let it pass (same test):"]
        lines += _changes(found)
    lines += _missing(verdict)
    for note in verdict.notes:
        lines += _paragraph(note)
    return "\n".join(line.rstrip() for line in lines)


def _asked(verdict: Verdict, *, names: bool) -> str:
    report, request = verdict.report, verdict.report.request
    if request is None:
        return "nothing: the text shows a state, no request"
    parts = []
    if names and request.task:
        parts.append(f"by {request.task}:")
    if request.order is None:
        parts.append("no order in the text")
    else:
        pages = 1 << min(request.order, 40)
        plural = "page" if pages == 1 else "pages"
        parts.append(f"order {request.order} ({pages:,} {plural}, {pages * report.page_kb:,} kB)")
    if verdict.flags is not None and verdict.rules is not None:
        mask = "" if request.mask is None else f" ({request.mask:#x})"
        version = verdict.rules.version
        parts[-1] += f", {gfp.words(verdict.flags, version)}{mask}:"
        waits = "may wait" if gfp.may_wait(verdict.flags) else "may not wait"
        parts.append(f"{waits}, {_may_use(verdict)}")
    elif request.mask is not None:
        parts[-1] += f", mode {request.mask:#x}"
    if request.nodes is not None:
        parts.append(f"; nodes {request.nodes_text} only")
    return " ".join(parts).replace(" ;", ";")


def _may_use(verdict: Verdict) -> str:
    given = verdict.access
    rules = verdict.rules
    if rules is not None and rules.test is MarkTest.LOW:
        said = "down to 3/4 of low" if given.high else "down to low"
    else:
        said = f"down to {gfp.reserve_in_words(given)}"
    if given.blocks:
        said += ", blocks reserved for atomic requests too"
    if given.cma:
        said += ", CMA too"
    return said


def _machine(report: Report) -> str:
    names: dict[str, None] = {}
    for zone in report.zones.values():
        names.setdefault(zone.title)
    text = f"zones {', '.join(list(names)[:12])}"
    if report.page_size_known:
        text += f"; {report.page_kb} kB pages"
        if report.page_kb != 4:
            text += " (the lists begin so: not a 4 kB machine)"
    else:
        text += "; page size not in the text: taken as 4 kB (--page-size 64kB)"
    if report.orders is not None:
        text += f"; orders 0 to {report.orders - 1}"
        if report.orders != 11:
            text += f" ({report.orders} orders, not 11)"
    return text


def _figures(report: Report, zone: Any, pages: int | None, marks: Marks | None) -> str:
    page_kb = report.page_kb
    parts = []
    if pages is not None:
        parts.append(f"free {pages:,}")
    if marks is not None:
        parts.append(f"min {marks.min:,}")
        if marks.low is not None:
            parts.append(f"low {marks.low:,}")
        if marks.high is not None:
            parts.append(f"high {marks.high:,}")
        if marks.boost or zone.boost_kb is not None:
            parts.append(f"boost {marks.boost:,}")
    for name, kb in (
        ("reserved for atomic", zone.reserved_highatomic_kb),
        ("of it free", zone.free_highatomic_kb),
        ("CMA", zone.free_cma_kb),
        ("per-cpu", zone.pcp_kb),
    ):
        if kb is not None:
            parts.append(f"{name} {kb // page_kb:,}")
    size = zone.size_kb
    if size is not None:
        parts.append(
            f"{'managed' if zone.managed_kb is not None else 'present'} {size // page_kb:,}"
        )
    return ", ".join(parts)


def _list_lines(zone: Any) -> list[str]:
    """The free blocks by order, with the letters of their lists."""
    free_list = zone.free_list
    if free_list is None:
        return []
    cells = []
    for order, count in enumerate(free_list.counts):
        held = free_list.types[order] if order < len(free_list.types) else None
        letters = "".join(sorted(held, key="UEMRHCI".find)) if held else ""
        cells.append(f"{count}{letters and f'({letters})'}")
    if free_list.is_cut:
        cells.append("...")
    return textwrap.wrap(
        " ".join(cells), WIDTH, initial_indent="    blocks ", subsequent_indent=" " * 11
    )


def _pageblock_lines(zone: Any) -> list[str]:
    if not zone.pageblocks:
        return []
    shown = ", ".join(f"{number:,} {letter}" for letter, number in zone.pageblocks.items())
    return _paragraph(f"pageblocks {shown}", 4)


def _read_only(report: Report, zone: Any) -> list[str]:
    """A zone that no test was made on: what was read of it."""
    page_kb = report.page_kb
    marks = None
    if zone.min_kb is not None:
        marks = Marks(
            zone.min_kb // page_kb,
            None if zone.low_kb is None else zone.low_kb // page_kb,
            None if zone.high_kb is None else zone.high_kb // page_kb,
            (zone.boost_kb or 0) // page_kb,
        )
    free = None if zone.free_kb is None else zone.free_kb // page_kb
    summed = "" if zone.free_list is None else f"sum of the list {zone.free_list.pages:,}"
    figures = _figures(report, zone, free, marks)
    text = ", ".join(part for part in (figures, summed) if part) or "empty"
    if zone.index:
        text = "index by order " + " ".join(f"{value:.3f}" for value in zone.index)
        return [*_paragraph(f"{zone.title}: {text}", 2), *_paragraph(_index(report, zone), 4)]
    return [
        *_paragraph(f"{zone.title}: {text} (pages)", 2), *_list_lines(zone), *_pageblock_lines(zone)
    ]  # fmt: skip


def _index(report: Report, zone: Any) -> str:
    """What an index says: where blocks are had, and why not where they are not."""
    if "unusable" in report.kind:
        half = next((order for order, value in enumerate(zone.index) if value > 0.5), None)
        if half is None:
            return "At every order more than half of what is free can be used."
        return f"From order {half} on more than half of what is free is in blocks too small."
    lacking = [order for order, value in enumerate(zone.index) if value >= 0]
    if not lacking:
        return "A block of every order is free (-1.000)."
    first = lacking[0]
    value = zone.index[first]
    why = "by fragmentation" if value > 0.5 else "by lack of memory"
    had = f"Blocks up to order {first - 1} are free" if first else "No block of any order is free"
    scale = "1 is fragmentation, 0 lack of memory"
    return f"{had}; order {first} would fail {why} ({value:.3f}; {scale})."


def _zone(verdict: Verdict, result: ZoneVerdict, what_if: int | None) -> list[str]:
    report, zone = verdict.report, result.zone
    if result.last is None and not result.zone.has_marks:
        lines = _read_only(report, zone)
    else:
        figures = _figures(report, zone, result.pages.free, result.marks)
        lines = _paragraph(f"{zone.title}: {figures} (pages)", 2)
        lines += _list_lines(zone) + _pageblock_lines(zone)
    if result.first is not None and result.last is not None:
        lines += _try("first try, at low", result.first)
    if result.last is not None:
        lines += _try(f"last try, at {_floor(verdict)}", result.last)
    if result.by_list is not None and result.last is not None:
        listed = zone.free_list.pages if zone.free_list else 0
        if result.by_list.passes != result.last.passes:
            lines += _try(f"with the list's {listed:,} free", result.by_list)
    if what_if is not None and result.marks is not None and verdict.rules is not None:
        lines += _what_if(verdict, result, what_if)
    for note in result.notes:
        lines += _paragraph(note, 4)
    return lines


def _what_if(verdict: Verdict, result: ZoneVerdict, value: int) -> list[str]:
    rules, report = verdict.rules, verdict.report
    assert rules is not None and result.marks is not None  # noqa: S101, PT018 - seen by the caller
    marks = marks_for(report, result.zone, value, rules.marks)
    if marks is None:
        return _paragraph(
            f"min_free_kbytes {value}: the sizes of the zones, which share it, are not all in "
            "the text.", 4,
        )  # fmt: skip
    waits = verdict.flags is not None and gfp.may_wait(verdict.flags)
    outcome = last_try(result.pages, rules, marks, verdict.order or 0, verdict.access, waits=waits)
    if outcome is None:
        return []
    label = f"with min_free_kbytes {value} (min {marks.min:,}), the same lists"
    return _try(label, outcome)


def _floor(verdict: Verdict) -> str:
    if verdict.rules is not None and verdict.rules.test is MarkTest.LOW:
        return "3/4 of low" if verdict.access.high else "low"
    return gfp.reserve_in_words(verdict.access)


def _try(label: str, outcome: Outcome) -> list[str]:
    """One try: its comparisons, and how it ended."""
    parts = []
    for step in outcome.steps:
        sign = ">" if step.holds else "<="
        if step.order is None:
            needed = f"{step.needed:,}"
            if step.needed != step.mark:
                needed = f"{step.mark:,} + {step.needed - step.mark:,} lowmem_reserve"
            parts.append(f"{step.usable:,} pages {sign} {needed}")
        else:
            parts.append(f"above order {step.order} {step.usable:,} {sign} {step.needed:,}")
    if outcome.passes:
        end = "passes"
    elif not outcome.steps[-1].holds:
        end = f"refused by {outcome.short:,} page{'' if outcome.short == 1 else 's'}"
        if not outcome.short:
            end = "refused: it must be above"
    elif not outcome.blocks:
        end = "no block of the order: refused"
    else:
        end = f"{outcome.blocks:,} of the order, none on a list that may serve it: refused"
    if outcome.passes and outcome.looked and outcome.blocks is not None:
        end = f"{outcome.blocks:,} of the order or larger: passes"
    text = f"{label}: {'; '.join(parts)}; {end}"
    return textwrap.wrap(
        text, WIDTH, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False
    )


def _cause(verdict: Verdict) -> list[str]:
    if verdict.cause is None:
        return ["Cause: no answer yet; what is missing stands below."]
    label = verdict.cause.value
    return [*_paragraph(f"Cause: {label}."), *_paragraph(verdict.because)]


def _changes(found: list[Change]) -> list[str]:
    """All changes to the zone that the cause is about; of each other one the smallest two, and the
    value of vm.min_free_kbytes, which is one of the machine.
    """
    lines: list[str] = []
    zone = None
    shown: dict[str, int] = {}
    for change in found:
        shown[change.zone] = shown.get(change.zone, 0) + 1
        of_machine = "min_free_kbytes" in change.what
        if change.zone != found[0].zone and shown[change.zone] > 2 and not of_machine:
            continue
        if change.zone != zone:
            zone = change.zone
            lines.append(f"  {zone}")
        lines += textwrap.wrap(
            f"{change.what}; cost: {change.price}", WIDTH,
            initial_indent="    - ", subsequent_indent="      ", break_on_hyphens=False,
        )  # fmt: skip
    if no_marks_help(found):
        text = (
            "No value of vm.min_free_kbytes would by itself: pages alone, without a larger block, "
        )
        lines += _paragraph(text + "do not pass.", 2)
    return lines


def _missing(verdict: Verdict) -> list[str]:
    if not verdict.missing:
        return []
    lines = ["", "Missing, and the option that would supply it:"]
    width = min(max(len(missing.what) for missing in verdict.missing), 42)
    for missing in verdict.missing:
        lines += textwrap.wrap(
            f"{missing.what:<{width}}  {missing.option}", WIDTH, initial_indent="  ",
            subsequent_indent="    ", break_on_hyphens=False, drop_whitespace=True,
        )  # fmt: skip
    return lines


def as_data(verdict: Verdict, *, names: bool) -> dict[str, Any]:
    """A verdict as what JSON can hold; sizes in pages. No host, command line or address in it."""
    report, request = verdict.report, verdict.report.request
    asked = None
    if request is not None:
        asked = {
            "order": request.order,
            "mask": request.mask,
            "flags": None if verdict.flags is None else sorted(verdict.flags),
            "may_wait": None if verdict.flags is None else gfp.may_wait(verdict.flags),
            "floor": None if verdict.flags is None else _floor(verdict),
            "nodes": request.nodes_text,
        }
        if names:
            asked["task"] = None if request.task is None else printable(request.task)
    kernel = report.kernel
    return {
        "kind": report.kind,
        "line": report.line,
        "when": report.when or None,
        "snapshot": [report.place, report.of] if report.of else None,
        "request": asked,
        "kernel": None if kernel is None else {
            "version": ".".join(map(str, kernel.version)), "known_by": kernel.how,
            "test": None if verdict.rules is None else verdict.rules.test.name.lower(),
        },
        "page_kb": report.page_kb,
        "page_size_known": report.page_size_known,
        "orders": report.orders,
        "zones": [_zone_data(report, zone) for zone in verdict.zones] or [
            _state_data(report, zone) for zone in report.zones.values()
        ],
        "cause": None if verdict.cause is None else verdict.cause.value,
        "because": verdict.because,
        "changes": [
            {"zone": change.zone, "what": change.what, "pages": change.cost, "cost": change.price}
            for change in changes(verdict)
        ],
        "missing": [{"what": each.what, "option": each.option} for each in verdict.missing],
        "counters": report.counters,
        "notes": [printable(note) for note in (*report.notes, *verdict.notes)],
    }  # fmt: skip


def _state_data(report: Report, zone: Any) -> dict[str, Any]:
    page_kb = report.page_kb

    def pages(kb: int | None) -> int | None:
        return None if kb is None else kb // page_kb

    free_list = zone.free_list
    return {
        "node": zone.node,
        "zone": zone.name,
        "free": pages(zone.free_kb),
        "min": pages(zone.min_kb),
        "low": pages(zone.low_kb),
        "high": pages(zone.high_kb),
        "boost": pages(zone.boost_kb),
        "reserved_highatomic": pages(zone.reserved_highatomic_kb),
        "free_cma": pages(zone.free_cma_kb),
        "size": pages(zone.size_kb),
        "blocks": None if free_list is None else list(free_list.counts),
        "types": None if free_list is None or not free_list.types else [
            None if held is None else "".join(sorted(held)) for held in free_list.types
        ],
    }  # fmt: skip


def _zone_data(report: Report, result: ZoneVerdict) -> dict[str, Any]:
    return {
        **_state_data(report, result.zone),
        "lowmem_reserve": result.pages.reserve,
        "first": _outcome_data(result.first),
        "last": _outcome_data(result.last),
        "by_list": _outcome_data(result.by_list),
        "cause": None if result.cause is None else result.cause.value,
        "notes": result.notes,
    }


def _outcome_data(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {
        "passes": outcome.passes,
        "short": outcome.short,
        "steps": [
            {"order": step.order, "usable": step.usable, "needed": step.needed, "mark": step.mark}
            for step in outcome.steps
        ],
        "blocks": outcome.blocks,
        "serving": outcome.serving,
    }


def summary(verdicts: list[Verdict]) -> str:
    """What is said of the reports beyond those that are shown: how many of which cause."""
    counts: dict[str, int] = {}
    for verdict in verdicts:
        order = "no order" if verdict.order is None else f"order {verdict.order}"
        flags = ""
        if verdict.flags is not None and verdict.rules is not None:
            flags = f", {gfp.words(verdict.flags, verdict.rules.version)}"
        cause = "no answer" if verdict.cause is None else verdict.cause.value
        key = f"{order}{flags}: {cause}"
        counts[key] = counts.get(key, 0) + 1
    lines = [f"{len(verdicts):,} more reports in this text (--all shows them):"]
    for key, count in sorted(counts.items(), key=lambda item: -item[1])[:20]:
        lines += textwrap.wrap(
            f"{count:>6,}  {key}", WIDTH, subsequent_indent=" " * 8, break_on_hyphens=False
        )
    return "\n".join(lines)


def nothing(found: Found, name: str) -> str:
    """What to say of a text without a report."""
    if found.traces:
        events = ", ".join(f"{number:,} {event}" for event, number in found.traces.items())
        plain = name if name != "-" else "FILE"
        return "\n".join([
            *_paragraph(
                f"This is a trace of the page allocator's events ({events}), not a report of a "
                "refusal. To replay it:"
            ),
            "",
            f"    study replay {printable(plain)}",
        ])  # fmt: skip
    said = f" What it holds: {', '.join(found.hints)}." if found.hints else ""
    return "\n".join(
        _paragraph(
            f"No report in this text.{said} What is understood: the kernel's 'page allocation "
            "failure', OOM killer and Mem-Info blocks, /proc/buddyinfo, pagetypeinfo and zoneinfo, "
            "mappings of orders to counts in YAML or JSON, node_exporter's buddyinfo, kmem -f of "
            "crash."
        )
    )
