"""A distributed Monte Carlo study of physical-memory fragmentation.

    import study

    results = study.run("scenarios/smoke.yaml", "replicates=3")
    results.trials       # pandas.DataFrame, one row a trial
    results.summary      # one row per cell and metric: n, mean, sd, 95 % interval
    results.series       # one row per sample
    results.contrasts    # one row per metric and two levels: paired difference, interval, p
    results.verdicts     # one row per claim of the scenario
    results.plot_tradeoff()     # a matplotlib figure; see study.report.illustrated
    study.read(results.path)

Importing this package loads neither Ray nor numba nor pandas; the calls do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from study.fanout import FanoutError
    from study.report.illustrated import Illustrated
    from study.results import ResultsError
    from study.runs import Watcher
    from study.scenario import ScenarioError, Study
    from study.statistics import Findings

__all__ = [
    "FanoutError",
    "Findings",
    "ResultsError",
    "ScenarioError",
    "Study",
    "load",
    "read",
    "run",
]


def load(
    path: str | os.PathLike[str], *overrides: str, extensions: str | Iterable[str] = ()
) -> Study:
    """Load a scenario. overrides are 'key=value', as on the command line.

    extensions  code that the scenario may have imported and that no installed package declares:
                each 'module:name', or a module. The study's trials may import it too

    Raises ScenarioError, which lists every fault with its place in the file.
    """
    from study.scenario import load as load_scenario

    return load_scenario(path, overrides, extensions=extensions)


def run(
    scenario: str | os.PathLike[str] | Study,
    *overrides: str,
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    address: str | None = None,
    ray: bool = True,
    progress: bool = False,
    force: bool = False,
    extend: bool = False,
    extensions: str | Iterable[str] = (),
) -> Illustrated:
    """Run every trial of a scenario and return its results, which are also in a folder.

    scenario   a file, or what load() returned
    overrides  'key=value', as on the command line; only with a file
    out        results folder: a new one, or one that holds part of this very study, which is then
               continued; None makes a new one below results/
    workers    cores to use at most; None uses all
    address    of a Ray cluster to join; None starts a Ray here and ends it afterwards
    ray        False runs the same trials one by one in this process
    progress   show it on the terminal
    force      start over in a folder that holds results of this very study
    extend     add replicates or cells to the study in `out`
    extensions code that the scenario may have imported, as for load()

    Trials that fail are rows with status 'failed'. Raises ScenarioError, ResultsError (the
    folder) or FanoutError (Ray), ValueError for arguments that contradict each other, and
    KeyboardInterrupt after Ctrl-C, when all finished rows are on disk.
    """
    from dataclasses import replace

    from study.runs import SILENT, Options, run_study
    from study.scenario import Study
    from study.trust.extensions import allowed_extensions

    if not isinstance(scenario, Study):
        scenario = load(scenario, *overrides, extensions=extensions)
    elif overrides:
        raise TypeError("overrides belong to load() when a loaded study is run")
    else:
        allowed = {*scenario.allowed, *allowed_extensions(extensions)}
        scenario = replace(scenario, allowed=tuple(sorted(allowed)))
    watcher: Watcher = SILENT
    if progress:
        from study.terminal.progress import terminal_watcher

        watcher = terminal_watcher()
    options = Options(
        workers=workers,
        address=address,
        ray=ray,
        force=force,
        extend=extend,
        command=("study.run",),
    )
    results = run_study(scenario, out, options, watcher=watcher)
    if results.manifest["state"] == "interrupted":
        raise KeyboardInterrupt(f"finished trials are kept in {results.path}")
    from study.report.illustrated import Illustrated

    return Illustrated(results.folder, scenario.allowed)


def read(path: str | os.PathLike[str], *, extensions: str | Iterable[str] = ()) -> Illustrated:
    """Open a results folder. Raises ResultsError if it is none, or its scenario is damaged.

    extensions  code that may be imported when pictures of its zones are taken, as for load();
                reading itself imports none
    """
    from study.report.illustrated import Illustrated
    from study.results import open_folder
    from study.statistics.findings import check_scenario
    from study.trust.extensions import allowed_extensions

    found = Illustrated(open_folder(path), allowed_extensions(extensions))
    check_scenario(found)
    return found


_HOMES = {
    "FanoutError": "study.fanout",
    "Findings": "study.statistics",
    "ResultsError": "study.results",
    "ScenarioError": "study.scenario",
    "Study": "study.scenario",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module
    from importlib.metadata import PackageNotFoundError, version

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        try:
            return version("fragmentation-study")
        except PackageNotFoundError:
            return "0+unknown"
    raise AttributeError(f"module 'study' has no attribute {name!r}")
