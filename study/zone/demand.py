"""What a recorded machine asked of its page allocator: each request with its time and its end.

    packed:  one xz stream of columns: as small as a scenario and a task can carry
    rows:    DEMAND, one a request, in the order of time, as the load of a trial reads them

Times are kept to the microsecond as tracers print them; how long a block is kept, to 1 part in 64.
"""

from __future__ import annotations

import hashlib
import lzma
from enum import IntEnum
from functools import lru_cache

import numpy as np

from study.zone.settings import ORDER_MAX, Recorded

DEMAND = np.dtype(
    [
        ("at", "i8"),  # ns since the recording began
        ("hold", "i8"),  # ns until it is given back
        ("gfp", "i4"),  # bits of engine.enums.Gfp
        ("order", "u1"),
        ("use", "u1"),  # bits of Use
        ("pad", "i2"),
    ]
)
REQUESTS_MOST = 2_000_000
PACKED_BYTES_MOST = 600_000
"""Of all recordings of a scenario, which is itself text of at most 1 MB: some 500,000 requests."""


class Use(IntEnum):
    """Bits of what a recorded block is for; none: it is the kernel's, and stays where it is."""

    FILE = 1
    """Of a file."""
    ANON = 2
    """Of a program's memory."""
    WRITTEN = 4
    """Asked for in order to be written."""
    RECLAIMED = 8
    """The kernel's reclaim took it, at the end of `hold`; its user did not give it back."""


_GFP_MOST = 1 << 21
_MICROSECOND = 1_000
_HOLD_US_MOST = (1 << 40) - 1
_PER_US_MOST = 10
_EXACT = 64
"""Microseconds below which a hold is kept exactly; above, an octave has half as many steps."""
_CODE_MOST = 35 * _EXACT - 1
"""Of _HOLD_US_MOST."""
_HEAD_BYTES = 24
_KINDS_MOST = 1 << 16
_UNPACKED_MOST = 64 + 12 * _KINDS_MOST + 8 * REQUESTS_MOST


def _coarse(us: np.ndarray) -> np.ndarray:
    """Microseconds as 16-bit codes: the leading six bits, and how far they are shifted."""
    us = np.clip(us, 0, _HOLD_US_MOST)
    shift = np.maximum(np.frexp(us.astype(np.float64))[1].astype(np.int64) - 6, 0)
    return (shift * _EXACT + (us >> shift)).astype(np.uint16)


def _fine(codes: np.ndarray) -> np.ndarray:
    """Microseconds of 16-bit codes: the middle of what each stands for."""
    shift, lead = np.divmod(codes.astype(np.int64), _EXACT)
    return (lead << shift) + ((np.int64(1) << shift) >> 1)


def pack(
    at_us: np.ndarray,
    hold_us: np.ndarray,
    order: np.ndarray,
    gfp: np.ndarray,
    use: np.ndarray,
    length_us: int,
) -> Recorded:
    """A recorded load from its columns, one entry a request in the order of time.

    Parameters
    ----------
    at_us, hold_us
        When it was made, since the recording began, and how long the block was kept.
    order, gfp, use
        Of the block; the zone's bits of its flags; bits of Use.
    length_us
        Of the recording.

    Raises
    ------
    ValueError
        There is nothing in it, or more than can be carried.
    """
    rows = len(at_us)
    if not 0 < rows <= REQUESTS_MOST:
        raise ValueError(f"it has {rows:,} requests; at most {REQUESTS_MOST:,} make a load")
    kinds, which = np.unique(np.stack([gfp, order, use], 1), axis=0, return_inverse=True)
    if len(kinds) > _KINDS_MOST or not is_plausible(rows, int(at_us[-1]), length_us):
        raise ValueError("its times are those of no machine")
    columns = (
        np.array([rows, length_us, len(kinds)], "<i8"),
        kinds.astype("<i4"),
        _by_byte(np.diff(at_us, prepend=0).astype("<u4")),
        _by_byte(which.reshape(-1).astype("<u2")),
        _by_byte(_coarse(hold_us).astype("<u2")),
    )
    raw = b"".join(column.tobytes() for column in columns)
    packed = lzma.compress(raw, preset=6)
    if len(packed) > PACKED_BYTES_MOST:
        raise ValueError(
            f"its {rows:,} requests take {len(packed):,} bytes; at most {PACKED_BYTES_MOST:,} can "
            f"be carried, some {rows * PACKED_BYTES_MOST // len(packed):,} requests: give a part "
            "of it"
        )
    return Recorded(_digest(raw), length_us * _MICROSECOND, rows, packed)


def is_plausible(rows: int, last_us: int, length_us: int) -> bool:
    """Whether a machine can have asked so often, in order, for less than twelve days."""
    return rows <= _PER_US_MOST * length_us and last_us <= length_us <= _HOLD_US_MOST


def _by_byte(numbers: np.ndarray) -> np.ndarray:
    """The first byte of each number, then the second: so they pack much smaller."""
    return np.ascontiguousarray(numbers.view(np.uint8).reshape(len(numbers), -1).T)


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def reopen(packed: bytes, digest: str) -> Recorded:
    """A recorded load that was packed before, looked through as what others may have written.

    Raises
    ------
    ValueError
        It is damaged, or of another digest.
    """
    raw = _raw(packed)
    if _digest(raw) != digest:
        raise ValueError(f"is of the digest {_digest(raw)}, not {digest[:40]}")
    rows, length_us = (int(number) for number in np.frombuffer(raw, "<i8", 2))
    found = Recorded(digest, length_us * _MICROSECOND, rows, packed)
    _check(rows_of(found), found)
    return found


def _raw(packed: bytes) -> bytes:
    if len(packed) > PACKED_BYTES_MOST:
        raise ValueError(f"is larger than {PACKED_BYTES_MOST:,} bytes")
    try:
        reader = lzma.LZMADecompressor(memlimit=64 << 20)
        raw = reader.decompress(packed, max_length=_UNPACKED_MOST)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"is damaged ({error})") from None
    if not reader.eof or reader.unused_data or len(raw) < _HEAD_BYTES:
        raise ValueError("is cut off or damaged")
    rows, _, kinds = (int(number) for number in np.frombuffer(raw, "<i8", 3))
    whole = 0 < rows <= REQUESTS_MOST and 0 < kinds <= _KINDS_MOST
    if not whole or len(raw) != _HEAD_BYTES + 12 * kinds + 8 * rows:
        raise ValueError("is cut off or damaged")
    return raw


def _check(rows: np.ndarray, recorded: Recorded) -> None:
    """Raise ValueError for numbers that no recording has."""
    last_us, length_us = (int(t) // _MICROSECOND for t in (rows["at"][-1], recorded.length_ns))
    ends = is_plausible(len(rows), last_us, length_us)
    sound = (rows["order"] <= ORDER_MAX).all() and (rows["use"] < 2 * Use.RECLAIMED).all()
    gfp = rows["gfp"]
    if not (ends and sound and (gfp >= 0).all() and (gfp < _GFP_MOST).all()):
        raise ValueError("holds numbers that no recording has")
    if ((rows["use"] & (Use.FILE | Use.ANON)) == (Use.FILE | Use.ANON)).any():
        raise ValueError("holds numbers that no recording has")


@lru_cache(maxsize=4)
def rows_of(recorded: Recorded) -> np.ndarray:
    """The requests of a recorded load, dtype DEMAND; read only, for all trials of a process."""
    raw = _raw(recorded.packed)
    nr, _, nr_kinds = (int(number) for number in np.frombuffer(raw, "<i8", 3))
    kinds = np.frombuffer(raw, "<i4", 3 * nr_kinds, _HEAD_BYTES).reshape(-1, 3)
    start = _HEAD_BYTES + 12 * nr_kinds
    gaps = _numbers(raw, "<u4", nr, start)
    which = _numbers(raw, "<u2", nr, start + 4 * nr)
    holds = _numbers(raw, "<u2", nr, start + 6 * nr)
    sound = which.max() < nr_kinds and holds.max() <= _CODE_MOST
    if not sound or not ((kinds >= 0) & (kinds < _GFP_MOST)).all():
        raise ValueError("is damaged")
    rows = np.zeros(nr, DEMAND)
    rows["at"] = gaps.astype(np.int64).cumsum() * _MICROSECOND
    rows["hold"] = _fine(holds) * _MICROSECOND
    for column, name in enumerate(("gfp", "order", "use")):
        rows[name] = np.minimum(kinds[which, column], _GFP_MOST if name == "gfp" else 255)
    rows.setflags(write=False)
    return rows


def _numbers(raw: bytes, kind: str, nr: int, start: int) -> np.ndarray:
    size = np.dtype(kind).itemsize
    by_byte = np.frombuffer(raw, np.uint8, nr * size, start).reshape(size, nr)
    return np.ascontiguousarray(by_byte.T).view(kind).reshape(-1)


@lru_cache(maxsize=4)
def user_pages_most(recorded: Recorded) -> int:
    """Most pages of programs and files that were in use at once."""
    rows = rows_of(recorded)
    user = rows[(rows["use"] & (Use.FILE | Use.ANON)) > 0]
    times = np.concatenate([user["at"], user["at"] + user["hold"]])
    pages = np.int64(1) << user["order"]
    change = np.concatenate([pages, -pages])
    in_use = change[np.argsort(times, kind="stable")].cumsum()
    return int(in_use.max(initial=0))
