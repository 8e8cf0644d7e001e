"""Excerpts of real traces, traces written row by row, and the same as text."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COLUMNS = ("ev", "pfn", "order", "mt", "aux")
DTYPES = {"ev": "u1", "pfn": "u4", "order": "u1", "mt": "i1", "aux": "i4"}
NAMES = {
    1: "mm_page_alloc",
    2: "mm_page_free",
    3: "mm_page_free_batched",
    4: "mm_page_alloc_zone_locked",
    5: "mm_page_pcpu_drain",
    6: "mm_page_alloc_extfrag",
    7: "kp_isofree",
    8: "kp_setmt",
    9: "kp_free1",
    10: "kp_freeok",
}
FAILED = 0xFFFFFFFF
TYPES = ["Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate"]


@pytest.fixture(scope="session")
def excerpts(root: Path) -> Path:
    """The folder of excerpts."""
    return root / "tests" / "data" / "kernel-traces"


@pytest.fixture
def beside(excerpts: Path, tmp_path: Path) -> Callable[[str, str], None]:
    """Copies what lies beside an excerpt, so that it lies beside a trace of another name."""

    def copy(name: str, as_name: str) -> None:
        for pattern in ("snapshots_{}", "freelists_{}_0", "freelists_{}_1"):
            path = excerpts / f"{pattern.format(name)}.json.gz"
            if path.exists():
                shutil.copy(path, tmp_path / f"{pattern.format(as_name)}.json.gz")

    return copy


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a trace of rows (code, pfn, order, migratetype, aux), with lists of its start.

    The zone is one of 4096 pages from pfn 0 on; free maps (order, type) to heads.
    """

    def make(
        rows: Iterable[tuple[int, int, int, int, int]],
        free: dict[tuple[int, int], list[int]] | None = None,
        *,
        snapshots: list[dict[str, Any]] | None = None,
        uname: str = "Linux host 6.1.0-1 #1",
    ) -> Path:
        table = list(rows)
        columns = {
            name: np.array([row[i] for row in table], DTYPES[name])
            for i, name in enumerate(COLUMNS)
        }
        path = tmp_path / "trace_made.npz"
        np.savez_compressed(path, **columns)
        if free is not None:
            lists: dict[str, dict[str, list[int]]] = {str(order): {} for order in range(11)}
            for (order, kind), heads in free.items():
                lists[str(order)][TYPES[kind]] = heads
            zone = {"free_list": lists, "start_pfn": 0, "spanned": 4096}
            content = {"DMA": zone, "pageblock_mt": [1] * 8, "migratetypes": TYPES}
            write_json(tmp_path / "freelists_made_0.json.gz", content)
        shots = {"meta": {"uname": uname}, "snapshots": snapshots or []}
        write_json(tmp_path / "snapshots_made.json.gz", shots)
        return path

    return make


def write_json(path: Path, content: Any) -> None:
    path.write_bytes(gzip.compress(json.dumps(content).encode()))


@pytest.fixture
def as_text() -> Callable[..., str]:
    """Prints a columnar trace as the kernel ("trace"), trace-cmd or perf do."""

    def text(path: Path, style: str, *, vmemmap: int = 0xFFFFEA0000000000) -> str:
        with np.load(path) as trace:
            rows = zip(*(trace[name].tolist() for name in COLUMNS), strict=True)
            lines = [
                line(style, i, name, fields)
                for i, row in enumerate(rows)
                for name, fields in printed(row, vmemmap)
            ]
        head = {
            "trace": "# tracer: nop\n#\n# entries-in-buffer/entries-written: "
            f"{len(lines)}/{len(lines)}   #P:1\n#\n",
            "trace-cmd": "cpus=1\n",
            "perf": "",
        }
        return head[style] + "".join(lines)

    return text


def line(style: str, row: int, name: str, fields: str) -> str:
    at = f"{12 + row // 1_000_000}.{row % 1_000_000:06d}"
    if style == "trace":
        return f"{'my prog-97':>20}     [000] d..3. {at:>12}: {name}: {fields}\n"
    if style == "trace-cmd":
        return f"{'my prog':>12}-97    [000] {at:>12}: {name + ':':<22} {fields}\n"
    group = "probe" if name.startswith("kp_") else "kmem"
    return f"{'my prog':>16}    97 [000] {at:>12}: {group + ':' + name:>30}: {fields}\n"


def printed(row: tuple[int, ...], vmemmap: int) -> list[tuple[str, str]]:
    """Name and fields of the lines that stand for a row."""
    code, pfn, order, mt, aux = row
    page = f"page={vmemmap + 64 * pfn:#x}"
    block = f"page=00000000feedbeef pfn={pfn:#x} order={order}"
    name = NAMES.get(code, "sched_process_exit")
    if code == 1 and pfn == FAILED:
        fields = f"page=(nil) pfn=0x0 order={order} migratetype={mt} gfp_flags=GFP_ATOMIC"
    elif code in (2, 3):
        fields = block
    elif code in (1, 4, 5):
        fields = f"{block} migratetype={mt} percpu_refill={aux}"
    elif code == 6:
        fields = (
            f"page=00000000feedbeef pfn={pfn:#x} alloc_order={order} fallback_order={aux & 255} "
            f"pageblock_order=9 alloc_migratetype={mt} fallback_migratetype={aux >> 8 & 255} "
            f"fragmenting=1 change_ownership={aux >> 16}"
        )
    elif code == 7:
        fields = f"(__isolate_free_page+0x0/0x2b0) {page} order={order}"
        answer = f"(compaction_alloc+0x33a/0xa20 <- __isolate_free_page) ret={aux}"
        return [(name, fields), ("kp_isofree_ret", answer)]
    elif code == 8:
        fields = f"(set_pfnblock_flags_mask+0x0/0xa0) {page} mt={mt} pfn={pfn} mask=7"
    elif code == 9:
        fields = f"(free_one_page.constprop.0+0x0/0xa0) pfn={pfn} order={order} mt={mt}"
    elif code == 10:
        fields = f"(__free_pages_ok+0x0/0x610) {page} order={order}"
    else:
        fields = "comm=my prog pid=97 prio=120"
    return [(name, fields)]
