"""The table of what a trace holds, with nothing beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from study.cli import main
from study.replay.contents import EVENTS_MOST, KINDS_MOST, contents_of
from study.replay.demand import demand_of
from study.replay.replay import read_trace
from study.replay.trace import FAILED_PFN, Code
from study.zone.engine.enums import Gfp

pytestmark = pytest.mark.quick

FTRACE = """\
  bash-1234  [003] .....   100.000000: mm_page_alloc: page=0xff pfn=0x100 order=0 migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE
  bash-1234  [003] .....   100.250000: mm_page_alloc: page=0xff pfn=0x200 order=3 migratetype=0 gfp_flags=GFP_KERNEL|__GFP_COMP
  Web Content-99 [001] .....   101.000000: mm_page_alloc: page=0xff pfn=0x0 order=9 migratetype=1 gfp_flags=GFP_TRANSHUGE_LIGHT
  bash-1234  [003] .....   102.000000: mm_page_free: page=0xff pfn=0x100 order=0
  bash-1234  [003] .....   103.250000: mm_page_free: page=0xff pfn=0x200 order=3
  bash-1234  [003] .....   104.000000: mm_page_alloc_extfrag: page=0xff pfn=0x300 alloc_order=0 fallback_order=4 pageblock_order=9 alloc_migratetype=0 fallback_migratetype=1 fragmenting=1 change_ownership=0
  bash-1234  [003] .....   104.500000: mm_page_alloc_extfrag: page=0xff pfn=0x400 alloc_order=0 fallback_order=10 pageblock_order=9 alloc_migratetype=0 fallback_migratetype=1 fragmenting=0 change_ownership=1
"""  # noqa: E501


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.txt"
    path.write_text(FTRACE)
    return path


def test_everything_is_counted(trace: Path) -> None:
    """Requests by order, flags and task, what failed, times, lifetimes and fallbacks."""
    held = contents_of(trace, read_trace(trace)).plain()

    assert held["orders"] == {"0": 1, "3": 1, "9": 1}
    assert (held["requests"], held["failed"]) == (3, 1)
    assert held["flags"]["GFP_KERNEL|__GFP_COMP"] == 1
    assert held["callers"] == {"bash": 2, "Web Content": 1}
    assert held["seconds"] == pytest.approx(4.5)
    assert held["busiest_second"] == 2
    assert held["lifetimes"] == 2
    assert held["lifetime_quartiles_s"][1] == pytest.approx(2.5)
    assert (held["fallbacks"], held["serious_fallbacks"]) == (2, 1)


def test_columns_say_what_they_have(excerpts: Path) -> None:
    """A columnar trace has events, orders and fallbacks, but neither flags nor times."""
    path = excerpts / "trace_steal.npz"
    held = contents_of(path, read_trace(path)).plain()

    assert held["events"]["mm_page_alloc"] == held["requests"] > 0
    assert held["flags"] == {}
    assert held["seconds"] is None


def test_orders_that_no_kernel_has_are_counted_together(tmp_path: Path) -> None:
    """However many an archive has, what is kept and shown has an end."""
    path = tmp_path / "trace_o.npz"
    order = np.arange(-500, 500) * (1 << 40)
    order[:3] = (0, 20, 21)
    none = np.zeros(len(order), np.int64)
    np.savez(path, ev=none + 1, pfn=none, order=order, mt=none, aux=none)

    held = contents_of(path, read_trace(path)).plain()

    assert held["orders"] == {"0": 2, "20": 1, "others": 997}
    assert held["requests"] == 1000


@pytest.mark.parametrize("place", ["kp_{}", "flags", "caller"])
def test_of_many_names_the_last_are_counted_together(tmp_path: Path, place: str) -> None:
    """Nor does a text with ever new events, flags or callers take ever more memory."""
    path = tmp_path / "trace.txt"
    count = KINDS_MOST + 1_000
    with path.open("w") as file:
        file.write(FTRACE)
        for number in range(count):
            caller = f"x{number}" if place == "caller" else "bash"
            event = f"kp_{number}" if place == "kp_{}" else "mm_page_alloc"
            flags = f"F{number}" if place == "flags" else "GFP_KERNEL"
            file.write(
                f"  {caller}-12  [003] .....   100.000000: {event}: page=0xff pfn=0x100 order=0 "
                f"migratetype=1 gfp_flags={flags}\n"
            )

    found = contents_of(path, read_trace(path))

    assert max(len(found.events), len(found.flags), len(found.callers)) == KINDS_MOST + 1
    assert len(found.plain()["events"]) <= EVENTS_MOST + 1
    assert found.events.total() == sum(found.plain()["events"].values()) == count + 7
    counted = {"kp_{}": found.events, "flags": found.flags, "caller": found.callers}[place]
    assert counted["others"] > 900


@pytest.mark.parametrize(
    "line",
    [
        (
            " 0)               |  /* mm_page_alloc: page=ffffea000411b380 pfn=1066702 order=2 "
            "migratetype=0 gfp_flags=GFP_KERNEL */"
        ),
        (
            "perf  6429 [000]    22.498450:  kmem:mm_page_alloc: page=0x176a17 pfn=1534487 order=2 "
            "migratetype=0 gfp_flags=GFP_KERNEL"
        ),
        (
            "  imap-20599 [002] 1287672.803567: mm_page_alloc: page=0xffffea00004536c0 pfn=4536000 "
            "order=2 migratetype=0 gfp_flags=GFP_KERNEL"
        ),
    ],
)
def test_every_tracers_form_is_counted(tmp_path: Path, line: str) -> None:
    """function_graph, perf script and the plain form of all years."""
    path = tmp_path / "trace.txt"
    path.write_text(line + "\n")
    held = contents_of(path, read_trace(path)).plain()

    assert held["orders"] == {"2": 1}
    assert held["flags"] == {"GFP_KERNEL": 1}


def test_a_trace_without_free_lists_still_says_something(trace: Path) -> None:
    """The table comes first, whatever could not be compared; --json has it too."""
    shown = CliRunner().invoke(main, ["replay", str(trace)])
    told = json.loads(CliRunner().invoke(main, ["replay", "--json", str(trace)]).output)

    assert shown.exit_code == 0
    assert "requests by order" in shown.output
    assert "serious" in shown.output
    assert shown.output.index("requests by order") < shown.output.index("not compared")
    assert told["contents"]["orders"] == {"0": 1, "3": 1, "9": 1}


RAW = """\
cpus=4
  trace-cmd-22020 [003] 105219.542610: mm_page_alloc:        [FAILED TO PARSE] pfn=0x165cb4 order=2 gfp_flags=29491274 migratetype=1
  trace-cmd-22020 [003] 105219.542710: mm_page_alloc:        [FAILED TO PARSE] pfn=0xffffffffffffffff order=3 gfp_flags=29491274 migratetype=1
  trace-cmd-22020 [003] 105219.542810: mm_page_free:         [FAILED TO PARSE] pfn=0x165cb4 order=2
  trace-cmd-22020 [003] 105219.542910: mm_page_free:         [FAILED TO PARSE] page=0xffffea0005972d00 order=2
"""  # noqa: E501


def test_events_that_trace_cmd_could_not_parse_are_read_as_recorded(tmp_path: Path) -> None:
    """Without the map's address it prints bare fields: enough, with the address of a page too."""
    path = tmp_path / "trace.txt"
    path.write_text(RAW)

    found = contents_of(path, read_trace(path))
    shown = CliRunner().invoke(main, ["replay", str(path)])
    demand = demand_of(path)

    assert (found.plain()["orders"], found.failed) == ({"2": 1, "3": 1}, 1)
    assert found.lifetimes == pytest.approx([0.0002], abs=1e-6)
    assert (found.unparsed, found.by_address) == (4, 1)
    assert "4 as trace-cmd found them recorded" in shown.output
    assert "1 have no pfn" in " ".join(shown.output.split())
    assert demand.order.tolist() == [2, 3]
    assert demand.served.tolist() == [True, False]
    assert demand.hold_us[0] == 200


def test_lines_of_buddyinfo_in_a_trace_are_told(tmp_path: Path) -> None:
    """From a loop or a marker: counted, no unreadable lines, and it is said what they lack."""
    table = "Node 0, zone   Normal   1046    527    128     36     17      5     26     40"
    path = tmp_path / "trace.txt"
    path.write_text(
        f"{FTRACE}Tue Dec  1 02:00:00 UTC 2020\n{table}\n"
        f"  sh-9  [001] .....   105.000000: tracing_mark_write: {table}\n"
    )

    trace = read_trace(path)
    shown = CliRunner().invoke(main, ["replay", str(path)])

    assert contents_of(path, trace).buddyinfo == 2
    assert trace.oddities == {"unreadable_lines": 1}, "the date alone"
    assert "2 lines of /proc/buddyinfo, not compared" in shown.output


BEFORE_4_1 = """\
   bash-9 [000]  1.000000: mm_page_alloc:        [FAILED TO PARSE] page=0xffffea0000001{0} order=1 gfp_flags=131610 migratetype=2
   bash-9 [000]  1.000100: mm_page_alloc:        [FAILED TO PARSE] page=0x0 order=3 gfp_flags=16416 migratetype=0
   bash-9 [000]  1.000200: mm_page_alloc_extfrag: [FAILED TO PARSE] page=0xffffea0000001{0} alloc_order=1 fallback_order=4 alloc_migratetype=0 fallback_migratetype=2
   bash-9 [000]  1.000300: mm_page_free:         [FAILED TO PARSE] page=0xffffea0000001{0} order=1
"""  # noqa: E501


@pytest.mark.parametrize(
    ("digits", "pfn", "unplaced"), [("180", 0x1180 // 64, 0), ("0a0", 76, 0), ("004", None, 3)]
)
def test_pages_that_are_told_by_address_alone_are_read(
    tmp_path: Path, digits: str, pfn: int | None, unplaced: int
) -> None:
    """As recorded before 4.1: a struct page has 64 or 56 bytes; else it is a page all the same."""
    path = tmp_path / "trace.txt"
    path.write_text(BEFORE_4_1.format(digits))

    trace = read_trace(path)
    found = contents_of(path, trace)
    demand = demand_of(path)

    assert trace.oddities.get("unplaced_pages", 0) == unplaced
    if pfn is not None:
        assert trace.pfn.tolist() == [pfn, FAILED_PFN, pfn, pfn]
        assert found.fallbacks == 1
    assert (found.plain()["orders"], found.failed) == ({"1": 1, "3": 1}, 1)
    assert found.lifetimes == pytest.approx([0.0003], abs=1e-6)
    assert demand.hold_us[0] == 300
    assert demand.served.tolist() == [True, False]
    # 0x4020: GFP_ATOMIC|__GFP_COMP of those kernels, which had no bit for not waiting.
    assert [gfp & Gfp.WAIT > 0 for gfp in demand.gfp.tolist()] == [True, False]


def test_one_damaged_address_does_not_move_the_others(tmp_path: Path) -> None:
    """A struct page of 56 bytes is known by the addresses that fit it, though one fits nothing."""
    path = tmp_path / "trace.txt"
    path.write_text(BEFORE_4_1.format("0a0") + BEFORE_4_1.format("004").splitlines()[-1] + "\n")

    trace = read_trace(path)

    assert trace.oddities["unplaced_pages"] == 1
    assert trace.pfn.tolist()[:4] == [76, FAILED_PFN, 76, 76]


def test_events_of_2_6_32_are_requests_and_frees(tmp_path: Path) -> None:
    """Frees had two other names up to 3.2."""
    path = tmp_path / "trace.txt"
    path.write_text(
        "  sh-9  [000]  4.000100: mm_page_alloc: page=ffffea00000010a0 pfn=76 order=0 "
        "migratetype=0 gfp_flags=GFP_KERNEL\n"
        "  sh-9  [000]  4.000200: mm_page_free_direct: page=ffffea00000010a0 pfn=76 order=0\n"
        "  sh-9  [000]  4.000300: mm_pagevec_free: page=ffffea00000010d8 pfn=77 order=0 cold=0\n"
    )

    assert read_trace(path).code.tolist() == [Code.ALLOC, Code.FREE, Code.FREE]
