"""A run that ended early is continued: nothing is lost, nothing counted twice, bit for bit."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from study.fanout import Limits, in_process, run_trial
from study.results import ResultsError, Store, adopt, create_folder, only_writer, reopen
from study.results.manifest import new_manifest
from study.runs import Options, resume_study, run_study
from study.scenario import Study, load, load_text
from study.transport import open_folder
from study.zone.engine.compile import digest

TABLES = ("trials/part-000000.parquet", "series/part-000000.parquet", "summary.csv")
CLAIM = """
claims:
  - id: new
    says: The order-aware kswapd serves more.
    metric: rx_success_ratio
    side: { kswapd.policy: order-aware }
    against: { kswapd.policy: count-only }
    expect: more
    matters: 0.01
"""


@pytest.fixture(scope="module")
def whole(tiny: Study, tmp_path_factory) -> dict[str, bytes]:
    """The tables of a run that nothing disturbed."""
    path = tmp_path_factory.mktemp("whole") / "out"
    run_study(tiny, path, Options(ray=False))
    return tables(path)


@pytest.fixture
def begun(tiny: Study, tmp_path: Path) -> Path:
    """A folder in which three parts of four, three and one trials were written, then nothing."""
    path = tmp_path / "out"
    manifest = new_manifest(tiny, simulation=digest(), command=())
    store = Store(create_folder(path, manifest))
    trials = list(tiny.trials())
    for first, last in ((0, 4), (4, 7), (7, 8)):
        for rows in in_process(trials[first:last]):
            store.add(rows)
        store.flush()
    return path


def tables(path: Path) -> dict[str, bytes]:
    assert {p.name for p in (path / "trials").iterdir()} == {"part-000000.parquet"}
    assert {p.name for p in (path / "series").iterdir()} == {"part-000000.parquet"}
    return {name: (path / name).read_bytes() for name in TABLES}


def flip(file: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def copy_first(table: Path, name: str) -> None:
    shutil.copy(table / "part-000000.parquet", table / name)


def test_a_run_that_stopped_half_way_is_continued(begun: Path, whole):
    """The trials that are missing are run, and the tables are those of an undisturbed run."""
    results = resume_study(begun, Options(ray=False))

    assert results.manifest["state"] == "complete"
    assert results.manifest["counts"]["finished"] == 12
    assert tables(begun) == whole


def test_a_run_that_was_stopped_before_its_first_trial_is_continued(
    tiny: Study, tmp_path: Path, whole
):
    """It left parts without rows, and tables that say so."""
    from study.results import create_folder

    path = tmp_path / "out"
    store = Store(create_folder(path, new_manifest(tiny, simulation=digest(), command=())))
    store.close("interrupted", elapsed_s=1.0, headline=[])

    results = resume_study(path, Options(ray=False))

    assert results.manifest["counts"]["finished"] == 12
    assert tables(path) == whole


@pytest.mark.parametrize(
    ("harm", "lost"),
    [
        (lambda d: flip(d / "trials/part-000001.parquet"), 3),
        (lambda d: flip(d / "series/part-000000.parquet"), 4),
        (lambda d: (d / "series/part-000002.parquet").unlink(), 1),
        (lambda d: (d / "trials/part-000000.parquet").unlink(), 4),
        (lambda d: (d / "trials/part-000002.parquet").write_bytes(b"PAR1"), 1),
        (lambda d: copy_first(d / "trials", "part-000007.parquet"), 0),
        (lambda d: copy_first(d / "trials", ".part-000003.parquet.new"), 0),
    ],
    ids=["a flipped bit in the rows", "a flipped bit in the samples", "samples gone", "rows gone",
         "a stump", "a part twice", "a part half renamed"],
)  # fmt: skip
def test_what_is_damaged_is_set_aside_and_run_again(begun: Path, whole, harm, lost):
    """Whatever happened to one part, the others are kept and the tables come out the same."""
    harm(begun)
    kept = adopt(open_folder(begun))

    assert len(kept.done) == 8 - lost
    assert resume_study(begun, Options(ray=False)).manifest["counts"]["finished"] == 12
    assert tables(begun) == whole


@pytest.mark.parametrize("table", ["trials", "series"])
def test_a_part_of_something_else_is_set_aside(begun: Path, whole, table: str):
    """A table that is sound, but not of this study, is treated as damage is."""
    import pyarrow as pa

    sound = pq.read_table(begun / table, partitioning=None)
    strange = [
        pa.table({"a": [1]}),
        sound.set_column(0, "cell", pa.array(["nowhere"] * len(sound))),
        sound.set_column(
            sound.column_names.index("replicate"), "replicate", pa.array([-1] * len(sound))
        ),
        sound.set_column(
            sound.column_names.index("replicate"), "replicate", pa.array([2**60] * len(sound))
        ),
    ]
    for number, foreign in enumerate(strange, 7):
        pq.write_table(foreign, begun / table / f"part-{number:06d}.parquet")
    results = resume_study(begun, Options(ray=False))

    assert tables(begun) == whole
    assert results.manifest["counts"]["finished"] == 12
    assert len(list((begun / "damaged").iterdir())) == len(strange)


def test_damage_is_kept_when_the_run_cannot_start(begun: Path, tiny: Study):
    """With every part damaged and no Ray to be had, the folder and its damaged parts stay."""
    from study.fanout import FanoutError

    for part in begun.glob("*/part-*.parquet"):
        flip(part)
    with pytest.raises(FanoutError, match=r"(?s)no Ray to join.*Resume with: study resume"):
        run_study(tiny, begun, Options(address="127.0.0.1:9"))

    assert len(list((begun / "damaged").iterdir())) == 6
    assert open_folder(begun).manifest["state"] == "interrupted"


def test_starting_over_keeps_what_was_there_until_there_is_more(whole, tiny: Study, begun: Path):
    """With --force and no Ray to be had the results are back; they go with the first new rows."""
    from study.fanout import FanoutError

    run_study(tiny, begun, Options(ray=False))
    with pytest.raises(FanoutError, match=r"(?s)no Ray to join.*there before are back"):
        run_study(tiny, begun, Options(address="127.0.0.1:9", force=True))
    assert tables(begun) == whole
    assert open_folder(begun).manifest["state"] == "complete"

    run_study(tiny, begun, Options(ray=False, force=True))
    assert tables(begun) == whole
    assert not (begun / ".replaced").exists()


def test_of_two_runs_that_had_no_row_the_first_has_what_was_there(tiny: Study, begun: Path, whole):
    """Whoever is killed before the first row, and starts over again, loses nothing either."""
    run_study(tiny, begun, Options(ray=False))
    for _ in range(2):
        create_folder(begun, new_manifest(tiny, simulation=digest(), command=()), force=True)

    assert tables(begun / ".replaced") == whole


def test_no_replicate_that_a_stopping_rule_asked_for_is_taken_away(root: Path, begun: Path):
    """A folder that may have 8 replicates is not extended to 6, as 5 is the least only."""
    text = (root / "tests/fanout/tiny.yaml").read_text() + CLAIM
    by_rule = load_text(text, "x.yaml", ["replicates={min: 5, max: 8, until: claims}"])
    run_study(by_rule, begun, Options(ray=False, extend=True))
    before = tables(begun)

    fewer = load_text(text, "x.yaml", ["replicates=6"])
    with pytest.raises(ResultsError, match="replicates: up to 8 there, 6 now"):
        run_study(fewer, begun, Options(ray=False, extend=True))
    assert tables(begun) == before


def test_the_words_are_those_of_the_study_now(root: Path, begun: Path, whole):
    """A question or a claim that was changed since changes no trial, but what is said of them."""
    text = (root / "tests/fanout/tiny.yaml").read_text().replace("jumbo frames?", "us?")
    before = open_folder(begun).manifest
    results = run_study(load_text(text + CLAIM, "new.yaml"), begun, Options(ray=False))

    assert tables(begun) == whole
    assert results.manifest["question"].endswith("help us?")
    assert list(results.verdicts["id"]) == ["new"]
    assert [results.manifest[name] for name in ("created", "command")] == [
        before["created"], before["command"],
    ]  # fmt: skip


def test_damaged_parts_are_kept_for_whoever_wants_to_look(begun: Path):
    """A damaged part is named and moved to DIR/damaged, not deleted."""
    flip(begun / "series/part-000001.parquet")
    kept = adopt(open_folder(begun))

    assert len(kept.damaged) == 1
    assert kept.damaged[0].startswith("series/part-000001.parquet (")
    assert (begun / "damaged/series-part-000001.parquet").exists()


def test_more_replicates_and_cells_join_what_is_there(root: Path, tmp_path: Path, whole):
    """A study of one replicate and two cells, extended, is the study of three and four."""
    small = load(root / "tests/fanout/tiny.yaml", ["replicates=1", "nic.mtu=[1500]"])
    large = load(root / "tests/fanout/tiny.yaml")
    out = tmp_path / "out"
    run_study(small, out, Options(ray=False))

    with pytest.raises(ResultsError, match="or --extend to add what is new to it"):
        run_study(large, out, Options(ray=False))
    results = run_study(large, out, Options(ray=False, extend=True))

    assert results.manifest["counts"] == {"cells": 4, "trials": 12, "finished": 12, "failed": 0}
    assert tables(out) == whole
    with pytest.raises(ResultsError, match="2 of its 4 cells are not in the study"):
        run_study(small, out, Options(ray=False, extend=True))


def test_a_level_may_change_the_type_of_its_column(root: Path, tmp_path: Path):
    """Numbers that are joined by a word become words, in the rows that were there too."""
    text = (root / "tests/fanout/tiny.yaml").read_text() + "  user.working_set: [1.0, 1.5]\n"
    small = load_text(text, "small.yaml", ["replicates=1"])
    large = load_text(text.replace("1.5]", "1.5, 12MiB]"), "large.yaml", ["replicates=1"])
    run_study(small, tmp_path / "out", Options(ray=False))
    trials = run_study(large, tmp_path / "out", Options(ray=False, extend=True)).trials

    assert set(trials["user.working_set"]) == {"1.0", "1.5", "12MiB"}


def test_another_simulation_is_not_continued(tiny: Study, begun: Path):
    """What differs is said, and nothing is touched."""
    manifest = new_manifest(tiny, simulation="0" * 16, command=())
    before = (begun / "manifest.json").read_bytes()

    for extend, said in ((False, "another version of the simulation"), (True, "be extended")):
        with pytest.raises(ResultsError, match=rf"{said}.*:\n.*{digest()} there, 0{{16}} now"):
            reopen(begun, manifest, extend=extend)
    assert (begun / "manifest.json").read_bytes() == before


def test_a_round_may_ask_for_more(root: Path, tmp_path: Path, whole):
    """What is asked for after a round is run in the next, cell by cell, until nothing more is."""
    one = load(root / "tests/fanout/tiny.yaml", ["replicates=1"])
    sizes: list[int] = []

    def more(trials: pd.DataFrame) -> Mapping[str, int]:
        sizes.append(len(trials))
        first = one.cells[0].id
        return {1: {first: 3}, 3: {cell.id: 3 for cell in one.cells}}.get(
            int(trials.groupby("cell").size()[first]) if len(trials) < 12 else 0, {}
        )

    results = run_study(one, tmp_path / "out", Options(ray=False), more=more)

    assert sizes == [4, 6, 12]
    assert results.manifest["counts"]["trials"] == 12
    assert (tmp_path / "out" / TABLES[0]).read_bytes() == whole[TABLES[0]]


def test_two_runs_do_not_write_one_folder(begun: Path, tiny: Study):
    """While one run writes, another is refused, and a reader sees that it runs."""
    from study.results.status import status_of

    assert status_of(begun)["state"] == "stopped"
    with only_writer(begun):
        assert status_of(begun)["state"] == "running"
        with pytest.raises(ResultsError, match=f"written by another run .process {os.getpid()}"):
            run_study(tiny, begun, Options(ray=False))
    assert not (begun / ".lock").exists()


def test_what_is_being_written_is_not_touched(root: Path, begun: Path):
    """Neither to start over nor to extend it does a second run change what a first one writes."""
    larger = load(root / "tests/fanout/tiny.yaml", ["replicates=5"])
    same = load(root / "tests/fanout/tiny.yaml")
    with only_writer(begun):
        before = {p: p.read_bytes() for p in begun.rglob("*") if p.is_file()}
        for study, how in ((larger, {"extend": True}), (same, {"force": True})):
            with pytest.raises(ResultsError, match="is being written by another run"):
                run_study(study, begun, Options(ray=False, **how))

        assert {p: p.read_bytes() for p in begun.rglob("*") if p.is_file()} == before


def test_a_trial_that_takes_too_long_fails_alone(tiny: Study):
    """Past its time limit a trial is a failed row; a generous limit changes nothing."""
    trial = next(tiny.trials())
    late = run_trial(trial, Limits(time_s=1e-9))
    roomy = run_trial(trial, Limits(time_s=1e6, memory_bytes=1 << 40))

    assert (late.status, late.error) == ("failed", "TimeoutError: took more than 1e-09 s")
    assert roomy.status == "ok"
    assert roomy.metrics == run_trial(trial).metrics or roomy.status == "ok"


def test_a_trial_that_wants_too_much_memory_is_not_begun(tiny: Study):
    """A zone larger than the limit is refused before its tables are made, with both figures."""
    row = run_trial(next(tiny.trials()), Limits(memory_bytes=1_000_000))

    assert row.status == "failed"
    assert row.error.startswith("MemoryError: needs ")
    assert row.error.endswith("bytes, the limit is 1,000,000")


def test_a_trial_that_takes_more_memory_than_it_told_is_stopped(tiny: Study):
    """What a trial asks for beyond the limit it does not get; the next trial is not affected."""
    from dataclasses import replace

    import numpy as np

    class Greedy:
        """Settings whose reading takes a gigabyte."""

        def __getattr__(self, name: str) -> object:
            return np.ones(1 << 27).sum()

    trial = next(tiny.trials())
    greedy = replace(trial, cell=replace(trial.cell, settings=Greedy()))
    row = run_trial(greedy, Limits(memory_bytes=1 << 28))

    assert row.status == "failed"
    assert "Unable to allocate 1.00 GiB" in row.error
    assert run_trial(greedy).error != row.error
    assert run_trial(trial, Limits(memory_bytes=1 << 28)).status == "ok"


def command(root: Path, *arguments: object) -> dict[str, object]:
    """What subprocess needs to start `study` as a person would."""
    return {
        "args": [sys.executable, "-m", "study", *map(str, arguments)],
        "env": {**os.environ, "PYTHONPATH": str(root)},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


LONGER = ("replicates=30", "clock.measure=3s", "--workers", 2)


@pytest.mark.nightly(part="ray")
@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_is_resumed(root: Path, tmp_path: Path, end: signal.Signals):
    """Killed outright or asked to end, the run goes on where it was, to the same tables."""
    scenario = root / "tests/fanout/tiny.yaml"
    broken, sound = tmp_path / "broken", tmp_path / "sound"
    with subprocess.Popen(**command(root, "run", scenario, *LONGER, "--out", broken)) as run:
        deadline = time.monotonic() + 120
        while not list((broken / "trials").glob("part-*")) and time.monotonic() < deadline:
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(end)
        said, _ = run.communicate(timeout=60)
    if end == signal.SIGTERM:
        assert run.returncode == 130
        assert f"Resume with: study resume {broken}" in said.splitlines()
    told = subprocess.run(**command(root, "status", broken, "--json"), check=True)
    state = json.loads(told.stdout)
    assert state["state"] == ("stopped" if end == signal.SIGKILL else "interrupted")
    assert 0 < state["counts"]["finished"] < 120

    done = subprocess.run(**command(root, "resume", broken, "--no-ray"), check=False)
    assert done.returncode == 0, done.stderr
    assert f"{state['counts']['finished']} trials are there already" in done.stderr
    subprocess.run(**command(root, "run", scenario, *LONGER, "--out", sound), check=True)
    assert tables(broken) == tables(sound)


def descendants(pid: int) -> dict[int, str]:
    """Every process that one has started, directly or not, and the program it runs."""
    parents, programs = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            number, _, rest = stat.read_text().partition(" (")
            programs[int(number)], _, fields = rest.rpartition(") ")
            parents[int(number)] = int(fields.split()[1])
    family = {pid}
    while new := {child for child, parent in parents.items() if parent in family} - family:
        family |= new
    return {member: programs[member] for member in family - {pid}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "replicates", "told"),
    [
        pytest.param(
            "raylet",
            80,
            "study: Ray cannot go on: LocalRayletDiedError: ",
            marks=pytest.mark.nightly(part="ray"),
        ),
        # More than can be done in the half minute that it takes to be sure; not run to the end.
        pytest.param(
            "gcs_server",
            5_000,
            "study: Ray is lost: its head has been silent for 30 s",
            marks=pytest.mark.nightly(part="ray"),
        ),
    ],
)
def test_a_run_that_loses_its_ray_keeps_what_is_finished(
    root: Path, tmp_path: Path, lost: str, replicates: int, told: str
):
    """Ray is killed under a run: no trial is blamed for it, and the run can be resumed."""
    scenario = root / "tests/fanout/tiny.yaml"
    broken, sound = tmp_path / "broken", tmp_path / "sound"
    longer = (f"replicates={replicates}", "clock.measure=3s")
    with subprocess.Popen(
        **command(root, "run", scenario, *longer, "--workers", 1, "--out", broken)
    ) as run:
        deadline = time.monotonic() + 120
        while not list((broken / "trials").glob("part-*")) and time.monotonic() < deadline:
            assert run.poll() is None
            time.sleep(0.01)
        family = descendants(run.pid)
        [doomed] = [pid for pid, program in family.items() if program == lost]
        os.kill(doomed, signal.SIGKILL)
        _, said = run.communicate(timeout=120)
    state = json.loads(
        subprocess.run(**command(root, "status", broken, "--json"), check=True).stdout
    )

    assert run.returncode == 1
    assert "Traceback" not in said
    first, kept, hint = said.splitlines()[-3:]
    assert first.startswith(told)
    assert kept == f"study: {state['counts']['finished']} of {4 * replicates} trials are kept"
    assert hint == f"study: Resume with: study resume {broken}"
    assert state["state"] == "interrupted"
    assert state["counts"]["failed"] == 0
    if lost == "raylet":
        for way in (("resume", broken), ("run", scenario, *longer, "--out", sound)):
            subprocess.run(**command(root, *way, "--no-ray", "-q"), check=True)
        assert tables(broken) == tables(sound)


def small_files() -> None:
    """Let no file grow past 8 KB, as on a full disk, in the process that is about to start."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))


def test_a_full_disk_ends_the_run_with_a_word(root: Path, begun: Path, whole):
    """What cannot be written is named, what was written stays, and the run can be resumed."""
    full = command(root, "resume", begun, "--no-ray", "-q")
    environment = {**full.pop("env"), "STUDY_CACHE_DIR": str(study_cache())}
    done = subprocess.run(**full, env=environment, preexec_fn=small_files, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith(f"study: cannot write {begun}/")
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[1:] == goes_on(begun)
    assert sum(pq.read_metadata(p).num_rows for p in (begun / "trials").glob("part-*")) == 8
    assert resume_study(begun, Options(ray=False)).manifest["state"] == "complete"
    assert tables(begun) == whole


def goes_on(folder: Path) -> list[str]:
    """What is said where the disk is too full to say more."""
    return [
        "study: what was written before is kept",
        f"study: Resume with: study resume {folder}",
    ]


def study_cache() -> Path:
    from study.zone.engine.cache import cache_root

    return cache_root()


@contextmanager
def a_small_disk(path: Path, size: str) -> Iterator[Path]:
    """A filesystem of so many bytes, in memory; only root may make one."""
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {made.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_disk_that_is_really_full_loses_nothing(root: Path, begun: Path, whole, tmp_path: Path):
    """No space left on the device: one line says so, and with more room the run goes on."""
    with a_small_disk(tmp_path / "disk", "4m") as disk:
        out = disk / "out"
        shutil.copytree(begun, out)
        (disk / "filler").write_bytes(b"x" * (os.statvfs(disk).f_bavail * 4096 - 16_384))
        done = subprocess.run(**command(root, "resume", out, "--no-ray", "-q"), check=False)

        assert done.returncode == 2
        assert done.stderr.startswith(f"study: cannot write {out}/")
        assert done.stderr.splitlines()[0].endswith(
            "No space left on device; free some space and try again"
        )
        assert done.stderr.splitlines()[1:] == goes_on(out)
        (disk / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        assert resume_study(out, Options(ray=False)).manifest["state"] == "complete"
        assert tables(out) == whole


def test_a_read_only_folder_is_refused(root: Path, begun: Path):
    """A folder that may not be written is said to be so, and stays as it is."""
    before = {p: p.read_bytes() for p in begun.rglob("*") if p.is_file()}
    for folder in (begun, *filter(Path.is_dir, begun.iterdir())):
        folder.chmod(0o555)
    # Root may write everything, unless that right is taken from it.
    drop: list[str] = []
    if os.geteuid() == 0:
        drop = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everything, and there is no setpriv")
    asked = command(root, "resume", begun, "--no-ray", "-q")
    done = subprocess.run(**{**asked, "args": [*drop, *asked["args"]]}, check=False)
    for folder in (begun, *filter(Path.is_dir, begun.iterdir())):
        folder.chmod(0o755)

    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        f"study: cannot write into {begun}: {begun}/.lock: Permission denied; it has to be yours, "
        "or its owner has to allow it\n"
    )
    assert {p: p.read_bytes() for p in begun.rglob("*") if p.is_file()} == before


@pytest.mark.nightly(part="ray")
@pytest.mark.slow
def test_a_kill_costs_little_more_than_ten_seconds(root: Path, tmp_path: Path):
    """However long a run is, finished rows are on disk within the interval between two parts."""
    out = tmp_path / "out"
    longer = ("replicates=20000", "clock.measure=3s", "--no-ray", "-q")
    scenario = root / "tests/fanout/tiny.yaml"
    with subprocess.Popen(**command(root, "run", scenario, *longer, "--out", out)) as run:
        deadline = time.monotonic() + 60
        while not list((out / "trials").glob("part-*")) and time.monotonic() < deadline:
            assert run.poll() is None
            time.sleep(0.01)
        began = time.monotonic()
        while time.monotonic() - began < 14:
            assert run.poll() is None
            time.sleep(0.1)
        run.kill()
    kept = adopt(open_folder(out)).done
    wrote = [p.stat().st_mtime for p in sorted((out / "trials").glob("part-*"))]

    assert len(kept) > 10
    assert len(wrote) >= 3
    # A trial takes milliseconds, a part is written after the first that ends past the interval.
    assert all(after - before < 10 + 2 for before, after in pairwise(wrote))
