"""Pictures of a zone: the trial's own zone, every page once, blocks as rectangles."""

from __future__ import annotations

import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import study
from study.report import zone_map
from study.report.figures import FIGURES
from study.report.zone_map import (
    classes,
    moments,
    raster,
    read_zone_maps,
    record_zone_maps,
    z_curve,
)
from study.results.noted import forget, write_parts
from study.zone.trial.observe import Owner, free_blocks


def test_a_picture_shows_the_zone_of_the_trial(results):
    """The free blocks of each picture are those the trial wrote down at that moment."""
    series = results.series
    maps = read_zone_maps(results.folder)
    assert len(maps) == 3
    for kept in maps:
        rows = series[(series["cell"] == kept.cell) & (series["replicate"] == 0)]
        worn = rows[rows["phase"] == 0].index[-1]
        for owners, at in zip(kept.owners, (rows.index[0], worn, rows.index[-1]), strict=True):
            counts = rows.loc[at, [f"nr_free{order}" for order in range(11)]]
            assert free_blocks(owners).tolist() == counts.tolist()


def test_a_picture_counts_the_owners_as_the_trial_did(results):
    """File, anonymous and kernel pages of a picture are as many as in the last sample."""
    series = results.series
    for kept in read_zone_maps(results.folder):
        last = series[(series["cell"] == kept.cell) & (series["replicate"] == 0)].iloc[-1]
        owners = kept.owners[-1]
        assert np.count_nonzero(owners == Owner.FILE) == last["file_pages"]
        assert np.count_nonzero(owners == Owner.ANONYMOUS) == last["anonymous_pages"]
        assert np.count_nonzero(owners == Owner.PERCPU) == last["percpu_pages"]
        in_kernel = np.isin(owners, [Owner.KERNEL, Owner.NIC])
        assert np.count_nonzero(in_kernel) == last["kernel_pages"]


def test_no_picture_is_taken_of_another_zone(copy, scenario):
    """Rows that the simulation does not give today get no picture."""
    results = study.read(copy)
    (part,) = (copy / "series").iterdir()
    samples = pq.read_table(part)
    column = samples.schema.get_field_index("nr_free0")
    other = pc.add(samples["nr_free0"], pa.scalar(1, samples["nr_free0"].type))
    part.unlink()
    forget(results.folder, part)
    write_parts(results.folder, {part: samples.set_column(column, "nr_free0", other)})
    (copy / "zonemaps.npz").unlink()

    assert record_zone_maps(results, study.load(scenario)) == 0
    assert read_zone_maps(results.folder) == []


def test_pictures_end_whatever_the_manifest_says_of_its_trials(copy, scenario, monkeypatch) -> None:
    """A manifest may say that trials take no time; those for pictures are stopped all the same."""
    results = study.read(copy)
    monkeypatch.setitem(results.manifest, "trial_seconds", 0)
    monkeypatch.setattr(zone_map, "SECONDS_MOST", 0.0)
    assert record_zone_maps(results, study.load(scenario)) == 0


def test_a_notebook_has_its_pictures_by_asking(copy):
    """Results without pictures take them when the zone map or the report is asked for."""
    (copy / "zonemaps.npz").unlink()

    assert len(study.read(copy).plot_zone_map().figure.axes) == 3 * 3
    assert len(read_zone_maps(study.read(copy).folder)) == 3
    (copy / "zonemaps.npz").unlink()
    assert "data:image/png" in study.read(copy).report().read_text()


def test_pictures_that_are_kept_are_not_taken_again(copy):
    """A zone map that lies in the folder is drawn as it is."""
    before = (copy / "zonemaps.npz").stat().st_mtime_ns
    study.read(copy).plot_zone_map()

    assert (copy / "zonemaps.npz").stat().st_mtime_ns == before


def test_what_was_not_worn_is_not_shown_twice(results):
    """Without ageing the first two pictures are one."""
    (kept, *_) = read_zone_maps(results.folder)
    assert list(moments(kept.owners)) == ["at the start", "worn", "at the end"]
    alike = np.stack([kept.owners[0], kept.owners[0], kept.owners[2]])
    assert list(moments(alike)) == ["at the start", "at the end"]
    figure = FIGURES["zone-map"].draw({"one": alike, "two": kept.owners[[0, 0, 2]]})
    assert len([axes for axes in figure.axes if axes.get_visible()]) == 4


def test_a_damaged_file_of_pictures_is_as_none(copy):
    """A page can be made from a folder whose pictures cannot be read."""
    (copy / "zonemaps.npz").write_bytes(b"no archive")

    assert read_zone_maps(study.read(copy).folder) == []


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (3, 4), }",
        "{'descr': {}, 'fortran_order': False, 'shape': (3, 4), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 10**30), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 9999999999999999999999), }",
        "{'descr': '|u1', 'fortran_order': [], 'shape': {}, }",
        "{[]: 1}",
        "{'descr': '|u1'",
        "(" * 900,
        "\0",
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3, 9])
def test_a_hostile_picture_is_as_none(copy, header, version):
    """Whatever a member says of itself, and however it is packed."""
    letters = len(header).to_bytes(2 if version == 1 else 4, "little")
    member = b"\x93NUMPY" + bytes([version, 0]) + letters + header.encode() + bytes(12)
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(copy / "zonemaps.npz", "w", method) as archive:
            archive.writestr("a.npy", member)
        assert read_zone_maps(study.read(copy).folder) == []


def test_a_file_of_pictures_with_any_byte_changed_is_read_or_none(copy):
    """No flip within it ends in a traceback."""
    folder = study.read(copy).folder
    np.savez_compressed(copy / "zonemaps.npz", a=np.zeros((3, 64), np.uint8))
    whole = (copy / "zonemaps.npz").read_bytes()
    assert len(read_zone_maps(folder)) == 1
    for place in range(len(whole)):
        for bits in (0x01, 0x0C, 0xFF):
            changed = bytes([whole[place] ^ bits])
            (copy / "zonemaps.npz").write_bytes(whole[:place] + changed + whole[place + 1 :])
            assert all(each.owners.shape == (3, 64) for each in read_zone_maps(folder))


@given(order=st.integers(0, 10), block=st.integers(0, 31))
def test_a_buddy_block_is_a_square_or_two(order, block):
    """Along the Z curve the pages of a block of any order fill a rectangle, 1:1 or 2:1."""
    x, y = z_curve(32)
    start = (block << order) % 1024
    wide, high = (np.ptp(axis[start : start + (1 << order)]) + 1 for axis in (x, y))

    assert wide * high == 1 << order
    assert wide in (high, 2 * high)


@pytest.mark.parametrize("pages", [1, 64, 100, 1024, 4096, 5000])
def test_a_raster_holds_every_page_once(pages):
    """Each page is one pixel; the rest is background."""
    picture = raster(np.ones(pages, np.uint8), background=9)

    assert np.count_nonzero(picture == 1) == pages
    assert np.isin(picture, [1, 9]).all()


@pytest.mark.parametrize("pages", [1 << 18, 3_442_470])
def test_a_large_zone_has_a_picture_that_can_be_looked_at(pages):
    """However many pages: about three times as high as wide at most, so that a phone shows it."""
    down, across = raster(np.ones(pages, np.uint8), background=9).shape

    assert down <= 3.1 * across
    assert across >= 320


def test_every_owner_has_a_class():
    """Each owner, and each order of a free block, has a colour of the legend."""
    owners = [*(o for o in Owner if o != Owner.FREE), *(Owner.FREE + n for n in range(11))]

    assert set(classes(np.array(owners, np.uint8))) == set(range(9))
