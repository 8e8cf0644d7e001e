"""The page that sets simulated zones beside machines: its scenario, its figures, its tables."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from study.runs import Options, run_study
from study.scenario import load
from study.zone.marks import marks_for

MARKS = {"2.6.8": (175, 350, 525), "2.6.10": (701, 876, 1051), "2.6.11": (701, 876, 1051)}
"""As the machines printed them (SysRq-m)."""


def test_each_recorded_run_has_a_cell_with_its_marks(root: Path) -> None:
    """What docs/validation.csv has is simulated, on zones whose marks are the machines'."""
    study = load(root / "scenarios" / "validation" / "machines.yaml")
    real = pd.read_csv(root / "docs" / "validation.csv", index_col="run")

    assert [cell.levels["run"] for cell in study.cells] == list(real.index)
    for cell in study.cells:
        kernel = real.loc[str(cell.levels["run"]), "what"].partition(",")[0].removesuffix("-rc5")
        assert marks_for(cell.settings.memory, cell.settings.watermarks) == MARKS[kernel]


@pytest.mark.slow
def test_the_page_can_be_made_again(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a run of any length: a table for each run with every figure, and how many agree."""
    short = ["clock.ageing=1s", "clock.measure=2s", "replicates=2", "run=[e268z, c6_dma]"]
    study = load(root / "scenarios" / "validation" / "machines.yaml", short)
    run_study(study, tmp_path / "out", Options(ray=False))
    spec = importlib.util.spec_from_file_location("validation", root / "docs" / "validation.py")
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)

    page.main(tmp_path / "out")

    printed = capsys.readouterr().out
    assert printed.count("| receive buffers refused a frame |") == 2
    figures = 2 * len(page.FIGURES) - 2  # e268z had no zone DMA
    assert printed.count(" |\n") == 2 + figures
    assert printed.rstrip().endswith(f"of {figures} figures agree.")
