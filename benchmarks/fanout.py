"""What it costs to hand trials out: this fan-out beside others, and against the number of trials.

    python benchmarks/fanout.py                    all backends in turn, on the same 100 ms trials
    python benchmarks/fanout.py dispatch           the driver's time per trial; docs/dispatch.svg
    python benchmarks/fanout.py scale 1000000      a million trivial trials: memory, files, rate

Each adds its part to benchmarks/fanout.json. Every measurement is a process of its own; backends
take turns, so that what else the machine does falls on all of them alike.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FILE = HERE / "fanout.json"
CORES = 2
COLOURS = ("#999999", "#56b4e9", "#0072b2", "#d55e00")
SPAWNED = "BENCHMARK_SPAWNED_AT"

Run = Callable[[Sequence[Any]], Iterable[Any]]


# What runs trials: a context that gives a function from trials to rows.


@contextmanager
def loop() -> Iterator[Run]:
    """One core, no fan-out."""
    from study.fanout import in_process

    yield lambda trials: (row for rows in in_process(trials) for row in rows)


@contextmanager
def study_on_ray() -> Iterator[Run]:
    """The fan-out of this project."""
    from study.fanout import on_ray, open_session

    with open_session(workers=CORES) as session:
        yield lambda trials: [
            row for rows in on_ray(trials, session=session, total=len(trials)) for row in rows
        ]


@contextmanager
def ray_tasks() -> Iterator[Run]:
    """A Ray task a trial, all submitted at once."""
    import ray

    from study.fanout import open_session, run_trial

    with open_session(workers=CORES):
        task = ray.remote(num_cpus=1)(run_trial)
        yield lambda trials: ray.get([task.remote(trial) for trial in trials])


@contextmanager
def pool() -> Iterator[Run]:
    """multiprocessing.Pool."""
    from multiprocessing import get_context

    from study.fanout import run_trial

    with get_context("spawn").Pool(CORES) as workers:
        yield lambda trials: list(workers.imap_unordered(run_trial, trials))


@contextmanager
def joblib_loky() -> Iterator[Run]:
    """Joblib with its own processes."""
    from joblib import Parallel, delayed

    from study.fanout import run_trial

    with Parallel(n_jobs=CORES) as parallel:
        yield lambda trials: parallel(delayed(run_trial)(trial) for trial in trials)


@contextmanager
def joblib_on_ray() -> Iterator[Run]:
    """Joblib with Ray's backend."""
    from joblib import Parallel, delayed, parallel_backend
    from ray.util.joblib import register_ray

    from study.fanout import open_session, run_trial

    register_ray()
    with open_session(workers=CORES), parallel_backend("ray", n_jobs=CORES):
        yield lambda trials: Parallel()(delayed(run_trial)(trial) for trial in trials)


@contextmanager
def dask() -> Iterator[Run]:
    """Dask's distributed scheduler, a process a core."""
    from dask.distributed import Client, LocalCluster

    from study.fanout import run_trial

    with (
        LocalCluster(
            n_workers=CORES, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield lambda trials: client.gather(client.map(run_trial, trials, pure=False))


@contextmanager
def ray_tune() -> Iterator[Run]:
    """Ray Tune, a Tune trial a trial."""
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    import ray
    from ray import tune

    from study.fanout import open_session, run_trial

    with open_session(workers=CORES), tempfile.TemporaryDirectory() as folder:

        def run(trials: Sequence[Any]) -> list[Any]:
            known = ray.put(list(trials))

            def one(config: dict[str, int]) -> None:
                row = run_trial(ray.get(known)[config["trial"]])
                tune.report({"elapsed_s": row.elapsed_s, **row.metrics})

            found = tune.Tuner(
                tune.with_resources(one, {"cpu": 1}),
                param_space={"trial": tune.grid_search(list(range(len(trials))))},
                run_config=tune.RunConfig(storage_path=folder, verbose=0),
            ).fit()
            return [result.metrics for result in found]

        yield run


BACKENDS = {
    "loop": loop,
    "study": study_on_ray,
    "ray tasks": ray_tasks,
    "multiprocessing": pool,
    "joblib": joblib_loky,
    "joblib on ray": joblib_on_ray,
    "dask": dask,
    "ray tune": ray_tune,
}
FEWER = {"ray tune": 5}
"""How many times fewer trials: it takes seconds each."""


def measured(name: str, trials: int, measure: str) -> dict[str, float]:
    """In a process of its own: start a backend, warm it up, and time so many trials on it."""
    from study.fanout import prepare_simulation
    from study.scenario import load

    prepare_simulation()
    wanted = max(8, trials // FEWER.get(name, 1))
    replicates = f"replicates={-(-(wanted + 4 * CORES) // 4)}"
    study = load(HERE / "tenth.yaml", [replicates, f"clock.measure={measure}"])
    of_study = list(study.trials())
    warm, timed = of_study[: 4 * CORES], of_study[4 * CORES :]
    cores = 1 if name == "loop" else CORES
    with BACKENDS[name]() as run:
        list(run(warm[:1]))
        first = time.time() - float(os.environ[SPAWNED])
        list(run(warm))
        cpu, started = time.process_time(), time.perf_counter()
        rows = list(run(timed))
        elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    if len(rows) != len(timed):
        raise RuntimeError(f"{len(rows)} rows came back of {len(timed)} trials")
    work = sum(r["elapsed_s"] if isinstance(r, dict) else r.elapsed_s for r in rows)
    return {
        "first_trial_s": first,
        "trials_per_s": len(timed) / elapsed,
        "trial_ms": 1000 * work / len(timed),
        "efficiency": work / (cores * elapsed),
        "driver_ms_per_trial": 1000 * cpu / len(timed),
    }


def ray_alone() -> dict[str, float]:
    """From the start of Python to the end of the first task of a Ray that does nothing else."""
    import ray

    from study.fanout import open_session

    def nothing() -> None:
        """Do nothing."""

    with open_session(workers=CORES):
        ray.get(ray.remote(nothing).remote())
        return {"first_trial_s": time.time() - float(os.environ[SPAWNED])}


def study_alone() -> dict[str, float]:
    """From the start of `study run` to the first finished trial, and to the end of the command."""
    from study.runs import Options, Watcher, run_study
    from study.scenario import load

    seen: list[float] = []

    class Seeing(Watcher):
        """Notes when trials finish."""

        def advance(self, finished: int, failed: int) -> None:  # noqa: ARG002
            """Some have."""
            seen.append(time.time() - float(os.environ[SPAWNED]))

    with tempfile.TemporaryDirectory() as folder:
        study = load(HERE / "tenth.yaml", ["replicates=2"])
        run_study(study, f"{folder}/out", Options(workers=CORES), watcher=Seeing())
    return {"first_trial_s": seen[0]}


def in_a_process(*arguments: str) -> dict[str, Any]:
    """What a measurement prints, made in a fresh process."""
    environment = {**os.environ, SPAWNED: repr(time.time()), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(  # noqa: S603
        [sys.executable, __file__, "one", *arguments],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def note(part: str, content: Any) -> None:
    """Put one part into the file, and say where it was measured."""
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    known[part] = content
    known["machine"] = {
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }
    FILE.write_text(json.dumps(known, indent=1) + "\n")


@click.group(invoke_without_command=True)
@click.option("--rounds", default=5, show_default=True, help="Turns each backend takes.")
@click.option("--trials", default=200, show_default=True, help="Trials a turn.")
@click.option("--measure", default="260s", show_default=True, help="Simulated time of a trial.")
@click.option("--only", multiple=True, help="These backends only.")
@click.pass_context
def main(context: click.Context, rounds: int, trials: int, measure: str, only: tuple[str]) -> None:
    """Compare backends on the same trials of about 100 ms."""
    if context.invoked_subcommand:
        return
    names = [name for name in BACKENDS if not only or name in only]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    starts: dict[str, list[float]] = {"ray alone": [], "study run": []}
    for turn in range(rounds):
        for name in names:
            print(f"turn {turn + 1} of {rounds}: {name}", file=sys.stderr)
            found[name].append(in_a_process(name, str(trials), measure))
        for name, each in starts.items():
            each.append(in_a_process(name)["first_trial_s"])
    medians = {
        name: {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
        for name, turns in found.items()
    }
    spread = {
        name: [min(t["efficiency"] for t in turns), max(t["efficiency"] for t in turns)]
        for name, turns in found.items()
    }
    print(f"{'':16}  first trial   trials/s   of loop  trial   efficiency            driver")
    alone = medians.get("loop", {}).get("trials_per_s", float("nan"))
    for name, of in medians.items():
        low, high = spread[name]
        print(
            f"{name:16}  {of['first_trial_s']:9.1f} s  {of['trials_per_s']:9.2f}"
            f"  {of['trials_per_s'] / alone:6.2f} x"
            f"  {of['trial_ms']:3.0f} ms   {of['efficiency']:.3f} [{low:.3f}, {high:.3f}]"
            f"  {of['driver_ms_per_trial']:5.2f} ms a trial"
        )
    for name, each in starts.items():
        print(f"{name:16}  {statistics.median(each):9.1f} s  to the first trial or task")
    note(
        "backends",
        {
            "cores": CORES,
            "rounds": rounds,
            "trials": trials,
            "medians": medians,
            "efficiency_range": spread,
            "first_trial_s": {name: statistics.median(each) for name, each in starts.items()},
        },
    )


@main.command()
@click.argument("name")
@click.argument("trials", default=0)
@click.argument("measure", default="")
def one(name: str, trials: int, measure: str) -> None:
    """Measure one thing in this process; print JSON."""
    if name == "ray alone":
        found = ray_alone()
    elif name == "study run":
        found = study_alone()
    elif name.startswith("dispatch"):
        found = dispatched(int(name.partition(":")[2]), trials)
    else:
        found = measured(name, trials, measure)
    print(json.dumps(found))


def dispatched(batch: int, trials: int) -> dict[str, float]:
    """Driver's CPU time per trial, from dealing out to the row on disk; batch 0 is as measured."""
    from study.fanout import on_ray, open_session, prepare_simulation
    from study.results import Store, create_folder
    from study.results.manifest import new_manifest
    from study.scenario import load
    from study.zone.engine.compile import digest

    prepare_simulation()
    study = load(HERE / "trivial.yaml", [f"replicates={-(-trials // 4)}"])
    with tempfile.TemporaryDirectory() as folder, open_session(workers=CORES) as session:
        made = create_folder(
            Path(folder) / "out", new_manifest(study, simulation=digest(), command=())
        )
        store = Store(made)
        list(on_ray(list(study.trials())[:4], session=session, batch=1))
        cpu, started = time.process_time(), time.perf_counter()
        for rows in on_ray(study.trials(), session=session, total=len(study), batch=batch or None):
            store.add(rows)
        store.flush(last=True)
        cpu, elapsed = time.process_time() - cpu, time.perf_counter() - started
        on_disk = sum(f.stat().st_size for f in made.path.rglob("*.parquet"))
    return {
        "driver_us_per_trial": 1e6 * cpu / len(study),
        "trials_per_s": len(study) / elapsed,
        "bytes_per_trial": on_disk / len(study),
    }


@main.command()
@click.option("--most", default=100_000, show_default=True, help="Trials of the longest line.")
@click.option("--rounds", default=3, show_default=True)
def dispatch(most: int, rounds: int) -> None:
    """Measure dispatch cost against the number of trials; draw docs/dispatch.svg."""
    sizes = [n for n in (100, 1_000, 10_000, 100_000, 1_000_000) if n <= most]
    # A task a trial at a hundred thousand trials would take minutes to tell what ten thousand do.
    limit = {1: 10_000, 10: 100_000}
    found: dict[str, dict[int, list[dict[str, float]]]] = {}
    for turn in range(rounds):
        for batch in (1, 10, 100, 0):
            for trials in sizes:
                if trials <= limit.get(batch, most):
                    size = str(batch or "measured")
                    print(f"turn {turn + 1}: batch {size}, {trials}", file=sys.stderr)
                    told = in_a_process(f"dispatch:{batch}", str(trials))
                    found.setdefault(size, {}).setdefault(trials, []).append(told)
    lines = {
        batch: {
            trials: {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
            for trials, turns in of.items()
        }
        for batch, of in found.items()
    }
    for batch, of in lines.items():
        for trials, told in of.items():
            print(
                f"batch {batch:8}  {trials:9,} trials  {told['driver_us_per_trial']:7.0f} us of the"
                f" driver a trial  {told['trials_per_s']:7.0f} trials/s"
            )
    note("dispatch", lines)
    draw(lines)


def draw(lines: dict[str, dict[int, dict[str, float]]]) -> None:
    """The driver's time per trial against the number of trials, a line a batch size."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "dispatch", "font.size": 9, "svg.fonttype": "path"})
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for colour, (batch, of) in zip(COLOURS, lines.items(), strict=False):
        label = "trials a task as measured" if batch == "measured" else f"{batch} a task"
        axes.plot(
            list(of), [told["driver_us_per_trial"] for told in of.values()],
            marker="o", markersize=4, color=colour, label=label,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="trials of a run", ylabel="driver, µs a trial")
    axes.set_title("What the driver spends on a trial, from dealing it out to its row on disk",
                   loc="left", fontsize=9)  # fmt: skip
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(ROOT / "docs" / "dispatch.svg", metadata={"Date": None})


@main.command()
@click.argument("trials", default=1_000_000)
@click.option("--out", type=click.Path(path_type=Path), help="Keep the results here.")
def scale(trials: int, out: Path | None) -> None:
    """Run so many trivial trials with `study run`; watch memory and files."""
    folder = out or Path(tempfile.mkdtemp(prefix="study-scale-")) / "out"
    command = [
        *(sys.executable, "-m", "study", "run", str(HERE / "trivial.yaml")),
        *(f"replicates={-(-trials // 4)}", "--workers", str(CORES), "--out", str(folder), "-q"),
    ]
    seen: list[tuple[float, int, int, int]] = []
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as run:  # noqa: S603
        while run.poll() is None:
            files = sum(1 for _ in folder.rglob("part-*"))
            state = _state(folder)
            seen.append((time.monotonic() - started, _resident(run.pid), files, state))
            time.sleep(1)
    elapsed = time.monotonic() - started
    running = [each for each in seen if each[3] < trials and each[2]]
    half = running[len(running) // 2 :]
    told = {
        "trials": trials,
        "exit": run.returncode,
        "elapsed_s": round(elapsed, 1),
        "trials_per_s": round(trials / elapsed, 1),
        "driver_peak_mb_running": max(each[1] for each in running) >> 20,
        "driver_mb_first_half": max(e[1] for e in running[: len(running) // 2]) >> 20,
        "driver_mb_second_half": max(each[1] for each in half) >> 20,
        "driver_peak_mb_in_all": max(each[1] for each in seen) >> 20,
        "files_most": max(each[2] for each in seen),
        "files_at_end": sum(1 for f in folder.rglob("*") if f.is_file()),
        "megabytes": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) >> 20,
        "seconds_after_last_trial": round(elapsed - running[-1][0], 1),
    }
    for key, value in told.items():
        print(f"{key:26}{value}")
    note("scale", told)
    if out is None:
        shutil.rmtree(folder.parent, ignore_errors=True)


def _resident(pid: int) -> int:
    """Bytes of a process in memory."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _state(folder: Path) -> int:
    """Trials finished, by the manifest."""
    try:
        told: int = json.loads((folder / "manifest.json").read_text())["counts"]["finished"]
    except (OSError, ValueError):
        return 0
    return told


if __name__ == "__main__":
    main()
