"""CSV files hold no formulas, and say the same when they are read back."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import study
from study.results.spreadsheet import as_text, from_text, read_csv, to_csv

FORMULAS = (
    "=HYPERLINK(1)",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "  =1+1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "'=1",
    "''-x",
    "\ufeff=1+1",
    "\0=1+1",
    "\u200b@b",
    "a;\u2060 \u200e-x",
    "a;=1+1",
    "a;' @b",
    "a\t=1+1",
    "\uff1d1+1",
    "\xa0=1",
    "-",
    "-5 pages",
)
HARMLESS = (
    "count-only",
    "-5",
    "+5",
    "-1e-3",
    "-.5",
    "it's",
    "'",
    "a=b",
    "x - y",
    "",
    "3%",
    "2.6.8",
)
LETTERS = st.text(st.sampled_from("=+-@' ;\t\r\n,\"a1\xa0\uff1d\0\ufeff"), max_size=12)


def executed(text: str) -> bool:
    """Would a spreadsheet, of whatever separators, take any part of a field for a formula?"""
    parts = re.split(r"[;\t\r\n]", text)
    # What has no width is thrown away by some.
    parts = [re.sub("[\0\u200b\u200e\u2060\ufeff]", "", part) for part in parts]
    return any(re.match(r"\s*[-=+@\uff1d\uff0b\uff0d\uff20]", part) for part in parts)


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_execute_is_written_as_text(text: str):
    """An apostrophe stands before it, and goes when we read it."""
    assert executed(text) or text.startswith("'") or "' " in text
    assert not executed(str(as_text(text)))
    assert from_text(as_text(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_formula_stays_as_it_is(text: str):
    """Names, words and numbers, negative ones included."""
    assert as_text(text) == text
    assert from_text(text) == text


@given(text=LETTERS)
@example("' =1")
@example(";\t=1")
def test_any_text_comes_back(text: str):
    """Through the escape alone and through a file, whatever is in it."""
    assert from_text(as_text(text)) == text
    # Python before 3.13 leaves a field with a lone carriage return without quotation marks.
    text = text.replace("\r", "\n")
    written = to_csv(pd.DataFrame({"name": [f"x{text}", text, "end"], "value": [-1.5, 2, -3]}))
    rows = list(csv.reader(io.StringIO(written, newline="")))
    assert [from_text(name) for name, _ in rows[1:]] == [f"x{text}", text, "end"]
    assert [value for _, value in rows[1:]] == ["-1.5", "2.0", "-3.0"]


def test_long_text_takes_no_longer_than_its_length():
    """Megabytes of what the patterns look for are gone through once."""
    for letters in ("'", " ", "\t", ";", "' ", "\t'", "=", "1"):
        text = letters * 1_000_000
        assert from_text(as_text(text)) == text


SCENARIO = """\
name: formulas
replicates: 3
base:
  zone: { memory: 16MiB, reserved: 1MiB }
  user: { touch_rate: 2000/s }
  processes: { memory: 64KiB }
  nic: { ring: 16, rx_rate: 200/s, tx_rate: 100/s }
  clock: { ageing: 1s, measure: 1s, sample: 250ms }
axes:
  card:
    "=HYPERLINK(1)": { nic.receive: linear }
    "+cmd|x;=2": { nic.receive: page-array }
claims:
  - id: served
    says: "@SUM of all is served."
    metric: { rx_failures: -1 }
    side: { card: "=HYPERLINK(1)" }
    against: { card: "+cmd|x;=2" }
    expect: more
    matters: 0.01
"""


def test_the_files_of_a_study_hold_no_formula(tmp_path: Path):
    """Names of levels and claims like formulas: written as text, read back, shown as they are."""
    (tmp_path / "x.yaml").write_text(SCENARIO)
    results = study.run(tmp_path / "x.yaml", ray=False, out=tmp_path / "out")

    found = 0
    for name in ("summary.csv", "contrasts.csv", "verdicts.csv"):
        with (tmp_path / "out" / name).open(newline="") as file:
            fields = [field for row in csv.reader(file) for field in row]
        numbers = [field for field in fields if re.fullmatch(r"-[0-9.]+(e[-+]?[0-9]+)?", field)]
        texts = [field for field in fields if field not in numbers]
        assert not [field for field in texts if executed(field)]
        found += len(numbers)
    assert found > 10, "negative numbers are numbers"
    summary = read_csv(tmp_path / "out" / "summary.csv")
    pd.testing.assert_frame_equal(
        summary[["card", "cell", "metric"]].astype(object),
        results.summary[["card", "cell", "metric"]].astype(object),
    )
    assert set(summary["card"]) == {"=HYPERLINK(1)", "+cmd|x;=2"}
    assert read_csv(tmp_path / "out" / "verdicts.csv")["says"].item() == "@SUM of all is served."
    assert set(results.trials["card"]) == {"=HYPERLINK(1)", "+cmd|x;=2"}
    assert study.read(tmp_path / "out").manifest["state"] == "complete"


def test_levels_that_look_like_something_else_stay_what_they_are(tmp_path: Path):
    """NA, null and 007 are words if a level is called so; numbers are numbers."""
    words = ["NA", "null", "None", "nan", "N/A"]
    table = pd.DataFrame(
        {
            "word": words,
            "code": ["007", "7", "08", "1e400x", "1"],
            "number": [1.5, -2e-30, float("nan"), float("inf"), 3],
            "count": [1, 2, 3, 4, 5],
            "on": [True, False, True, True, False],
        }
    )
    (tmp_path / "table.csv").write_text(to_csv(table))

    pd.testing.assert_frame_equal(read_csv(tmp_path / "table.csv"), table, check_dtype=False)
