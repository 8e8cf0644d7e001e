"""Uneven loads as a scenario says them: pieces, rates, and files of rates."""

from __future__ import annotations

from pathlib import Path

import pytest

from study.scenario import ScenarioError, load, load_text
from study.scenario.machine.profile import PIECES_MAX
from study.scenario.write import yaml_text

pytestmark = pytest.mark.quick
SECOND = 1_000_000_000


def test_pieces_are_factors_of_the_even_rate_or_rates() -> None:
    """What the zone gets are rates, with their mean; an even load has none."""
    told = "{user: {touch_rate: 12_000/s, touch_profile: [[2s, 2], [2s, 0]]}}"
    user = load_text(f"base: {told}", "x.yaml").cells[0].settings.user
    assert user.touch_profile == ((2 * SECOND, 24_000.0), (2 * SECOND, 0.0))
    assert user.touches_per_s == 12_000.0

    nic = load_text("base: {nic.rx_profile: [[1s, 600/min], [3s, 2/s]]}", "x.yaml").cells[0]
    assert nic.settings.nic.rx_profile == ((SECOND, 10.0), (3 * SECOND, 2.0))
    assert nic.settings.nic.rx_frames_per_s == 4.0

    assert load_text("name: x", "x.yaml").cells[0].settings.user.touch_profile == ()


def test_a_file_of_rates_is_part_of_the_scenario(tmp_path: Path) -> None:
    """The resolved scenario needs the file no more; other contents make another machine."""
    (tmp_path / "touches.csv").write_text("second,touch\n1,24000\n2,0\n3,36000.5\n")
    scenario = tmp_path / "mine.yaml"
    text = "{ file: touches.csv, column: touch, every: 100ms }"
    scenario.write_text(f"base: {{ user.touch_profile: {text} }}\n")
    study = load(scenario)
    pieces = study.cells[0].settings.user.touch_profile
    assert pieces == ((SECOND // 10, 24_000.0), (SECOND // 10, 0.0), (SECOND // 10, 36_000.5))

    (tmp_path / "touches.csv").write_text("second,touch\n1,24000\n2,1\n3,36000.5\n")
    assert load(scenario).cells[0].id != study.cells[0].id
    (tmp_path / "touches.csv").unlink()
    again = load_text(yaml_text(study.document), "again.yaml")
    assert again.cells[0].id == study.cells[0].id


def test_levels_may_be_uneven_too(tmp_path: Path) -> None:
    """Of an axis of one's own, with a file or without, and an override gives pieces."""
    (tmp_path / "frames.csv").write_text("rate\n10\n30\n")
    scenario = tmp_path / "mine.yaml"
    scenario.write_text(
        "axes:\n  load:\n    even: {}\n"
        "    bursts: { user: { touch_profile: [[1s, 5], [4s, 0]] } }\n"
        "    recorded: { nic.tx_profile: { file: frames.csv } }\n"
    )
    even, bursts, recorded = (cell.settings for cell in load(scenario).cells)
    assert even.user.touch_profile == ()
    assert bursts.user.touch_profile == ((SECOND, 100_000.0), (4 * SECOND, 0.0))
    assert recorded.nic.tx_profile == ((SECOND, 10.0), (SECOND, 30.0))

    own = load_text("name: x", "x.yaml", ["user.touch_profile=[[1s, 2], [1s, 0]]"])
    assert own.cells[0].settings.user.touch_profile == ((SECOND, 40_000.0), (SECOND, 0.0))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("12", "is 12; it must be a list of pieces"),
        ("[]", r"is \[\]; it must be a list of pieces"),
        ("[[1s]]", "has piece 1, which is .+; it must be a time and an amount"),
        ("[[1s, 2], [5, 2]]", "has piece 2, which is 5, with no unit"),
        ("[[1us, 2]]", "has piece 1, which lasts 1us; at least 1ms"),
        ("[[1s, -2]]", "has piece 1, which is -2; .* cannot be negative"),
        ("[[1s, 2 pages]]", "has piece 1, which is 2 pages; .* without a unit"),
        ("[[1s, 1e9/s]]", "has piece 1, which is 1e9/s; at most 1e8"),
        ("{ files: a.csv }", r"has files; did you mean file\?"),
        ("{ column: touch }", "is .+; it must be a list of pieces"),
        ("{ file: ../touches.csv }", r"names \.\./touches.csv, which is not in the folder"),
        ("{ file: none.csv }", "cannot be read: .*none.csv: no such file"),
        ("{ file: two.csv }", "does not say which column; two.csv has the columns a, touch"),
        ("{ file: two.csv, column: tuoch }", r"names the column tuoch; .* did you mean touch\?"),
        ("{ file: two.csv, column: a }", "cannot use two.csv, line 3, column a: oops is no rate"),
        ("{ file: two.csv, column: touch, every: 3 }", "has every, which is 3, with no unit"),
        ("{ file: odd.csv, column: a }", "cannot use odd.csv, line 2, column a: 1_000 is no rate"),
        ("{ file: odd.csv, column: b }", "cannot use odd.csv, line 2, column b: ٣ is no rate"),
        ("{ file: odd.csv, column: c }", "names the column c, which odd.csv has more than once"),
        ("{ file: head.csv }", "names head.csv, which has no rows under its head line"),
        ("{ file: long.csv }", f"names long.csv, which has more than {PIECES_MAX:,} rows"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, told: str, said: str) -> None:
    """File, line and key; for a file of rates its line and column too."""
    (tmp_path / "two.csv").write_text("a,touch\n1,2\noops,3\n")
    (tmp_path / "odd.csv").write_text("a,b,c,c\n1_000,٣,1,2\n")
    (tmp_path / "head.csv").write_text("a\n")
    (tmp_path / "long.csv").write_text("a\n" + "1\n" * (PIECES_MAX + 1))
    scenario = tmp_path / "mine.yaml"
    scenario.write_text(f"base:\n  user:\n    touch_profile: {told}\n")
    with pytest.raises(ScenarioError, match=f"mine.yaml:3:5: user.touch_profile {said}"):
        load(scenario)


def test_lines_without_a_rate_are_told_but_at_the_end(tmp_path: Path) -> None:
    """An empty line within is a missing rate; a byte order mark belongs to no column's name."""
    scenario = tmp_path / "mine.yaml"
    scenario.write_text("base: { user.touch_profile: { file: rates.csv, column: a } }\n")
    (tmp_path / "rates.csv").write_text("a\n1\n2\n\n\n", encoding="utf-8-sig")
    assert len(load(scenario).cells[0].settings.user.touch_profile) == 2
    (tmp_path / "rates.csv").write_text("a\n1\n\n2\n")
    with pytest.raises(ScenarioError, match=r"cannot use rates\.csv, line 3, column a: "):
        load(scenario)


def test_a_file_of_very_many_columns_is_refused(tmp_path: Path) -> None:
    """Whoever writes a file decides how wide it is, not how long reading takes."""
    scenario = tmp_path / "mine.yaml"
    scenario.write_text("base: { user.touch_profile: { file: wide.csv, column: a } }\n")
    (tmp_path / "wide.csv").write_text("a" + "," * 9_000 + "\n" + "1\n" * 10_000)
    with pytest.raises(ScenarioError, match=r"wide\.csv, which has 9,001 columns; at most 1,000"):
        load(scenario)


@pytest.mark.parametrize(
    ("rows", "width", "told"),
    [
        (PIECES_MAX // 4, 1, f"makes more than {PIECES_MAX:,} rows of the files of its profiles"),
        (9, 90_000, "cannot be read: .*the files of profiles are larger than 10,000,000 bytes"),
    ],
)
def test_files_of_levels_are_bounded_together(
    tmp_path: Path, rows: int, width: int, told: str
) -> None:
    """However many levels name a file, no more is read than one scenario may hold; said once."""
    (tmp_path / "rates.csv").write_text("a,b\n" + f"1,{'x' * width}\n" * rows)
    levels = "".join(
        f"    l{number}: {{ user: {{ touch_profile: {{ file: rates.csv, column: a, "
        f"every: {number}s }} }} }}\n"
        for number in range(1, 200)
    )
    scenario = tmp_path / "mine.yaml"
    scenario.write_text(f"axes:\n  load_of:\n{levels}")
    with pytest.raises(ScenarioError, match=told) as found:
        load(scenario)
    assert len(found.value.faults) == 1


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """What a file is called does not decide where it lies."""
    (tmp_path / "touches.csv").write_text("a\n1\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "touches.csv").symlink_to(tmp_path / "touches.csv")
    (inner / "mine.yaml").write_text("base: { user.touch_profile: { file: touches.csv } }\n")
    with pytest.raises(ScenarioError, match="which is not in the folder of its scenario"):
        load(inner / "mine.yaml")
