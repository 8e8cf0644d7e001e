"""Public reports of 2.6.17 to 6.7, and the kernel's own test worked out on their figures by hand.

Of each report only the lines that the test needs are here, without hosts, tasks and addresses; all
were posted publicly on mailing lists and issue trackers between 2006 and 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from study.refusals import changes
from study.refusals.find import find
from study.refusals.report import Kernel
from study.refusals.verdict import Cause, Verdict, ZoneVerdict, judge
from study.refusals.watermark import Outcome, first_try, last_try

E1000 = """\
kernel: 2.6.17.6
DMA free:3576kB min:68kB low:84kB high:100kB active:4144kB inactive:0kB present:16384kB
lowmem_reserve[]: 0 0 880 880
DMA32 free:0kB min:0kB low:0kB high:0kB active:0kB inactive:0kB present:0kB
lowmem_reserve[]: 0 0 880 880
Normal free:9656kB min:3756kB low:4692kB high:5632kB active:593312kB present:901120kB
lowmem_reserve[]: 0 0 0 0
HighMem free:0kB min:128kB low:128kB high:128kB active:0kB inactive:0kB present:0kB
lowmem_reserve[]: 0 0 0 0
DMA: 256*4kB 47*8kB 2*16kB 1*32kB 1*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 1*2048kB 0*4096kB = 3576kB
DMA32: empty
Normal: 1910*4kB 106*8kB 61*16kB 0*32kB 1*64kB 1*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 9656kB
HighMem: empty
kswapd0: page allocation failure. order:3, mode:0x20
"""  # noqa: E501
EARLY = """\
swapper: page allocation failure. order:3, mode:0x20
kernel: 2.6.8
DMA free:1956kB min:16kB low:32kB high:48kB active:812kB inactive:8kB present:16384kB
protections[]: 8 476 508
Normal free:2968kB min:936kB low:1872kB high:2808kB active:92112kB inactive:7012kB present:901120kB
protections[]: 0 468 500
HighMem free:112kB min:128kB low:256kB high:384kB active:844kB inactive:468kB present:131072kB
protections[]: 0 0 32
DMA: 5*4kB 4*8kB 1*16kB 1*32kB 1*64kB 2*128kB 0*256kB 1*512kB 1*1024kB 0*2048kB 0*4096kB = 1956kB
Normal: 700*4kB 17*8kB 2*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 2968kB
HighMem: 28*4kB 0*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 112kB
"""  # noqa: E501
LOW_MARK = """\
app: page allocation failure. order:0, mode:0xd0
kernel: 2.6.8
DMA free:0kB min:0kB low:0kB high:0kB active:0kB inactive:0kB present:0kB
protections[]: 0 200 200
Normal free:720kB min:400kB low:800kB high:1200kB active:92112kB inactive:7012kB present:40000kB
protections[]: 0 200 200
HighMem free:0kB min:0kB low:0kB high:0kB active:0kB inactive:0kB present:0kB
protections[]: 0 0 0
DMA: empty
Normal: 180*4kB 0*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 720kB
HighMem: empty
"""  # noqa: E501
ROUTER = """\
swapper: page allocation failure. order:3, mode:0x4020
Normal free:1032kB min:508kB low:632kB high:760kB active:2524kB inactive:16kB present:16256kB
lowmem_reserve[]: 0
Normal: 72*4kB 43*8kB 23*16kB 1*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 1032kB
"""  # noqa: E501
NO_MMU = """\
modprobe: page allocation failure. order:7, mode:0xd0
Normal free:11644kB min:0kB low:0kB high:0kB active_anon:0kB inactive_anon:0kB present:16256kB
lowmem_reserve[]: 0 0
Normal: 259*4kB 264*8kB 247*16kB 142*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB 0*8192kB 0*16384kB 0*32768kB = 11644kB
"""  # noqa: E501
SERVER = """\
Node 0 Normal free:2264kB min:13224kB low:16528kB high:19836kB active_anon:2288172kB present:13445120kB
lowmem_reserve[]: 0 0 0 0
Node 0 DMA: 1_4kB 1_8kB 0_16kB 0_32kB 2_64kB 1_128kB 1_256kB 0_512kB 1_1024kB 1_2048kB 3_4096kB = 15884kB
Node 0 Normal: 486_4kB 46_8kB 2_16kB 0_32kB 0_64kB 0_128kB 0_256kB 0_512kB 0_1024kB 0_2048kB 0_4096kB = 2344kB
swapper: page allocation failure. order:0, mode:0x4020
Pid: 0, comm: swapper Tainted: P            2.6.38-10-server #46
"""  # noqa: E501
BOARD = """\
swapper/0: page allocation failure: order:0, mode:0x200020
CPU: 0 PID: 0 Comm: swapper/0 Not tainted 3.10.53 #1
DMA free:143792kB min:3336kB low:4168kB high:5004kB present:1048576kB managed:697164kB free_cma:143136kB
lowmem_reserve[]: 0 0 0 0
DMA: 4452*4kB (UC) 4382*8kB (UC) 4111*16kB (UC) 786*32kB (UC) 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB 0*8192kB 0*16384kB 0*32768kB = 143792kB
"""  # noqa: E501
RADEON = """\
java: page allocation failure: order:4, mode:0x10c0d0
CPU: 2 PID: 1 Comm: java Not tainted 3.13.0-29-generic #53
Node 0 DMA free:15900kB min:264kB low:328kB high:396kB present:15984kB managed:15900kB
lowmem_reserve[]: 0 3217 3912 3912
Node 0 DMA32 free:121552kB min:55360kB low:69200kB high:83040kB present:3376348kB managed:3297396kB
lowmem_reserve[]: 0 0 694 694
Node 0 Normal free:25312kB min:11952kB low:14940kB high:17928kB present:778240kB managed:711468kB
lowmem_reserve[]: 0 0 0 0
Node 0 DMA: 1*4kB (U) 1*8kB (U) 1*16kB (U) 0*32kB 2*64kB (U) 1*128kB (U) 1*256kB (U) 0*512kB 1*1024kB (U) 1*2048kB (R) 3*4096kB (M) = 15900kB
Node 0 DMA32: 17854*4kB (UEMR) 2829*8kB (UEM) 1547*16kB (UEM) 58*32kB (UEM) 15*64kB (UE) 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 121616kB
Node 0 Normal: 652*4kB (UEMR) 1455*8kB (UEM) 377*16kB (UEM) 163*32kB (UEM) 14*64kB (UM) 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 26392kB
"""  # noqa: E501
ARM = """\
kswapd0: page allocation failure: order:0, mode:0x1080020(GFP_ATOMIC), nodemask=(null)
CPU: 1 PID: 1 Comm: kswapd0 Tainted: P           O    4.14.65 #3
DMA free:9348kB min:3772kB low:15684kB high:16624kB present:928768kB managed:892508kB free_cma:0kB
lowmem_reserve[]: 0 0 8 8
HighMem free:104kB min:128kB low:236kB high:244kB present:1056768kB managed:8192kB free_cma:0kB
DMA: 148*4kB (UMH) 52*8kB (UMH) 30*16kB (UMH) 19*32kB (MH) 7*64kB (MH) 4*128kB (H) 5*256kB (H) 0*512kB 0*1024kB 1*2048kB (H) 1*4096kB (H) 0*8192kB 0*16384kB = 10480kB
"""  # noqa: E501
ARM_OOM = """\
kworker invoked oom-killer: gfp_mask=0x15080c0(GFP_KERNEL_ACCOUNT|__GFP_ZERO), nodemask=(null),  order=1, oom_score_adj=0
CPU: 1 PID: 1 Comm: kworker Tainted: P           O    4.14.65 #3
DMA free:17960kB min:16384kB low:25664kB high:29760kB present:458752kB managed:422896kB
lowmem_reserve[]: 0 0 0 0
DMA: 71*4kB (EH) 113*8kB (UH) 207*16kB (UMH) 103*32kB (UMH) 70*64kB (UMH) 27*128kB (UMH) 5*256kB (UMH) 1*512kB (H) 0*1024kB 0*2048kB 0*4096kB 0*8192kB 0*16384kB = 17524kB
"""  # noqa: E501
VETH = """\
dockerd: page allocation failure: order:6, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO), nodemask=(null)
CPU: 1 PID: 1 Comm: dockerd Not tainted 5.15.0-107-generic #117
Node 0 DMA free:13312kB min:64kB low:80kB high:96kB reserved_highatomic:0KB present:15992kB managed:15360kB
lowmem_reserve[]: 0 2831 15794 15794 15794
Node 0 DMA32 free:86104kB min:14148kB low:17172kB high:20196kB reserved_highatomic:2048KB present:3129180kB managed:3015048kB
lowmem_reserve[]: 0 0 12963 12963 12963
Node 0 Normal free:121696kB min:55416kB low:69268kB high:83120kB reserved_highatomic:12288KB present:13631488kB managed:13274116kB
lowmem_reserve[]: 0 0 0 0 0
Node 0 DMA32: 5179*4kB (UMEH) 2455*8kB (UMEH) 792*16kB (UMEH) 750*32kB (UMEH) 124*64kB (UMEH) 7*128kB (MH) 3*256kB (H) 0*512kB 0*1024kB 0*2048kB 0*4096kB = 86628kB
Node 0 Normal: 8088*4kB (UMEH) 4920*8kB (UMEH) 1847*16kB (UMEH) 642*32kB (UMEH) 24*64kB (UME) 2*128kB (M) 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 123600kB
"""  # noqa: E501
VMALLOC = """\
qemu: vmalloc error: size 0, page order 9, failed to allocate pages, mode:0xdc2(GFP_KERNEL|__GFP_HIGHMEM|__GFP_ZERO), nodemask=(null),cpuset=emulator,mems_allowed=0
CPU: 1 PID: 1 Comm: qemu Not tainted 6.3.9 #2
Normal free:4608608kB boost:0kB min:59924kB low:81448kB high:102972kB reserved_highatomic:2048KB present:22007040kB managed:21527488kB
lowmem_reserve[]: 0 0 0 0 0
Normal: 34288*4kB (UME) 25137*8kB (UME) 18613*16kB (UME) 13225*32kB (UME) 8674*64kB (UME) 5360*128kB (UME) 3163*256kB (UME) 1722*512kB (UM) 601*1024kB (UM) 1*2048kB (H) 0*4096kB = 4609336kB
"""  # noqa: E501
BOOSTED = """\
ifconfig: page allocation failure: order:5, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO), nodemask=(null)
CPU: 1 PID: 1 Comm: ifconfig Tainted: G           OE      6.7.0-rc2 #1
Node 0 DMA32 free:63608kB boost:0kB min:9884kB low:12352kB high:14820kB reserved_highatomic:0KB present:2467796kB managed:2401988kB
lowmem_reserve[]: 0 0 13439 13439 13439
Node 0 Normal free:149776kB boost:90112kB min:147740kB low:162144kB high:176548kB reserved_highatomic:2048KB present:14098432kB managed:13769880kB
lowmem_reserve[]: 0 0 0 0 0
Node 0 DMA32: 2*4kB (UM) 2*8kB (UM) 5*16kB (M) 5*32kB (UM) 6*64kB (UM) 17*128kB (UM) 22*256kB (UM) 4*512kB (UM) 6*1024kB (UM) 11*2048kB (UM) 6*4096kB (UM) = 63752kB
Node 0 Normal: 7073*4kB (UMEH) 1922*8kB (UMEH) 756*16kB (UMEH) 464*32kB (UMEH) 830*64kB (UMEH) 197*128kB (UMH) 6*256kB (MH) 0*512kB 0*1024kB 0*2048kB 0*4096kB = 150484kB
"""  # noqa: E501
IMAP = """\
imap: page allocation failure. order:4, mode:0xc0d0
Pid: 1, comm: imap Not tainted 2.6.32-41-server #88
Node 0 DMA32 free:12560kB min:7076kB low:8844kB high:10612kB
Node 0 DMA32: 2360*4kB 80*8kB 21*16kB 7*32kB 4*64kB 1*128kB 2*256kB 0*512kB 1*1024kB 0*2048kB 0*4096kB = 12560kB
"""  # noqa: E501


@dataclass(frozen=True)
class Case:
    """What was worked out by hand: free pages and mark, what is left above each order and mark."""

    text: str
    zone: str
    low: bool
    steps: tuple[tuple[int, int], ...]
    passes: bool
    blocks: int | None = None
    by_list: bool = False


CASES = {
    "e1000": Case(E1000, "Normal", False, ((2407, 353), (497, 176), (285, 88), (41, 44)), False, 2),
    "e1000 at low": Case(E1000, "Normal", True, ((2407, 1173), (497, 586)), False, 2),
    "router": Case(ROUTER, "Normal", False, ((251, 48), (179, 24), (93, 12), (1, 6)), False, 1),
    "radeon": Case(
        RADEON, "Normal", False,
        ((6313, 2988), (5661, 1494), (2751, 747), (1243, 373), (-61, 186)), False, 14,
    ),
    "radeon, sum of the list": Case(
        RADEON, "Normal", False,
        ((6583, 2988), (5931, 1494), (3021, 747), (1513, 373), (209, 186)), True, 14, by_list=True,
    ),
    "radeon, sum of the list, at low": Case(
        RADEON, "Normal", True,
        ((6583, 3735), (5931, 1867), (3021, 933), (1513, 466), (209, 233)), False, 14, by_list=True,
    ),
    "radeon DMA32": Case(
        RADEON, "DMA32", False,
        ((30373, 13840 + 694), (12519, 6920), (6861, 3460), (673, 1730)), False, 15,
    ),
    "radeon DMA": Case(RADEON, "DMA", False, ((3960, 66 + 3912),), False, 9),
    "no MMU": Case(
        NO_MMU, "Normal", False, ((2784, 0), (2525, 0), (1997, 0), (1009, 0), (-127, 0)), False, 0
    ),
    "server": Case(SERVER, "Normal", False, ((566, 1240),), False),
    "board": Case(BOARD, "DMA", False, ((164, 313),), False),
    "arm": Case(ARM, "DMA", False, ((2337, 354),), True, 267),
    "arm, OOM": Case(ARM_OOM, "DMA", False, ((4489, 4096),), True, 526),
    "veth": Case(VETH, "Normal", False, ((27289, 13854),), False, 0),
    "veth DMA32": Case(VETH, "DMA32", False, ((20951, 3537 + 12963),), False, 3),
    "vmalloc": Case(VMALLOC, "Normal", False, ((1151129, 14981),), False, 1),
    "boosted": Case(BOOSTED, "Normal", False, ((36901, 36935),), False, 203),
    "boosted DMA32": Case(BOOSTED, "DMA32", False, ((15871, 2471 + 13439),), False, 66),
    "imap": Case(IMAP, "DMA32", False, ((3125, 1769), (765, 884)), False, 8),
    "imap at low": Case(IMAP, "DMA32", True, ((3125, 2211), (765, 1105)), False, 8),
}  # fmt: skip


def only(text: str) -> Verdict:
    """The verdict on the one report of a text."""
    (report,) = find(text).reports
    return judge(report)


def zone_of(verdict: Verdict, name: str) -> ZoneVerdict:
    return next(zone for zone in verdict.zones if zone.zone.name == name)


def outcome_of(case: Case) -> Outcome | None:
    verdict = only(case.text)
    zone = zone_of(verdict, case.zone)
    if not case.by_list:
        return zone.first if case.low else zone.last
    if not case.low:
        return zone.by_list
    listed = zone.zone.free_list
    assert listed is not None
    assert verdict.rules is not None
    assert zone.marks is not None
    from dataclasses import replace

    pages = replace(zone.pages, free=listed.pages)
    return first_try(pages, verdict.rules, zone.marks, 4, verdict.access, waits=True)


@pytest.mark.quick
@pytest.mark.parametrize("name", CASES)
def test_the_test_gives_what_was_worked_out_by_hand(name: str) -> None:
    """Each comparison has the numbers of the paper, the same end, and the blocks counted there."""
    case = CASES[name]

    outcome = outcome_of(case)

    assert outcome is not None
    assert tuple((step.usable, step.needed) for step in outcome.steps) == case.steps
    assert outcome.passes is case.passes
    if case.blocks is not None:
        assert outcome.blocks == case.blocks


@pytest.mark.parametrize(
    ("text", "cause", "said"),
    [
        (E1000, Cause.ORDER_TEST, "refused by 3"),
        (ROUTER, Cause.ORDER_TEST, "refused by 5"),
        (NO_MMU, Cause.NO_BLOCK, "none above order 3"),
        (SERVER, Cause.STARVED, "Fragmentation has no part in it"),
        (BOARD, Cause.CMA, "35,784 are CMA"),
        (RADEON, Cause.ORDER_TEST, "passes by 23 pages"),
        (ARM, Cause.YOUNGER, "2,337 pages against 354"),
        (ARM_OOM, Cause.YOUNGER, "With 393 pages or more reserved"),
        (VETH, Cause.NO_BLOCK, "none above order 5"),
        (VMALLOC, Cause.TYPE, "reserved for atomic requests (H)"),
        (BOOSTED, Cause.BOOST, "22,528 pages of min are watermark boost"),
        (IMAP, Cause.ORDER_TEST, "refused by 119"),
    ],
)
def test_one_line_of_cause(text: str, cause: Cause, said: str) -> None:
    """A report comes to one of the causes, with the number that shows it."""
    verdict = only(text)

    assert verdict.cause is cause
    assert said in verdict.because
    assert not verdict.missing or text == SERVER


def test_causes_of_the_zones_that_come_after() -> None:
    """Each zone has a cause of its own: blocks of a wrong type here, lowmem_reserve there."""
    verdict = only(VETH)

    assert [zone.zone.name for zone in verdict.zones] == ["Normal", "DMA32", "DMA"]
    assert [zone.cause for zone in verdict.zones] == [Cause.NO_BLOCK, Cause.TYPE, Cause.RESERVE]
    assert zone_of(only(BOOSTED), "DMA32").cause is Cause.RESERVE


def test_another_min_free_kbytes_on_the_same_lists() -> None:
    """65,000 kB refuse the first report's lists sooner, 2,048 kB the router's by as much more."""
    for text, value, steps in (
        (E1000, 65_000, [(2407, 5985)]),
        (ROUTER, 2_048, [(251, 192), (179, 96), (93, 48), (1, 24)]),
    ):
        verdict = only(text)
        zone = zone_of(verdict, "Normal")
        assert verdict.rules is not None
        marks = changes.marks_for(verdict.report, zone.zone, value, verdict.rules.marks)
        assert marks is not None
        outcome = last_try(zone.pages, verdict.rules, marks, 3, verdict.access, waits=False)

        assert outcome is not None
        assert [(step.usable, step.needed) for step in outcome.steps] == steps


def test_every_change_passes_the_test_that_refused() -> None:
    """One more block, boost off, less lowmem_reserve: what is proposed is what passes."""
    proposed = {change.what: change for change in changes.changes(only(E1000))}

    assert proposed["1 more free block of 32 kB (order 3)"].cost == 8
    assert "a request of order 2 (16 kB) instead" in proposed
    boosted = {change.what: change for change in changes.changes(only(BOOSTED))}
    assert boosted["boost off (vm.watermark_boost_factor 0)"].cost == -22_528
    assert boosted["35 more free pages"].zone == "Node 0 Normal"
    assert not changes.changes(only(ARM))


def test_the_largest_lower_min_free_kbytes_is_the_last_that_passes() -> None:
    """At the proposed min_free_kbytes the lists pass; one page's worth more and they do not."""
    verdict = only(E1000)
    zone = zone_of(verdict, "Normal")
    (change,) = [
        change for change in changes.changes(verdict)
        if "min_free_kbytes down" in change.what and change.zone == "Normal"
    ]  # fmt: skip
    value = int(change.what.rsplit(" ", 1)[1].replace(",", ""))
    assert verdict.rules is not None
    passes = []
    for each in (value, value + 1):
        marks = changes.marks_for(verdict.report, zone.zone, each, verdict.rules.marks)
        assert marks is not None
        outcome = last_try(zone.pages, verdict.rules, marks, 3, verdict.access, waits=False)
        passes.append(outcome is not None and outcome.passes)

    assert passes == [True, False]


def test_protection_of_2_6_8_has_the_low_mark_in_it() -> None:
    """Need = 2^order + protection[] - low/4 for __GFP_HIGH: 8 + 468 - 117 = 359 of 742 pages in
    Normal, whose own low mark of 468 is counted once; in DMA 8 + 476 - 2 of 489.
    """
    verdict = only(EARLY)
    normal, dma = (zone_of(verdict, name) for name in ("Normal", "DMA"))

    assert (normal.pages.reserve, dma.pages.reserve) == (0, 468)
    assert not normal.notes
    assert not dma.notes
    assert normal.last is not None
    assert (normal.last.steps[0].usable, normal.last.steps[0].needed) == (735, 468 - 117)
    assert not normal.last.passes
    assert dma.last is not None
    assert dma.last.steps[0].needed == 8 - 2 + 468


def test_versions_are_told_apart_by_the_form() -> None:
    """A report without a version is taken by its form, and that is said."""
    kernel = only(ROUTER).report.kernel

    assert isinstance(kernel, Kernel)
    assert kernel.how == "form"
    assert (kernel.oldest, kernel.newest) == ((2, 6, 12), (2, 6, 27))


def test_the_low_mark_of_2_6_8_moves_twice_as_far_as_min() -> None:
    """By hand: of 180 free pages a request of one needs more than low, 2 times min: 89, not 99.

    The marks of 89 are those of any min_free_kbytes up to 359 (90 pages are 360 kB).
    """
    [down] = [one for one in changes.changes(only(LOW_MARK)) if "free_kbytes down" in one.what]
    assert down.what == "vm.min_free_kbytes down to 359"
    assert down.cost == 89 - 100
