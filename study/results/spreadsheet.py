"""CSV files that a spreadsheet may open: text in them is text, never a formula.

A spreadsheet takes a field that begins with = + - or @ for a formula, whoever wrote it, and names
of levels and claims come from scenarios of others. Such a field is written with an apostrophe
before it, by which spreadsheets know text; so is what follows a semicolon, a tab or a line
end, which many of them take for the end of a field. A number stays one, also a negative one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    import pandas as pd

_MARKS = "[-=+@\uff1d\uff0b\uff0d\uff20]"
"""What begins a formula; the last four are the wide letters of East Asian keyboards."""
_BEGINS = r"(?<![^;\t\r\n])"
"""Where a field begins for one spreadsheet or another."""
_UNSEEN = "\0-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
"""What takes no room, and what some spreadsheets throw away before they look at a field."""
_BLANKS = rf"(?:[^\S\t\r\n]|[{_UNSEEN}]|')*"
# With apostrophes among the blanks, one more or less changes nothing about what is a formula.
_FORMULA = re.compile(rf"{_BEGINS}(?={_BLANKS}{_MARKS})")
_ESCAPED = re.compile(rf"{_BEGINS}'(?={_BLANKS}{_MARKS})")
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,4})?"
)


_PLAIN = re.compile(r"|-?inf|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?")
"""A number as it is written here, or none."""


def as_text(value: Any) -> Any:
    """A field that no spreadsheet executes; from_text() undoes it. Only text is changed."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return _FORMULA.sub("'", value)


def from_text(value: Any) -> Any:
    """What as_text() was given."""
    return _ESCAPED.sub("", value) if isinstance(value, str) else value


def to_csv(table: pd.DataFrame, *, header: bool = True) -> str:
    """A table as CSV, its names of columns included."""
    safe = _every(table, as_text)
    return str(safe.to_csv(index=False, header=header, lineterminator="\n"))


def read_csv(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A CSV of a results folder, with names as the scenario has them."""
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return _every(table.apply(_typed), from_text)


def _typed(column: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers if all are, and nothing would be lost by it: a level may be NA, or 007."""
    import pandas as pd

    if all(map(_PLAIN.fullmatch, column)) and (column != "").any():
        return pd.to_numeric(column)
    return column.map({"True": True, "False": False}) if {*column} <= {"True", "False"} else column


def _every(table: pd.DataFrame, change: Any) -> pd.DataFrame:
    """A table with every text changed."""
    import pandas as pd

    changed = {
        index: column.map(change) if not pd.api.types.is_numeric_dtype(column) else column
        for index, (_, column) in enumerate(table.items())
    }
    result = pd.DataFrame(changed, index=table.index)
    result.columns = [change(name) for name in table.columns]
    return result
