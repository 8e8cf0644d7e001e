"""Forms other than a whole allocation failure: what each is read as, and what it comes to."""

from __future__ import annotations

import pytest

from study.refusals import gfp
from study.refusals.changes import changes
from study.refusals.find import REPORTS_MOST, find, parse_list
from study.refusals.render import answer
from study.refusals.report import Report
from study.refusals.verdict import Cause, judge


def only(text: str) -> Report:
    (report,) = find(text).reports
    return report


@pytest.mark.parametrize(
    ("text", "kind", "order"),
    [
        (
            "SLUB: Unable to allocate memory on node -1, gfp=0x480020(GFP_ATOMIC)\n min order: 1",
            "page allocation failure of a slab",
            1,
        ),
        (
            "XFS: possible memory allocation deadlock size 65552 in kmem_alloc (mode:0x2400240)",
            "page allocation failure of XFS",
            5,
        ),
        (
            "w: page allocation stalls for 10000ms, order:2, mode:0x14000c0(GFP_KERNEL)\n",
            "page allocation failure",
            2,
        ),
        (
            "w: vmalloc: allocation failure: 4096 bytes, mode:0xcc2(GFP_KERNEL|__GFP_HIGHMEM)",
            "page allocation failure",
            None,
        ),
        ("w invoked oom-killer: gfp_mask=0x201da, order=0, oom_adj=0\n", "OOM killer", 0),
        ("oom-killer: gfp_mask=0xd0\n", "OOM killer", None),
    ],
)
def test_requests_of_every_form(text: str, kind: str, order: int | None) -> None:
    """Who refuses says so in words of its own; the order is read where there is one."""
    report = only(text)

    assert report.kind == kind
    assert report.request is not None
    assert report.request.order == order
    assert report.request.mask is not None


def test_a_cgroups_limit_is_no_zones_refusal() -> None:
    """An OOM kill within a cgroup says so instead of testing zones."""
    verdict = judge(
        only(
            "java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
            "memory: usage 1048576kB, limit 1048576kB, failcnt 1223\n"
            "Memory cgroup out of memory: Killed process 9 (java)\n"
        )
    )

    assert verdict.cause is Cause.CGROUP
    assert not verdict.missing


def test_sysrq_m_is_a_state() -> None:
    """Show Memory has zones and no request: none is made up, the order is asked for."""
    verdict = judge(
        only(
            "SysRq : Show Memory\nMem-info:\n"
            "Normal free:1032kB min:508kB low:632kB high:760kB active:2524kB present:16256kB\n"
            "lowmem_reserve[]: 0 0\nNormal: 72*4kB 43*8kB 23*16kB 1*32kB 0*64kB = 1032kB\n"
        )
    )

    assert verdict.report.request is None
    assert "--order N" in [missing.option for missing in verdict.missing]


def test_indices_are_told_apart() -> None:
    """extfrag_index has -1.000 where a block is free, unusable_index begins at 0.000."""
    zone = "Node 0, zone   Normal"
    reports = find(f"{zone} -1.000 -1.000 0.972 0.999\n{zone} 0.000 0.104 0.710 1.000\n").reports

    assert [report.kind.rsplit(" ", 1)[1] for report in reports] == [
        "extfrag_index", "unusable_index",
    ]  # fmt: skip
    assert reports[0].zones[0, "Normal"].index == (-1.0, -1.0, 0.972, 0.999)


def test_vmstat_alone_is_counters() -> None:
    """Counters are read and shown, and are no state of any zone."""
    report = only("nr_free_pages 963633\ncompact_stall 12\ncompact_fail 3\ncompact_success 9\n")

    assert report.kind == "/proc/vmstat"
    assert report.counters["compact_stall"] == 12
    assert judge(report).missing


def test_two_tables_of_other_moments_stay_apart() -> None:
    """A pagetypeinfo whose sums are not those of the buddyinfo above it is a state of its own."""
    buddy = "Node 1, zone   Normal   5956     15      5     28     11      8      2      0      0\n"
    head = "Free pages count per migrate type at order       0      1      2      3      4\n"
    row = "Node    1, zone   Normal, type    Movable {}   0   0   0   0   0   0   0   0\n"
    counts = find(buddy).reports[0].zones[1, "Normal"].free_list

    assert counts is not None
    assert len(find(buddy + head + row.format(900)).reports) == 2
    assert len(find(buddy + head + row.format(counts.pages)).reports) == 1


def test_numbers_of_blocks_by_type() -> None:
    """Pageblocks are counted by type, and not taken for another buddyinfo."""
    report = only(
        "Page block order: 13\n"
        "Free pages count per migrate type at order 0 1 2 3 4\n"
        "Node 0, zone   Normal, type    Movable   7   5   3   2   1\n\n"
        "Number of blocks type     Unmovable  Reclaimable      Movable      Reserve      Isolate\n"
        "Node 0, zone   Normal          868          433        31465            2            0\n"
    )

    assert report.pageblock_order == 13
    assert report.zones[0, "Normal"].pageblocks == {
        "U": 868, "E": 433, "M": 31465, "R": 2, "I": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "counts", "page_kb"),
    [
        ("256*4kB 47*8kB 2*16kB = 1432kB", (256, 47, 2), 4),
        ("256*4kB (UM) 47*8kB (E) 0*16kB = 1400kB", (256, 47, 0), 4),
        ("109*64kB 53*128kB 8*256kB = 15808kB", (109, 53, 8), 64),
        ("30*16kB 2*32kB = 544kB", (30, 2), 16),
        ("2564kB 478kB 216kB = 1432kB", (256, 47, 2), 4),
        ("2564kB 478kB 216kB = 1436kB", None, None),
        ("256*4kB 47*16kB = 1776kB", None, None),
        ("256*5kB 47*10kB", None, None),
        ("empty", None, None),
    ],
)
def test_lists(line: str, counts: tuple[int, ...] | None, page_kb: int | None) -> None:
    """A list's sizes double from the page size on, or it is no list."""
    found = parse_list(line)

    assert (None if found is None else found.counts) == counts
    assert (None if found is None else found.page_kb) == page_kb


@pytest.mark.parametrize(
    ("mask", "version", "words"),
    [
        (0x20, (2, 6, 17), "GFP_ATOMIC"),
        (0xD0, (2, 6, 8), "GFP_KERNEL"),
        (0x4020, (2, 6, 38), "GFP_ATOMIC|__GFP_COMP"),
        (0x201DA, (2, 6, 32), "GFP_HIGHUSER_MOVABLE|__GFP_COLD"),
        (0x200020, (3, 10), "GFP_ATOMIC|__GFP_NOTRACK"),
        (0x2080020, (4, 4), "GFP_ATOMIC"),
        (0x24000C0, (4, 6), "GFP_KERNEL"),
        (0x1080020, (4, 14), "GFP_ATOMIC"),
        (0x480020, (4, 19), "GFP_ATOMIC"),
        (0x6000C0, (4, 19), "GFP_KERNEL"),
        (0xCC0, (5, 15), "GFP_KERNEL"),
        (0xA20, (5, 15), "GFP_ATOMIC"),
        (0x820, (6, 6), "GFP_ATOMIC"),
        (0x40DC0, (6, 7), "GFP_KERNEL|__GFP_COMP|__GFP_ZERO"),
        (0x100CCA, (6, 1), "GFP_HIGHUSER_MOVABLE"),
    ],
)
def test_masks_in_the_words_of_their_kernel(
    mask: int, version: tuple[int, ...], words: str
) -> None:
    """One mask means other flags in another kernel; names and masks agree in each."""
    flags = gfp.from_mask(mask, version)

    assert gfp.words(flags, version) == words
    named = gfp.from_names(words, version)
    assert named is not None
    assert gfp.access(flags, 3, version) == gfp.access(named, 3, version)


@pytest.mark.parametrize(
    ("names", "version", "floor"),
    [
        ("GFP_ATOMIC", (2, 6, 17), "3/8 of min"),
        ("GFP_ATOMIC", (4, 9), "3/8 of min"),
        ("GFP_ATOMIC", (7, 3), "3/8 of min"),
        ("GFP_ATOMIC|__GFP_NOMEMALLOC", (3, 10), "half of min"),
        ("GFP_ATOMIC|__GFP_NOMEMALLOC", (6, 6), "half of min"),
        ("GFP_NOWAIT", (3, 10), "3/4 of min"),
        ("GFP_NOWAIT", (5, 10), "min"),
        ("GFP_NOWAIT", (6, 12), "min"),
        ("GFP_KERNEL", (6, 12), "min"),
        ("GFP_KERNEL|__GFP_HIGH", (6, 12), "half of min"),
    ],
)
def test_how_far_below_min_a_request_may_go(
    names: str, version: tuple[int, ...], floor: str
) -> None:
    """Who may dip how far changed in 2.6.39, 4.4 and 6.3."""
    flags = gfp.from_names(names, version)

    assert flags is not None
    assert gfp.reserve_in_words(gfp.access(flags, 0, version)) == floor


RHEL5 = """swapper: page allocation failure. order:2, mode:0x20
Normal free:28980kB min:3756kB low:4692kB high:5632kB active:4kB inactive:4kB present:901120kB
lowmem_reserve[]: 0 0 0 9207
HighMem free:1116kB min:512kB low:1740kB high:2968kB active:4kB inactive:4kB present:1178608kB
lowmem_reserve[]: 0 0 0 0
DMA32: empty
Normal: 7003*4kB 121*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 28980kB
"""  # noqa: E501


def test_a_machine_with_both_dma32_and_highmem_is_one_of_2_6_15_to_18() -> None:
    """Its kernel follows from its zones, and with it which entry of lowmem_reserve[] counts."""
    verdict = judge(only(RHEL5))
    (normal,) = [one for one in verdict.zones if one.zone.name == "Normal"]

    assert verdict.report.kernel is not None
    assert verdict.report.kernel.version == (2, 6, 18)
    assert not [note for note in normal.notes if "not clear" in note]
    assert verdict.cause is Cause.NO_BLOCK


@pytest.mark.parametrize("before", ["Not tainted\n6.8.0-31-generic #31", "$ uname -r\n6.8.0-31\n"])
def test_a_kernel_in_the_next_line_is_read(before: str) -> None:
    """Where mail was wrapped, and as a shell answers."""
    text = f"w: page allocation failure: order:2, mode:0x40cc0(GFP_KERNEL)\nComm: w {before}\n"

    kernel = only(text).kernel

    assert kernel is not None
    assert kernel.version[:2] == (6, 8)


def test_a_state_has_its_boost() -> None:
    """What Show Memory says of a zone is said of it, though no request was tested."""
    text = "sysrq: Show Memory\nMem-Info:\nNormal free:4000kB boost:1024kB min:3000kB low:4000kB\n"

    assert "boost 256" in answer(judge(only(text)), 1, 1, names=False, what_if=None)


ROWS = (
    "Node 0, zone      DMA    1    1      0      0      2      1      1      0      1   1   3 \n"
    "Node 0, zone   Normal  {0}  133    205     26     42     14     11      3      0   0   0 \n"
)
STAMPS = {
    "date": ("Tue Dec  1 02:0{0}:00 UTC 2020\n", "", "Tue Dec  1 02:02:00 UTC 2020"),
    "OSWatcher": ("zzz ***Tue Dec 1 02:0{0}:00 UTC 2020\n", "", "Tue Dec 1 02:02:00 UTC 2020"),
    "of another language": ("=== 01.12.2020 02:0{0}:00 ===\n", "", "01.12.2020 02:02:00"),
    "date +%s": ("160678800{0}\n", "", "1606788002"),
    "ts": ("", "Dec 01 02:0{0}:00 ", "Dec 01 02:02:00"),
    "ISO": ("", "2020-12-01T02:0{0}:00+0100 ", "2020-12-01T02:02:00+0100"),
    "a host beside it": ("Dec  1 02:0{0}:00 up on host1 4 users\n", "", ""),
}


@pytest.mark.parametrize("form", STAMPS)
def test_a_log_of_buddyinfo_is_snapshots(form: str) -> None:
    """The last one is told, with its time and how many there are; the others are there too."""
    above, before, when = STAMPS[form]
    text = "".join(
        above.format(place)
        + "".join(f"{before.format(place)}{row}\n" for row in ROWS.format(700 + place).splitlines())
        for place in range(3)
    )
    found = find(text).reports

    assert [report.zones[0, "Normal"].free_list.counts[0] for report in found] == [700, 701, 702]
    assert {len(zone.free_list.counts) for one in found for zone in one.zones.values()} == {11}
    assert [(one.place, one.of, one.is_older) for one in found] == [
        (1, 3, True), (2, 3, True), (3, 3, False),
    ]  # fmt: skip
    assert found[2].when == when
    assert "3 snapshots in a row" in found[2].notes[0]
    assert "host1" not in found[2].notes[0]


def test_a_log_that_is_not_read_to_its_end_says_so() -> None:
    """The last of what was read is not the last there is."""
    row = "Node 0, zone   Normal    700    133    205     26     42\n"
    told = [find(row * count).reports[-1].notes[0] for count in (3, REPORTS_MOST + 1)]

    assert ["no more are read" in note for note in told] == [False, True]


def test_two_tables_are_a_before_and_an_after() -> None:
    """Neither stands for the other."""
    found = find(ROWS.format(700) + "\n" + ROWS.format(12)).reports

    assert [(one.of, one.is_older) for one in found] == [(0, False), (0, False)]


def test_the_log_of_android_sets_colons_apart() -> None:
    """It takes what stands before the first colon for a tag, and pads it."""
    before = "12-01 10:22:33.111     0     0 W "
    text = "\n".join(
        f"{before}{line}"
        for line in (
            "kworker/2: 1: page allocation failure: order:4, mode:0x24040c0(GFP_KERNEL|__GFP_COMP)",
            "CPU     : 2 PID: 5122 Comm: kworker/2:1 Tainted: G        W       4.9.186-perf+ #1",
            "Mem-Info: ",
            "active_anon: 180122 inactive_anon:90122 isolated_anon:0",
            "        : active_file:100221 inactive_file:80221 isolated_file:0",
            "Normal free: 38200kB min:5300kB low:29900kB high:31900kB managed:1962312kB",
            "lowmem_reserve[]: 0 0 0",
            "Normal  : 4700*4kB (UME) 1901*8kB (UME) 260*16kB (UME) 0*32kB 0*64kB = 38168kB",
        )
    )
    (report,) = find(text).reports

    assert report.zones[None, "Normal"].free_list.counts == (4700, 1901, 260, 0, 0)
    assert report.held["active_anon"] == 180122
    assert report.held["active_file"] == 100221
    assert judge(report).cause is Cause.NO_BLOCK


COUNTS = (4381, 1093, 185, 1530, 567, 102, 4, 0, 0, 0, 0)


def test_buddyinfo_of_node_exporter() -> None:
    """One line an order, sorted as text, in each of two scrapes."""
    rows = sorted(
        f'node_buddyinfo_blocks{{node="1",size="{order}",zone="{zone}"}} {count}'
        for order, count in enumerate(COUNTS)
        for zone in ("DMA32", "Normal")
    )
    once, twice = find("\n".join(rows)).reports, find("\n".join([*rows, *rows])).reports

    assert [(one.kind, len(one.zones)) for one in once] == [("buddyinfo of node_exporter", 2)]
    assert once[0].zones[1, "Normal"].free_list.counts == COUNTS
    assert [len(one.zones) for one in twice] == [2, 2]


def test_free_areas_of_crash() -> None:
    """What kmem -f prints of a dump."""
    rows = "\n".join(
        f"{order:3} {4 << order:8}k  ffff88043ffd8{order:03x} {count:7} {count << order:7}"
        for order, count in enumerate(COUNTS)
    )
    head = "ZONE  NAME        SIZE    FREE      MEM_MAP       START_PADDR  START_MAPNR"
    zone = "  2   Normal   4456448   61002  ffffea0004000000   100000000     1048576"
    areas = "AREA    SIZE  FREE_AREA_STRUCT  BLOCKS  PAGES"
    (report,) = find(f"crash> kmem -f\nNODE\n  1\n{head}\n{zone}\n{areas}\n{rows}\n").reports

    assert report.kind == "kmem -f of crash"
    assert report.zones[1, "Normal"].free_list.counts == COUNTS


def test_no_more_can_be_freed_than_is_used() -> None:
    """A small zone with a reserve larger than itself is no cure, and min above it is none."""
    (report,) = find(
        "node invoked oom-killer: gfp_mask=0x1100cca(GFP_HIGHUSER_MOVABLE), order=0\n"
        "Comm: node Not tainted 5.15.90.1-microsoft-standard-WSL2 #1\n"
        "Mem-Info:\n"
        "Node 0 DMA free:15364kB min:128kB low:160kB high:192kB present:15996kB managed:15364kB\n"
        "lowmem_reserve[]: 0 3360 7839\n"
        "Node 0 Normal free:38320kB min:38516kB low:48144kB high:57772kB present:4718592kB "
        "managed:4592632kB\n"
        "lowmem_reserve[]: 0 0 0\n"
        "Node 0 DMA: 1*4kB (U) 0*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 1*1024kB (U) "
        "1*2048kB (M) 3*4096kB (M) = 15364kB\n"
        "Node 0 Normal: 9580*4kB (UME) 0*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB "
        "0*1024kB 0*2048kB 0*4096kB = 38320kB\n"
    ).reports
    found = changes(judge(report))

    assert {change.what.partition(" ")[0] for change in found if change.zone == "Node 0 DMA"} == {
        "lowmem_reserve"
    }
    assert any("more free pages" in change.what for change in found)


def test_figures_in_json_end_in_quotes() -> None:
    """A line of a journal as JSON ends behind its last figure."""
    (report,) = find(
        '{"MESSAGE":"cat: page allocation failure: order:3, mode:0x20"}\n'
        '{"MESSAGE":" slab_reclaimable:189230 slab_unreclaimable:31021"}\n'
        '{"MESSAGE":"Normal free:38200kB min:5300kB low:6000kB high:7000kB present:1962312kB"}\n'
    ).reports

    assert report.held["slab_unreclaimable"] == 31021


def test_a_break_before_a_colon_or_among_taints_is_undone() -> None:
    """A terminal's width may fall behind lowmem_reserve[], a mail's within RHEL's taints."""
    head = (
        "kworker/3:1H: page allocation failure: order:3, mode:0x40dc0(GFP_KERNEL|__GFP_COMP)\n"
        "CPU: 3 PID: 712 Comm: kworker/3:1H Kdump: loaded Tainted: G\n"
        "OE    --------- -  - 4.18.0-305.el8.x86_64 #1\n"
        "Node 0 DMA32 free:121020kB min:3260kB low:4828kB high:6396kB managed:1568924kB\n"
    )
    reserve = f"[ 1029.384112] {' ' * 48}lowmem_reserve[]: 0 0 30162 30162 30162"
    wide = reserve.index(":")
    lines = [*head.split("\n"), f"{'x' * wide}", "y" * wide, reserve]
    cut = [line[at : at + wide] for line in lines for at in range(0, len(line), wide)]
    (whole,), (broken,) = find(head).reports, find("\n".join(cut)).reports

    assert whole.kernel is not None
    assert whole.kernel.version == (4, 18, 0)
    assert broken.zones[0, "DMA32"].reserve == (0, 0, 30162, 30162, 30162)


@pytest.mark.parametrize("damage", ["html", "bullets", "bold"])
def test_tables_of_other_programs_are_read_from_pages(damage: str) -> None:
    """As a tracker shows them."""
    rows = "\n".join(
        f'node_buddyinfo_blocks{{node="1",size="{order}",zone="Normal"}} {count}'
        for order, count in enumerate(COUNTS)
    )
    damaged = {
        "html": f"<pre>{rows.replace(chr(34), '&quot;').replace(chr(10), '<br>' + chr(10))}</pre>",
        "bullets": "\n".join(f"* {row}" for row in rows.split("\n")),
        "bold": "\n".join(f"**{row}**" for row in rows.split("\n")),
    }
    (report,) = find(damaged[damage]).reports

    assert report.zones[1, "Normal"].free_list.counts == COUNTS


BUDDYINFO = """\
Node 0, zone      DMA      1      1      1      0      2      1      1      0      1      1      3
Node 0, zone    DMA32    759    572    791    475    194     45     12      0      0      0      0
Node 0, zone   Normal   4381   1093    185   1530    567    102      4      0      0      0      7
"""


@pytest.mark.quick
@pytest.mark.parametrize(
    "after",
    [
        *("65536", "32 4096", "12345.67 54321.00", "0.00 0.01 0.05 1/123 4567", "---", "0 0 0"),
        *("17:04 up 3 days", "12/01/26", "1733033824123", "20261201_061704", "01 Dec 06:17", "3"),
        *("2026年 12月  1日 火曜日 06:17:04 JST", "+ date", "12%"),
    ],
)
def test_what_stands_after_a_whole_table_is_none_of_its_numbers(after: str) -> None:
    """Whatever `cat /proc/buddyinfo` is followed by, and be its rows as long as a terminal's."""
    # The kernel ends each row with a blank, mail programs and editors drop it.
    blank = BUDDYINFO.replace("\n", " \n")
    for text in (f"{BUDDYINFO}{after}\n", f"{after}\n{BUDDYINFO}{after}\n", f"{blank}{after}\n"):
        [report] = find(text).reports
        zones = {zone.name: zone for zone in report.zones.values()}
        assert zones["Normal"].free_list is not None
        assert zones["Normal"].free_list.counts == (4381, 1093, 185, 1530, 567, 102, 4, 0, 0, 0, 7)


@pytest.mark.quick
def test_a_row_that_lacks_orders_goes_on_in_the_next_line() -> None:
    """Mail programs break at spaces."""
    text = "Node 0, zone   Normal   4381   1093    185   1530    567\n102    4    0    0    0   7\n"
    [report] = find(text).reports
    [zone] = report.zones.values()
    assert zone.free_list is not None
    assert zone.free_list.counts == (4381, 1093, 185, 1530, 567, 102, 4, 0, 0, 0, 7)


OOM_2_6_37 = """\
pidof invoked oom-killer: gfp_mask=0x840d0, order=0, oom_adj=0, oom_score_adj=0
pidof cpuset=/ mems_allowed=0
Mem-Info:
Node 0 DMA per-cpu:
CPU    0: hi:  186, btch:  31 usd:  24
active_anon:204 inactive_anon:15 isolated_anon:0
 free:1425 slab_reclaimable:34092 slab_unreclaimable:309770
Node 0 DMA free:5700kB min:5752kB low:7188kB high:8628kB active_anon:816kB present:2068480kB \
mlocked:0kB
lowmem_reserve[]: 0 0 0
Node 0 DMA: 81*4kB 84*8kB 36*16kB 15*32kB 11*64kB 23*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB \
0*4096kB = 5700kB
"""


def test_a_form_tells_between_which_kernels_it_was_printed() -> None:
    """So that a mask is read by their table: 0x840d0 is GFP_KERNEL for slab, which may wait.

    Figures of a boot of linux-next in December 2010 (lore.kernel.org,
    20101216130251.12dbe8d8.sfr@canb.auug.org.au).
    """
    verdict = judge(only(OOM_2_6_37))

    assert verdict.report.kernel is not None
    assert (verdict.report.kernel.oldest, verdict.report.kernel.newest) == ((2, 6, 36), (3, 6))
    assert verdict.flags == gfp.from_names("GFP_KERNEL|__GFP_COMP|__GFP_RECLAIMABLE", (3, 6))
    assert verdict.cause == Cause.STARVED


@pytest.mark.parametrize(
    ("line", "newest"),
    [
        ("CPU    0: Hot: hi:  186, btch:  31 usd: 152   Cold: hi:   62, btch:  15", (2, 6, 24)),
        ("CPU    0: hi:  186, btch:  31 usd:  24", (4, 1)),
    ],
)
def test_percpu_lists_are_of_their_time(line: str, newest: tuple[int, ...]) -> None:
    """Hot and cold lists until 2.6.24, one list a line until 4.1."""
    text = "a: page allocation failure: order:1, mode:0x20\nMem-Info:\nNormal per-cpu:\n" + line
    report = only(f"{text}\nNormal free:1kB min:9kB low:10kB high:11kB\n")

    assert report.kernel is not None
    assert report.kernel.newest == newest


def test_a_list_that_was_wrapped_goes_on_where_it_is_indented() -> None:
    """As somebody lays it out in a page of notes."""
    free_list = parse_list(
        " 53200*4kB (UME)  8437*8kB (UM)  0*16kB  0*32kB  0*64kB\n"
        "            0*128kB  0*256kB  0*512kB  0*1024kB  0*2048kB  0*4096kB  = 280296kB"
    )
    assert free_list is not None
    assert free_list.counts == (53200, 8437, *[0] * 9)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Raspberry Pi 5, Ubuntu, `6.8.0-1064-raspi`", (6, 8, 0)),
        ("on Debian with linux-image-4.19.0-6-amd64", (4, 19, 0)),
        ("CentOS 7 (3.10.0-1160.el7.x86_64)", (3, 10, 0)),
        ("openssl 3.0.2-0ubuntu1", None),
        ("build 1.6.8.0-1064-raspi", None),
    ],
)
def test_a_distributions_release_names_the_kernel(said: str, version: tuple[int, ...]) -> None:
    """In whatever sentence uname's word stands; a version of something else is none."""
    report = only(f"{said}\na: page allocation failure: order:1, mode:0x820(GFP_ATOMIC)\n")

    assert report.kernel is not None
    found = report.kernel.version if report.kernel.how == "text" else None
    assert found == version


def test_a_row_of_flags_is_broken_between_two_of_them() -> None:
    """None is torn apart at the edge, and none has a space before it."""
    names = "GFP_HIGHUSER|__GFP_RETRY_MAYFAIL|__GFP_NORETRY|__GFP_ZERO|__GFP_NOMEMALLOC"
    text = f"clinfo: page allocation failure: order:9, mode:0x194dc2({names})\n 5.10.10-1-amd64\n"
    lines = answer(judge(only(text)), 1, 1, names=False, what_if=None).splitlines()
    flags = "".join(line.strip() for line in lines[1:3])

    assert "GFP_HIGHUSER|__GFP_NOMEMALLOC|__GFP_NORETRY|__GFP_RETRY_MAYFAIL|__GFP_ZERO" in flags
    assert all(len(line) <= 78 for line in lines)


def test_a_list_that_is_cut_off_says_so_and_decides_nothing() -> None:
    """A terminal of 128 columns ends the line of each zone before its sum: no top order is made of
    it, no sum, and no missing block.
    """
    text = (
        "a: page allocation failure: order:3, mode:0xdc0(GFP_KERNEL|__GFP_ZERO)\\n"
        " Not tainted 5.4.0 #75\\n"
        "Node 0 Normal free:193448kB min:700kB low:900kB high:1100kB reserved_highatomic:0KB reB\\n"
        "lowmem_reserve[]: 0 0 0\\n"
        "Node 0 Normal: 1985*4kB (UME) 1321*8kB (UME) 844*16kB (UME) 524*32kB (UME) 300*64kB (UB\\n"
    )
    verdict = judge(only(text))
    said = answer(verdict, 1, 1, names=False, what_if=None)

    assert verdict.cause is None
    assert [one.option for one in verdict.missing] == ["--list 'N N N ...'"]
    assert "is cut off after order" in " ".join(said.split())
    assert "sum of the list" not in said
    assert "orders 0 to" not in said


def test_blocks_of_a_type_that_is_not_known_are_not_left_out_silently() -> None:
    """As of a patch of 2015 that gave mirrored memory a type of its own."""
    rows = {"Unmovable": "0 0 1 1 0 0 0 2 1 0 4", "Mirror": "148 104 63 70 26 11 2 2 1 1 973"}
    text = "Page block order: 9\n" + "".join(
        f"Node    0, zone   Normal, type {name:>12} {row}\n" for name, row in rows.items()
    )
    report = only(text)

    assert report.notes == ["Blocks of type Mirror are left out: no known kernel has that type."]
    assert report.zones[0, "Normal"].free_list is not None
    assert report.zones[0, "Normal"].free_list.counts == (0, 0, 1, 1, 0, 0, 0, 2, 1, 0, 4)


OOM_2004 = """\
oom-killer: gfp_mask=0xd2
DMA per-cpu:
cpu 0 hot: low 2, high 6, batch 1
DMA free:360kB min:180kB low:{low}kB high:{high}kB active:27632kB inactive:0kB present:32768kB
protections[]: {own} {own} {own}
HighMem free:0kB min:128kB low:256kB high:384kB active:0kB inactive:0kB present:0kB
protections[]: 0 0 0
DMA: 8*4kB 1*8kB 0*16kB 1*32kB 1*64kB 0*128kB 1*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 392kB
HighMem: empty
"""


@pytest.mark.parametrize(
    ("low", "high", "own", "oldest", "newest"),
    [
        (360, 540, 90, None, (2, 6, 8)),
        (360, 540, 0, (2, 6, 9), (2, 6, 9)),
        (225, 270, 0, (2, 6, 10), (2, 6, 11)),
    ],
)
def test_marks_and_protection_tell_the_kernels_of_2004_apart(low, high, own, oldest, newest):
    """Up to 2.6.8 protection[] has a zone's own low; to 2.6.9 low is twice min (this board's log of
    2004 has 90 90 90).
    """
    verdict = judge(only(OOM_2004.format(low=low, high=high, own=own)))

    assert verdict.report.kernel is not None
    assert verdict.report.kernel.newest == newest
    assert verdict.report.kernel.oldest == oldest or oldest is None
    assert all(zone.pages.reserve == 0 for zone in verdict.zones)


def test_counts_below_0_are_no_blocks() -> None:
    """As kernels of 2004 printed them; no figure is made of them."""
    text = (
        "oom-killer: gfp_mask=0xd2\n"
        "Normal free:176kB min:188kB low:376kB high:564kB present:49144kB\nprotections[]: 0 0 0\n"
        "Normal: 4291283363*4kB 4294690597*8kB 4294945040*16kB 4294950038*32kB 4294966291*64kB"
        " 4294966753*128kB 4294967182*256kB 4294967238*512kB 4294967265*1024kB"
        " 4294967278*2048kB 4294967281*4096kB = 4284847952kB\n"
    )
    report = only(text)
    report.request.order = 0
    verdict = judge(report)

    assert "went below 0" in " ".join(report.notes)
    assert verdict.cause == Cause.STARVED
    assert verdict.zones[0].by_list is None
