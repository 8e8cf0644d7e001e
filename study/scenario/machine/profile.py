"""Load that comes unevenly: how many a second, piece by piece, over and over.

    touch_profile: [[2s, 2], [2s, 0]]               times the even rate, for so long
    rx_profile: [[300ms, 12_000/s], [4.2s, 0/s]]    so many a second, whatever the even rate
    touch_profile: { file: touches.csv, column: touch, every: 100ms }

A file is read once, where its scenario is composed, and what is in it takes its place: the resolved
scenario has the pieces and needs no file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.scenario.errors import did_you_mean, shown
from study.scenario.units import nanoseconds_from, number_from, per_second_from, time_text

PROFILE_KEYS = ("user.touch_profile", "nic.rx_profile", "nic.tx_profile")
PIECES_MAX = 10_000
"""Of one profile, and of all files of a scenario."""
LETTERS_MAX = 10_000_000
"""Of all files of a scenario."""
_COLUMNS_MAX = 1_000
SHORTEST_NS = 1_000_000
_LOOKS = (
    "a list of pieces, each a time and a factor of the even rate or a rate ([[1s, 5], [4s, 0]]), "
    "or a file: { file: touches.csv, column: touch, every: 1s }"
)
_FILE_KEYS = ("file", "column", "every")


@dataclass(frozen=True)
class Piece:
    """How long a rate lasts.

    Parameters
    ----------
    lasts_ns
        Its time.
    amount
        A factor of the even rate, or how many a second.
    is_rate
        Is it the latter?
    """

    lasts_ns: int
    amount: float
    is_rate: bool

    def plain(self) -> list[str | float]:
        """As a scenario says it; read again it gives the same."""
        return [time_text(self.lasts_ns), f"{self.amount!r}/s" if self.is_rate else self.amount]


@dataclass(frozen=True)
class Profile:
    """Pieces that follow each other, from the beginning of a trial on and over and over.

    pieces  one at least
    """

    pieces: tuple[Piece, ...]

    def __str__(self) -> str:
        told = [f"{lasts} {amount}" for lasts, amount in (one.plain() for one in self.pieces[:6])]
        return ", ".join(told) + ", ..." * (len(self.pieces) > len(told))

    def plain(self) -> list[list[str | float]]:
        """As a scenario says it."""
        return [one.plain() for one in self.pieces]

    def rates(self, even_per_s: float) -> tuple[tuple[int, float], ...]:
        """(ns, how many a second) of each piece, where the even rate is so much."""
        return tuple(
            (one.lasts_ns, one.amount if one.is_rate else one.amount * even_per_s)
            for one in self.pieces
        )


def profile_from(value: Any) -> Profile | None:
    """The profile that a scenario says; None for an even load.

    Raises ValueError with what is wrong, as the rest of a sentence.
    """
    if value is None or isinstance(value, Profile):
        return value
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"is {shown(value)}; it must be {_LOOKS}")
    if len(value) > PIECES_MAX:
        raise ValueError(f"has {len(value):,} pieces; at most {PIECES_MAX:,}")
    pieces = []
    for number, piece in enumerate(value, 1):
        try:
            pieces.append(_piece(piece))
        except ValueError as error:
            raise ValueError(f"has piece {number}, which {error}") from None
    return Profile(tuple(pieces))


def _piece(value: Any) -> Piece:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"is {shown(value)}; it must be a time and an amount: [1s, 5]")
    lasts = nanoseconds_from(value[0])
    if lasts < SHORTEST_NS:
        raise ValueError(f"lasts {shown(value[0])}; at least {time_text(SHORTEST_NS)}")
    is_rate = isinstance(value[1], str) and "/" in value[1]
    amount = per_second_from(value[1]) if is_rate else number_from(value[1])
    if amount > 1e8:
        raise ValueError(f"is {shown(value[1])}; at most 1e8")
    return Piece(lasts, amount, is_rate)


def pieces_of_file(
    told: Mapping[str, Any], folder: Path, read: Callable[[Path], str]
) -> list[list[str | float]]:
    """The pieces in a file of rates, a row for each, as a scenario would say them.

    Parameters
    ----------
    told
        The file, its column (needed if it has several) and how long a row lasts (a second).
    folder
        Of the scenario; the file lies in it or below it.
    read
        Gives a file's text, or raises ScenarioError.

    Raises ValueError with what is wrong, as the rest of a sentence.
    """
    unknown = next((key for key in told if key not in _FILE_KEYS), None)
    if unknown is not None:
        raise ValueError(f"has {shown(unknown)}{did_you_mean(str(unknown), _FILE_KEYS)}; {_LOOKS}")
    name = told.get("file")
    if not isinstance(name, str) or not name:
        raise ValueError(f"is {shown(dict(told))}; it must be {_LOOKS}")
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ValueError(f"names {shown(name)}, which is not in the folder of its scenario")
    try:
        every = nanoseconds_from(told.get("every", "1s"))
    except ValueError as error:
        raise ValueError(f"has every, which {error}") from None
    # A spreadsheet may put a byte order mark before the head line.
    rows = csv.reader(io.StringIO(read(file).removeprefix("\ufeff")))
    try:
        columns = next(rows, [])
    except csv.Error as error:
        raise ValueError(f"names {name}, which is no CSV: {error}") from None
    column = _column(name, columns, told.get("column"))
    pieces = _pieces(rows, columns.index(column), every, f"{name}, line %d, column {column}")
    if len(pieces) > PIECES_MAX:
        raise ValueError(f"names {name}, which has more than {PIECES_MAX:,} rows")
    if not pieces:
        raise ValueError(f"names {name}, which has no rows under its head line")
    return pieces


def _pieces(rows: Any, index: int, every_ns: int, where: str) -> list[list[str | float]]:
    """One of each row, and not many more than may be; empty lines may stand at the end alone."""
    pieces: list[list[str | float]] = []
    empty = 0
    at = rows.line_num + 1
    try:
        for row in rows:
            at = empty or rows.line_num
            if not row:
                empty = at
                continue
            rate = _rate(row[index] if len(row) > index and not empty else "")
            pieces.append(Piece(every_ns, rate, True).plain())
            if len(pieces) > PIECES_MAX:
                break
    except (ValueError, csv.Error) as error:
        raise ValueError(f"cannot use {where % at}: {error}") from None
    return pieces


_PLAIN = re.compile(r"[-+.0-9eE\s]{1,99}")


def _rate(word: str | None) -> float:
    try:
        # float() also takes digits of other scripts, and 1_000.
        return number_from(float(word if word and _PLAIN.fullmatch(word) else ""))
    except ValueError:
        raise ValueError(f"{shown(word)} is no rate a second") from None


def _column(name: str, columns: list[str], wanted: Any) -> str:
    if len(columns) > _COLUMNS_MAX:
        raise ValueError(
            f"names {name}, which has {len(columns):,} columns; at most {_COLUMNS_MAX:,}"
        )
    if wanted is None and len(columns) == 1:
        return columns[0]
    if columns.count(wanted) > 1:
        raise ValueError(f"names the column {shown(wanted)}, which {name} has more than once")
    if wanted in columns:
        return str(wanted)
    has = f"{name} has the columns {', '.join(shown(one) for one in columns[:8])}"
    if wanted is None:
        raise ValueError(f"does not say which column; {has}")
    near = did_you_mean(str(wanted), columns)
    raise ValueError(f"names the column {shown(wanted)}; {has}{near}")
