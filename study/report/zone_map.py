"""The zone map: a picture of every page of a zone, coloured by its owner.

The trials' rows do not hold it: a picture of each trial would be larger than all the rest. A few
cells are simulated once more when a run ends, the same to the last page (their free blocks are
held against those the trial wrote down), and kept in the results folder as one small file. The
report is then made from the folder alone.

Pages lie along a Z curve within each block of order 10, so that a buddy block of any order is a
square or two squares side by side.
"""

from __future__ import annotations

import base64
import io
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from study.report.colours import OWNERS
from study.results.errors import ResultsError
from study.results.files import read_regular, write_bytes_whole
from study.results.folder import ZONE_MAPS
from study.results.manifest import study_of
from study.results.read import series_batches
from study.trust.extensions import allowing, only_naming

if TYPE_CHECKING:
    from study.results import Folder
    from study.scenario import Study
    from study.statistics import Findings

MOMENTS = {"start": "at the start", "worn": "worn", "end": "at the end"}
SECONDS_MOST = 60.0
"""Of simulating cells once more; beyond, fewer are shown."""
TILE = 32
"""Pages along the side of a block of order 10."""
ACROSS = 10
"""Blocks beside each other: 320 pages, so that three pictures fit the report, a pixel a page."""

_BYTES_MOST = 1024**3
"""Of all pictures, packed or not: four cells with zones of 300 GB take as much."""
_ZONE_MOST = 4 * 1024**3
"""Bytes of a zone that is simulated for its picture."""
_SOON_READ = 16 << 20
"""Bytes of a picture that are drawn in a moment, of whatever zone they are."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE = (
    *(OSError, ValueError, EOFError, LookupError, RuntimeError, MemoryError, OverflowError),
    *(SyntaxError, TypeError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What the readers of zip and of numpy's format raise for files that are not sound."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ZoneMap:
    """The owners of one cell's pages at three moments: u1 of shape (3, pages)."""

    cell: str
    owners: Array


def record_zone_maps(findings: Findings, study: Study) -> int:
    """Simulate a few contrasting cells once more and keep their pictures; returns how many.

    Cells of another version of the simulation, or with no finished trial, are left out. None is
    made if even one trial took more than a minute; whatever the manifest says, no more than twice
    that is spent, and no more memory than zones of 256 GB take.
    """
    from study.report.select import contrasting_cells
    from study.zone.simulate import bytes_needed
    from study.zone.trial.observe import free_blocks, pictures

    settings = {cell.id: cell.settings for cell in study.cells}
    seeds = study.seeds()
    counts = findings.manifest["counts"]
    seconds = findings.manifest["trial_seconds"] / max(counts["finished"], 1)
    affordable = int(min(SECONDS_MOST / seconds, 4)) if seconds > 0 else 4
    ends = monotonic() + 2 * SECONDS_MOST

    def in_time() -> None:
        if monotonic() > ends:
            raise TimeoutError

    made: list[ZoneMap] = []
    wanted = set(contrasting_cells(findings)[:affordable])
    # In the order of the levels, as the scenario has them.
    for cell in [cell for cell in findings.cells if cell in wanted]:
        last = _last_free_blocks(findings, cell)
        if cell not in settings or last is None or bytes_needed(settings[cell]) > _ZONE_MOST:
            continue
        try:
            with allowing(study.allowed):
                taken = pictures(
                    settings[cell], seed=seeds[cell], replicate=0, check_time_limit=in_time
                )
        except TimeoutError:
            break
        if not np.array_equal(free_blocks(taken[-1]), last):
            # Another version of the simulation made the rows: this is not their zone.
            continue
        made.append(ZoneMap(cell, taken))
    if made:
        _write(findings.folder, made)
    return len(made)


def read_zone_maps(folder: Folder) -> list[ZoneMap]:
    """The pictures kept in a results folder; none if there are none, or none that can be read."""
    try:
        content = read_regular(folder.path / ZONE_MAPS, most=_BYTES_MOST)
        with zipfile.ZipFile(io.BytesIO(content)) as members:
            entries = members.infolist()
        if any(entry.compress_type not in _METHODS for entry in entries):
            return []
        sizes = {entry.filename: entry.file_size for entry in entries}
        if sum(sizes.values()) > _BYTES_MOST or not _fit(sizes, folder):
            return []
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            maps = [ZoneMap(cell, file[cell]) for cell in file.files]
    except _UNREADABLE:
        return []
    return [each for each in maps if _are_owners(each.owners)]


def moments(owners: Array) -> dict[str, Array]:
    """What is called how of a cell's pictures; worn is none of them where nothing was worn yet."""
    found = dict(zip(MOMENTS.values(), owners, strict=True))
    if np.array_equal(owners[0], owners[1]):
        del found[MOMENTS["worn"]]
    return found


def _fit(sizes: Mapping[str, int], folder: Folder) -> bool:
    """Whether no picture is of more pages than the zone of its cell has."""
    large = {name: size for name, size in sizes.items() if size > _SOON_READ}
    if not large:
        return True
    try:
        with only_naming():
            study = study_of(folder.manifest["scenario"], folder.place)
    except ResultsError:
        return False
    pages = {f"{cell.id}.npy": cell.settings.memory.pages for cell in study.cells}
    return all(
        size <= len(MOMENTS) * pages.get(name, 0) + _SOON_READ for name, size in large.items()
    )


def _are_owners(member: Any) -> bool:
    """Whether a member of the file is what was written: owners of the pages at each moment.

    A member that is no array is given as its bytes.
    """
    return (
        isinstance(member, np.ndarray)
        and member.dtype == np.uint8
        and member.ndim == 2
        and member.shape[0] == len(MOMENTS)
        and member.shape[1] > 0
    )


def _write(folder: Folder, maps: list[ZoneMap]) -> None:
    held: Mapping[str, Any] = {each.cell: each.owners for each in maps}
    file = io.BytesIO()
    np.savez_compressed(file, **held)
    write_bytes_whole(folder.path / ZONE_MAPS, file.getbuffer())


def _last_free_blocks(findings: Findings, cell: str) -> Array | None:
    last = None
    for samples in series_batches(findings.folder):
        rows = samples[(samples["cell"] == cell) & (samples["replicate"] == 0)]
        if "nr_free0" in rows and len(rows):
            last = rows.iloc[-1]
    if last is None:
        return None
    return last[[f"nr_free{order}" for order in range(11)]].to_numpy(np.int64)


def classes(owners: Array) -> Array:
    """Index into OWNERS of every page, u1."""
    from study.zone.trial.observe import Owner

    table = np.zeros(256, np.uint8)
    table[Owner.FILE], table[Owner.ANONYMOUS] = 0, 1
    table[Owner.KERNEL], table[Owner.NIC] = 2, 3
    table[Owner.RESERVED] = 4
    table[Owner.PERCPU] = 5
    for order, name in enumerate((5, 6, 6, 7, 7, 7, 8, 8, 8, 8, 8)):
        table[Owner.FREE + order] = name
    return table[owners]


def page_counts(owners: Array) -> str:
    """What a picture shows, in words: how many pages of each class."""
    counts = np.bincount(classes(owners), minlength=len(OWNERS))
    return ", ".join(
        f"{count:,} {name}" for name, count in zip(OWNERS, counts, strict=True) if count
    )


def raster(of_pages: Array, *, background: int, across: int = ACROSS) -> Array:
    """A picture (rows, columns) of one value per page: blocks of order 10 in rows, Z curve within.

    `across` blocks wide at most, and about as wide as high if there are few, or as many more as
    keep it from being more than three times as high as wide; where the zone ends the background
    begins.
    """
    pages = len(of_pages)
    if pages <= TILE * TILE:
        return _small(of_pages, background)
    blocks = -(-pages // (TILE * TILE))
    across = max(across, ceil((blocks / 3) ** 0.5))
    across = min(across, max(1, round((1.3 * blocks) ** 0.5)))
    down = -(-blocks // across)
    padded = np.full(across * down * TILE * TILE, background, np.uint8)
    padded[:pages] = of_pages
    x, y = z_curve(TILE)
    tiles = np.empty((across * down, TILE, TILE), np.uint8)
    tiles[:, y, x] = padded.reshape(across * down, -1)
    return tiles.reshape(down, across, TILE, TILE).swapaxes(1, 2).reshape(down * TILE, -1)


def _small(of_pages: Array, background: int) -> Array:
    side = 1 << max(0, (max(len(of_pages) - 1, 1)).bit_length() + 1 >> 1)
    padded = np.full(side * side, background, np.uint8)
    padded[: len(of_pages)] = of_pages
    x, y = z_curve(side)
    picture = np.empty((side, side), np.uint8)
    picture[y, x] = padded
    return picture[: int(y[: len(of_pages)].max()) + 1]


def z_curve(side: int) -> tuple[Array, Array]:
    """(x, y) of the pages of a square of `side` (a power of two): x from the even bits."""
    page = np.arange(side * side)
    x, y = np.zeros_like(page), np.zeros_like(page)
    for bit in range(side.bit_length()):
        x |= (page >> 2 * bit & 1) << bit
        y |= (page >> 2 * bit + 1 & 1) << bit
    return x, y


def png(owners: Array) -> tuple[str, int, int]:
    """(data URL, width, height) of a picture of one zone, one pixel a page."""
    from PIL import Image

    colours = [*OWNERS.values(), "#000000"]
    background = len(colours) - 1
    picture = raster(classes(owners), background=background)
    image = Image.fromarray(picture, mode="P")
    image.putpalette([int(c[i : i + 2], 16) for c in colours for i in (1, 3, 5)])
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, transparency=background, bits=4)
    text = base64.b64encode(file.getvalue()).decode()
    return f"data:image/png;base64,{text}", picture.shape[1], picture.shape[0]
