"""Cut the excerpts in kernel-traces/ out of full recordings of a kernel's page allocator.

    python tests/data/make_excerpts.py FOLDER

FOLDER holds trace_NAME.npz, snapshots_NAME.json.gz and freelists_NAME_{0,1}.json.gz of fork, net
and hiorder, and the kernel's own text of them. Rows are cut, and the columns that the replay does
not read left out; snapshots between the cuts are kept and renumbered. An excerpt that begins with
its trace keeps the kernel's lists of the start. One from within begins with the lists that a replay
of what comes before ends with, and keeps the kernel's lists of the end to hold it against.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from study.replay.replay import lists_after

HERE = Path(__file__).parent / "kernel-traces"
COLUMNS = ("ev", "pfn", "order", "mt", "aux")
# Name of the excerpt, of the trace, and the rows.
CUTS = (
    ("fork", "fork", 0, 24_000),
    ("net", "net", 0, 13_000),
    ("steal", "net", 127_000, 137_000),
    ("compact", "hiorder", 715_000, 733_000),
    ("end", "hiorder", 1_385_000, 1_411_292),
)
TEXTS = {
    "trace_head_hiorder.txt.gz": 700,
    "trace_text_rare_hiorder.txt.gz": 900,
}


def main(folder: Path) -> None:
    """Write all excerpts."""
    HERE.mkdir(exist_ok=True)
    for excerpt, name, first, last in CUTS:
        cut(folder, name, HERE, excerpt, first, last)
    for name, lines in TEXTS.items():
        with gzip.open(folder / name, "rt") as file:
            text = "".join(line for _, line in zip(range(lines), file, strict=False))
        write_gzip(HERE / name, text)


def cut(folder: Path, name: str, target: Path, excerpt: str, first: int, last: int) -> None:
    """Write rows first to last of a trace, with what belongs beside them, as another trace."""
    path = folder / f"trace_{name}.npz"
    with np.load(path) as trace:
        columns = {column: trace[column][first:last] for column in COLUMNS}
        last = min(last, len(trace["ev"]))
    np.savez_compressed(target / f"trace_{excerpt}.npz", **columns)
    recorded = read_json(folder / f"snapshots_{name}.json.gz")
    meta = recorded["meta"]
    start, end = (dump["idx_begin"] for dump in meta["memdumps"])
    dumps = [{"n": 0, "idx_begin": 0, "idx_end": 0}]
    if first == 0:
        dumps = [meta["memdumps"][0]]
        shutil.copy(
            folder / f"freelists_{name}_0.json.gz", target / f"freelists_{excerpt}_0.json.gz"
        )
    else:
        write_json(target / f"freelists_{excerpt}_0.json.gz", lists_after(path, first))
    if first <= end < last:
        dumps.append({"n": 1, "idx_begin": end - first, "idx_end": end + 1 - first})
        shutil.copy(
            folder / f"freelists_{name}_1.json.gz", target / f"freelists_{excerpt}_1.json.gz"
        )
    snapshots = [
        shortened(shot, first)
        for shot in recorded["snapshots"]
        if max(first, start) <= shot["idx_buddyinfo"] and shot["idx_end"] < last
    ]
    kept = {"uname": meta["uname"], "memdumps": dumps}
    write_json(target / f"snapshots_{excerpt}.json.gz", {"meta": kept, "snapshots": snapshots})


def shortened(shot: dict[str, Any], first: int) -> dict[str, Any]:
    """What the replay reads of a snapshot, its rows counted from `first`."""
    return {
        "idx_buddyinfo": shot["idx_buddyinfo"] - first,
        "idx_end": shot["idx_end"] - first,
        **{key: shot[key] for key in ("buddyinfo", "extfrag_index", "unusable_index")},
    }


def read_json(path: Path) -> Any:
    """What a compressed file of JSON holds."""
    with gzip.open(path, "rt") as file:
        return json.load(file)


def write_json(path: Path, content: Any) -> None:
    """Write compressed JSON."""
    write_gzip(path, json.dumps(content, separators=(",", ":")))


def write_gzip(path: Path, text: str) -> None:
    """Write compressed text, the same bytes every time."""
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
