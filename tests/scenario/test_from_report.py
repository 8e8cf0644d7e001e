"""A scenario from a kernel's report: `study scenario from`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from study.cli import main
from study.scenario import ScenarioError, Study, load_text
from study.zone.engine.enums import Gfp
from study.zone.marks import marks_for, start_boost
from study.zone.settings import Settings
from study.zone.trial.advance import advance
from study.zone.trial.zone import Zone
from tests.why.test_fuzz import mutated

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "tests" / "data" / "kernel-reports"

ATOMIC = """\
swapper/0: page allocation failure: order:3, mode:0x4020
Pid: 0, comm: swapper/0 Not tainted 3.2.0-4-amd64 #1
Mem-Info:
active_anon:5120 inactive_anon:1280 isolated_anon:0
 active_file:2048 inactive_file:4096 isolated_file:0
 unevictable:0 dirty:12 writeback:0 unstable:0
 free:1990 slab_reclaimable:300 slab_unreclaimable:900
Node 0 Normal free:7960kB min:3800kB low:4748kB high:5700kB active_anon:20480kB \
inactive_anon:5120kB active_file:8192kB inactive_file:16384kB present:65536kB
lowmem_reserve[]: 0 0
Node 0 Normal: 1720*4kB 119*8kB 8*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB \
0*4096kB = 7960kB
"""
CMA = """\
kworker/0:1: page allocation failure: order:0, mode:0x20
CPU: 0 PID: 9 Comm: kworker/0:1 Not tainted 3.10.53 #1
Mem-Info:
DMA free:40000kB min:3336kB low:4168kB high:5004kB active_anon:8000kB inactive_anon:0kB \
active_file:9000kB inactive_file:9000kB present:131072kB managed:120000kB free_cma:39200kB
lowmem_reserve[]: 0 0 0
DMA: 1000*4kB (UC) 1000*8kB (UC) 1750*16kB (UC) 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB \
0*2048kB 0*4096kB 0*8192kB 0*16384kB 0*32768kB = 40000kB
"""
BOOST = """\
kworker/u8:0: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO), nodemask=(null),cpuset=/,mems_allowed=0
CPU: 1 PID: 77 Comm: kworker/u8:0 Not tainted 6.7.0 #1
Mem-Info:
Node 0 Normal free:30000kB boost:20480kB min:30720kB low:33280kB high:35840kB \
reserved_highatomic:2048KB active_anon:4000kB inactive_anon:90000kB active_file:9000kB \
inactive_file:9000kB present:262144kB managed:250000kB free_pcp:100kB
lowmem_reserve[]: 0 0 0 0
Node 0 Normal: 3450*4kB (UMEH) 900*8kB (UME) 400*16kB (UM) 50*32kB (M) 12*64kB (MH) 2*128kB (M) \
0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 30024kB
"""  # noqa: E501


def scenario(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["scenario", "from", *arguments], input=text)


def study_from(text: str, *options: str) -> Study:
    made = scenario("-", *options, text=text)
    assert made.exit_code == 0, made.output
    return load_text(made.output, "mine.yaml")


def own(study: Study) -> Settings:
    """The machine as it was reported."""
    return next(c.settings for c in study.cells if c.levels["cure"] == "as-reported")


def first_request(settings: Settings) -> tuple[Zone, int]:
    """The zone just after the first request, and whether that got its block at once."""
    zone = Zone(settings, seed=1)
    advance(zone.state, 1_000)
    return zone, int(zone.count["at_once_named"][0])


@pytest.mark.quick
def test_every_line_says_where_it_comes_from() -> None:
    """Each line with a value has a comment; what could not be used is listed at the end."""
    lines = scenario("-", text=ATOMIC).output.splitlines()
    bare = [
        line
        for line in lines
        if ":" in line and "#" not in line and not line.rstrip().endswith((":", ">-"))
    ]

    assert [line.strip() for line in bare] == []
    assert "# Not used of the report:" in lines
    assert any("dirty 12 pages" in line for line in lines)


@pytest.mark.quick
def test_the_machine_is_that_of_the_report() -> None:
    """Kernel, memory, lists, marks, shares and request are the report's figures."""
    study = study_from(ATOMIC)
    settings = own(study)
    [request] = settings.requests

    assert settings.memory.pages == 65_536 // 4
    assert settings.memory.buddyinfo == (1720, 119, 8, *[0] * 8)
    assert marks_for(settings.memory, settings.watermarks) == (950, 1_187, 1_425)
    assert settings.user.anonymous_share == pytest.approx(6_400 / (6_400 + 6_144), abs=0.001)
    assert (request.order, request.gfp, request.first_ns) == (3, int(Gfp.ATOMIC), 0)
    assert settings.clock.ageing_ns == 0
    assert study.document["base"]["kernel"] == "3.2"
    assert not any("washed out" in note for note in study.notes())


BESIDE = """\
Node 0 DMA free:15740kB min:124kB low:152kB high:184kB present:15992kB
lowmem_reserve[]: 0 {reserve}
Node 0 DMA: 3*4kB 2*8kB 2*16kB 2*32kB 2*64kB 1*128kB 0*256kB 0*512kB 1*1024kB 1*2048kB \
3*4096kB = 15740kB
"""


@pytest.mark.parametrize(
    ("reserve", "said"),
    [
        (8050, "keeps 8,050 back from this request (lowmem_reserve) and has 3,998 in all"),
        (3700, "as printed they would have served the request"),
        (3950, "it refused too"),
    ],
)
def test_what_a_start_without_the_other_zones_lacks_is_said(reserve: int, said: str) -> None:
    """Whether the zone beside the simulated one would have served the request then, or ever."""
    beside = BESIDE.format(reserve=reserve)
    text = ATOMIC.replace("Node 0 Normal free", f"{beside}Node 0 Normal free", 1)
    made = scenario("-", text=text).output

    left = " ".join(made.partition("# Not used of the report:")[2].replace("#", " ").split())
    assert "Node 0 DMA: left out with its 3,935 free pages" in left
    assert said in left


@pytest.mark.quick
def test_nobody_is_named() -> None:
    """Neither task, host nor command line of a report is in the scenario."""
    text = "Jun  3 host7 kernel: nginx: page allocation failure" + ATOMIC.partition("failure")[2]
    made = scenario("-", text=text).output

    assert made.startswith("# From a kernel's report")
    assert "nginx" not in made
    assert "host7" not in made
    assert "swapper" not in made


@pytest.mark.quick
@pytest.mark.parametrize("end", ["\n", "\r", "\x85", "\u2028"])
def test_a_files_name_is_no_yaml(tmp_path: Path, end: str) -> None:
    """A name with the end of a line in it stays in its comment."""
    path = tmp_path / f"dmesg{end}seed: 77{end}name: pwned{end}x.txt"
    path.write_text(ATOMIC)
    made = scenario(str(path)).output

    assert "dmesg?seed: 77?name: pwned?x.txt" in made
    assert yaml.safe_load(made).keys() == yaml.safe_load(scenario("-", text=ATOMIC).output).keys()


@pytest.mark.quick
def test_cures_are_what_the_kernel_has() -> None:
    """Boost off and proactive compaction only where there is such a sysctl."""
    old, new = (study_from(text).axes["cure"] for text in (ATOMIC, BOOST))

    assert old[0] == new[0] == "as-reported"
    assert {"min-x4", "single-pages", "drop-caches"} <= set(old)
    assert not {"boost-off", "proactive"} & set(old)
    assert {"boost-off", "proactive", "compact"} <= set(new)


@pytest.mark.parametrize("text", [ATOMIC, CMA, BOOST], ids=["atomic", "cma", "boost"])
def test_the_refusal_is_reproduced_under_the_reporters_own_settings(text: str) -> None:
    """The first request meets the lists as printed and is refused by both tries of the test."""
    study = study_from(text)
    zone, at_once = first_request(own(study))

    assert at_once == 0
    assert zone.count["asked_named"][0] == 1


def test_what_study_why_names_as_a_cure_is_one() -> None:
    """With so many more blocks as `study why` says the first request is served; with one less not.

    The compiled zone and the plain arithmetic agree on a whole report.
    """
    told = CliRunner().invoke(main, ["why", "-"], input=ATOMIC).output
    [more] = re.findall(r"(\d+) more free blocks? of 32 kB", told)
    settings = own(study_from(ATOMIC))
    served = {}
    for blocks in (int(more) - 1, int(more)):
        lists = list(settings.memory.buddyinfo or ())
        lists[3] += blocks
        memory = replace(settings.memory, buddyinfo=tuple(lists), typed_blocks=None)
        served[blocks] = first_request(replace(settings, memory=memory))[1]

    assert list(served.values()) == [0, 1]


@pytest.mark.quick
def test_cma_is_left_out_for_who_may_not_use_it() -> None:
    """Of the free pages only those remain that the request may have, and the text says so."""
    made = scenario("-", text=CMA).output
    settings = own(load_text(made, "mine.yaml"))
    free = sum(n << order for order, n in enumerate(settings.memory.buddyinfo or ()))

    assert free == (40_000 - 39_200) // 4
    assert settings.memory.pages == (120_000 - 39_200) // 4
    assert "9800 free pages of CMA left out" in made


@pytest.mark.quick
def test_a_memory_that_cannot_hold_the_lists_is_refused() -> None:
    """Rather than a scenario that does not load."""
    made = scenario("-", "--memory", "1900pages", text=ATOMIC)

    assert (made.exit_code, made.stdout) == (2, "")
    assert "1,990 free pages do not fit into 1,900" in made.stderr


@pytest.mark.quick
def test_a_boost_is_what_the_marks_start_with() -> None:
    """The marks are those printed: their own, and the boost on top of them."""
    settings = own(study_from(BOOST))
    boost = start_boost(settings.watermarks)

    assert boost == 20_480 // 4
    assert marks_for(settings.memory, settings.watermarks)[0] + boost == 30_720 // 4
    assert settings.memory.highatomic_pages == 512


@pytest.mark.quick
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("4.19-64k-pages.txt", "64 kB pages"),
        ("6.12-proc.txt", "--order N"),
        ("hotsos.yaml", "--kernel 2.6.17"),
        ("trace.txt", "study replay"),
    ],
)
def test_why_there_is_no_scenario_is_said(name: str, said: str) -> None:
    """What is missing with the option that supplies it, another page size, no report at all."""
    made = scenario(str(DATA / name))

    assert made.exit_code == 2
    assert said in " ".join(made.output.split())


@pytest.mark.quick
def test_options_supply_what_a_text_lacks() -> None:
    """A buddyinfo alone becomes a scenario with order, flags, kernel, marks and memory."""
    line = "Node 0, zone   Normal   3070   4636   2026    110     34      2      0  0  0  0  0\n"
    options = ("--order", "6", "--gfp", "GFP_KERNEL", "--kernel", "5.15", "--min", "55416kB")
    lacking = scenario("-", "--order", "6", "--gfp", "GFP_KERNEL", "--kernel", "5.15", text=line)
    study = study_from(line, *options, "--memory", "4GiB")

    assert lacking.exit_code == 2
    assert "--min" in lacking.output
    assert own(study).memory.pages == 1 << 20
    assert own(study).requests[0].order == 6


@pytest.mark.quick
def test_of_several_reports_the_first_that_can_be_one_is_taken() -> None:
    """A cgroup's OOM kill or a report cut short before a whole one hides nothing; --report says."""
    short = "kworker/0:1: page allocation failure: order:2, mode:0x4020\n\n"
    made = scenario("-", text=short + ATOMIC)
    only = scenario("-", "--report", "1", text=short + ATOMIC)

    assert made.exit_code == 0
    assert "order: 3" in made.output
    assert only.exit_code == 2
    assert scenario("-", "--report", "9", text=ATOMIC).exit_code == 2


@pytest.mark.quick
def test_it_is_yaml_for_whoever_reads_it() -> None:
    """Another reader of YAML finds the same keys, whatever the comments say."""
    plain = yaml.safe_load(scenario("-", text=BOOST).output)

    assert set(plain) == {
        "question", "replicates", "ranking", "base", "requests", "axes", "claims",
    }  # fmt: skip
    assert re.fullmatch(r"\d+ pages", plain["base"]["zone"]["memory"])


@pytest.mark.parametrize(
    "seeds",
    [
        *(pytest.param(range(first, first + 4), id=str(first)) for first in range(0, 40, 4)),
        pytest.param(range(40, 5_040), id="by-night", marks=pytest.mark.nightly(part="scenarios")),
    ],
)
def test_a_damaged_report_is_a_scenario_or_a_reason(seeds: range) -> None:
    """Whatever is left of a report: a scenario that loads, or a sentence why there is none."""
    for seed in seeds:
        try:
            _is_scenario_or_reason(seed)
        except Exception as problem:
            raise AssertionError(f"seed {seed}") from problem


def _is_scenario_or_reason(seed: int) -> None:
    made = scenario("-", text=mutated(seed))

    assert made.exit_code in (0, 2)
    assert made.exception is None or isinstance(made.exception, SystemExit)
    if made.exit_code == 0:
        assert load_text(made.output, "mine.yaml").cells
    else:
        assert made.output.strip()


@pytest.mark.quick
def test_marks_beyond_the_zone_are_refused() -> None:
    """By the reader of reports with a reason, and by the scenario's rules at their key."""
    made = scenario("-", text=ATOMIC.replace("min:3800kB", "min:38000000kB"))
    text = "base: {zone: {memory: 64MiB}, vm: {min_free_kbytes: 131072}}"

    assert made.exit_code == 2
    assert "never rests" in " ".join(made.output.split())
    with pytest.raises(ScenarioError, match=r"vm.min_free_kbytes gives a min mark of"):
        load_text(text, "x.yaml")


@pytest.mark.quick
def test_a_zone_that_is_held_back_whole_is_no_scenario() -> None:
    """As zone DMA of a large machine is from whoever may have higher zones."""
    low = ATOMIC.replace("Node 0 Normal", "Node 0 DMA").replace("[]: 0 0", "[]: 0 3000 17000 17000")
    made = scenario("-", text=low)

    assert made.exit_code == 2
    assert "Node 0 DMA keeps 17,000 pages back" in " ".join(made.output.split())


def ran(report: str, tmp_path: Path) -> Result:
    """A short run of the scenario that is made from a report."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(scenario("-", text=report).output)
    return CliRunner().invoke(
        main,
        [
            "run", str(mine), "replicates=2", "clock.measure=2s", "--no-ray", "--no-report",
            "--out", str(tmp_path / "out"),
        ],
    )  # fmt: skip


def test_a_run_ends_in_a_ranking(tmp_path: Path) -> None:
    """`study run` of the scenario ends with the cures, best first; its own settings among them."""
    done = ran(ATOMIC, tmp_path)
    text = done.output.partition("For this machine:")[2]

    assert done.exit_code == 0, done.output
    assert "as-reported" in text
    assert "serves" in text
    assert "100 % of the replicates" in " ".join(text.split())


def test_what_refuses_nothing_is_not_ranked(tmp_path: Path) -> None:
    """A request that is always served leaves nothing to rank, and that is said instead."""
    easy = ATOMIC.replace("order:3", "order:0").replace("min:3800kB", "min:380kB")
    easy = easy.replace("low:4748kB", "low:474kB").replace("high:5700kB", "high:570kB")
    done = ran(easy, tmp_path)

    assert done.exit_code == 0, done.output
    assert "Refuses nothing" in " ".join(done.output.split())
    assert "For this machine:" not in done.output
