"""The same from Python, in a few lines."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import study


@pytest.fixture(scope="module")
def tiny(root: Path) -> Path:
    return root / "tests/fanout/tiny.yaml"


def test_a_study_in_three_lines(tiny, tmp_path):
    """study.run() hands back data frames, and study.read() the same ones from the folder."""
    results = study.run(tiny, "replicates=2", out=tmp_path / "out", ray=False)

    assert results.path == tmp_path / "out"
    assert len(results.trials) == 8
    assert results.trials["replicate"].tolist() == [0, 1] * 4
    assert {"n", "mean", "sd", "low", "high"} <= set(results.summary.columns)
    again = study.read(tmp_path / "out")
    for table in ("trials", "summary", "series"):
        pd.testing.assert_frame_equal(
            getattr(results, table), getattr(again, table), check_exact=True
        )
    assert repr(again).endswith(": complete, 8 of 8 trials, 0 failed>")


def test_a_loaded_study_runs_on_ray(tiny, tmp_path):
    """A study can be loaded, looked at, then run; on Ray it gives what it gives without."""
    loaded = study.load(tiny, "replicates=1")
    assert [cell.levels["nic.mtu"] for cell in loaded.cells] == [1500, 9000] * 2
    assert repr(loaded) == f"<Study 'tiny' of {tiny}: 4 cells x 1 replicates = 4 trials>"

    on_ray = study.run(loaded, out=tmp_path / "ray", workers=2)
    here = study.run(loaded, out=tmp_path / "here", ray=False)
    pd.testing.assert_frame_equal(on_ray.trials, here.trials, check_exact=True)
    with pytest.raises(TypeError, match="overrides belong to load"):
        study.run(loaded, "replicates=2")


def test_failed_trials_are_rows(root, tmp_path):
    """A failing trial raises nothing: it is a row that says so."""
    results = study.run(root / "tests/fanout/failing.yaml", out=tmp_path / "out", ray=False)

    assert results.manifest["state"] == "failed"
    assert results.trials["status"].tolist() == ["ok", "ok", "failed", "failed"]
    summary = results.summary
    assert summary.groupby("cell", sort=False)["failed"].first().tolist() == [0, 2]
    assert summary.groupby("cell", sort=False)["n"].max().tolist() == [2, 0]


def test_bad_input_raises_what_it_is(tiny, tmp_path):
    """Faults of the scenario and of the folder are exceptions of the package, by public names."""
    with pytest.raises(study.ScenarioError, match="memry"):
        study.load(tiny, "zone.memry=1MiB")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(study.ResultsError, match="is a file"):
        study.run(tiny, out=tmp_path / "file", ray=False)
    with pytest.raises(study.FanoutError, match="no Ray to join"):
        study.run(tiny, out=tmp_path / "out", address="127.0.0.1:1")
    assert not (tmp_path / "out").exists()


def test_everything_public_is_there():
    """Each name that the package lists can be had."""
    assert all(getattr(study, name) is not None for name in study.__all__)
    assert study.__version__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = study.nothing


def test_ctrl_c_reaches_the_caller(root, tiny, tmp_path):
    """After Ctrl-C study.run() raises KeyboardInterrupt, with all finished trials on disk."""
    script = (
        "import dataclasses, os, signal, study\n"
        "class Interrupted(study.Study):\n"
        "    def trials(self, replicates=None):\n"
        "        for number, trial in enumerate(super().trials(replicates)):\n"
        "            if number == 6: os.kill(os.getpid(), signal.SIGINT)\n"
        "            yield trial\n"
        f"loaded = study.load({str(tiny)!r})\n"
        "fields = {f.name: getattr(loaded, f.name) for f in dataclasses.fields(loaded)}\n"
        "try:\n"
        f"    study.run(Interrupted(**fields), out={str(tmp_path / 'out')!r}, ray=False)\n"
        "except KeyboardInterrupt as stop:\n"
        "    print(stop)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == f"finished trials are kept in {tmp_path / 'out'}", done.stderr
    kept = study.read(tmp_path / "out")
    assert kept.manifest["state"] == "interrupted"
    assert len(kept.trials) == 6


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"workers": 0}, "workers is 0; it must be at least 1"),
        ({"workers": 2, "ray": False}, "no workers, no address"),
        ({"force": True, "extend": True}, "give one of them"),
    ],
)
def test_arguments_that_contradict_each_other_are_told(tiny, tmp_path, wrong, said):
    """What the command line refuses is refused here too, before anything is made."""
    with pytest.raises(ValueError, match=said):
        study.run(tiny, out=tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_study_is_extended(tiny, tmp_path):
    """More replicates are added to a folder; those that are there are not run again."""
    study.run(tiny, "replicates=1", out=tmp_path / "out", ray=False)
    with pytest.raises(study.ResultsError, match="extend"):
        study.run(tiny, "replicates=2", out=tmp_path / "out", ray=False)
    wider = study.run(tiny, "replicates=2", out=tmp_path / "out", ray=False, extend=True)

    assert wider.trials["replicate"].tolist() == [0, 1] * 4
    assert len(wider.manifest["extended_from"]) == 1


def test_pictures_of_zones_can_be_drawn_at_once(tiny, tmp_path):
    """A run from Python keeps no zone maps; the first who wants one gets it, the page too."""
    results = study.run(tiny, "replicates=1", out=tmp_path / "out", ray=False)
    assert not (tmp_path / "out/zonemaps.npz").exists()

    assert results.plot_zone_map().axes
    assert (tmp_path / "out/zonemaps.npz").exists()
    assert "data:image/png" in results.report().read_text()
