"""`study report`, `study plot`, and the report at the end of a run, as processes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.fixture(autouse=True)
def page_at_the_end(monkeypatch) -> None:
    monkeypatch.setenv("STUDY_NO_REPORT", "0")


def study_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "study", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_run_ends_with_its_report(scenario, tmp_path):
    """The last line of a run says where the report lies, and there it lies with its pictures."""
    out = tmp_path / "out"
    done = study_command("run", scenario, "replicates=1", "--no-ray", "--out", out)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"Report: {out / 'report.html'}"
    assert "data:image/png" in (out / "report.html").read_text()


def test_a_run_may_end_without_one(scenario, tmp_path):
    """With --no-report no page is made and none is spoken of."""
    out = tmp_path / "out"
    done = study_command("run", scenario, "replicates=1", "--no-ray", "--no-report", "--out", out)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"Results: {out}"
    assert not (out / "report.html").exists()


def test_a_report_that_fails_does_not_fail_the_run(scenario, tmp_path, monkeypatch):
    """Whatever goes wrong with the page is said in a line; the run's status is its own."""
    # matplotlib refuses to be imported with a style file that is not there.
    (tmp_path / "matplotlib.py").write_text("raise ImportError('broken on purpose')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    out = tmp_path / "out"
    done = study_command("run", scenario, "replicates=1", "--no-ray", "--out", out)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "No report: ImportError: broken on purpose"
    assert (out / "summary.csv").exists()


def test_report_is_made_again_from_the_folder(copy):
    """`study report DIR` makes the page anew and says where."""
    (copy / "report.html").unlink(missing_ok=True)
    done = study_command("report", copy)

    assert (done.returncode, done.stdout) == (0, f"Report: {copy / 'report.html'}\n")
    assert (copy / "report.html").exists()


@pytest.mark.parametrize("command", ["report", "plot"])
def test_a_folder_without_results_is_refused(command, tmp_path):
    """One line on the error stream, status 2, no traceback."""
    done = study_command(command, tmp_path)

    assert done.returncode == 2
    assert done.stderr == (
        f"study: {tmp_path} is not a results folder: there is no manifest.json in it, nor any row; "
        f"a run that ended so early is started again with: study run SCENARIO --out {tmp_path}\n"
    )


def test_figures_are_written_as_files(copy, tmp_path):
    """`study plot` writes the figures asked for in the format asked for, and names them."""
    done = study_command("plot", copy, "tradeoff", "zone-map", "--format", "png", "--out", tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "tradeoff.png"), str(tmp_path / "zone-map.png")]
    for name in ("tradeoff", "zone-map"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_is_none_is_refused(copy):
    """A wrong name is answered with the nearest one."""
    done = study_command("plot", copy, "tradeof")

    assert done.returncode == 2
    assert done.stderr == "study: tradeof is not a figure; did you mean tradeoff?\n"


def test_two_studies_are_compared_on_a_page(results, tmp_path):
    """`study compare A B --html FILE` has the table's lines, stands alone and escapes names."""
    page = tmp_path / "both.html"
    done = study_command("compare", results.path, results.path, "--html", page)
    text = page.read_text()

    assert (done.returncode, done.stdout) == (0, f"Page: {page}\n")
    assert "0 of " in text
    assert "receive buffer requests served" in text
    assert "<i>&linear" not in text
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*', text)
