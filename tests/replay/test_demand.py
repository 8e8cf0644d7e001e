"""A trace's demand: requests with their ends, in every form in which traces are written."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from study.replay.demand import demand_of, recorded_load
from study.replay.trace import ReplayError
from study.zone.demand import Use, rows_of
from study.zone.engine.enums import Gfp

DATA = Path(__file__).parent.parent / "data" / "kernel-traces"
USER = "GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO"
READ = "GFP_NOFS|__GFP_COMP|__GFP_HARDWALL|__GFP_HIGHMEM|__GFP_MOVABLE|__GFP_NORETRY|__GFP_NOWARN"
# Task, pid, us, event, pfn, order, flags: what each form below tells in its own way.
EVENTS = [
    ("cat", 202, 1_000, "mm_page_alloc", 4096, 0, READ),
    ("sshd", 31, 1_500, "mm_page_alloc", 8192, 3, "GFP_ATOMIC|__GFP_COMP"),
    ("sshd", 31, 2_250, "mm_page_free", 8192, 3, ""),
    ("sh", 7, 3_000, "mm_page_alloc", 4100, 0, USER),
    ("kswapd0", 38, 4_000, "mm_page_free", 4096, 0, ""),
    ("kswapd0", 38, 4_001, "mm_page_free_batched", 4096, 0, ""),
    ("sh", 7, 5_000, "mm_page_alloc", 8192, 2, "GFP_KERNEL"),
    ("sh", 7, 5_100, "mm_vmscan_direct_reclaim_begin", 0, 0, ""),
    ("sh", 7, 5_200, "mm_page_free", 4100, 0, ""),
    ("sh", 7, 5_300, "mm_vmscan_direct_reclaim_end", 0, 0, ""),
    ("sh", 7, 6_000, "mm_page_free", 9999, 0, ""),
    ("sh", 7, 7_000, "mm_page_alloc", 0, 6, "GFP_KERNEL|__GFP_NORETRY"),
]


def told(event: str, pfn: int, order: int, flags: str) -> str:
    page = "(nil)" if pfn == 0 else f"{0xFFFFEA0000000000 + 64 * pfn:#x}"
    where = f"page={page} pfn={pfn:#x} order={order}"
    if event == "mm_page_alloc":
        return f"{where} migratetype=1 gfp_flags={flags}"
    return "order=0 gfp_flags=GFP_KERNEL" if event.startswith("mm_vmscan") else where


def ftrace(task: str, pid: int, us: int, event: str, *more: object) -> str:
    return f"{task:>16}-{pid:<7} [000] d..3.  {us / 1e6:.6f}: {event}: {told(event, *more)}\n"  # type: ignore[arg-type]


def trace_cmd(task: str, pid: int, us: int, event: str, *more: object) -> str:
    return f"{task:>16}-{pid:<5} [000] {us / 1e6:12.6f}: {event + ':':21} {told(event, *more)}\n"  # type: ignore[arg-type]


def perf(task: str, pid: int, us: int, event: str, *more: object) -> str:
    system = "vmscan" if event.startswith("mm_vmscan") else "kmem"
    return f"{task:>15} {pid:>5} [000] {us / 1e6:12.6f}: {system}:{event}: {told(event, *more)}\n"  # type: ignore[arg-type]


HEADS = {ftrace: "# tracer: nop\n#\n", trace_cmd: "cpus=1\n", perf: ""}


@pytest.fixture(params=[*HEADS, None], ids=["ftrace", "trace-cmd", "perf", "columns"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The events in one of the forms."""
    form: Callable[..., str] | None = request.param
    if form is None:
        return columns(tmp_path / "trace_few.npz")
    path = tmp_path / "trace_few.txt.gz"
    text = HEADS[form] + "".join(form(*event) for event in EVENTS)
    path.write_bytes(gzip.compress(text.encode()))
    return path


MASKS = {READ: 0x152C4A, USER: 0x140DCA, "GFP_ATOMIC|__GFP_COMP": 0x40A20, "GFP_KERNEL": 0xCC0}
MASKS["GFP_KERNEL|__GFP_NORETRY"] = 0x10CC0
CODES = {
    "mm_page_alloc": 1, "mm_page_free": 2, "mm_page_free_batched": 3,
    "mm_vmscan_direct_reclaim_begin": 33, "mm_vmscan_direct_reclaim_end": 34,
}  # fmt: skip


def columns(path: Path, without: str = "") -> Path:
    """The same events as columns of a 6.1 kernel; kswapd is who goes to sleep as kswapd."""
    rows = [
        (CODES[event], us, 0xFFFFFFFF if event == "mm_page_alloc" and not pfn else pfn, order,
         MASKS.get(flags, 0), pid)
        for _, pid, us, event, pfn, order, flags in EVENTS
    ]  # fmt: skip
    rows.append((31, 7_000, 0, 0, 0, 38))
    code, us, pfn, order, gfp, pid = np.array(rows, np.int64).T
    at = {"ev": code, "dt_us": np.diff(us, prepend=us[0]), "pfn": pfn, "order": order,
          "gfp": gfp, "pid": pid, "mt": 0 * code, "aux": 0 * code}  # fmt: skip
    at.pop(without, None)
    np.savez_compressed(path, **at)
    return path


def test_each_request_has_its_flags_order_time_and_end(written: Path) -> None:
    """Every form tells the same: what was asked for when, and when each was given back."""
    found = demand_of(written)

    assert found.at_us.tolist() == [0, 500, 2_000, 4_000, 6_000]
    assert found.order.tolist() == [0, 3, 0, 2, 6]
    assert found.served.tolist() == [True, True, True, True, False]
    # The third ends in direct reclaim, the fourth never, and the last was never served.
    assert found.hold_us.tolist() == [3_000, 750, 2_200, 6_000, 1_000]
    assert found.use.tolist() == [
        Use.FILE | Use.RECLAIMED, 0, Use.ANON | Use.WRITTEN | Use.RECLAIMED, 0, 0,
    ]  # fmt: skip
    assert [int(bits) & (Gfp.WAIT | Gfp.HIGH) for bits in found.gfp] == [
        Gfp.WAIT, Gfp.HIGH, Gfp.WAIT, Gfp.WAIT, Gfp.WAIT,
    ]  # fmt: skip
    assert found.gfp[0] & Gfp.NOFS
    assert found.gfp[0] & Gfp.MOVABLE
    assert found.gfp[4] & Gfp.NORETRY
    assert found.length_us == 6_000
    assert found.left_out["frees_of_pages_in_use_at_the_start"] == 1
    assert found.left_out["requests_whose_free_is_not_seen"] == 1


def test_it_becomes_a_load(written: Path) -> None:
    """The load has the requests of the demand, in nanoseconds."""
    load = recorded_load(written)

    assert rows_of(load)["at"].tolist() == [0, 500_000, 2_000_000, 4_000_000, 6_000_000]
    assert load.length_ns == 6_000_000


def test_a_file_becomes_a_load_once_until_its_content_changes(tmp_path: Path) -> None:
    """Reading takes seconds; neither its name nor its times say that a file is as it was."""
    path = tmp_path / "trace.txt"
    text = "".join(ftrace(*event) for event in EVENTS)
    path.write_text(text)
    before = path.stat()
    first, again = recorded_load(path), recorded_load(path)
    path.write_text(text.replace("order=2", "order=1"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    other = recorded_load(path)

    assert again is first
    assert path.stat().st_size == before.st_size
    assert other.digest != first.digest
    assert rows_of(other)["order"].tolist() == [0, 3, 0, 1, 6]


def test_text_as_a_kernel_printed_it_is_a_load() -> None:
    """The head of a recorded 6.1 trace: requests that may wait and others, of several types."""
    found = demand_of(DATA / "trace_head_hiorder.txt.gz")

    assert len(found.at_us) > 100
    assert (np.diff(found.at_us) >= 0).all()
    for flag in (Gfp.WAIT, Gfp.MOVABLE, Gfp.NORETRY):
        assert 0 < (found.gfp & flag > 0).sum() < len(found.gfp)
    assert (found.hold_us >= 0).all()


def llfree(path: Path) -> Path:
    """The requests and frees as LLFree's evaluation writes traces, on two processors."""
    entries: list[list[int]] = [[], []]
    for _, pid, us, event, pfn, order, flags in EVENTS:
        if event in ("mm_page_alloc", "mm_page_free") and pfn:
            mask = MASKS.get(flags, 0) | (1 << 28 if flags == READ else 0)
            word = us | pfn << 38 | (event == "mm_page_alloc") << 62
            entries[pid % 2].append(word | order << 63 | mask << 67 | pid << 96)
    content = struct.pack("<III", 2, 2, 9999).ljust(4096, b"\0")
    for core, own in enumerate(entries):
        words = b"".join(word.to_bytes(16, "little") for word in own)
        content += (struct.pack("<I", core).ljust(16, b"\0") + words).ljust(4096, b"\0")
    path.write_bytes(content)
    return path


def test_a_trace_of_llfree_is_a_load(tmp_path: Path) -> None:
    """Its 128-bit entries, page by page and processor by processor, tell the same demand."""
    found = demand_of(llfree(tmp_path / "trace.bin"))

    assert found.at_us.tolist() == [0, 500, 2_000, 4_000]
    assert found.order.tolist() == [0, 3, 0, 2]
    assert found.hold_us.tolist() == [3_000, 750, 2_200, 5_000]
    # It does not say whose frees were reclaim's.
    assert found.use.tolist() == [Use.FILE, 0, Use.ANON | Use.WRITTEN, 0]
    assert found.length_us == 5_000


def test_what_only_looks_like_a_trace_of_llfree_is_refused(tmp_path: Path) -> None:
    """The right size and head, and nothing or nonsense behind it."""
    head = struct.pack("<III", 1, 1, 9).ljust(4096, b"\0")
    path = tmp_path / "trace.bin"
    for page in (b"\0" * 4096, b"\xff" * 4096):
        path.write_bytes(head + page)
        with pytest.raises(ReplayError, match="no entries"):
            demand_of(path)
    path.write_bytes(head)
    with pytest.raises(ReplayError, match="neither text nor"):
        demand_of(path)


@pytest.mark.parametrize("column", ["dt_us", "gfp", "pid"])
def test_columns_without_times_or_flags_are_no_load(tmp_path: Path, column: str) -> None:
    """Older columns can be replayed, and are refused as a load with the column that is missing."""
    path = columns(tmp_path / "trace_old.npz", without=column)
    with pytest.raises(ReplayError, match=f"no column '{column}'"):
        demand_of(path)


@pytest.mark.parametrize("step", [-(1 << 63), (1 << 63) - 1, -(10**15), 10**15])
def test_times_that_no_recording_has_are_named(tmp_path: Path, step: int) -> None:
    """Steps whose sum leaves 64 bits, or a lifetime, are no times."""
    path = columns(tmp_path / "trace_late.npz")
    at = dict(np.load(path))
    at["dt_us"][1] = step
    np.savez_compressed(path, **at)
    with pytest.raises(ReplayError, match=r"'dt_us' adds up to more than .* \(30 years\)"):
        demand_of(path)


@pytest.mark.parametrize("text", ["", "nothing\n", ftrace(*EVENTS[2])])
def test_what_holds_no_request_is_refused(tmp_path: Path, text: str) -> None:
    """An empty file, some other text, or frees alone."""
    path = tmp_path / "trace_none.txt"
    path.write_text(text)
    with pytest.raises(ReplayError, match="no request"):
        demand_of(path)


def test_a_failed_request_is_held_as_one_alike_was(tmp_path: Path) -> None:
    """As the last one of its order and flags that was served, or the first, or a millisecond."""
    atomic, kernel = "GFP_ATOMIC|__GFP_COMP", "GFP_KERNEL"
    rows = [(0, 3, atomic), (16, 3, atomic), (0, 3, atomic), (0, 3, kernel), (32, 3, atomic),
            (0, 2, atomic), (0, 3, atomic)]  # fmt: skip
    events = [
        ("nic", 5, 1_000 * (i + 1), "mm_page_alloc", pfn, order, flags)
        for i, (pfn, order, flags) in enumerate(rows)
    ]
    frees = [("nic", 5, 20_000, "mm_page_free", 16, 3, ""), ("nic", 5, 30_000, "mm_page_free", 32,
             3, "")]  # fmt: skip
    path = tmp_path / "trace_failed.txt"
    path.write_text("".join(ftrace(*event) for event in (*events, *frees)))
    found = demand_of(path)

    assert found.served.tolist() == [False, True, False, False, True, False, False]
    # Of what was never served alike, as of order 3 with GFP_KERNEL, nothing is known.
    assert found.hold_us.tolist() == [18_000, 18_000, 18_000, 1_000, 25_000, 1_000, 25_000]


def test_an_hour_of_silence_is_no_load(tmp_path: Path) -> None:
    """A gap that no load of a study has is told, not cut short."""
    path = tmp_path / "trace_silent.txt"
    late = ("sh", 7, 3_700_000_000, "mm_page_alloc", 8, 0, "GFP_KERNEL")
    path.write_text(ftrace(*EVENTS[0]) + ftrace(*late))
    with pytest.raises(ReplayError, match="over an hour"):
        recorded_load(path)


def test_an_hour_before_the_first_request_is_silence_too(tmp_path: Path) -> None:
    """Its time would not fit beside those of the others."""
    path = tmp_path / "trace_late.txt"
    first, last = (ftrace("sh", 7, at, what, 8, 0, flags) for at, what, flags in (
        (0, "mm_page_free", ""), (4_300_000_000, "mm_page_alloc", "GFP_KERNEL")
    ))  # fmt: skip
    path.write_text(first + last)
    with pytest.raises(ReplayError, match="over an hour"):
        demand_of(path)


def test_more_requests_than_a_machine_makes_are_no_load(tmp_path: Path) -> None:
    """Ten in a microsecond."""
    path = tmp_path / "trace_burst.txt"
    path.write_text(ftrace("sh", 7, 5, "mm_page_alloc", 8, 0, "GFP_KERNEL") * 200)
    with pytest.raises(ReplayError, match="those of no machine"):
        demand_of(path)


def test_empty_columns_hold_no_request(tmp_path: Path) -> None:
    """And no row that time could begin with."""
    path = tmp_path / "trace_empty.npz"
    names = ("ev", "dt_us", "pfn", "order", "gfp", "pid")
    np.savez(path, **{name: np.zeros(0, np.int64) for name in names})
    with pytest.raises(ReplayError, match="no request in it"):
        demand_of(path)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_text_is_a_demand_or_a_reason(tmp_path: Path, seed: int) -> None:
    """Whatever is left of a trace's lines, there is a load in it or a reason why there is none."""
    dice = np.random.default_rng(seed)
    text = bytearray(gzip.decompress((DATA / "trace_head_hiorder.txt.gz").read_bytes()))
    for at in dice.integers(0, len(text), 4_000):
        text[at] = dice.integers(32, 127)
    start = int(dice.integers(0, len(text)))
    path = tmp_path / "trace_damaged.txt"
    path.write_bytes(bytes(text[start : start + int(dice.integers(1, 60_000))]))
    try:
        load = recorded_load(path)
    except ReplayError:
        return
    assert len(rows_of(load)) == load.nr_requests > 0


def test_processors_may_be_interleaved(tmp_path: Path) -> None:
    """Lines that are a little out of order are put in order by their times."""
    path = tmp_path / "trace_smp.txt"
    path.write_text("".join(ftrace(*event) for event in (*EVENTS[1:4], EVENTS[0], *EVENTS[4:])))

    assert demand_of(path).at_us.tolist() == [0, 500, 2_000, 4_000, 6_000]
