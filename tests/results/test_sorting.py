"""Tables are sorted in pieces as they would be at once, in no more memory than pieces take."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.results.folder import Folder
from study.results.part import digest_of_file, write_part
from study.results.sorting import NAME, in_order, sort_table

CELLS = {name: {} for name in ("d", "b", "c", "a")}


def folder_of(path: Path, parts: list[pa.Table]) -> Folder:
    folder = Folder(path, {"cells": CELLS, "parts": {}})
    folder.trials.mkdir(parents=True)
    for number, part in enumerate(parts):
        target = folder.trials / f"part-{number:06}.parquet"
        folder.note_part(target, write_part(part, target))
    return folder


rows = st.lists(st.tuples(st.sampled_from("abcdx"), st.integers(0, 9)), max_size=40)


@given(parts=st.lists(rows, min_size=1, max_size=5), pieces=st.integers(1, 12))
def test_in_pieces_as_at_once(parts: list[list[tuple[str, int]]], pieces: int, tmp_path_factory):
    """Whatever comes in whatever parts, the rows and their order are those of one stable sort."""
    counter = iter(range(1000))
    tables = [
        pa.table({
            "cell": pa.array([cell for cell, _ in part], pa.string()),
            "replicate": pa.array([replicate for _, replicate in part], pa.int64()),
            "came": pa.array([next(counter) for _ in part], pa.int64()),
        })
        for part in parts
    ]  # fmt: skip
    folder = folder_of(tmp_path_factory.mktemp("any"), tables)
    size = 8 * 3 * sum(map(len, parts))
    sort_table(folder, folder.trials, bytes_at_once=max(1, size // pieces))

    assert [p.name for p in folder.trials.iterdir()] == [NAME]
    assert pq.read_table(folder.trials / NAME).equals(in_order(pa.concat_tables(tables), CELLS))
    assert folder.digest_of(folder.trials / NAME) == digest_of_file(folder.trials / NAME)


@pytest.mark.slow
@pytest.mark.nightly(part="million")
def test_memory_does_not_grow_with_the_table(tmp_path: Path):
    """Sorting 290 MB takes less than 60 MB more than sorting 30 MB."""
    script = f"""
from pathlib import Path
from study.results.folder import Folder
from study.results.sorting import sort_table
import pyarrow as pa
folder = Folder(Path({str(tmp_path)!r}) / name, {{"cells": {CELLS!r}, "parts": {{}}}})
sort_table(folder, folder.trials, bytes_at_once=16 * 1024 * 1024)
# Of this process alone: what getrusage tells begins with what its parent had.
[peak] = [x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM")]
print(int(peak.split()[1]) // 1024)
"""
    dice = np.random.default_rng(1)
    peaks = []
    for name, parts in (("small", 6), ("large", 60)):
        folder_of(tmp_path / name, [
            pa.table({
                "cell": dice.choice(list("abcd"), 5_000),
                "replicate": dice.integers(0, 10_000, 5_000),
                **{f"metric{column}": dice.random(5_000) for column in range(120)},
            })
            for _ in range(parts)
        ])  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", f"name = {name!r}{script}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout))

    assert peaks[1] - peaks[0] < 60, peaks
