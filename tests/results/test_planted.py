"""What somebody else puts into a folder: no file outside is touched, no folder is lost by it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from study.report.zone_map import read_zone_maps
from study.results import ResultsError, open_folder
from study.results.folder import MANIFEST_BYTES_MOST
from study.results.manifest import differences
from study.results.received import settle_received
from study.results.status import status_of


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
