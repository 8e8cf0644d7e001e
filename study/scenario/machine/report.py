"""A scenario from a kernel's report: the machine as it stood, the request, and cures to rank.

What `study why` reads becomes YAML of which every line says where it comes from: the report, the
formula of its kernel, or an assumption. What of the report could not be used is listed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from study.printable import printable
from study.refusals import gfp
from study.refusals.kernel import Version, spell
from study.refusals.report import PAGE_KB, Report, ZoneState
from study.refusals.verdict import Cause, Verdict, ZoneVerdict, judge
from study.scenario.machine.kernels import nearest_below, note, parse
from study.scenario.machine.lists import TYPES, StartLists, from_free_list, zone_named
from study.scenario.machine.requests import gfp_bits
from study.scenario.model import KERNELS, bundle_of
from study.zone.marks import above_min, marks_of
from study.zone.settings import NR_ORDERS, ORDER_MAX, PAGES_MAX, Marks, words_of

REQUEST = "reported"
"""What the request is called: a report may name a task, which is nobody's business."""
AXIS = "cure"
OWN = "as-reported"
_MARKS = {str(word): Marks(member) for word, member in words_of(Marks).items()}
_ASSUMED = "assumed"
_SCALES = (4, 16)
_LRU = ("active", "inactive")
_DEFER_SHIFT = 6


class NoScenarioError(ValueError):
    """Why a report makes no scenario, as a sentence; with the options that would help."""


@dataclass
class _Line:
    text: str
    why: str = ""


@dataclass
class _Sheet:
    """The scenario as it comes together."""

    lines: list[_Line] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def add(self, text: str, why: str = "") -> None:
        """A line, and where it comes from: a file's name may hold the end of one."""
        self.lines.append(_Line(printable(text), printable(why)))

    def text(self) -> str:
        """All lines with their comments, in one column where they fit."""
        width = min(max((len(line.text) for line in self.lines if line.why), default=0), 50)
        return "\n".join(
            f"{line.text:<{width}}  # {line.why}" if line.why else line.text for line in self.lines
        )


@dataclass(frozen=True)
class Wanted:
    """What the command line adds.

    zone      which zone: Normal, 1/Normal; None for the one that decided
    memory    pages of the zone, where the text does not say
    """

    zone: str | None = None
    memory: int | None = None


def scenario_of(report: Report, source: str, wanted: Wanted | None = None) -> str:
    """The YAML of a scenario that begins where a report stands.

    Parameters
    ----------
    report
        As found in a text, with what the command line adds.
    source
        What the text is called in comments.
    wanted
        What else the command line says.

    Returns
    -------
    str
        A scenario with comments, which `study run` takes as it is.

    Raises
    ------
    NoScenarioError
        The report lacks something, or its machine cannot be simulated; the message says what.
    """
    wanted = wanted or Wanted()
    verdict = judge(report)
    _refuse_early(verdict)
    zone = _zone_of(verdict, wanted)
    work = _Work(report, verdict, zone, wanted, source)
    return work.scenario()


def _refuse_early(verdict: Verdict) -> None:
    report = verdict.report
    if verdict.cause is Cause.CGROUP:
        raise NoScenarioError(f"{verdict.because} There is no zone to simulate.")
    missing = [one for one in verdict.missing if "marks" not in one.what]
    if missing:
        what = "; ".join(f"{one.what} ({one.option})" for one in missing)
        raise NoScenarioError(f"The report lacks {what}.")
    if report.page_kb != PAGE_KB:
        raise NoScenarioError(
            f"The machine has {report.page_kb} kB pages; the study simulates pages of 4 kB."
        )
    if (verdict.order or 0) > ORDER_MAX:
        raise NoScenarioError(
            f"The request is of order {verdict.order}; the study's free lists end at {ORDER_MAX}."
        )


def _zone_of(verdict: Verdict, wanted: Wanted) -> ZoneVerdict:
    judged = {(one.zone.node, one.zone.name): one for one in verdict.zones}
    listed = ", ".join(one.zone.title for one in verdict.zones) or "none"
    if wanted.zone is not None:
        named = zone_named({key: one.zone for key, one in judged.items()}, wanted.zone)
        if len(named) != 1:
            which = "is none" if not named else "is more than one"
            raise NoScenarioError(f"--zone {wanted.zone} {which} of those tried: {listed}.")
        chosen = judged[named[0].node, named[0].name]
    else:
        # One that passes as printed shows nothing to cure: the first that refused is taken.
        refused = (z for z in verdict.zones if z.last is not None and not z.last.passes)
        found = next(refused, None) or verdict.deciding or next(iter(verdict.zones), None)
        if found is None:
            raise NoScenarioError("The report shows no zone that the request could be tried on.")
        chosen = found
    if chosen.marks is None:
        missing = "; ".join(f"{one.what} ({one.option})" for one in chosen.missing)
        raise NoScenarioError(f"The report lacks {missing or 'the marks of the zone'}.")
    if chosen.zone.whole_list is None:
        whole = "whole " * (chosen.zone.free_list is not None)
        raise NoScenarioError(
            f"The report has no {whole}free lists of {chosen.zone.title} (--list 'N N N ...')."
        )
    return chosen


class _Work:
    """One report on its way to a scenario."""

    def __init__(
        self, report: Report, verdict: Verdict, zone: ZoneVerdict, wanted: Wanted, source: str
    ) -> None:
        assert report.kernel is not None  # noqa: S101 - else it would be missing
        assert zone.marks is not None  # noqa: S101
        assert verdict.flags is not None  # noqa: S101
        assert verdict.order is not None  # noqa: S101
        self.report, self.verdict, self.judged = report, verdict, zone
        self.zone: ZoneState = zone.zone
        self.marks = zone.marks
        self.flags, self.order = verdict.flags, verdict.order
        self.wanted, self.source = wanted, PurePath(source).name
        self.version: Version = report.kernel.version
        self.named = spell(self.version)
        taken = nearest_below(self.named, KERNELS)
        if taken is None:
            raise NoScenarioError(f"Linux {self.named} is before {next(iter(KERNELS))}, the first.")
        self.taken = taken
        self.bundle = bundle_of(taken)
        self.cma = zone.pages.cma if self.version >= (3, 7) and "MOVABLE" not in self.flags else 0
        self.memory, self.memory_why = self._memory()
        if self.marks.min - self.marks.boost >= self.memory // 2:
            raise NoScenarioError(
                f"The min mark of {self.zone.title} is {self.marks.min:,} pages of "
                f"{self.memory:,}: a zone with half of its memory or more held back never rests."
            )
        if zone.pages.reserve >= self.memory:
            raise NoScenarioError(
                f"{self.zone.title} keeps {zone.pages.reserve:,} pages back from this request "
                f"(lowmem_reserve) and has {self.memory:,}: nothing there can serve it "
                "(--zone NAME for another)."
            )
        self.sheet = _Sheet()
        self.waits = gfp.may_wait(self.flags)

    def scenario(self) -> str:
        """The whole text."""
        lists, list_why = self._lists()
        self._head()
        self.sheet.add("base:")
        self._kernel()
        self._zone(lists, list_why)
        self._marks()
        self._load(lists)
        self.sheet.add(
            "  clock: { ageing: 0s, measure: 60s }", "measured from the report's own lists"
        )
        self.sheet.add("")
        self._request()
        self._cures()
        self._claims()
        self._unused()
        return self.sheet.text() + "\n"

    def _memory(self) -> tuple[int, str]:
        free = sum(n << o for o, n in enumerate(self.judged.pages.nr_free))
        size = self.zone.size_kb
        if self.wanted.memory is not None:
            pages, why = self.wanted.memory, "--memory"
        elif size:
            word = "present" if self.zone.managed_kb is None else "managed"
            pages, why = size // PAGE_KB, f"{self.zone.title}: {word}:{size}kB"
        else:
            pages = 1 << max((8 * free).bit_length(), 16)
            why = f"not in the text: {_ASSUMED}, eight times what is free (--memory SIZE)"
        if self.cma and pages > self.cma:
            pages -= self.cma
            why += f", less {self.cma} pages of CMA, which this request may not use"
        if pages > PAGES_MAX:
            raise NoScenarioError(f"{self.zone.title} has {pages:,} pages; at most {PAGES_MAX:,}.")
        if free - self.cma > pages:
            raise NoScenarioError(f"{free:,} free pages do not fit into {pages:,} (--memory SIZE).")
        return pages, why

    def _lists(self) -> tuple[StartLists, str]:
        """The free lists as they are at the start, and what was done to them."""
        listed = self.zone.free_list
        assert listed is not None  # noqa: S101 - looked at when the zone was chosen
        try:
            lists = from_free_list(listed, self.zone.pageblocks)
        except ValueError as problem:
            raise NoScenarioError(f"The list of {self.zone.title} {problem}.") from None
        said = f"the list of {self.zone.title}"
        if len(listed.counts) > NR_ORDERS and any(listed.counts[NR_ORDERS:]):
            said += f"; blocks above order {ORDER_MAX} as such of order {ORDER_MAX}"
        if self.bundle["zone"]["grouping"] != "on":
            lists = StartLists(lists.counts)
        elif lists.by_type is not None and not listed.by_type:
            said += "; where an order has several letters its blocks are shared out evenly"
            lists = _within_reserve(lists, (self.zone.reserved_highatomic_kb or 0) // PAGE_KB)
        elif lists.by_type is None:
            said += "; it names no types: shared out as the pageblocks are"
            lists = self._typed(lists)
        printed = self.judged.pages.free
        summed = sum(n << o for o, n in enumerate(lists.counts))
        surplus = summed - printed if self.zone.free_kb is not None else 0
        if self.cma:
            lists = _without(lists, self.cma, from_largest=True)
            said += f"; {self.cma} free pages of CMA left out, the largest blocks first"
        if surplus > 0 and self._is_younger():
            lists = _without(lists, surplus, from_largest=True)
            said += (
                f"; {surplus} pages that came after the refusal left out, the largest blocks first"
            )
        return lists, said

    def _is_younger(self) -> bool:
        by_list = self.judged.by_list
        return by_list is not None and by_list.passes

    def _head(self) -> None:
        sheet, verdict = self.sheet, self.verdict
        where = f"{self.source}, line {self.report.line}" if self.report.line else self.source
        for line in (
            f"From a kernel's report: {where} ({self.report.kind}).",
            *_wrapped(f"study why: {verdict.cause.value if verdict.cause else 'no cause'}. "
                      f"{verdict.because}"),
            "Each line says where it comes from; what could not be used stands at the end.",
        ):  # fmt: skip
            sheet.add(f"# {line}")
        size = PAGE_KB << self.order
        sheet.add("question: >-")
        sheet.add(
            f"  Which change lets a request of order {self.order} ({size} kB) through on this "
            "machine, and what does it cost?"
        )
        sheet.add("replicates: 10", _ASSUMED)
        sheet.add(f"ranking: {AXIS}", "study run ends in a ranking of its levels")
        sheet.add("")

    def _kernel(self) -> None:
        assert self.report.kernel is not None  # noqa: S101
        known = {"text": "the text names it", "option": "--kernel", "machine": "this machine"}
        form = f"by the report's form: {self.report.kernel.why}"
        how = known.get(self.report.kernel.how, form)
        taken = "" if self.taken == self.named else f"; taken as {self.taken}, the nearest below"
        self.sheet.add(f"  kernel: '{self.named}'", how + taken)

    def _zone(self, lists: StartLists, why: str) -> None:
        add = self.sheet.add
        add("  zone:")
        add(f"    memory: {self.memory} pages", self.memory_why)
        add(
            "    reserved: 0 pages",
            f"{_ASSUMED}: what the kernel took at boot is not in the text"
            if self.zone.managed_kb is None
            else "managed pages are without what the kernel took at boot",
        )
        lowmem = self._lowmem()
        if lowmem > self.memory:
            add(f"    lowmem: {lowmem} pages", "all zones that share min_free_kbytes")
        if self.pageblock_order != 10:
            add(
                f"    pageblock_order: {self.pageblock_order}",
                "as pagetypeinfo says"
                if self.report.pageblock is not None
                else f"{_ASSUMED}: a huge page of 2 MB",
            )
        if lists.by_type is None:
            add(f"    buddyinfo: [{', '.join(map(str, lists.counts))}]", why)
        else:
            add("    buddyinfo:", why)
            for letter, blocks in zip(TYPES, lists.by_type, strict=True):
                if any(blocks):
                    add(f"      {letter}: [{', '.join(map(str, blocks))}]", _LISTS[letter])
            counted = {k: n for k, n in lists.pageblocks if k in TYPES and k != "M"}
            why = "Number of blocks type; the rest are movable"
            if not counted:
                counted = self._grouped(lists)
                why = (
                    f"{_ASSUMED}: as many as kernel pages fill, for grouping keeps them together; "
                    "without this line they lie strewn, and hardly a block can be made"
                )
            room = self.memory >> self.pageblock_order
            if counted and sum(counted.values()) <= room:
                inner = ", ".join(f"{k}: {n}" for k, n in counted.items())
                add(f"    pageblocks: {{{inner}}}", why)
        reserved = self.zone.reserved_highatomic_kb
        if reserved and self.bundle["zone"]["reserve"] == "highatomic":
            add(
                f"    highatomic: {reserved // PAGE_KB} pages",
                f"reserved_highatomic:{reserved}KB",
            )

    def _typed(self, lists: StartLists) -> StartLists:
        """A list without types, of a kernel that groups: each type has its share of pageblocks."""
        whole = self.memory >> self.pageblock_order
        shares = {k: n / whole for k, n in self._grouped(lists).items()} if whole else {}
        if sum(shares.values()) >= 1 or not shares:
            return lists
        by_type = {k: tuple(round(n * share) for n in lists.counts) for k, share in shares.items()}
        rest = (n - sum(kernel) for n, *kernel in zip(lists.counts, *by_type.values(), strict=True))
        by_type["M"] = tuple(rest)
        nothing = (0,) * len(lists.counts)
        return StartLists(lists.counts, tuple(by_type.get(k, nothing) for k in TYPES))

    def _grouped(self, lists: StartLists) -> dict[str, int]:
        """Pageblocks that kernel pages fill, beside the free blocks of their types.

        A kernel that groups by mobility takes whole pageblocks for what cannot be moved
        (mm/page_alloc.c, __rmqueue_fallback), so that its pages do not lie strewn among those of
        programs, where not one block could be made by moving pages.
        """
        kernel = self._kernel_pages(lists)[0]
        share = _reclaimable_share(self.report.held)
        held = {"U": kernel * (1 - share), "E": kernel * share}
        for letter, blocks in zip(TYPES, lists.by_type or (), strict=False):
            if letter in held:
                held[letter] += sum(n << order for order, n in enumerate(blocks))
        return {k: n for k, pages in held.items() if (n := round(pages) >> self.pageblock_order)}

    @property
    def pageblock_order(self) -> int:
        """Of the machine: what the text says, or a huge page of 2 MB."""
        if self.report.pageblock is not None:
            return min(self.report.pageblock, ORDER_MAX)
        return 9 if self.bundle["zone"]["grouping"] == "on" else 10

    def _lowmem(self) -> int:
        return max(self.report.lowmem_pages or 0, self.memory)

    def _min_free_kbytes(self) -> int:
        """What gives the zone its min mark, by the kernel's own formula."""
        base = max(self.marks.min - self.marks.boost, 0)
        return 4 * -(-base * self._lowmem() // self.memory)

    def _marks(self) -> None:
        add, zone, marks = self.sheet.add, self.zone, self.marks
        kbytes = self._min_free_kbytes()
        formula = _MARKS[self.bundle["watermarks"]["marks"]]
        scale = 10
        base = marks.min - marks.boost
        apart = None if marks.low is None else marks.low - marks.min
        if apart is not None and formula == Marks.V4_6 and apart > base // 4:
            scale = min(max(-(-apart * 10_000 // self.memory), 10), 3_000)
        printed = f"min:{zone.min_kb}kB" if zone.min_kb is not None else "the marks given"
        if kbytes == 0:
            add("  watermarks: { min: 0, low: 0, high: 0 }", f"{printed}: none at all")
        else:
            add("  vm:")
            add(
                f"    min_free_kbytes: {kbytes}",
                f"{printed}: {base} pages of the zone, by the formula of {self.taken}",
            )
            if scale != 10:
                add(
                    f"    watermark_scale_factor: {scale}",
                    f"low:{zone.low_kb}kB lies further above min than a quarter",
                )
            if parse(self.named) >= (5, 0):  # type: ignore[operator]
                add("    watermark_boost_factor: 15000", "the kernel's default; not in the text")
        found = above_min(formula, base, self.memory, scale)
        if marks.low is not None and abs(found[1] - (marks.low - marks.boost)) > 4:
            self.sheet.unused.append(
                f"low and high as printed ({marks.low:,}, {marks.high or 0:,} pages): by the "
                f"formula of {self.taken} they are {found[1]:,} and {found[2]:,}"
            )
        if kbytes and (marks.boost or self.judged.pages.reserve):
            add("  watermarks:")
            if marks.boost and self.bundle["watermarks"]["boost_factor"]:
                add(
                    f"    boost: {marks.boost} pages", "boost, as printed or by the marks' distance"
                )
            if self.judged.pages.reserve:
                add(
                    f"    lowmem_reserve: {self.judged.pages.reserve} pages",
                    "lowmem_reserve[] against this request",
                )

    def _held(self) -> dict[str, int]:
        return {name: kb // PAGE_KB for name, kb in self.zone.held_kb.items()}

    def _kernel_pages(self, lists: StartLists) -> tuple[int, int, str]:
        """Pages in use on no LRU list, those on one, and where the first number is from."""
        pages = self._held()
        lru = sum(pages.get(f"{which}_{kind}", 0) for which in _LRU for kind in ("anon", "file"))
        lru = lru or sum(pages.get(which, 0) for which in _LRU)
        used = self.memory - sum(n << o for o, n in enumerate(lists.counts))
        if lru <= used and any(name in pages for name in ("active_anon", "active_file", "active")):
            return used - lru, lru, "in use and on no LRU list of the zone"
        kernel = used // 20
        return kernel, used - kernel, f"{_ASSUMED}: a twentieth of what is in use"

    def _load(self, lists: StartLists) -> None:
        add = self.sheet.add
        pages = self._held()
        anonymous = pages.get("active_anon", 0) + pages.get("inactive_anon", 0)
        files = pages.get("active_file", 0) + pages.get("inactive_file", 0)
        whole = self.report.held
        kernel, lru, kernel_why = self._kernel_pages(lists)
        share = round(100 * kernel / self.memory, 2)
        working = max(lru + lru // 4, 64)
        add("  user:")
        add(f"    working_set: {working} pages", f"{_ASSUMED}: a quarter more than the LRU holds")
        if anonymous + files:
            percent = round(100 * anonymous / (anonymous + files), 1)
            add(f"    anonymous: {percent:g}%", "active_anon and inactive_anon of the LRU pages")
        elif (of_machine := _anonymous_of(whole)) is not None:
            add(f"    anonymous: {of_machine:g}%", "of the whole machine's LRU pages")
        add(f"    touch_rate: {_touches(working)}/s", f"{_ASSUMED}: programs at moderate work")
        add(f"  slab: {{ initial: {share:g}% }}", kernel_why)
        add("  processes: { fork_rate: 5/s, most: 256 }", _ASSUMED)
        add("  nic: { rx_rate: 0/s, tx_rate: 0/s }", "the report tells of one kind of request")
        if self.waits and self.order > 0 and self.bundle["compaction"]["direct"] != "off":
            add(
                f"  compaction: {{ deferred: {_DEFER_SHIFT} }}",
                f"{_ASSUMED}: refused although it may compact, so that was put off or in vain",
            )

    def _flags(self) -> tuple[str, str]:
        """Flags that a scenario can say, and where they come from."""
        kept = {"NORETRY", "NOFAIL", "RETRY_MAYFAIL", "REPEAT", "MOVABLE", "RECLAIMABLE"}
        if not self.waits:
            word = "GFP_ATOMIC" if "HIGH" in self.flags else "GFP_NOWAIT"
        elif "FS" not in self.flags:
            word = "GFP_NOFS"
        else:
            word = "GFP_KERNEL"
        more = [f"__GFP_{name}" for name in sorted(self.flags & kept)]
        text = "|".join([word, *more])
        gfp_bits(text)
        return text, gfp.words(self.flags, self.version)

    def _request(self) -> None:
        add = self.sheet.add
        flags, printed = self._flags()
        rate, hold = ("200/s", "100ms") if not self.waits else ("1/s", "10s")
        add("requests:")
        add(f"  {REQUEST}:")
        add(f"    order: {self.order}", "order of the refusal")
        add(f"    flags: {flags}", printed)
        add(f"    rate: {rate}", f"{_ASSUMED}: how often it comes is not in a report")
        add(f"    hold: {hold}", f"{_ASSUMED}: nor for how long it is kept")
        add("    first: 0s", "the first one meets the lists as they were printed")

    def _cures(self) -> None:
        add = self.sheet.add
        add("")
        add("axes:")
        add(f"  {AXIS}:")
        add(f"    {OWN}: {{}}", "the reporter's own settings")
        for name, settings, why in self._levels():
            add(f"    {name}: {settings}", why)

    def _levels(self) -> Iterator[tuple[str, str, str]]:
        """Name, settings and origin of each cure that this machine could have."""
        yield from self._other_marks()
        version, bundle = self.version, self.bundle
        if bundle["kswapd"]["policy"] == "count-only":
            yield "order-aware", "{ kswapd.policy: order-aware }", "kswapd of 2.6.11"
        if self.marks.boost and bundle["watermarks"]["boost_factor"]:
            yield "boost-off", "{ vm.watermark_boost_factor: 0 }", "sysctl -w ...boost_factor=0"
        if self.order > 0:
            yield (
                "single-pages",
                f"{{ requests.{REQUEST}.order: 0 }}",
                "the caller takes single pages instead of a block",
            )
            yield from self._compaction()
        if version >= (2, 6, 16):
            deed = "{ at: 1ms, do: drop_caches }"
            yield "drop-caches", f"{{ actions: [{deed}] }}", "echo 3 > /proc/sys/vm/drop_caches"

    def _other_marks(self) -> Iterator[tuple[str, str, str]]:
        kbytes = self._min_free_kbytes()
        formula = _MARKS[self.bundle["watermarks"]["marks"]]
        for factor in _SCALES if kbytes else ():
            more = marks_of(formula, self.memory, self._lowmem(), factor * kbytes)
            if more[2] < self.memory // 2:
                what = f"{{ vm.min_free_kbytes: {factor * kbytes} }}"
                yield f"min-x{factor}", what, f"sysctl -w vm.min_free_kbytes={factor * kbytes}"
        if kbytes:
            return
        usual = marks_of(formula, self.memory, self._lowmem())
        if usual[2] < self.memory // 2:
            named = zip(("min", "low", "high"), usual, strict=True)
            text = ", ".join(f"watermarks.{name}: {pages}" for name, pages in named)
            yield "usual-marks", f"{{ {text} }}", "as the kernel sets them"

    def _compaction(self) -> Iterator[tuple[str, str, str]]:
        if self.bundle["compaction"]["direct"] == "off" and self.waits:
            yield "compaction", "{ compaction: { direct: all, daemon: true } }", "as since 3.5"
        if self.version >= (5, 9):
            yield "proactive", "{ vm.compaction_proactiveness: 80 }", "compaction_proactiveness=80"
        if self.version >= (2, 6, 35):
            deed = "{ at: 1ms, do: compact_memory }"
            yield "compact", f"{{ actions: [{deed}] }}", "echo 1 > /proc/sys/vm/compact_memory"

    def _claims(self) -> None:
        names = [name for name, _, _ in self._levels()]
        if "min-x4" not in names:
            return
        add = self.sheet.add
        add("")
        add("claims:")
        add("  - id: higher-marks-serve", "the cure that most threads try first")
        says = "With four times min_free_kbytes more of these requests are served at once."
        add(f"    says: {says}", "the sentence that is tested")
        add(f"    metric: requests.{REQUEST}.at_once", "of the request above")
        add(f"    side: {{ {AXIS}: min-x4 }}", "with four times min_free_kbytes")
        add(f"    against: {{ {AXIS}: {OWN} }}", "with the reporter's own settings")
        add("    expect: more", "to be supported or contradicted")
        add("    matters: 0.05", _ASSUMED)

    def _unused(self) -> None:
        sheet = self.sheet
        sheet.add("")
        sheet.add("# Not used of the report:")
        for one in [*sheet.unused, *self._left()] or ["nothing"]:
            for place, line in enumerate(textwrap.wrap(one, 90)):
                sheet.add(f"# {'- ' if place == 0 else '  '}{line}")

    def _left(self) -> Iterator[str]:
        """What was in the report and has no place in a scenario."""
        report = self.report
        if self.taken != self.named:
            yield note(self.taken, self.named)
        tried = {id(one.zone): one for one in self.verdict.zones}
        for zone in report.zones.values():
            if zone is not self.zone and not zone.is_empty:
                yield f"{zone.title}: {_beside(zone, tried.get(id(zone)))}"
        for name in ("dirty", "writeback", "mapped", "pagetables", "unevictable", "mlocked"):
            if report.held.get(name):
                yield f"{name} {report.held[name]:,} pages: no setting for a start"
        if self.zone.pcp_kb:
            yield f"free_pcp {self.zone.pcp_kb} kB: per-cpu lists start empty"
        lost = self.flags & {"DMA", "DMA32", "NOMEMALLOC", "MEMALLOC", "THISNODE"}
        if lost:
            words = ", ".join(f"__GFP_{name}" for name in sorted(lost))
            yield f"{words}: one zone, one node, no emergency reserves"
        if report.request is not None and report.request.nodes is not None:
            yield "the nodes that the request was confined to: one node is simulated"
        if report.counters:
            yield f"counters: {', '.join(report.counters)}"


def _beside(zone: ZoneState, judged: ZoneVerdict | None) -> str:
    """What a start without a zone beside the simulated one lacks.

    Zone DMA could be there too (zone.dma), but starts as boot leaves it: its list as printed, and
    the marks that go with it, cannot be said, and whole blocks would pass what was refused.
    """
    if judged is None:
        return "not tried for this request"
    free = f"left out with its {judged.pages.free:,} free pages"
    size = (zone.size_kb or 0) // PAGE_KB
    kept = judged.pages.reserve
    if size and kept >= size:
        return (
            f"{free}: it keeps {kept:,} back from this request (lowmem_reserve) and has {size:,} "
            "in all, so that nothing there can serve it"
        )
    if judged.last is None:
        return f"{free}: whether it would serve the request is not known"
    if judged.last.passes:
        return f"{free}: as printed they would have served the request"
    return f"{free}: it refused too; what is freed there later serves nobody here"


_LISTS = {
    "U": "free list unmovable", "M": "free list movable", "E": "free list reclaimable",
    "H": "free list reserved for atomic requests",
}  # fmt: skip


def _within_reserve(lists: StartLists, pages: int) -> StartLists:
    """No more free blocks on the reserved list than are reserved: the largest stay there."""
    assert lists.by_type is not None  # noqa: S101 - only lists with letters are shared out
    movable, reserved = TYPES.index("M"), TYPES.index("H")
    by_type = [list(row) for row in lists.by_type]
    if not pages:
        return lists
    for order in reversed(range(NR_ORDERS)):
        kept = min(by_type[reserved][order], pages >> order)
        by_type[movable][order] += by_type[reserved][order] - kept
        by_type[reserved][order] = kept
        pages -= kept << order
    return replace(lists, by_type=tuple(map(tuple, by_type)))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 90)


def _touches(working: int) -> int:
    """Pages touched per second: the working set in a minute, within what a trial can bear."""
    return min(max(working // 60, 200), 20_000)


def _reclaimable_share(held: Mapping[str, int]) -> float:
    """Of slab pages, by what the report says of the whole machine; else half."""
    yes, no = held.get("slab_reclaimable", 0), held.get("slab_unreclaimable", 0)
    return yes / (yes + no) if yes + no else 0.5


def _anonymous_of(held: dict[str, int]) -> float | None:
    anonymous = held.get("active_anon", 0) + held.get("inactive_anon", 0)
    files = held.get("active_file", 0) + held.get("inactive_file", 0)
    if "active_file" not in held or not anonymous + files:
        return None
    return round(100 * anonymous / (anonymous + files), 1)


def _without(lists: StartLists, pages: int, *, from_largest: bool) -> StartLists:
    """Lists with fewer free pages; a block that is too large for the rest is split."""
    by_type = [list(row) for row in lists.by_type or (lists.counts,)]
    orders = range(NR_ORDERS)
    for order in reversed(orders) if from_largest else orders:
        for row in sorted(by_type, key=lambda row: -row[order]):
            taken = min(row[order], pages >> order)
            row[order] -= taken
            pages -= taken << order
    # What is left is smaller than the smallest block there is: that block is split.
    for order in orders:
        row = max(by_type, key=lambda row: row[order])
        if pages and row[order]:
            row[order] -= 1
            rest = (1 << order) - pages
            pages = 0
            for lower in orders:
                if rest >> lower & 1:
                    row[lower] += 1
    counts = tuple(sum(column) for column in zip(*by_type, strict=True))
    typed = None if lists.by_type is None else tuple(map(tuple, by_type))
    return replace(lists, counts=counts, by_type=typed)
