"""What somebody else puts into a folder: no file outside is touched, no folder is lost by it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from study.report.zone_map import read_zone_maps
from study.results import ResultsError, Store, adopt, only_writer, read_trials
from study.results.folder import MANIFEST_BYTES_MOST
from study.results.manifest import differences, extended, new_manifest
from study.results.noted import forget, set_aside
from study.results.status import status_of
from study.scenario import load_text
from study.transport import open_folder
from study.transport.received import keep_before, settle_received


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A finished folder of four trials."""
    import study

    out = tmp_path_factory.mktemp("finished") / "out"
    study.run(root / "tests/fanout/tiny.yaml", "replicates=2", out=out, ray=False)
    return out


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "folder"))


def test_parts_are_not_fetched_through_a_link(folder: Path, tmp_path: Path):
    """A link below .new/ has no file taken away from where it points, nor put in as a part."""
    [part] = (folder / "trials").glob("part-*.parquet")
    elsewhere = tmp_path / "elsewhere" / "trials"
    elsewhere.mkdir(parents=True)
    part.rename(elsewhere / part.name)
    (folder / ".new").mkdir()
    (folder / ".new" / "trials").symlink_to(elsewhere)
    settle_received(folder)
    assert (elsewhere / part.name).is_file()

    (folder / ".new" / "trials").mkdir(parents=True)
    (folder / ".new" / "trials" / part.name).symlink_to(elsewhere / part.name)
    settle_received(folder)
    assert (elsewhere / part.name).is_file()
    assert not part.is_symlink()


@pytest.mark.parametrize(
    "name",
    ["damaged/trials-part-999999999999999999.parquet", "trials/part-999999999999.parquet",
     "damaged/series-part-999999999999.parquet", "series/part-9999999999999.parquet"],
)  # fmt: skip
def test_a_number_out_of_reach_ends_no_numbering(folder: Path, root: Path, name: str):
    """After a part of an absurd number is planted, a run goes on and the folder is opened."""
    import study

    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    study.run(root / "tests/fanout/tiny.yaml", "replicates=4", out=folder, ray=False, extend=True)

    opened = open_folder(folder)
    assert opened.manifest["counts"]["finished"] == 4 * opened.manifest["counts"]["cells"]


@pytest.mark.parametrize("name", ["damaged/trials-part-99999999999.parquet",
                                  "trials/part-099999999999.parquet"])  # fmt: skip
def test_no_number_is_given_out_twice(make_store, simulated, tmp_path: Path, name: str):
    """A run that goes on and on after a part of the last number is planted writes over no row."""
    store = make_store("out")
    for first in range(0, 12, 3):
        store.add(simulated[first : first + 3])
        store.flush()
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_bytes(b"x")
        opened = open_folder(tmp_path / "out")
        store = Store(opened, adopt(opened))
    store.close("failed")

    assert len(read_trials(tmp_path / "out")) == len(simulated)


def test_a_run_whose_rows_were_taken_away_is_not_complete(make_store, simulated, tmp_path: Path):
    """Rows are held against the trials that finished before the folder says how the run ended."""
    store = make_store("out")
    store.add(simulated[:5])
    store.flush()
    for table in (store.folder.trials, store.folder.series):
        forget(store.folder, table / "part-000000.parquet")
    store.add(simulated[5:])

    with pytest.raises(ResultsError, match="out has rows of 7 trials, and 12 finished"):
        store.close("failed")
    assert status_of(tmp_path / "out")["state"] == "stopped"


def test_only_parts_that_were_noted_are_put_back(folder: Path, tmp_path: Path):
    """Of rows kept aside, with more beside them, no file of elsewhere comes into the results."""
    (tmp_path / "secret").write_text("secret")
    before = shutil.copytree(folder, folder / ".before")
    for table in ("trials", "series"):
        (folder / table / "part-000000.parquet").unlink()
        (before / table / "part-000009.parquet").symlink_to(tmp_path / "secret")

    assert "changes 8 finished trials" in keep_before(folder)
    assert len(read_trials(folder)) == 8
    assert not [path for path in folder.rglob("part-000009*") if path.exists()]


@pytest.mark.parametrize("name", ["manifest.json", "zonemaps.npz", ".lock"])
def test_no_file_elsewhere_is_read_without_bound(folder: Path, name: str):
    """At a URL a file of 4 GB that takes no room on its disk is refused, by its size."""
    with (folder / name).open("a") as file:
        file.truncate(1 << 32)

    with pytest.raises(ResultsError, match=f"{name} has more than [0-9,]+ bytes: "):
        open_folder(f"file://{folder}").is_being_written()


def test_what_is_of_no_folder_is_not_fetched(folder: Path):
    """A file of 4 GB beside the results at a URL is left where it is."""
    with (folder / "big.bin").open("wb") as file:
        file.truncate(1 << 32)
    (folder / "loop").symlink_to(folder)

    copy = open_folder(f"file://{folder}")

    assert not (copy.path / "big.bin").exists()
    assert copy.manifest["counts"] == open_folder(folder).manifest["counts"]


def test_long_keys_do_not_multiply(folder: Path):
    """What differs from a scenario with a key of a million letters is said in short lines."""
    found = json.loads((folder / "manifest.json").read_text())
    wanted = json.loads(json.dumps(found))
    found["scenario"]["base"] = {"k" * 1_000_000: {f"x{i}": i for i in range(3_000)}}

    lines = differences(found, wanted)

    assert 1_000 <= len(lines) < 1_100
    assert max(map(len, lines)) < 400


def test_a_manifest_of_too_many_values_is_refused(folder: Path):
    """A manifest within the bound of bytes, of more values than any run writes, is damaged."""
    manifest = folder / "manifest.json"
    text = manifest.read_text().rstrip()
    manifest.write_text(f'{text[:-1]}, "more": [{"0," * 6_000_000}0]}}')
    assert manifest.stat().st_size < MANIFEST_BYTES_MOST

    with pytest.raises(ResultsError, match="damaged: it has over 1,500,000 values"):
        status_of(folder)


@pytest.mark.parametrize("shape", [(3, 0), (1, 9), (5, 9), (9,), (3, 9)])
def test_pictures_of_another_shape_are_left_out(folder: Path, shape: tuple[int, ...]):
    """Of the pictures kept only those are read that have the owners of pages at each moment."""
    np.savez(folder / "zonemaps.npz", abc=np.zeros(shape, np.uint8))
    with zipfile.ZipFile(folder / "zonemaps.npz", "a") as file:
        file.writestr("x", "no array")

    maps = read_zone_maps(open_folder(folder))

    assert [each.cell for each in maps] == (["abc"] if shape == (3, 9) else [])


def test_pictures_of_a_larger_zone_are_left_out(folder: Path):
    """Of a zone of some megabytes no picture larger than it is unpacked, let alone drawn."""
    cell = next(iter(open_folder(folder).manifest["cells"]))
    np.savez_compressed(folder / "zonemaps.npz", **{cell: np.zeros((3, 24 << 20), np.uint8)})
    assert read_zone_maps(open_folder(folder)) == []

    np.savez_compressed(folder / "zonemaps.npz", **{cell: np.zeros((3, 2_048), np.uint8)})
    assert [each.cell for each in read_zone_maps(open_folder(folder))] == [cell]


def test_what_is_not_the_studys_is_not_pruned(root: Path, tmp_path: Path):
    """Folders of others beside the machine code stay, and what links lead to."""
    for place in ("shared/tool", "outside"):
        for number in range(7):
            version = tmp_path / place / f"{number:016x}"
            version.mkdir(parents=True)
            (version / "data.bin").write_text("theirs")
    (tmp_path / "shared" / "link").symlink_to(tmp_path / "outside")
    subprocess.run(
        [sys.executable, "-c", "from study.zone.engine.cache import prune_cache; prune_cache()"],
        cwd=root,
        env={**os.environ, "STUDY_CACHE_DIR": str(tmp_path / "shared")},
        check=True,
    )

    assert len(list((tmp_path / "shared/tool").iterdir())) == 7
    assert len(list((tmp_path / "outside").iterdir())) == 7


def test_what_was_set_aside_is_not_written_over(folder: Path):
    """A damaged part that is set aside leaves what was set aside under its name before."""
    opened = open_folder(folder)
    for text in ("first", "second", "third"):
        (folder / "trials/part-000000.parquet").write_text(text)
        set_aside(opened, folder / "trials/part-000000.parquet")

    kept = sorted((folder / "damaged").iterdir())
    assert sorted(part.read_text() for part in kept) == ["first", "second", "third"]
    assert kept[0].name == "trials-part-000000.parquet"


def test_a_part_elsewhere_is_fetched_no_further_than_a_study_goes(folder: Path):
    """At a URL a part of 6 GB that takes no room on its disk is refused, named or not."""
    found = json.loads((folder / "manifest.json").read_text())
    found["parts"]["trials/part-000001.parquet"] = "0" * 32
    (folder / "manifest.json").write_text(json.dumps(found))
    with (folder / "trials/part-000001.parquet").open("wb") as file:
        file.truncate(6 << 30)

    with pytest.raises(ResultsError, match=r"part-000001\.parquet has more than [0-9,]+ bytes: "):
        open_folder(f"file://{folder}")


def test_a_file_of_a_year_beyond_all_calendars(folder: Path):
    """The state of a run is told whenever its manifest says that it was written."""
    os.utime(folder / "manifest.json", (1e12, 1e12))

    assert status_of(folder)["written"][:4].isdigit()


def test_who_only_asks_keeps_no_run_out(folder: Path):
    """A run starts though somebody asks at that moment whether one is at work."""
    with (folder / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        asked = threading.Timer(0.05, fcntl.flock, (lock, fcntl.LOCK_UN))
        asked.start()
        with only_writer(folder):
            asked.join()
    with (folder / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ResultsError, match="is being written"), only_writer(folder):
            pass


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("aware: policy/order-aware", "other: policy/order-aware", "levels"),
        ("replicates: 2\n", "replicates: 2\nnuisance: [nic.mtu]\n", "nuisance"),
    ],
)
def test_rows_stay_with_the_levels_and_the_load_they_had(before: str, after: str, told: str):
    """A study whose cells are called otherwise, or have other seeds, is no larger one."""
    text = (
        "question: q\nextends: [machine/i386-256mb, workload/desktop]\nreplicates: 2\n"
        "axes:\n  which:\n    stock: policy/stock\n    aware: policy/order-aware\n"
        "  nic.mtu: [1500, 9000]\n"
    )
    assert before in text
    found, wanted = (
        json.loads(json.dumps(new_manifest(load_text(each, "x.yaml"), simulation="0", command=())))
        for each in (text, text.replace(before, after))
    )
    merged, obstacles = extended(found, wanted)

    assert extended(found, found)[0] is not None
    assert merged is None
    assert any(line.startswith(told) for line in obstacles)
