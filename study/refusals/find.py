"""Find reports in a text: allocation failures, OOM kills, Mem-Info, and the tables of /proc.

A text is read as a row of records, each of which begins at a form of its own and ends before the
next. Where lines begin plays no part, so that neither a logger's prefixes nor wrapping hide one.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from study.refusals.kernel import OLDEST, Version, parse_version
from study.refusals.report import (
    PAGE_KB,
    ZONES,
    Found,
    FreeList,
    Kernel,
    Report,
    Request,
    ZoneState,
)
from study.refusals.snapshots import number_snapshots
from study.refusals.tables import of_other_programs
from study.refusals.text import Text, tidy

_ZONE = r"(?P<zone>DMA32|DMA|Normal|HighMem|Movable|Device)"
_NODE = r"(?:Node\s{1,4}(?P<node>\d{1,4}),?\s{1,4})?"
_PROC = rf"Node\s{{1,4}}(?P<node>\d{{1,4}}),\s{{1,8}}zone\s{{1,12}}{_ZONE}"
_SIGN = r"(?:\\?[*_x.·]|\s\*\s)"

# (kind, words of which one is in every such record, pattern): what begins a record.
_STARTS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("state", ("free:",), rf"\b{_NODE}\b{_ZONE}\s{{1,3}}free:\s?(?P<free>\d{{1,12}})\s?[kK]B"),
    (
        "list",
        ("kB", "empty"),
        # Android's log sets the colon apart: it takes the zone for a tag.
        rf"\b{_NODE}\b{_ZONE}\s{{0,8}}:\s{{1,4}}(?=empty\b|\d{{1,18}}(?:{_SIGN}\d{{1,9}})?\s?kB)",
    ),
    (
        "reserve",
        ("[]:",),
        r"\b(?P<name>lowmem_reserve|protections?)\[\]:(?P<numbers>(?:\s{1,4}\d{1,9}(?![\d/:.T-])){1,8})",
    ),
    ("typed", ("type",), rf"\b{_PROC},\s{{1,4}}type\s{{1,12}}(?P<type>\w{{1,16}})\s"),
    ("index", ("zone",), rf"\b{_PROC}(?P<numbers>(?:\s{{1,8}}-?\d\.\d{{3}}){{2,20}})"),
    (
        "counts",
        ("zone",),
        # A row may go on in the next line, but a time that stands there is none of its numbers.
        rf"\b{_PROC}(?P<numbers>(?:\s{{1,12}}(?!1\d{{9}}(?:\.\d|\s))\d{{1,12}}){{2,20}})(?![.:/\d-])",
    ),
    ("zoneinfo", ("pages free",), rf"\b{_PROC}\s{{0,8}}(?=\n)"),
    (
        "refusal",
        ("allocation",),
        r"\bpage\s{1,3}allocation\s{1,3}(?:failure|stalls)(?P<dot>[.:]?)",
    ),
    ("refusal", ("vmalloc",), r"\bvmalloc(?:\s{1,3}error:|:\s{1,3}allocation\s{1,3}failure)"),
    ("slub", ("SLUB",), r"\bSLUB:\s{1,3}Unable\s{1,3}to\s{1,3}allocate\s{1,3}memory\b"),
    (
        "deadlock",
        ("deadlock",),
        r"\bpossible\s{1,3}memory\s{1,3}allocation\s{1,3}deadlock\s{1,3}size\s{1,3}(?P<size>\d{1,9})\b",
    ),
    ("oom", ("oom-killer",), r"\boom-killer:\s{1,3}(?=gfp_mask=)"),
    (
        "cgroup",
        ("cgroup", "CONSTRAINT_MEMCG", "limit"),
        r"\bMemory cgroup (?:out of memory|stats)\b|\bCONSTRAINT_MEMCG\b|\bas a result of limit\b",
    ),
    ("meminfo", ("Mem-", "Show"), r"\bMem-[Ii]nfo:|\bShow\s{1,3}[Mm]emory\b"),
    (
        "types",
        ("blocks",),
        r"\bNumber of (?:mixed )?blocks type(?P<names>(?: {1,12}[A-Za-z]{2,16}){2,8})",
    ),
    (
        "typedhead",
        ("migrate",),
        r"\bFree\s{1,3}pages\s{1,3}count\s{1,3}per\s{1,3}migrate\s{1,3}type",
    ),
    ("pageblock", ("Page block",), r"\bPage block order:\s{1,3}(?P<order>\d{1,2})\b"),
    # What else Mem-Info holds: it ends what stands before it.
    (
        "other",
        ("Swap", "Trace", "pagecache", "per-cpu"),
        r"\bSwap cache:|\bCall Trace:|\btotal pagecache pages|\bper-cpu:",
    ),
)
_ORDERS_MOST = 11
"""Of a kernel whose pages are of 4 KB; with larger pages there are more."""
_COUNTS_BELOW = 10**12
"""Of blocks: as many digits as the patterns take."""
_NEGATIVE = 1 << 31
"""Of blocks: more than any machine has; some kernels of 2004 counted below 0."""
RECORDS_MOST = 100_000
"""Of a text, that is lines of zones and the like, a report of a large machine having a hundred;
what comes after is not looked at."""
REPORTS_MOST = 5_000
MAPPINGS_LARGEST = 4 << 20
"""Letters of a text that is read as JSON."""
_LONGEST = 6_000
_USES_WITHIN = 20_000
"""Letters of a report in which its uses of memory are looked for."""
_PAIR = re.compile(
    r"\b(boost|min|low|high|reserved_highatomic|free_highatomic|active_file|inactive_file|present"
    r"|managed|free_pcp|free_cma):\s?(\d{1,12})\s?[kK]B"
)
_FIELDS = {"free_pcp": "pcp_kb"}
_USES = (
    r"\b(active_anon|inactive_anon|active_file|inactive_file|active|inactive|unevictable|mlocked"
    r"|slab_reclaimable|slab_unreclaimable|slab|dirty|writeback|mapped|pagetables)"
)
_HELD_KB = re.compile(_USES + r":\s?(\d{1,12})\s?[kK]B", re.IGNORECASE)
_HELD = re.compile(_USES + r":\s?(\d{1,12})(?=[\s)=\"'\\<,;]|\Z)(?!\s?[kK]B)", re.IGNORECASE)
_FORM_SIGNS = re.compile(r"\b(active_anon|active):\s?\d")
_UNMANAGED = re.compile(r"\bpresent:\s?\d{1,12}\s?kB\s{1,4}(?!managed\b)[a-z_]{3,40}:")
_OOM_SIGNS = re.compile(r"\b(oomkilladj|oom_adj|oom_score_adj)=")
_PERCPU_SIGNS = re.compile(r"\bbtch:|\bCold:")
_TOKEN = re.compile(
    # A list that somebody wrapped goes on below where it began, however far that is indented.
    rf"\s{{0,60}}(?P<count>\d{{1,18}})(?:{_SIGN}(?P<size>\d{{1,9}}))?\s?kB(?:\s{{1,3}}\((?P<types>[A-Z]{{1,8}})\))?"
)
_TOTAL = re.compile(r"\s{0,60}=\s{0,4}(\d{1,12})\s?kB")
_ORDER = re.compile(r"\border\s{0,2}[:=]?\s{0,2}(\d{1,3})\b")
_MODE = re.compile(
    r"\b(?:mode|gfp_mask|gfp)\s?[:=]\s?(0x[0-9a-fA-F]{1,8})\s?(?:\(([A-Za-z0-9_|\s]{1,900})\))?"
)
_NODEMASK = re.compile(r"\bnodemask=\(?([0-9,\-]{1,60}|null)")
_MEMS = re.compile(r"\bmems_allowed=([0-9,\-]{1,60})")
_TASK = re.compile(r"([^\s:\]][^:\n\]]{0,14}):\s{0,2}\Z|(\S{1,15})\s{1,2}invoked\s{1,2}\Z")
_FLAVOUR = r"-(?:generic|lowlatency|raspi|aws|azure|gcp|oracle|kvm|pve|(?:cloud-)?a[mr][dm]64)\b"
_RELEASE = (
    r"(?=(?:2\.6|[3-9])\.\d{1,3}(?:\.\d{1,3})?"
    rf"-\d{{1,5}}(?:\.\d{{1,5}}){{0,3}}(?:{_FLAVOUR}|\.(?:fc|el|amzn)\d))"
)
"""A distribution's release, as uname -r prints it, in whatever sentence: 6.8.0-1064-raspi."""
_KERNEL = re.compile(
    rf"(?:(?<![\w.]){_RELEASE}|"
    r"[Tt]ainted:?[^\d\n]{0,60}(?:\n[A-Z -]{0,30})?|Linux version |\bLinux \S{1,64} "
    r"|\bkernel(?: version)?[:=]? {0,3}"
    r"|\buname[^\d\n]{0,80}(?:\n {0,8})?|\bEIP: [^\n(]{0,60}\()"
    r"(?P<version>(?:2\.6|[3-9])\.\d{1,3}(?:\.\d{1,3})?)(?=[-.+~_ ,#)\n]|\Z)"
)
_TRACE = re.compile(
    r"\b(mm_page_(?:alloc|free)(?:_(?:extfrag|zone_locked|direct|batched|pcpu_drain))?|mm_pagevec_free"
    r"|mm_page_pcpu_drain)\b:"
)
_COUNTER = re.compile(
    r"\b(compact_(?:stall|fail|success)|allocstall\w{0,10}|nr_free_pages)\s{1,4}(\d{1,15})\b"
)
_VMSTAT = re.compile(r"(?m)^([a-z_0-9]{4,40}) (\d{1,18})$")
_ZONEINFO = {
    "free": re.compile(r"\bpages free\s{1,8}(\d{1,12})"),
    **{
        name: re.compile(rf"\n\s{{1,12}}{name}\s{{1,12}}(\d{{1,12}})")
        for name in (
            "boost", "min", "low", "high", "present", "managed", "nr_free_cma",
            "nr_zone_inactive_file", "nr_inactive_file", "nr_zone_active_file", "nr_active_file",
        )
    },
}  # fmt: skip
_PROTECTION = re.compile(r"\bprotection:\s?\((\d{1,12}(?:,\s?\d{1,12}){0,8})\)")
_PCP = re.compile(r"\bcount:\s{1,8}(\d{1,9})")
_LETTER = {
    "unmovable": "U", "reclaimable": "E", "movable": "M", "reserve": "R", "highatomic": "H",
    "cma": "C", "isolate": "I",
}  # fmt: skip
_YAML = re.compile(
    r"(?P<indent>[ ]{0,40})(?:- )?[\"']?(?P<key>\w[\w. -]{0,39})[\"']?\s?:"
    r"(?:\s{1,8}(?P<value>\d{1,12}))?\s{0,8}[,{]?\s{0,8}\Z"
)
_COLUMNS = re.compile(r"\b(\d{1,5})\s?([kKMG])i?B\b")
_WORD = re.compile(r"\S{1,60}")
_SYSCTL = re.compile(r"^\s{0,8}(?:sysctl -w )?vm[./]\w{3,40}\s?=", re.MULTILINE)


@dataclass(frozen=True)
class _Record:
    kind: str
    match: re.Match[str]
    start: int
    end: int
    body: str


def find(text: str) -> Found:
    """All reports of a text, and what else was recognised in it."""
    tidied = tidy(text)
    traces: dict[str, int] = {}
    for match in _TRACE.finditer(tidied.body):
        traces[match[1]] = traces.get(match[1], 0) + 1
    records = list(_records(tidied.body))
    reports = _assemble(tidied, records)
    is_cut = len(reports) >= REPORTS_MOST or len(records) >= RECORDS_MOST
    reports += [] if traces else _from_mappings(tidied)
    hints = []
    if not reports and not traces:
        reports = _from_table(tidied) or _from_counters(tidied)
        if _SYSCTL.search(tidied.body):
            hints.append("settings of vm.* (sysctl)")
    _set_kernels(tidied, reports)
    reports = [report for report in reports if _says_something(report)]
    _lend(reports)
    number_snapshots(tidied, reports, is_cut=is_cut)
    return Found(reports, traces, hints)


def _records(body: str) -> Iterator[_Record]:
    """The records of a text in their order; where two begin at one place, the longer form."""
    starts: dict[int, tuple[int, str, re.Match[str]]] = {}
    for rank, (kind, words, pattern) in enumerate(_STARTS):
        if not any(word in body for word in words):
            continue
        for match in islice(re.finditer(pattern, body), RECORDS_MOST):
            known = starts.get(match.start())
            if known is None or rank < known[0]:
                starts[match.start()] = (rank, kind, match)
    places = sorted(starts)[:RECORDS_MOST]
    covered = -1
    kept = []
    for place in places:
        # A zone's name without its node begins inside the match that has the node.
        if place < covered:
            continue
        kept.append(place)
        covered = starts[place][2].end()
    for place, following in zip(kept, [*kept[1:], len(body)], strict=False):
        _, kind, match = starts[place]
        end = min(following, place + _LONGEST)
        yield _Record(kind, match, place, end, body[match.end() : end])


class _Assembly:
    """Reports as they come together, record by record."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.reports: list[Report] = []
        self.starts: list[int] = []
        self.last: ZoneState | None = None
        self.block_types: tuple[str, ...] = ()
        self.in_proc = ""

    @property
    def current(self) -> Report | None:
        return self.reports[-1] if self.reports else None

    def begin(self, kind: str, record: _Record) -> Report:
        """Begin a report."""
        report = Report(kind, self.text.line_at(record.start))
        self.reports.append(report)
        self.starts.append(record.start)
        self.last = None
        return report

    def memory(self, record: _Record) -> Report:
        """The report that a line of Mem-Info belongs to."""
        if self.current is None or self.current.kind.startswith("/proc"):
            return self.begin("Mem-Info", record)
        return self.current

    def zone(self, report: Report, record: _Record) -> ZoneState:
        """The zone of a record, made if it is new."""
        node = record.match["node"]
        key = (None if node is None else int(node), record.match["zone"])
        return report.zones.setdefault(key, ZoneState(*key))

    def proc(self, kind: str, record: _Record, *, repeated: str) -> Report:
        """The report that a line of a table of /proc belongs to.

        Tables of several files make one state as long as no zone comes twice in one of them.
        """
        current = self.current
        node = int(record.match["node"])
        key = (node, record.match["zone"])
        if (
            current is None
            or not current.kind.startswith("/proc")
            or (key in current.zones and repeated in current.zones[key].given)
        ):
            current = self.begin(kind, record)
        elif kind not in current.kind:
            current.kind += f", {kind}"
        return current


def _assemble(text: Text, records: list[_Record]) -> list[Report]:
    assembly = _Assembly(text)
    for record in records:
        _READERS.get(record.kind, _pass_over)(assembly, record)
        if len(assembly.reports) > REPORTS_MOST:
            assembly.reports.pop()
            break
    _read_uses(text.body, assembly)
    for report in assembly.reports:
        for zone in report.zones.values():
            zone.given.clear()
    return _merged(assembly.reports)


def _read_uses(body: str, assembly: _Assembly) -> None:
    """What the machine's pages are used for, from the lines above the zones."""
    ends = [*assembly.starts[1:], len(body)]
    for report, start, end in zip(assembly.reports, assembly.starts, ends, strict=False):
        for match in _HELD.finditer(body, start, min(end, start + _USES_WITHIN)):
            report.held.setdefault(match[1].lower(), int(match[2]))


def _pass_over(assembly: _Assembly, record: _Record) -> None:  # noqa: ARG001
    return


def _read_refusal(assembly: _Assembly, record: _Record) -> None:
    body = record.match[0] + record.body[:1200]
    order = _ORDER.search(body)
    mode = _MODE.search(body)
    if order is None and mode is None:
        return
    current = assembly.current
    if current is None or current.request is not None or current.kind != "Mem-Info":
        current = assembly.begin("page allocation failure", record)
    else:
        current.kind = "page allocation failure"
        if current.zones:
            current.notes.append(
                "The request stands below the lists; they are taken to belong together."
            )
    current.request = _request(order, mode, body)
    before = assembly.text.body[max(0, record.start - 60) : record.start]
    task = _TASK.search(before)
    if task is not None:
        current.request.task = (task[1] or task[2] or "").strip() or None
    dot = record.match.groupdict().get("dot")
    if dot == ".":
        current.evidence.add("failure.")
    elif dot == ":":
        current.evidence.add("failure:")


def _request(order: re.Match[str] | None, mode: re.Match[str] | None, body: str) -> Request:
    names = None
    if mode is not None and mode[2] is not None:
        names = re.sub(r"\s", "", mode[2])
    return Request(
        order=None if order is None else int(order[1]),
        mask=None if mode is None else int(mode[1], 16),
        names=names,
        nodes=_allowed(body),
    )


def _allowed(body: str) -> tuple[range, ...] | None:
    """The nodes that a request was confined to by its nodemask or its cpuset."""
    for pattern in (_NODEMASK, _MEMS):
        match = pattern.search(body)
        if match is None or match[1] == "null":
            continue
        parts = (part.partition("-") for part in match[1].split(","))
        nodes = tuple(
            range(int(first[:4]), int((last or first)[:4]) + 1)
            for first, _, last in parts
            if _is_number(first) and (_is_number(last) or not last)
        )
        if any(nodes):
            return tuple(some for some in nodes if some)
    return None


def _is_number(text: str) -> bool:
    """Whether a text is a whole number: others than 0 to 9 are digits too, and ² is no number."""
    return text.isascii() and text.isdigit()


def _read_oom(assembly: _Assembly, record: _Record) -> None:
    body = record.body[:1200]
    order, mode = _ORDER.search(body), _MODE.search(body)
    report = assembly.begin("OOM killer", record)
    report.request = _request(order, mode, body)
    report.evidence |= set(_OOM_SIGNS.findall(body))
    before = assembly.text.body[max(0, record.start - 60) : record.start]
    task = _TASK.search(before)
    if task is not None:
        report.request.task = (task[1] or task[2] or "").strip() or None


def _read_slub(assembly: _Assembly, record: _Record) -> None:
    # The order tried last: that of one object. What else SLUB says is not of the page allocator.
    order = re.search(r"\bmin order:\s{1,3}(\d{1,2})\b", record.body[:600])
    mode = _MODE.search(record.body[:600])
    if order is not None or mode is not None:
        report = assembly.begin("page allocation failure of a slab", record)
        report.request = _request(order, mode, "")


def _read_deadlock(assembly: _Assembly, record: _Record) -> None:
    report = assembly.begin("page allocation failure of XFS", record)
    report.request = _request(None, _MODE.search(record.body[:300]), "")
    pages = -(-int(record.match["size"]) // (PAGE_KB << 10))
    report.request.order = max(pages - 1, 0).bit_length()
    report.notes.append(f"The order is that of {int(record.match['size']):,} bytes in 4 kB pages.")


def _read_index(assembly: _Assembly, record: _Record) -> None:
    values = tuple(float(number) for number in record.match["numbers"].split())
    kind = "/sys/kernel/debug/extfrag, extfrag_index"
    if min(values) >= 0 and values[0] == 0:
        kind = "/sys/kernel/debug/extfrag, unusable_index"
    report = assembly.current
    node = record.match["node"]
    key = (None if node is None else int(node), record.match["zone"])
    if report is None or report.kind != kind or (key in report.zones and report.zones[key].index):
        report = assembly.begin(kind, record)
    assembly.zone(report, record).index = values


def _read_cgroup(assembly: _Assembly, record: _Record) -> None:  # noqa: ARG001
    current = assembly.current
    if current is not None and current.kind == "OOM killer":
        current.kind = "OOM killer of a cgroup"


def _read_other(assembly: _Assembly, record: _Record) -> None:
    if assembly.current is not None:
        assembly.current.evidence |= set(_PERCPU_SIGNS.findall(record.body))


def _read_meminfo(assembly: _Assembly, record: _Record) -> None:
    current = assembly.current
    if current is None or current.zones:
        assembly.begin("Mem-Info", record)


def _read_state(assembly: _Assembly, record: _Record) -> None:
    report = assembly.memory(record)
    node = record.match["node"]
    key = (None if node is None else int(node), record.match["zone"])
    if key in report.zones and report.zones[key].free_kb is not None:
        report = assembly.begin("Mem-Info", record)
    zone = assembly.zone(report, record)
    zone.free_kb = int(record.match["free"])
    for name, number in _PAIR.findall(record.body):
        attribute = _FIELDS.get(name, f"{name}_kb")
        if getattr(zone, attribute) is None:
            setattr(zone, attribute, int(number))
        report.evidence.add(name)
    report.evidence |= set(_FORM_SIGNS.findall(record.body))
    if _UNMANAGED.search(record.body):
        report.evidence.add("no managed")
    for name, number in _HELD_KB.findall(record.body[:1_500]):
        zone.held_kb.setdefault(name.lower(), int(number))
    assembly.last = zone


def _read_reserve(assembly: _Assembly, record: _Record) -> None:
    if assembly.last is not None and assembly.last.reserve is None:
        numbers = record.match["numbers"].split()
        assembly.last.reserve = tuple(int(number) for number in numbers)
        if assembly.current is not None:
            assembly.current.evidence.add(record.match["name"])


def _read_list(assembly: _Assembly, record: _Record) -> None:
    free_list = parse_list(record.body)
    report = assembly.memory(record)
    node = record.match["node"]
    key = (None if node is None else int(node), record.match["zone"])
    if key in report.zones and report.zones[key].free_list is not None:
        report = assembly.begin("Mem-Info", record)
    zone = assembly.zone(report, record)
    if free_list is None:
        zone.empty = zone.empty or record.body.lstrip().startswith("empty")
        return
    if max(free_list.counts) >= _NEGATIVE:
        report.notes.append(
            f"The list of {zone.title} has counts that went below 0 and were printed without a "
            "sign: nothing is made of it."
        )
        free_list = replace(free_list, is_cut=True)
    elif free_list.printed_kb is None and len(free_list.counts) < _ORDERS_MOST:
        # The kernel ends each with its sum: this one was cut off, by a terminal for one.
        report.notes.append(
            f"The list of {zone.title} is cut off after order {len(free_list.counts) - 1}: of "
            "larger blocks nothing is known."
        )
        free_list = replace(free_list, is_cut=True)
    zone.free_list = free_list
    letters = {letter for held in free_list.types if held is not None for letter in held}
    report.evidence |= {f"({letter})" for letter in letters & {"R", "H"}}
    if letters:
        report.evidence.add("letters")


def parse_list(body: str) -> FreeList | None:
    """The free blocks of a zone's line: 256*4kB (UM) 47*8kB ... = 3576kB.

    A * may have become _, x or nothing at all: 2564kB is 256 blocks, since the sizes are known.
    """
    counts: list[int] = []
    types: list[frozenset[str] | None] = []
    page_kb: int | None = None
    starless = False
    at = 0
    while len(counts) < 20:
        token = _TOKEN.match(body, at)
        if token is None:
            break
        count, size = token["count"], token["size"]
        wanted = None if page_kb is None else page_kb << len(counts)
        if size is None:
            split = _without_star(count, wanted)
            if split is None:
                break
            starless = True
            number, measure = split
        else:
            number, measure = int(count), int(size)
        if page_kb is None:
            if measure < 1 or measure & (measure - 1) or measure > 1024:
                return None
            page_kb = measure
        elif measure != wanted:
            break
        counts.append(number)
        types.append(frozenset(token["types"]) if token["types"] else None)
        at = token.end()
    if page_kb is None or len(counts) < 2:
        return None
    total = _TOTAL.match(body, at)
    printed = None if total is None else int(total[1])
    summed = sum(n << order for order, n in enumerate(counts)) * page_kb
    if starless and summed != printed:
        return None
    return FreeList(tuple(counts), _known_types(counts, types), page_kb, printed)


def _known_types(
    counts: list[int], types: list[frozenset[str] | None]
) -> tuple[frozenset[str] | None, ...]:
    """Types by order: if the list has letters at all, an order without blocks has none."""
    if all(held is None for held in types):
        return ()
    return tuple(
        frozenset() if not count else held for count, held in zip(counts, types, strict=True)
    )


def _without_star(token: str, wanted: int | None) -> tuple[int, int] | None:
    """Count and size of a token whose * is lost; the size is known but for the first one."""
    for size in (4, 8, 16, 64) if wanted is None else (wanted,):
        digits = str(size)
        if token.endswith(digits) and len(token) > len(digits):
            return int(token[: -len(digits)]), size
    return None


def _numbers(record: _Record) -> tuple[int, ...]:
    return tuple(int(number) for number in record.match["numbers"].split())


def _of_row(record: _Record, *, blocks: int) -> tuple[int, ...]:
    """The numbers of a row, and of the next line if the row goes on there: it lacks orders.

    blocks  numbers in a row of pageblocks, if such rows are expected
    """
    first = record.match["numbers"].partition("\n")[0].split()
    if len(first) >= _ORDERS_MOST or (blocks and len(first) == blocks):
        return tuple(map(int, first))
    return _numbers(record)


def _read_counts(assembly: _Assembly, record: _Record) -> None:
    numbers = _of_row(record, blocks=len(assembly.block_types))
    if assembly.block_types and len(numbers) == len(assembly.block_types) and assembly.current:
        zone = assembly.zone(assembly.current, record)
        for letter, number in zip(assembly.block_types, numbers, strict=True):
            zone.pageblocks.setdefault(letter, number)
        return
    if len(numbers) < 5:
        return
    report = assembly.proc("/proc/buddyinfo", record, repeated="buddyinfo")
    zone = assembly.zone(report, record)
    if zone.free_list is not None and not _alike(zone.free_list.pages, numbers):
        report = assembly.begin("/proc/buddyinfo", record)
        zone = assembly.zone(report, record)
    known = zone.free_list
    zone.free_list = FreeList(numbers) if known is None else replace(known, counts=numbers)
    if zone.free_kb is None:
        zone.given.add("sum")
    zone.given.add("buddyinfo")


def _alike(pages: int, counts: tuple[int, ...]) -> bool:
    """Whether two tables can be of one moment: free pages within a tenth."""
    other = sum(n << order for order, n in enumerate(counts))
    return abs(pages - other) <= max(pages, other) // 10


def _read_typed(assembly: _Assembly, record: _Record) -> None:
    letter = _LETTER.get(record.match["type"].lower())
    numbers = [
        int(word.lstrip(">"))
        for word in record.body.split("\n")[0].split()
        if _is_number(word.lstrip(">")) and len(word) < 16
    ][:20]
    report = assembly.current
    if letter is None and report is not None and len(numbers) >= 5 and any(numbers):
        said = f"Blocks of type {record.match['type']} are left out: no known kernel has that type."
        report.notes += [said] * (said not in report.notes)
    if letter is None or len(numbers) < 5:
        return
    assembly.block_types = ()
    if report is None or report.kind != "/proc/pagetypeinfo":
        report = assembly.begin("/proc/pagetypeinfo", record)
    zone = assembly.zone(report, record)
    if f"type {letter}" in zone.given:
        report = assembly.begin("/proc/pagetypeinfo", record)
        zone = assembly.zone(report, record)
    zone.given.add(f"type {letter}")
    known = zone.free_list or FreeList(())
    by_type = {**known.by_type, letter: tuple(numbers)}
    counts = tuple(
        sum(blocks[order] for blocks in by_type.values() if order < len(blocks))
        for order in range(max(len(blocks) for blocks in by_type.values()))
    )
    zone.free_list = FreeList(counts, _held(by_type, len(counts)), by_type=by_type)


def _held(by_type: dict[str, tuple[int, ...]], orders: int) -> tuple[frozenset[str] | None, ...]:
    """For each order the letters of the lists that hold a block."""
    return tuple(
        frozenset(name for name, blocks in by_type.items() if order < len(blocks) and blocks[order])
        for order in range(orders)
    )


def _merged(reports: list[Report]) -> list[Report]:
    """Join a pagetypeinfo to the table of /proc before it if both can be of one moment."""
    result: list[Report] = []
    for report in reports:
        before = result[-1] if result else None
        if (
            before is not None
            and before.kind.startswith("/proc")
            and "pagetypeinfo" not in before.kind
            and report.kind.startswith("/proc/pagetypeinfo")
            and _one_moment(before, report)
        ):
            before.kind += ", " + report.kind
            before.evidence |= report.evidence
            before.pageblock = report.pageblock
            for key, zone in report.zones.items():
                join(before.zones.setdefault(key, zone), zone)
            continue
        result.append(report)
    return result


def _one_moment(before: Report, report: Report) -> bool:
    """Whether all zones that two tables share have about the same free pages."""
    shared = before.zones.keys() & report.zones.keys()
    pairs = [(before.zones[key].free_list, report.zones[key].free_list) for key in shared]
    return bool(shared) and all(
        one is None or other is None or _alike(one.pages, other.counts) for one, other in pairs
    )


def join(zone: ZoneState, other: ZoneState) -> None:
    """Fill what one table of a zone lacks from another."""
    if zone is other:
        return
    for name in ZoneState.__dataclass_fields__:
        value = getattr(zone, name)
        if value is None or value == {}:
            setattr(zone, name, getattr(other, name))
    mine, its = zone.free_list, other.free_list
    if mine is not None and its is not None and its.by_type and not mine.by_type:
        types = _held(its.by_type, len(mine.counts))
        zone.free_list = replace(mine, by_type=its.by_type, types=types)


def _read_types(assembly: _Assembly, record: _Record) -> None:
    names = record.match["names"].split()
    letters = tuple(_LETTER.get(name.lower(), "?") for name in names)
    while letters and letters[-1] == "?":
        letters = letters[:-1]
    assembly.block_types = letters


def _read_typedhead(assembly: _Assembly, record: _Record) -> None:
    assembly.block_types = ()
    current = assembly.current
    if current is not None and current.kind == "/proc/pagetypeinfo" and current.zones:
        assembly.begin("/proc/pagetypeinfo", record)


def _read_pageblock(assembly: _Assembly, record: _Record) -> None:
    # It stands above the table: what comes next is another table than what was before.
    report = assembly.begin("/proc/pagetypeinfo", record)
    report.pageblock = int(record.match["order"])


def _read_zoneinfo(assembly: _Assembly, record: _Record) -> None:
    values = {
        name: int(match[1])
        for name, pattern in _ZONEINFO.items()
        if (match := pattern.search(record.body)) is not None
    }
    if "min" not in values and "free" not in values:
        return
    report = assembly.proc("/proc/zoneinfo", record, repeated="zoneinfo")
    zone = assembly.zone(report, record)
    if zone.free_list is not None and "free" in values:
        pages = zone.free_list.pages
        if abs(pages - values["free"]) > max(pages, values["free"]) // 4 + 4096:
            report = assembly.begin("/proc/zoneinfo", record)
            zone = assembly.zone(report, record)
    zone.given.add("zoneinfo")
    zone.in_pages = True
    fields = {
        "free": "free_kb", "boost": "boost_kb", "min": "min_kb", "low": "low_kb",
        "high": "high_kb", "present": "present_kb", "managed": "managed_kb",
        "nr_free_cma": "free_cma_kb", "nr_zone_inactive_file": "inactive_file_kb",
        "nr_inactive_file": "inactive_file_kb", "nr_zone_active_file": "active_file_kb",
        "nr_active_file": "active_file_kb",
    }  # fmt: skip
    for name, attribute in fields.items():
        if name in values and getattr(zone, attribute) is None:
            setattr(zone, attribute, values[name] * 4)
    for name in ("boost", "managed"):
        if name in values:
            report.evidence.add(name)
    protection = _PROTECTION.search(record.body)
    if protection is not None:
        zone.reserve = tuple(int(number) for number in protection[1].split(","))
    counts = _PCP.findall(record.body)
    if counts:
        zone.pcp_kb = 4 * sum(map(int, counts))


_READERS = {
    "refusal": _read_refusal,
    "oom": _read_oom,
    "cgroup": _read_cgroup,
    "slub": _read_slub,
    "deadlock": _read_deadlock,
    "index": _read_index,
    "meminfo": _read_meminfo,
    "other": _read_other,
    "state": _read_state,
    "reserve": _read_reserve,
    "list": _read_list,
    "counts": _read_counts,
    "typed": _read_typed,
    "types": _read_types,
    "typedhead": _read_typedhead,
    "pageblock": _read_pageblock,
    "zoneinfo": _read_zoneinfo,
}


def _says_something(report: Report) -> bool:
    if report.request is not None or report.counters:
        return True
    return any(not zone.is_empty or zone.has_marks for zone in report.zones.values())


def _from_mappings(text: Text) -> list[Report]:
    """Reports of YAML or JSON that map orders to counts, as hotsos and sosreport's readers do."""
    kind, found = of_other_programs(text)
    told = ((path, _as_counts(counts), line) for path, counts, line in found)
    known = [(path, counts, line) for path, counts, line in told if counts is not None]
    if known:
        return _of_maps(known, kind)
    try:
        start, end = text.whole.index("{"), text.whole.rindex("}") + 1
        # Cut, a text is no JSON: it is then looked at line by line.
        loaded = json.loads(text.whole[start : min(end, start + MAPPINGS_LARGEST)])
    except (ValueError, RecursionError):
        maps = _yaml_maps(text)
    else:
        maps = list(_json_maps(loaded, ()))
    return _of_maps(maps, "orders and counts (YAML or JSON)")


def _of_maps(maps: list[tuple[tuple[str, ...], tuple[int, ...], int]], kind: str) -> list[Report]:
    """A report of each of them; another one where a zone comes again."""
    reports: list[Report] = []
    for path, counts, line in maps:
        name = next((zone for part in reversed(path) if (zone := _zone_in(part))), None)
        if name is None:
            continue
        key = (_node_in(path), name)
        if not reports or key in reports[-1].zones:
            if len(reports) == REPORTS_MOST:
                break
            reports.append(Report(kind, line))
        reports[-1].zones[key] = ZoneState(*key, free_list=FreeList(counts))
    return reports


def _zone_in(part: str) -> str | None:
    words = re.split(r"[^a-z0-9]+", part.lower())
    return next((zone for zone in ZONES if zone.lower() in words), None)


def _node_in(path: tuple[str, ...]) -> int | None:
    for part in reversed(path):
        match = re.match(r"(?:node[ _-]?)?(\d{1,3})(?:\D|\Z)", part.lower())
        if match is not None:
            return int(match[1])
    return None


def _as_counts(found: dict[int, int]) -> tuple[int, ...] | None:
    """Counts by order if the keys are the orders 0, 1, ... of a list."""
    if len(found) < 9 or len(found) > 20 or sorted(found) != list(range(len(found))):
        return None
    return tuple(found[order] for order in range(len(found)))


def _json_maps(
    value: object, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], tuple[int, ...], int]]:
    if len(path) > 30:
        return
    if isinstance(value, dict):
        # Entries of a list often name their node and zone beside what they hold.
        beside = [value[key] for key in ("node", "zone", "name") if key in value]
        named = (f"node {one}" if type(one) is int else one for one in beside)
        path += tuple(one[:40] for one in named if isinstance(one, str))
        numbers = {
            int(key): number
            for key, number in value.items()
            if isinstance(key, str) and _is_number(key) and len(key) < 3 and _is_count(number)
        }  # fmt: skip
        counts = _as_counts(numbers)
        if counts is not None:
            yield path, counts, 1
        for key, below in value.items():
            if isinstance(below, dict | list):
                yield from _json_maps(below, (*path, str(key)[:40]))
    elif isinstance(value, list):
        if 10 <= len(value) <= 16 and all(map(_is_count, value)):
            yield path, tuple(value), 1
            return
        for below in value[:10_000]:
            if isinstance(below, dict | list):
                yield from _json_maps(below, path)


def _is_count(number: object) -> bool:
    """Whether it can be a number of blocks: of JSON a number may have any length."""
    return type(number) is int and 0 <= number < _COUNTS_BELOW


class _Mappings:
    """Mappings of orders to counts, as they come together line by line."""

    def __init__(self) -> None:
        self.above: list[tuple[int, str]] = []
        self.path: tuple[str, ...] = ()
        self.line = 1
        self.counts: dict[int, int] = {}
        self.done: list[tuple[tuple[str, ...], tuple[int, ...], int]] = []

    def close(self) -> None:
        """End a mapping: it counts if its keys are the orders of a list."""
        counts = _as_counts(self.counts)
        if counts is not None:
            self.done.append((self.path, counts, self.line))
        self.counts = {}

    def leave(self, indent: int) -> None:
        """Forget the keys that a line of this indent is not below."""
        while self.above and self.above[-1][0] >= indent:
            self.above.pop()

    def add(self, order: int, count: int, indent: int, line: int) -> None:
        """A line of a mapping."""
        self.leave(indent)
        path = tuple(name for _, name in self.above)
        if path != self.path or order in self.counts:
            self.close()
        if not self.counts:
            self.path, self.line = path, line
        self.counts[order] = count


def _yaml_maps(text: Text) -> list[tuple[tuple[str, ...], tuple[int, ...], int]]:
    """Mappings of orders to counts in indented YAML; no more of YAML is understood."""
    maps = _Mappings()
    for number, line in zip(text.number, text.whole.split("\n"), strict=True):
        match = _YAML.match(line)
        if match is None:
            if line.strip():
                maps.close()
            continue
        indent, key, value = len(match["indent"]), match["key"].strip(), match["value"]
        if value is not None and _is_number(key) and len(key) < 3:
            maps.add(int(key), int(value), indent, number)
            continue
        maps.close()
        maps.leave(indent)
        maps.above.append((indent, key))
    maps.close()
    return maps.done


def _from_table(text: Text) -> list[Report]:
    """A table somebody made: columns headed by block sizes, each twice the one before.

    It is no form of the kernel's; what it holds is named, so that its reader knows what lacks.
    """
    lines = text.body.split("\n")
    for at, line in enumerate(lines):
        sizes = [
            int(number) << {"k": 0, "K": 0, "M": 10, "G": 20}[unit]
            for number, unit in _COLUMNS.findall(line[:400])
        ]
        if len(sizes) < 2 or any(b != 2 * a for a, b in pairwise(sizes)):
            continue
        rows = 0
        for row in lines[at + 1 : at + 60]:
            if not row.strip() or row.startswith("#"):
                break
            rows += _has_run(row[:400], len(sizes))
        if rows:
            report = Report("a table of free blocks", text.number[at])
            shown = ", ".join(
                f"{size >> 10} MiB" if size >= 1024 else f"{size} kB" for size in sizes
            )
            report.notes.append(
                f"A table of {rows} rows with free blocks of {shown}: not a form of the kernel's; "
                "smaller blocks, which the test needs, are not in it."
            )
            report.counters = {
                name: int(number) for name, number in reversed(_COUNTER.findall(text.body))
            } or {"rows": rows}
            return [report]
    return []


def _from_counters(text: Text) -> list[Report]:
    """/proc/vmstat alone: counters that say how it went, and nothing of what is free in blocks."""
    counters = {
        name: int(number)
        for name, number in re.findall(_VMSTAT, text.body)
        if name.startswith(("compact_", "allocstall", "nr_free", "thp_fault", "pgalloc", "kswapd"))
    }
    if len(counters) < 3:
        return []
    report = Report("/proc/vmstat", 1)
    report.counters = dict(list(counters.items())[:12])
    return [report]


def _has_run(row: str, length: int) -> bool:
    """Whether a row has so many whole numbers in a row, none of them with a unit behind it."""
    words = _WORD.findall(row)
    run = 0
    for word, following in zip(words, [*words[1:], ""], strict=True):
        unit = following[:3] in ("kB", "MiB", "GiB", "KiB", "MB", "GB")
        run = run + 1 if _is_number(word) and not unit else 0
        if run == length:
            return True
    return False


_FORMS: tuple[tuple[str, Version | None, Version | None, str], ...] = (
    ("protections", None, (2, 6, 11), "protections[]:"),
    # mm/page_alloc.c, setup_per_zone_protection and setup_per_zone_pages_min.
    ("own low", None, (2, 6, 8), "protections[] with a zone's own low"),
    ("own low left out", (2, 6, 9), None, "protections[] without a zone's own low"),
    ("marks 1:2:3", None, (2, 6, 9), "low and high at twice and three times min"),
    ("marks apart", (2, 6, 10), None, "low below twice min"),
    ("lowmem_reserve", (2, 6, 12), None, "lowmem_reserve[]:"),
    ("active", None, (2, 6, 27), "active: without _anon"),
    # mm/page_alloc.c: 2.6.25 put hot and cold pages on one list, 4.2 prints what they hold in all.
    ("Cold:", None, (2, 6, 24), "Hot: and Cold:"),
    ("btch:", None, (4, 1), "btch:"),
    # mm/oom_kill.c, dump_header.
    ("oomkilladj", None, (2, 6, 30), "oomkilladj="),
    ("oom_adj", None, (3, 6), "oom_adj="),
    ("oom_score_adj", (2, 6, 36), None, "oom_score_adj="),
    # DMA32 came with 2.6.15, and 2.6.19 left out the zones that an architecture does not have.
    ("DMA32 and HighMem", (2, 6, 15), (2, 6, 18), "both DMA32 and HighMem"),
    ("active_anon", (2, 6, 28), None, "active_anon:"),
    ("failure.", None, (3, 3), "the dot after 'failure'"),
    ("managed", (3, 8), None, "managed:"),
    ("no managed", None, (3, 7), "present: without managed:"),
    ("free_cma", (3, 7), None, "free_cma:"),
    ("letters", (3, 8), None, "letters behind the counts"),
    ("(R)", None, (4, 3), "blocks of type R"),
    ("(H)", (4, 4), None, "blocks of type H"),
    ("free_pcp", (4, 2), None, "free_pcp:"),
    ("names", (4, 7), None, "flags by name"),
    ("reserved_highatomic", (5, 6), None, "reserved_highatomic:"),
    ("no boost", None, (5, 16), "no boost: beside it"),
    ("boost", (5, 17), None, "boost:"),
    ("free_highatomic", (6, 12), None, "free_highatomic:"),
    ("mask", None, (4, 6), "a mask without names"),
)


def _set_kernels(text: Text, reports: list[Report]) -> None:
    """Give each report the kernel that stands in its part of the text, or what its form says."""
    if not reports:
        return
    lines: list[int] = []
    versions: list[Version] = []
    starts = [0, *(match.end() for match in re.finditer("\n", text.whole))]
    for match in _KERNEL.finditer(text.whole):
        version = parse_version(match["version"])
        if version is not None and version >= OLDEST:
            lines.append(text.number[bisect_right(starts, match.start()) - 1])
            versions.append(version)
    for report, following in zip(reports, [*reports[1:], None], strict=False):
        after = bisect_left(lines, report.line)
        if after < len(lines) and (following is None or lines[after] < following.line):
            report.kernel = Kernel(versions[after], "text")
        elif after > 0:
            report.kernel = Kernel(versions[after - 1], "text")
        elif len(set(versions)) == 1:
            report.kernel = Kernel(versions[0], "text")
        else:
            report.kernel = _by_form(report)


def _by_form(report: Report) -> Kernel | None:
    """The kernel that a report's form points to, if all between have the same rules."""
    seen = set(report.evidence)
    if report.request is not None and report.request.mask is not None:
        seen.add("names" if report.request.names else "mask")
    if {"DMA32", "HighMem"} <= {zone.name for zone in report.zones.values()}:
        seen.add("DMA32 and HighMem")
    seen |= set(_by_marks(report, seen))
    oldest, newest = OLDEST, None
    reasons = []
    if "reserved_highatomic" in seen and "boost" not in seen:
        seen.add("no boost")
    lower = upper = ""
    for sign, first, last, why in _FORMS:
        if sign not in seen:
            continue
        if first is not None and first > oldest:
            oldest, lower = first, why
        if last is not None and (newest is None or last < newest):
            newest, upper = last, why
    reasons = list(dict.fromkeys(why for why in (lower, upper) if why))
    if not reasons or (newest is not None and newest < oldest):
        return None
    taken = newest if newest is not None else oldest
    return Kernel(taken, "form", " and ".join(reasons), oldest if lower else None, newest)


def _by_marks(report: Report, seen: set[str]) -> Iterator[str]:
    """Signs of the first kernels' marks, which stand apart otherwise than later ones'."""
    zones = [
        (zone, zone.min_kb, zone.low_kb, zone.high_kb)
        for zone in report.zones.values()
        if zone.min_kb and zone.low_kb and zone.high_kb and not (zone.boost_kb or zone.is_empty)
    ]
    if not zones:
        return
    doubled = [(low, high) == (2 * least, 3 * least) for _, least, low, high in zones]
    if all(doubled):
        yield "marks 1:2:3"
    elif not any(doubled) and all(low < 2 * least for _, least, low, _ in zones):
        yield "marks apart"
    if "protections" in seen:
        known = [(max(zone.reserve), low) for zone, _, low, _ in zones if zone.reserve]
        if known and all(kept >= low // report.page_kb for kept, low in known):
            yield "own low"
        elif known:
            yield "own low left out"


def _lend(reports: list[Report]) -> None:
    """Give a later buddyinfo of the same zones the request and marks of the report before it."""
    lender: Report | None = None
    page_kb = PAGE_KB
    for report in reports:
        if report.request is not None and any(z.has_marks for z in report.zones.values()):
            lender, page_kb = report, report.page_kb
            continue
        if lender is None or "/proc" not in report.kind or report.request is not None:
            continue
        lent = False
        for key, zone in report.zones.items():
            source = lender.zones.get(key)
            if source is None or zone.has_marks or zone.free_list is None:
                continue
            for name in (
                "min_kb", "low_kb", "high_kb", "boost_kb", "reserved_highatomic_kb", "present_kb",
                "managed_kb", "reserve",
            ):  # fmt: skip
                setattr(zone, name, getattr(source, name))
            zone.in_pages = source.in_pages
            lent = True
        if lent:
            report.request = lender.request
            report.kernel = lender.kernel
            report.notes.append(f"Request and marks are those of the report at line {lender.line}.")
            report.set_page_size(page_kb)
