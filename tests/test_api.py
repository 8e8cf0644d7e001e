"""The same from Python, in a few lines."""

import html
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

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


@pytest.mark.nightly(part="ray")
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


@pytest.mark.parametrize("wrong", [5, ["replicates=2"], None])
def test_an_override_is_a_text(tiny, wrong):
    """Anything else is told as it came."""
    with pytest.raises(TypeError, match='an override is a text, "replicates=6", and not'):
        study.load(tiny, wrong)


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


def test_everything_public_is_there_and_nothing_else():
    """Each name that the package lists can be had, and a reader who presses Tab sees no other."""
    assert all(getattr(study, name) is not None for name in study.__all__)
    assert dir(study) == sorted(study.__all__)
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

    assert results.plot_zone_map().figure.axes
    assert (tmp_path / "out/zonemaps.npz").exists()
    assert "data:image/png" in results.report().read_text()


def test_settings_are_keywords(tiny):
    """Keywords set what 'key=value' sets: keys, groups of keys, lists, numbers of numpy, paths."""
    said = study.load(tiny, "replicates=2", "zone.memory=24MiB", "nic.mtu=[1500]")
    meant = study.load(
        tiny, replicates=np.int64(2), zone={"memory": "24MiB"}, **{"nic.mtu": np.array([1500])}
    )

    assert meant == said
    with pytest.raises(study.ScenarioError, match="replicate is not a setting; did you mean repl"):
        study.load(tiny, replicate=3)
    with pytest.raises(study.ScenarioError, match="seed: no scenario has such a value: a object"):
        study.load(tiny, seed=object())


def test_a_scenario_may_be_a_dict(tiny, root, monkeypatch):
    """A dict says what a file says; its faults are told by where in it they are."""
    plain = yaml.safe_load(tiny.read_text())
    loaded = study.load(plain, replicates=1)

    assert [cell.id for cell in loaded.cells] == [cell.id for cell in study.load(tiny).cells]
    assert loaded.document == study.load(tiny, "replicates=1").document
    monkeypatch.chdir(root)
    extended = study.load({"extends": "tests/fanout/tiny.yaml", "seed": 9})
    assert (extended.seed, extended.axes) == (9, loaded.axes)
    wrong = {"axes": {"card": {"a": {"nic.rx_ordr": 3}, "b": {"nic.mtu": 1500}}}}
    with pytest.raises(study.ScenarioError) as caught:
        study.load(wrong)
    assert str(caught.value) == (
        "scenario['axes']['card']['a']['nic.rx_ordr']: nic.rx_ordr is not a setting; "
        "did you mean nic.rx_order?"
    )


def test_one_zone_is_the_row_of_the_study(tiny, tmp_path):
    """study.simulate() has the numbers and samples of that very trial, and writes nothing."""
    results = study.run(tiny, replicates=2, out=tmp_path / "out", ray=False)
    row = results.trials.iloc[-1]
    levels = {axis: row[axis] for axis in results.manifest["axes"]}
    zone = study.simulate(tiny, replicate=1, **levels)

    assert (zone.cell, zone.replicate, zone.seed) == (row["cell"], 1, row["seed"])
    assert zone.metrics.equals(row[list(zone.metrics.index)].astype(float))
    of_trial = results.series.query("cell == @row.cell and replicate == 1")
    columns = ["time_ns", *(f"nr_free{order}" for order in range(11))]
    pd.testing.assert_frame_equal(
        zone.series[columns], of_trial[columns].reset_index(drop=True), check_exact=True
    )
    with pytest.raises(ValueError, match=r"4 cells .*give each axis one level"):
        study.simulate(tiny)
    with pytest.raises(ValueError, match="replicate is -1"):
        study.simulate(tiny, replicate=-1, **levels)


def test_why_says_what_the_command_says(root):
    """study.why() gives the command's text, as data too, and escapes it in a notebook."""
    file = root / "tests/data/kernel-reports/2.6.17-jumbo.txt"
    found = study.why(file.read_text())
    done = subprocess.run(
        [sys.executable, "-m", "study", "why", str(file)],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip

    # The command says what to type next; a text has no name.
    assert done.stdout.partition("\nTo rank cures")[0] == f"{found}\n"
    assert [verdict.cause.value for verdict in found.verdicts] == [
        report["cause"] for report in found.as_data()["reports"]
    ]
    assert len(study.why("nothing of a kernel's <b>words</b>")) == 0
    assert "<b>" not in study.why("nothing of a kernel's <b>words</b>")._repr_html_()
    for other in (None, b"Node 0, zone Normal", file):
        with pytest.raises(TypeError, match=r"why\(\) takes text"):
            study.why(other)
    with pytest.raises(TypeError, match="an extension is named by text"):
        study.load(root / "tests/fanout/tiny.yaml", extensions=[b"x"])


def test_a_notebook_shows_the_answer_and_the_verdicts_first(tmp_path, root):
    """Results that are looked at say what they say, before where they lie; nothing is markup."""
    plain = yaml.safe_load((root / "tests/fanout/tiny.yaml").read_text())
    claim = {
        "id": "more", "says": "<b>More</b> is served.", "metric": "rx_success_ratio",
        "side": {"nic.mtu": 1500}, "against": {"nic.mtu": 9000}, "expect": "more", "matters": 0.01,
    }  # fmt: skip
    results = study.run(plain | {"claims": [claim]}, replicates=2, out=tmp_path / "o", ray=False)
    shown = results._repr_html_()
    words = html.unescape(shown).replace("\N{NO-BREAK SPACE}", " ")

    places = [words.index(text) for text in (
        results.answer.text.replace("-", "\N{MINUS SIGN}")[:40], results.verdicts["verdict"][0],
        "8 of 8 trials, complete", str(tmp_path),
    )]  # fmt: skip
    assert places == sorted(places)
    assert "<b>More</b>" not in shown
    panels = results.plot_success()
    assert [axes.figure for axes in panels] == [panels.figure]
    assert panels._repr_png_().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checker", "says"),
    [
        (["mypy", "--strict"], 'wrong.py:2: error: Module has no attribute "laod"'),
        (
            ["basedpyright", "--level", "error", "--pythonpath", sys.executable],
            'wrong.py:2:7 - error: "laod" is not a known attribute',
        ),
    ],
    ids=["mypy", "pyright"],
)
def test_a_type_checker_knows_the_names(checker, says, root, tmp_path):
    """It has nothing to say of an example, and refuses a name that is not public."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import study\nstudy.laod('x.yaml')\n")
    files = [root / "tests/typed_example.py", wrong]
    check = [sys.executable, "-m", *checker, *map(str, files)]
    done = subprocess.run(check, cwd=root, capture_output=True, text=True, check=False)

    assert says in done.stdout
    assert re.findall(r"\d+ errors?", done.stdout) == ["1 error"]
