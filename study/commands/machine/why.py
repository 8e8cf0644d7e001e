"""The command `study why`."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from study.commands.refusal import STOPPED, refuse
from study.commands.whole import Whole
from study.terminal.guard import redraw_over

if TYPE_CHECKING:
    from study.refusals.report import Found, Report, ZoneState
    from study.refusals.verdict import Verdict

NOTHING_FOUND = 2
MOST = 10
"""Reports of one text that are shown in full unless all are wanted."""
_LARGEST_ORDER, _PAGE_KB = 10, 4
"""Of zones that can be simulated."""
_SIZE = re.compile(r"(\d{1,12})\s?(kB|KB|KiB|kib|k|MB|MiB|M|GB|GiB|G|pages|p)\Z")
_UNITS = {"k": 1, "m": 1 << 10, "g": 1 << 20}


class _Size(click.ParamType[tuple[int | None, int | None]]):
    """A size with its unit, as (kB, None) or (None, pages)."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, int | None]:
        if isinstance(value, tuple):
            return value
        match = _SIZE.match(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size with a unit; write 3756kB or 939pages", param, ctx)
        number, unit = int(match[1]), match[2].lower()
        if unit.startswith("p"):
            return None, number
        return number * _UNITS[unit[0]], None


_SIZES = _Size()


def request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that supply what a text lacks; apply_options() takes them."""
    options = (
        click.option("--order", type=Whole(0, 20), metavar="N", help="The order asked for."),
        click.option("--atomic", is_flag=True, help="The request was GFP_ATOMIC."),
        click.option("--gfp", metavar="FLAGS", help="Flags of the request: GFP_KERNEL, 0xd0, ..."),
        click.option("--kernel", metavar="VERSION", help="The kernel's version: 2.6.17, 6.7."),
        click.option(
            "--zone",
            metavar="ZONE",
            help="The zone that the figures below are of: Normal, 1/Normal.",
        ),
        click.option(
            "--min", "least", type=_SIZES, metavar="SIZE", help="Its min mark: 3756kB, 939pages."
        ),
        click.option("--low", type=_SIZES, metavar="SIZE", help="Its low mark."),
        click.option("--high", type=_SIZES, metavar="SIZE", help="Its high mark."),
        click.option(
            "--boost", type=_SIZES, metavar="SIZE", help="The boost that is in its marks."
        ),
        click.option("--free", type=_SIZES, metavar="SIZE", help="Its free pages."),
        click.option(
            "--reserve",
            type=Whole(0, 1 << 40),
            metavar="PAGES",
            help="lowmem_reserve against this request.",
        ),
        click.option(
            "--list", "blocks", metavar="'N N ...'", help="Its free blocks by order, from order 0."
        ),
        click.option(
            "--page-size", type=_SIZES, metavar="SIZE", help="The page size, where no list has it."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("file", type=click.Path(), metavar="FILE|-", required=False)
@click.option("--here", is_flag=True, help="Look at this machine's /proc instead of a text.")
@click.option(
    "--every", metavar="TIME", help="With --here: again and again, as a table in place (1s, 500ms)."
)
@request_options
@click.option(
    "--min-free-kbytes", type=Whole(0, 1 << 40), metavar="N",
    help="Also try this vm.min_free_kbytes on the same lists.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help=f"Show all reports, not the first {MOST}.")
@click.option("--report", "number", type=click.IntRange(1), metavar="N", help="Only this one.")
@click.option("--names", is_flag=True, help="Show the name of the task that asked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; sizes in pages.")
def why(
    file: str | None,
    here: bool,
    every: str | None,
    min_free_kbytes: int | None,
    everything: bool,
    number: int | None,
    names: bool,
    as_json: bool,
    **given: object,
) -> None:
    """Say why the kernel refused pages, from its report in FILE, and what would have let it pass.

    FILE is any text that holds the kernel's words: dmesg, journal, syslog, a mail, an issue; also
    /proc/buddyinfo, pagetypeinfo, zoneinfo and a sosreport's folder; - is standard input. What the
    text lacks is asked for as an option. Nothing is simulated and nothing leaves this machine.

    Exit status: 0 a report was read and answered, or what it lacks was named; 2 nothing was found,
    or the command cannot be carried out as given.
    """
    if here or every:
        if file is not None:
            raise click.UsageError("--here looks at this machine; it takes no FILE")
        _look(every, as_json=as_json)
        return
    if file is None and given["blocks"] is None:
        raise click.UsageError("give a FILE, - for standard input, or --here")
    from study.refusals.answers import Refusals
    from study.refusals.find import find
    from study.refusals.report import Found, Report

    found = Found([], {}, []) if file is None else find(read_text_of(file))
    if not found.reports and given["blocks"] is not None:
        found.reports.append(Report("figures of the command line", 0))
    if number is not None and found.reports:
        found = Found([chosen(found, number)], {}, [])
    for report in found.reports:
        apply_options(report, given)
    answers = Refusals(found)
    if as_json:
        import json

        click.echo(json.dumps(answers.as_data(names=names), indent=2))
    else:
        most = None if everything else MOST
        most = None if number is not None else most
        click.echo(answers.text(file or "-", most, what_if=min_free_kbytes, names=names))
        if any(map(_can_be_simulated, answers.verdicts)):
            click.echo(f"\nTo rank cures by simulation:\n  {_next(file)}")
    if not found.reports:
        sys.exit(NOTHING_FOUND)


def _can_be_simulated(verdict: Verdict) -> bool:
    """Whether a refused request can be; as far as can be told without the rules of scenarios, which
    take longer to load than this.
    """
    from study.refusals.verdict import Cause

    report, order = verdict.report, verdict.order
    listed = any(zone.whole_list is not None for zone in report.zones.values())
    refused = verdict.cause not in (None, Cause.NONE, Cause.CGROUP)
    known = order is not None and order <= _LARGEST_ORDER and report.page_kb == _PAGE_KB
    return refused and known and listed


def _next(file: str | None) -> str:
    from study.refusals.text import printable

    named = "FILE" if file in (None, "-") else shlex.quote(printable(str(file)))
    return f"study scenario from {named} > cures.yaml"


def chosen(found: Found, number: int) -> Report:
    """The report of that number, from 1."""
    if number > len(found.reports):
        raise click.UsageError(f"--report {number}: the text has {len(found.reports)}")
    return found.reports[number - 1]


def _look(every: str | None, *, as_json: bool) -> None:
    """Show this machine once, or as a table that stays in its place until Ctrl-C."""
    import time

    from study.refusals import here

    seconds = None if every is None else _seconds(every)
    drawn = 0
    try:
        while True:
            try:
                report = here.read()
            except here.HereError as problem:
                refuse(problem)
            if as_json:
                import json

                click.echo(json.dumps(here.as_data(report), indent=None if every else 2))
            else:
                shown = here.table(report, time.strftime("%H:%M:%S") if every else "")
                # Over the last one on a terminal; one below the other in a file.
                redraw_over(drawn)
                click.echo(shown)
                drawn = shown.count("\n") + 1
            if seconds is None:
                return
            time.sleep(seconds)
    except KeyboardInterrupt:
        sys.exit(STOPPED)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s?(ms|s|min)", text.strip())
    if match is None:
        raise click.UsageError(f"--every {text}: a time with its unit, as 1s, 500ms or 2min")
    seconds = float(match[1]) * {"ms": 0.001, "s": 1.0, "min": 60.0}[match[2]]
    if seconds < 0.1:
        raise click.UsageError(f"--every {text}: 100ms at least")
    return seconds


def read_text_of(file: str) -> str:
    """The text of a file, of standard input, or of the files of a sosreport's folder."""
    from study.refusals.text import LARGEST, PACKED_MOST, UNPACKED_FREELY, decode

    if file == "-":
        return decode(click.open_file("-", "rb").read(LARGEST))
    path = Path(file)
    try:
        if path.is_dir():
            return "\n".join(decode(part) for part in _contents(_of_folder(path), LARGEST))
        with path.open("rb") as opened:
            data = opened.read(LARGEST)
    except OSError as problem:
        refuse(ValueError(f"{file}: {(problem.strerror or str(problem)).lower()}"))
    if data[:2] == b"\x1f\x8b":
        import gzip
        import io
        import zlib

        try:
            with gzip.open(io.BytesIO(data)) as unpacked:
                most = min(max(UNPACKED_FREELY, PACKED_MOST * len(data)), LARGEST)
                data = unpacked.read(most + 1)
        except (OSError, EOFError, zlib.error) as problem:
            refuse(ValueError(f"{file}: not a whole gzip file ({problem})"))
        if LARGEST > most < len(data):
            refuse(
                ValueError(
                    f"{file}: unpacks to over {most / 1e6:,.0f} MB, {PACKED_MOST} times its size; "
                    "no log is packed so well"
                )
            )
    return decode(data)


def _contents(files: list[Path], most: int) -> Iterator[bytes]:
    """What stands in files, of all together at most so many bytes."""
    for file in files:
        with file.open("rb") as opened:
            data = opened.read(most)
        most -= len(data)
        yield data


def _of_folder(path: Path) -> list[Path]:
    """The files of a sosreport that may hold something, in a fixed order."""
    wanted = (
        "uname", "sos_commands/kernel/uname_-a", "proc/version", "proc/buddyinfo",
        "proc/pagetypeinfo", "proc/zoneinfo", "proc/vmstat", "sos_commands/kernel/dmesg",
        "sos_commands/kernel/dmesg_-T", "var/log/messages", "var/log/kern.log",
    )  # fmt: skip
    found = [path / name for name in wanted if (path / name).is_file()]
    if not found:
        refuse(ValueError(f"{path}: a folder, but not a sosreport: no proc/buddyinfo in it"))
    return found


def apply_options(report: Report, given: dict[str, object]) -> None:
    """Put what the command line says into a report."""
    from study.refusals import gfp
    from study.refusals.kernel import parse_version
    from study.refusals.report import Kernel, Request

    if given["kernel"] is not None:
        version = parse_version(str(given["kernel"]))
        if version is None or version < (2, 6):
            raise click.UsageError(f"--kernel {given['kernel']}: a version from 2.6.0 on, as 6.7")
        report.kernel = Kernel(version, "option")
    if given["atomic"] and given["gfp"] is not None:
        raise click.UsageError("--atomic and --gfp exclude each other")
    if given["order"] is not None or given["atomic"] or given["gfp"] is not None:
        report.request = report.request or Request()
    if given["order"] is not None and report.request is not None:
        report.request.order = int(str(given["order"]))
    flags = "GFP_ATOMIC" if given["atomic"] else given["gfp"]
    if flags is not None and report.request is not None:
        text = str(flags)
        report.request.names, report.request.mask = None, None
        if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", text):
            report.request.mask = int(text, 16)
        elif gfp.from_names(text, (6, 0)) is None:
            raise click.UsageError(f"--gfp {text}: names such as GFP_KERNEL|__GFP_COMP, or 0xd0")
        else:
            report.request.names = text
    _apply_to_zone(report, given)


_OF_ZONE = {
    "least": "min_kb", "low": "low_kb", "high": "high_kb", "boost": "boost_kb", "free": "free_kb",
}  # fmt: skip


def _apply_to_zone(report: Report, given: dict[str, object]) -> None:
    from study.refusals.report import FreeList

    page_size = given["page_size"]
    page_kb = None
    if isinstance(page_size, tuple):
        page_kb = page_size[0]
        if page_kb is None or page_kb < 1 or page_kb & (page_kb - 1):
            raise click.UsageError("--page-size: a power of two with its unit, as 64kB")
    wanted = [name for name in (*_OF_ZONE, "reserve", "blocks") if given[name] is not None]
    zone = _zone_of(report, given) if wanted else None
    if zone is not None and given["blocks"] is not None:
        numbers = str(given["blocks"]).replace(",", " ").split()
        if len(numbers) < 2 or not all(re.fullmatch("[0-9]{1,12}", n) for n in numbers):
            raise click.UsageError(
                "--list: free blocks of order 0, 1, 2, ..., as in /proc/buddyinfo"
            )
        zone.free_list = FreeList(tuple(map(int, numbers)), page_kb=page_kb)
        zone.free_kb, zone.empty = None, False
    if page_kb is not None:
        report.set_page_size(page_kb)
    if zone is None:
        return
    for name, attribute in _OF_ZONE.items():
        size = given[name]
        if isinstance(size, tuple):
            kb, pages = size
            setattr(zone, attribute, kb if pages is None else pages * report.page_kb)
    if given["reserve"] is not None:
        zone.reserve = (int(str(given["reserve"])),)


def _zone_of(report: Report, given: dict[str, object]) -> ZoneState:
    """The zone that --min and its like are of."""
    from study.refusals.report import ZONES, ZoneState

    name = given["zone"]
    if name is None:
        zones = [zone for zone in report.zones.values() if not zone.is_empty]
        if not report.zones:
            return report.zones.setdefault((None, "Normal"), ZoneState(None, "Normal"))
        lacking = [zone for zone in zones if not zone.has_marks]
        if len(zones) == 1 or len(lacking) == 1:
            return (lacking or zones)[0]
        titles = ", ".join(zone.title for zone in report.zones.values())
        raise click.UsageError(f"--min and its like need --zone; the text has {titles}")
    parts = re.fullmatch(r"(?:(?:[Nn]ode\s?)?(\d{1,4})[/\s,]\s?)?(\w{2,8})", str(name).strip())
    known = {zone.lower(): zone for zone in ZONES}
    if parts is None or parts[2].lower() not in known:
        raise click.UsageError(f"--zone {name}: one of {', '.join(ZONES)}, or 1/Normal for node 1")
    node = None if parts[1] is None else int(parts[1])
    wanted = known[parts[2].lower()]
    matching = [
        zone for zone in report.zones.values()
        if zone.name == wanted and (node is None or zone.node == node)
    ]  # fmt: skip
    if len(matching) > 1:
        titles = ", ".join(f"{zone.node}/{zone.name}" for zone in matching)
        raise click.UsageError(f"--zone {name}: which of {titles}?")
    return (
        matching[0]
        if matching
        else report.zones.setdefault((node, wanted), ZoneState(node, wanted))
    )
