"""Whatever a trace or a file beside it holds: a comparison or one line, in bounded memory and time.

A long run: FUZZ_EXAMPLES=20000 HYPOTHESIS_PROFILE=default pytest tests/replay/test_hostile.py
"""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.replay.files import LINE_BYTES_MAX, ROWS_MAX, lines_of
from study.replay.replay import Replay, lists_after, replay
from study.replay.trace import ReplayError

COLUMNS = ("ev", "pfn", "order", "mt", "aux")
LONGEST_S = 60
MEMORY_BYTES = 3 << 30
"""Of address space: an interpreter with numpy and the compiled zone takes one of them."""
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))

EVENT = b" cat-7 [000] d..3. 1.000001: mm_page_free: page=0000000012345678 pfn=0x40 order=0\n"
PROBE = b" cat-7 [000] d..3. 1.000002: %b: (f+0x0/0x2b0) %b\n"


def packed(**columns: np.ndarray) -> bytes:
    """An archive as numpy writes it."""
    file = io.BytesIO()
    np.savez_compressed(file, **columns)
    return file.getvalue()


def whole(rows: int = 3, **others: np.ndarray) -> bytes:
    """An archive of all columns."""
    return packed(**{name: np.ones(rows, np.int64) for name in COLUMNS} | others)


def header(shape: str, descr: str = "'|i1'") -> bytes:
    """What numpy writes before a vector's numbers."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def repeated(start: bytes, letter: bytes, times: int, block: int = 1 << 20) -> bytes:
    """Some bytes and then `times` blocks of one letter, deflated without ever being made."""
    head = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = head.compress(start) + head.flush(zlib.Z_FULL_FLUSH)
    body = zlib.compressobj(9, zlib.DEFLATED, -15)
    each = body.compress(letter * block) + body.flush(zlib.Z_FULL_FLUSH)
    return first + each * times + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def archive(members: dict[str, tuple[bytes, int]], **fields: int) -> bytes:
    """A zip of deflated members, each with the size that it declares.

    fields  of every entry, instead of what they should be: version, flags, method
    """
    version, flags = fields.get("version", 20), fields.get("flags", 0)
    method = fields.get("method", 8)
    out, table = b"", b""
    for name, (content, size) in members.items():
        about = struct.pack(
            "<HHHHHLLLHH", version, flags, method, 0, 0, 0, len(content), size, len(name), 0
        )
        table += b"PK\x01\x02" + struct.pack("<H", 20) + about
        table += struct.pack("<HHHLL", 0, 0, 0, 0, len(out)) + name.encode()
        out += b"PK\x03\x04" + about + name.encode() + content
    end = struct.pack("<HHHHLLH", 0, 0, len(members), len(members), len(table), len(out), 0)
    return out + table + b"PK\x05\x06" + end


def deflated(content: bytes) -> bytes:
    """Without header, as zip has it."""
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    return maker.compress(content) + maker.flush()


def declaring(shape: str, descr: str = "'|i1'", size: int | None = None, **fields: int) -> bytes:
    """An archive of five columns that declare a shape and hold eight bytes each."""
    content = header(shape, descr) + bytes(8)
    member = (deflated(content), len(content) if size is None else size)
    return archive({f"{name}.npy": member for name in COLUMNS}, **fields)


def huge() -> bytes:
    """Five columns of 3 x 10^9 bytes each in some megabytes, all as declared."""
    times = 2_860
    rows = times << 20
    member = (repeated(header(f"({rows},)"), b"\0", times), rows + 128)
    return archive({f"{name}.npy": member for name in COLUMNS})


def many_members(letter: bytes, count: int) -> bytes:
    """So many MiB of one letter, as gzip members one after the other."""
    return gzip.compress(letter * (1 << 20), mtime=0) * count


def probe(name: bytes, fields: bytes) -> bytes:
    """An event, and one of a probe with these fields."""
    return EVENT + PROBE % (name, fields)


DIGITS = b"9" * 5_000
BEYOND = b"0x1ffffffffffffffff"
TEXTS = {
    "letters for a decimal pfn": EVENT.replace(b"0x40", b"abc"),
    "a pfn of 20 digits": EVENT.replace(b"0x40", b"9" * 20),
    "a pfn of 40 hexadecimal digits": EVENT.replace(b"0x40", b"0x" + b"f" * 40),
    "a pfn of 5,000 digits": EVENT.replace(b"0x40", DIGITS),
    "an order of 5,000 digits": EVENT.replace(b"order=0", b"order=" + DIGITS),
    "LOST of 5,000 digits": EVENT + b"CPU:0 [LOST " + DIGITS + b" EVENTS]\n",
    "DROPPED of 5,000 digits": EVENT + b"CPU:0 [" + DIGITS + b" EVENTS DROPPED]\n",
    "lost of 5,000 digits": EVENT + b"PERF_RECORD_LOST lost " + DIGITS + b"\n",
    "a head of 5,000 digits": EVENT
    + b"# entries-in-buffer/entries-written: " + DIGITS + b"/" + DIGITS + b"\n",
    "ret that is no number": probe(b"kp_isofree_ret", b"ret=zzz"),
    "ret past 64 bits": probe(b"kp_isofree", b"page=0xffffea0000001000 order=1")
    + PROBE % (b"kp_isofree_ret", b"ret=" + BEYOND),
    "ret of all bits": probe(b"kp_isofree", b"page=0xffffea0000001000 order=1")
    + PROBE % (b"kp_isofree_ret", b"ret=0xffffffffffffffff"),
    "a type past 64 bits": probe(b"kp_setmt", b"page=0xffffea0 mt=%b pfn=512" % DIGITS[:30]),
    "a pageblock past 64 bits": probe(b"kp_setmt", b"page=0xffffea0 mt=1 pfn=" + BEYOND),
    "a pageblock of all bits": probe(b"kp_setmt", b"page=0 mt=1 pfn=0xffffffffffffffff"),
    "an address past 64 bits": probe(b"kp_isofree", b"page=%b order=1" % BEYOND),
    "an order past 64 bits": probe(b"kp_isofree", b"page=0xffffea0 order=" + DIGITS[:30]),
    "flags past 64 bits": probe(b"kp_free1", b"pfn=1 order=0 mt=" + DIGITS[:30]),
    "a steal past 64 bits": probe(
        b"mm_page_alloc_extfrag",
        b"page=0 pfn=0x0 alloc_order=0 fallback_order=%b alloc_migratetype=0 "
        b"fallback_migratetype=%b change_ownership=%b" % (b"9" * 18, b"9" * 18, b"9" * 18),
    ),
    "fields that are missing": probe(b"kp_setmt", b"") + probe(b"mm_page_alloc_extfrag", b"x=1"),
    "LOST and 300,000 digits": EVENT + b"LOST " + b"1" * 300_000 + b"\n",
    "lines of digits": EVENT + (b"LOST " + b"1" * (LINE_BYTES_MAX - 9) + b"\n") * 200,
    "lines of letters": EVENT
    + PROBE % (b"kp_setmt", b"x" * (LINE_BYTES_MAX - 99)) * 200,
    "lines of blanks": EVENT + (b" 1.000:" + b" " * (LINE_BYTES_MAX - 9) + b"\n") * 200,
    "lines of events begun": EVENT + (b"mm_page_free:page=" * 800 + b"\n") * 200,
    "lines of colons": EVENT + (b" 1.0000: " + b"a:" * 8_000 + b"\n") * 200,
    "nothing but line ends": b"\n" * (ROWS_MAX + 1),
    "a control character": EVENT + b"\x1b]0;x\x07\n",
}  # fmt: skip
TRACES: dict[str, bytes] = {
    "no magic": archive({f"{name}.npy": (deflated(b"x" * 99), 99) for name in COLUMNS}),
    "an unknown method": declaring("(8,)", method=99),
    "encrypted": declaring("(8,)", flags=1),
    "strongly encrypted": declaring("(8,)", flags=0x41),
    "a newer zip": declaring("(8,)", version=200),
    "10^15 rows": declaring("(1000000000000000,)"),
    "10^18 rows": declaring("(1000000000000000000,)"),
    "rows of 900 digits": declaring(f"({'9' * 900},)"),
    "rows below zero": declaring("(-8,)"),
    "rows that are not there": declaring("(9,)"),
    "rows as declared and not there": declaring("(8000000,)", size=8_000_128),
    "two dimensions": declaring("(2, 4)"),
    "no dimension": declaring("()"),
    "vectors of vectors": declaring("(8,)", "('|i1', (1000000000,))"),
    "records": declaring("(8,)", "[('a', '|i1')]"),
    "objects": declaring("(1,)", "'|O'"),
    "a type of no name": declaring("(8,)", "'zzz'"),
    "text": declaring("(1,)", "'<U2'"),
    "a nested header": declaring("(" * 800 + ")" * 800),
    "minus signs": declaring("-" * 900 + "1"),
    "five columns of 3 GB": huge(),
    "more rows than are read": packed(**dict.fromkeys(COLUMNS, np.zeros(ROWS_MAX + 1, np.int8))),
    "a table of contents of 64 MB": whole()[:-22]
    + b"PK\x01\x02" * (16 << 20)
    + b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 5, 5, 64 << 20, 0, 0),
    "numbers at both ends": whole(
        2, pfn=np.array([0, 2**64 - 1], np.uint64), aux=np.array([2**63 - 1, -(2**63)])
    ),
    "no rows": whole(0),
    "unlike rows": whole(3, mt=np.ones(2, np.int64)),
    "cut off": whole()[:200],
    "text for an archive": EVENT,
}  # fmt: skip
ZONE = {"start_pfn": 0, "spanned": 4096, "free_list": {"0": {"Movable": [1, 5]}}}
LISTS = {"DMA": ZONE, "pageblock_mt": [1] * 8}
SHOT = {"idx_buddyinfo": 1, "buddyinfo": {"DMA": [2] + [0] * 10}}
SHOTS = {"snapshots": [SHOT]}


def both(lists: Any = LISTS, shots: Any = SHOTS) -> dict[str, bytes]:
    """Free lists and snapshots, as bytes or as what JSON is made of."""
    made = {"freelists_{}_0": lists, "snapshots_{}": shots}
    return {
        name: content if isinstance(content, bytes) else json.dumps(content).encode()
        for name, content in made.items()
    }


def zone(**changes: Any) -> dict[str, bytes]:
    return both(lists=LISTS | {"DMA": ZONE | changes})


def shot(**changes: Any) -> dict[str, bytes]:
    return both(shots={"snapshots": [SHOT | changes]})


SIBLINGS = {
    "200,000 brackets": both(shots=b"[" * 200_000),
    "as many braces": both(lists=b'{"a":' * 200_000),
    "a number of 5,000 digits": both(shots=b'{"snapshots": ' + DIGITS + b"}"),
    "no numbers": both(shots=b'{"snapshots": [NaN, Infinity]}'),
    "no text": both(lists=b"\xff\xfe\xfd"),
    "a span of 1e300": zone(spanned=1e300),
    "a span of 10^12": zone(spanned=10**12),
    "a span of 10^18": zone(spanned=10**18),
    "a span below zero": zone(spanned=-1),
    "a span of nothing": zone(spanned=0, free_list={}),
    "a span that is true": zone(spanned=True),
    "a start of 10^18": zone(start_pfn=10**18),
    "a start of 1e999": both(lists=json.dumps(LISTS).replace("4096", "1e999").encode()),
    "an order of 5,000 digits": zone(free_list={"9" * 4000: {"Movable": [0]}}),
    "heads of 1e300": zone(free_list={"0": {"Movable": [1e300]}}),
    "heads past 64 bits": zone(free_list={"0": {"Movable": [10**19]}}),
    "heads in heads": zone(free_list={"0": {"Movable": [[1], [2, 3]]}}),
    "heads that are text": zone(free_list={"0": {"Movable": "12"}}),
    "types of 10^18": both(lists=LISTS | {"pageblock_mt": [10**18]}),
    "a thousand zones": both(lists=LISTS | {f"z{i}": ZONE for i in range(1_000)}),
    "zones in one another": both(lists=LISTS | {"DMA32": ZONE | {"start_pfn": 64}}),
    "a zone of no name": both(lists=LISTS | {"\x1b[2J": ZONE}),
    "rows of 1e300": shot(idx_buddyinfo=1e300),
    "rows of 10^19": shot(idx_end=10**19),
    "counts past 64 bits": shot(buddyinfo={"DMA": [10**19] * 11}),
    "indices of 1e300": shot(extfrag_index={"DMA": [1e300] * 11}),
    "indices that are text": shot(unusable_index={"DMA": ["x"] * 11}),
    "a release of 4,000 digits": both(
        shots=SHOTS | {"meta": {"uname": f"Linux h {'9' * 4000}.1.0 #1"}}
    ),
    "losses of 4,000 digits": both(
        shots=SHOTS | {"meta": {"ring_stats": f"overrun: {'9' * 4000}"}}
    ),
    "dumps of 1e300": both(shots=SHOTS | {"meta": {"memdumps": [{"n": 0, "idx_end": 1e300}]}}),
    "4 GB of zeros": {"snapshots_{}": many_members(b"0", 4_096)},
    "4 GB of lists": {"freelists_{}_0": many_members(b"[],[]", 820)},
    "no lists, and pages by the billion": {
        "kpageflags_{}": archive(
            {"k0.npy": (repeated(header("(3000000000,)"), b"\0", 2_861), 3_000_000_128)}
        )
    },
    "snapshots without end": both(shots={"snapshots": [SHOTS["snapshots"][0]] * 100_000}),
    "frames beyond all memory": {"kpageflags_{}": packed(k0=np.zeros((1 << 26) + 1, np.int8))},
}


def limited() -> None:
    """In a process about to start: only so much memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def replayed(root: Path, *traces: Path) -> subprocess.CompletedProcess[str]:
    """`study replay` with a bound on its memory and its time."""
    return subprocess.run(
        [sys.executable, "-m", "study", "replay", "--json", *map(str, traces)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited,
        timeout=LONGEST_S * (1 + len(traces) // 4),
    )


def assert_each_told(answer: subprocess.CompletedProcess[str], traces: list[Path]) -> None:
    """Each was compared, or has a line of its own and no more."""
    compared = [json.loads(line)["trace"] for line in answer.stdout.splitlines()]
    lines = answer.stderr.splitlines()
    told = [path for path in traces if any(f"{path.parent}/" in line for line in lines)]
    assert "Traceback" not in answer.stderr, answer.stderr
    assert answer.returncode in (0, 2), answer.stderr
    assert len(lines) == len(told) == len(traces) - len(compared), answer.stderr
    assert all(line.startswith("study: ") and len(line) < 500 for line in lines)


def in_folders(
    tmp_path: Path, cases: dict[str, Any], write: Callable[[Path, Any], Path]
) -> list[Path]:
    """A trace of each case, in a folder of its own."""
    traces = []
    for number, content in enumerate(cases.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        traces.append(write(folder, content))
    return traces


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["txt", "txt.gz"])
def test_no_text_is_too_much(root: Path, tmp_path: Path, suffix: str):
    """Numbers of any length, lines of any kind and any number of them end in words."""

    def write(folder: Path, content: bytes) -> Path:
        path = folder / f"trace_x.{suffix}"
        path.write_bytes(gzip.compress(content, 1) if suffix == "txt.gz" else content)
        return path

    traces = in_folders(tmp_path, TEXTS, write)

    answer = replayed(root, *traces)

    assert_each_told(answer, traces)
    assert len(answer.stdout.splitlines()) > 20


@pytest.mark.slow
def test_no_archive_is_too_much(root: Path, tmp_path: Path):
    """What an archive or a header declares is doubted before anything is read."""

    def write(folder: Path, content: bytes) -> Path:
        path = folder / "trace_x.npz"
        path.write_bytes(content)
        return path

    traces = in_folders(tmp_path, TRACES, write)

    assert_each_told(replayed(root, *traces), traces)


@pytest.mark.slow
def test_nothing_beside_a_trace_is_too_much(root: Path, tmp_path: Path):
    """Snapshots, free lists and page flags of any size and shape end in words."""

    def write(folder: Path, files: dict[str, bytes]) -> Path:
        (folder / "trace_x.npz").write_bytes(whole())
        for pattern, content in files.items():
            ending = "npz" if content.startswith(b"PK") else "json.gz"
            ready = content.startswith((b"PK", b"\x1f\x8b"))
            path = folder / f"{pattern.format('x')}.{ending}"
            path.write_bytes(content if ready else gzip.compress(content))
        return folder / "trace_x.npz"

    traces = in_folders(tmp_path, SIBLINGS, write)

    assert_each_told(replayed(root, *traces), traces)


def test_types_may_end_before_a_zone_begins(tmp_path: Path):
    """Those of a zone of which no type was read are left out of the types afterwards."""
    path = tmp_path / "trace_x.npz"
    path.write_bytes(whole())
    later = ZONE | {"start_pfn": 4096, "free_list": {"0": {"Movable": [4097]}}}
    lists = {"DMA": ZONE, "Normal": later, "pageblock_mt": [1] * 4}
    (tmp_path / "freelists_x_0.json.gz").write_bytes(gzip.compress(json.dumps(lists).encode()))

    after = lists_after(path, 0)

    assert after["pageblock_mt"] == [1] * 4
    assert after["Normal"]["free_list"]["0"] == {"Movable": [4097]}


@pytest.mark.slow
def test_no_gzip_is_too_much(root: Path, tmp_path: Path):
    """One line of 4 GB in some megabytes, and 4 GB of lines, are not unpacked to their end."""
    bombs = [many_members(b"x", 4_096), many_members(b"# a line\n", 456)]
    traces = in_folders(tmp_path, dict(enumerate(bombs)), _written)

    answer = replayed(root, *traces)

    assert_each_told(answer, traces)
    assert answer.stdout == ""


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "trace_x.txt.gz"
    path.write_bytes(content)
    return path


def test_a_text_has_so_many_lines_at_most(tmp_path: Path):
    """Whoever records for hours is told to give a part of it; nobody waits for all of it."""
    path = tmp_path / "trace.txt"
    path.write_bytes((EVENT + b"\n" * 999) * (ROWS_MAX // 1_000 + 1))

    with pytest.raises(ReplayError, match="over 10,000,000 lines; give a part of it"):
        sum(1 for _ in lines_of(path))


def test_only_regular_files_are_opened(tmp_path: Path):
    """A pipe is not waited for, a device is not read, a folder gets advice."""
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (tmp_path / "pipe.txt", Path("/dev/zero"), tmp_path):
        with at_most(LONGEST_S), pytest.raises(ReplayError, match=r"no regular file|a folder"):
            replay(path)


def test_a_trace_made_to_walk_long_lists_ends(tmp_path: Path):
    """Requests that always miss, on a list of a hundred thousand blocks, are given up looking."""
    blocks = np.arange(1, 200_001, 2)
    zone_ = {"start_pfn": 0, "spanned": 1 << 18, "free_list": {"0": {"Movable": blocks.tolist()}}}
    lists = {"DMA": zone_, "pageblock_mt": [1] * 512}
    (tmp_path / "freelists_x_0.json.gz").write_bytes(gzip.compress(json.dumps(lists).encode()))
    # Each takes the second block, and gives it back to the list's head.
    rows = 60_000
    columns = {
        "ev": np.tile(np.array([4, 5], np.uint8), rows // 2),
        "pfn": np.repeat(blocks[2 : 2 + rows // 2], 2).astype(np.uint32),
        "order": np.zeros(rows, np.uint8),
        "mt": np.ones(rows, np.int8),
        "aux": np.ones(rows, np.int32),
    }
    (tmp_path / "trace_x.npz").write_bytes(packed(**columns))

    with at_most(LONGEST_S):
        result = replay(tmp_path / "trace_x.npz")

    assert result.zone_requests == rows // 2


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail when the block takes longer."""

    def late(*_: object) -> None:
        raise AssertionError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
EXCERPTS = Path(__file__).parents[1] / "data" / "kernel-traces"
EDITS = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(0, 40), st.binary(max_size=12)),
    min_size=1,
    max_size=4,
)
ODD = st.sampled_from(
    [None, True, -1, 0, 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 0.5, 1e300, -1e300, "", "1",
     "9" * 400, "\x1b[31m", [], [[]], [0], {}, {"0": 0}, [1e300], [10**19], ["x"], [None] * 11]
)  # fmt: skip


def damaged(content: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Some stretches replaced by others."""
    for start, length, instead in edits:
        at = start % len(content)
        content = content[:at] + instead + content[at + length :]
    return content


def outcome(path: Path) -> Replay | ReplayError:
    """A comparison, or why there is none in one line; anything else goes through."""
    try:
        with at_most(LONGEST_S):
            return replay(path)
    except ReplayError as error:
        lines = str(error).splitlines()
        assert len(lines) == 1, lines
        assert len(lines[0]) < 500
        return error


@FUZZ
@given(
    name=st.sampled_from(["trace_head_hiorder", "trace_text_rare_hiorder"]),
    edits=st.lists(
        st.tuples(
            st.integers(0, 10**9),
            st.integers(0, 40),
            st.binary(max_size=12)
            | st.sampled_from(
                [b"9" * 30, b"0x" + b"f" * 17, b"-1", b" " * 70, DIGITS, b"\n", b"="]
            ),
        ),
        min_size=1,
        max_size=30,
    ),
    sparse=st.integers(0, 600),
)
def test_any_damage_to_a_text_is_told(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    edits: list[tuple[int, int, bytes]],
    sparse: int,
) -> None:
    """Stretches of real lines replaced by anything: rows or one line, nothing half written."""
    content = gzip.decompress((EXCERPTS / f"{name}.txt.gz").read_bytes())
    lines = content.splitlines(keepends=True)[sparse : sparse + 60] or [EVENT]
    path = tmp_path_factory.mktemp("text") / "trace.txt"
    path.write_bytes(damaged(b"".join(lines), edits))

    assert isinstance(outcome(path), Replay | ReplayError)


@FUZZ
@given(edits=EDITS, name=st.sampled_from(["steal", "net"]))
def test_any_damage_to_an_archive_is_told(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, bytes]], name: str
) -> None:
    """The same for columns, in the archive's bytes and in those of its table of contents."""
    content = (EXCERPTS / f"trace_{name}.npz").read_bytes()
    # Half of them where the archive tells of itself.
    edits = [(len(content) - 1 - at % 900 if at % 2 else at, n, b) for at, n, b in edits]
    path = tmp_path_factory.mktemp("columns") / "trace.npz"
    path.write_bytes(damaged(content, edits))

    assert isinstance(outcome(path), Replay | ReplayError)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value, but for those far down a list."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:3]):
            yield from places(inner, (*path, index))


@FUZZ
@given(
    sibling=st.sampled_from(["snapshots_end", "freelists_end_0", "freelists_end_1"]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), ODD), min_size=1, max_size=3),
)
def test_any_value_beside_a_trace_is_told(
    tmp_path_factory: pytest.TempPathFactory, sibling: str, changes: list[tuple[int, Any]]
) -> None:
    """Values of what lies beside a trace replaced by others of any kind and size."""
    folder = tmp_path_factory.mktemp("beside")
    for path in EXCERPTS.glob("*_end*"):
        (folder / path.name).write_bytes(path.read_bytes())
    path = folder / f"{sibling}.json.gz"
    content = json.loads(gzip.decompress(path.read_bytes()))
    for at, odd in changes:
        known = [place for place in places(content) if place]
        if not known:
            break
        *above, last = known[at % len(known)]
        inner = content
        for key in above:
            inner = inner[key]
        inner[last] = odd
    path.write_bytes(gzip.compress(json.dumps(content).encode()))

    assert isinstance(outcome(folder / "trace_end.npz"), Replay | ReplayError)


def test_what_is_sound_stays_so():
    """The archives made here for the tests are such as numpy and zipfile read."""
    sound = declaring("(8,)")
    with zipfile.ZipFile(io.BytesIO(sound)) as opened:
        assert len(opened.namelist()) == len(COLUMNS)
    assert ROWS_MAX > 5 * 1_631_333, "the longest recording at hand"
