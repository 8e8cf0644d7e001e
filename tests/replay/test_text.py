"""Traces as the kernel, trace-cmd and perf print them, and what is wrong with such files."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pytest
from click.testing import CliRunner

from study.cli import main
from study.replay.columnar import read_columnar
from study.replay.ftrace import read_text
from study.replay.replay import replay
from study.replay.trace import Code, ReplayError

pytestmark = pytest.mark.quick

STYLES = ["trace", "trace-cmd", "perf"]
MATTERS = [Code.ALLOC, Code.FREE, Code.ZONE_LOCKED, Code.PCPU_DRAIN, Code.EXTFRAG]
MATTERS += [Code.ISOLATE, Code.SET_TYPE, Code.FREE_ONE]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["steal", "compact", "end"])
def test_text_reads_as_the_columns_do(excerpts, tmp_path, as_text, name, style):
    """Every row that matters has the same numbers whichever way it was printed."""
    columns = read_columnar(excerpts / f"trace_{name}.npz")
    path = tmp_path / "trace.txt"
    path.write_text(as_text(excerpts / f"trace_{name}.npz", style))

    text = read_text(path)

    assert not any(text.oddities.values())
    assert text.rows == columns.rows
    matter = np.isin(columns.code, MATTERS)
    for column in ("code", "pfn", "order"):
        same = getattr(text, column)[matter] == getattr(columns, column)[matter]
        assert same.all(), column
    typed = np.isin(columns.code, [Code.ZONE_LOCKED, Code.PCPU_DRAIN, Code.EXTFRAG, Code.SET_TYPE])
    assert (text.migratetype[typed] == columns.migratetype[typed]).all()
    told = np.isin(columns.code, [Code.EXTFRAG, Code.ISOLATE])
    assert (text.aux[told] == columns.aux[told]).all()


@pytest.mark.parametrize("style", STYLES)
def test_text_replays_as_the_columns_do(excerpts, tmp_path, beside, as_text, style):
    """Compressed text with siblings gives the result of the columns."""
    path = tmp_path / "trace_text.txt.gz"
    text = as_text(excerpts / "trace_end.npz", style)
    path.write_bytes(gzip.compress(text.encode()))
    beside("end", "text")

    ours, columns = replay(path), replay(excerpts / "trace_end.npz")

    assert ours.snapshots_exact == columns.snapshots_exact == 7
    assert ours.pfn_exact == columns.pfn_exact
    assert ours.irregularities == columns.irregularities


def test_pages_are_found_wherever_the_kernel_put_its_map(excerpts, tmp_path, as_text):
    """With KASLR the base of struct page is worked out from a row that has both numbers."""
    path = tmp_path / "trace.txt"
    path.write_text(as_text(excerpts / "trace_end.npz", "trace", vmemmap=0xFFFFF5E440000000))
    columns = read_columnar(excerpts / "trace_end.npz")

    text = read_text(path)

    isolated = columns.code == Code.ISOLATE
    assert isolated.any()
    assert (text.pfn[isolated] == columns.pfn[isolated]).all()


def test_the_kernels_own_text_is_read(excerpts):
    """The first lines of a trace and a mix of rare events, as the kernel printed them."""
    head = read_text(excerpts / "trace_head_hiorder.txt.gz")
    rare = read_text(excerpts / "trace_text_rare_hiorder.txt.gz")

    # 700 lines, 12 of them header; the ring held 1,418,487 entries.
    assert head.rows == 688
    assert head.oddities["rows_cut_off"] == 1_418_487 - 688
    assert "unreadable_lines" not in head.oddities
    assert {Code.EXTFRAG, Code.SET_TYPE, Code.ISOLATE} <= set(rare.code.tolist())
    assert "unreadable_lines" not in rare.oddities
    assert rare.pfn[rare.code == Code.EXTFRAG][0] == 0xFE00


LINE = " cat-7 [000] d..3. 1.000001: mm_page_free: page=0000000012345678 pfn=0x40 order=0\n"


@pytest.mark.parametrize(
    ("text", "kind", "count"),
    [
        ("CPU:0 [LOST 1234 EVENTS]\n", "lost_events", 1234),
        ("CPU:1 [LOST EVENTS]\n", "lost_events", 1),
        ("CPU:0 [17 EVENTS DROPPED]\n", "lost_events", 17),
        ("perf 9 [001] 1.5: PERF_RECORD_LOST lost 12\n", "lost_events", 12),
        ("# entries-in-buffer/entries-written: 1/9   #P:4\n", "lost_events", 8),
        ("# entries-in-buffer/entries-written: 5/5   #P:4\n", "rows_cut_off", 4),
        ("        ffffffff811 [unknown]\n", "unreadable_lines", 1),
        (" cat-7 [000] d..3. 1.000001: mm_page_free: page=0000000012345", "unreadable_lines", 1),
        (
            "x-1 [000] 1.000002: mm_page_alloc: page=(nil) pfn=0x0 order=3 migratetype=0\n",
            "failed_allocations",
            1,
        ),
        (
            "x-1 [000] 1.000002: mm_page_alloc: page=0 pfn=18446744073709551615 order=3\n",
            "failed_allocations",
            1,
        ),
    ],
)
def test_what_is_missing_from_a_text_is_counted(tmp_path, text, kind, count):
    """Lost events, lines that cannot be read and failed allocations show in the report."""
    path = tmp_path / "trace.txt"
    path.write_text(LINE + text)

    result = replay(path)

    assert result.irregularities[kind] == count
    assert sum(result.irregularities.values()) == count + 1, "and the free of an older page"


def test_decimal_page_numbers_are_read(tmp_path):
    """Kernels before 5.13 print page numbers in decimal."""
    path = tmp_path / "trace.txt"
    path.write_text(LINE.replace("0x40", "64"))

    assert read_text(path).pfn.tolist() == [64]


def test_the_head_of_a_report_is_no_fault(tmp_path):
    """What trace-cmd and the kernel print around the events is not counted as unreadable."""
    path = tmp_path / "trace.txt"
    head = (
        "version = 6\nCPU 1 is empty\ncpus=2\n# tracer: nop\n#\n##### CPU 1 buffer started ####\n"
    )
    path.write_text(head + LINE)

    trace = read_text(path)

    assert trace.rows == 1
    assert not any(trace.oddities.values())


def make_npz(**columns: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    np.savez_compressed(file, **columns)
    return file.getvalue()


ONE = {name: np.ones(3, np.int64) for name in ("ev", "pfn", "order", "mt", "aux")}
GOOD = make_npz(**ONE)

UNUSABLE = {
    "empty.txt": (b"", "empty"),
    "cut.npz": (GOOD[: len(GOOD) // 2], "cut off or damaged"),
    "flipped.npz": (GOOD[:60] + b"\xff\xff\xff" + GOOD[63:], "cut off or damaged"),
    "noise.npz": (bytes(range(256)) * 4, "cut off or damaged"),
    "columns.npz": (make_npz(ev=np.ones(3, np.int64)), "no column 'pfn'"),
    "uneven.npz": (make_npz(**(ONE | {"aux": np.ones(2, np.int64)})), "'aux' has 2 rows"),
    "reals.npz": (make_npz(**(ONE | {"pfn": np.ones(3)})), "'pfn' is no vector of whole numbers"),
    "objects.npz": (
        make_npz(**(ONE | {"pfn": np.array([{}, {}, {}], object)})),
        "cut off or damaged",
    ),
    "cut.txt.gz": (gzip.compress(os.urandom(99).hex().encode() * 50)[:80], "cut off or damaged"),
    "noise.txt": (b"\x7fELF\0\0\0\0", "neither text nor a numpy archive"),
    "poem.txt": (b"Whan that Aprille\n", "no event in it"),
    "sched.txt": (b" cat-7 [000] 1.000001: sched_switch: prev=cat\n", "no event of the page"),
    "trace.dat": (b"\x17\x08\x44tracing6\0", "trace-cmd report"),
    "perf.data": (b"PERFILE2" + bytes(32), "perf script"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_file_gets_one_line(tmp_path, name):
    """Cut off, foreign or corrupt input ends with status 2 and one line that names the file."""
    content, why = UNUSABLE[name]
    path = tmp_path / name
    path.write_bytes(content)

    answer = CliRunner().invoke(main, ["replay", str(path), "--json"])

    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 1
    assert answer.stderr.startswith(f"study: {path}: ")
    assert why in answer.stderr


def test_a_bad_trace_does_not_hide_a_good_one(excerpts, tmp_path):
    """The others are replayed; the status still says that one could not be."""
    good = str(excerpts / "trace_net.npz")

    answer = CliRunner().invoke(main, ["replay", str(tmp_path / "none.npz"), good, "--json"])

    assert answer.exit_code == 2
    assert "No such file" in answer.stderr
    assert len(answer.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("sibling", "content"),
    [
        ("snapshots_net", b"{"),
        ("snapshots_net", b'{"snapshots": [{"idx_buddyinfo": 1, "buddyinfo": {"DMA": [1]}}]}'),
        ("snapshots_net", b'{"meta": {"memdumps": [{"n": "x"}]}, "snapshots": []}'),
        ("freelists_net_0", b"[]"),
        ("freelists_net_0", b'{"pageblock_mt": []}'),
        (
            "freelists_net_0",
            (
                b'{"DMA": {"start_pfn": 0, "spanned": 64, "free_list": '
                b'{"0": {"Movable": [3, 3]}}}, "pageblock_mt": [1]}'
            ),
        ),
        (
            "freelists_net_0",
            (
                b'{"DMA": {"start_pfn": 0, "spanned": 64, "free_list": '
                b'{"1": {"Movable": [3]}}}, "pageblock_mt": [1]}'
            ),
        ),
    ],
)
def test_an_unusable_sibling_gets_one_line(excerpts, tmp_path, beside, sibling, content):
    """A file beside the trace that cannot be used is refused by name, not passed over."""
    trace = tmp_path / "trace_net.npz"
    trace.write_bytes((excerpts / "trace_net.npz").read_bytes())
    beside("net", "net")
    path = tmp_path / f"{sibling}.json.gz"
    path.unlink()
    path.write_bytes(gzip.compress(content))

    with pytest.raises(ReplayError, match=path.name) as fault:
        replay(trace)

    assert len(str(fault.value).splitlines()) == 1
