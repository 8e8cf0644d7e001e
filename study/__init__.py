"""A distributed Monte Carlo study of physical-memory fragmentation.

    import study

    results = study.run("scenarios/smoke.yaml", replicates=3)
    results              # in a notebook: the answer and the verdicts
    results.answer       # what the study says, in a few sentences
    results.trials       # pandas.DataFrame, one row a trial
    results.summary      # one row per cell and metric: n, mean, sd, 95 % interval
    results.series       # one row per sample
    results.contrasts    # one row per metric and two levels: paired difference, interval, p
    results.verdicts     # one row per claim of the scenario
    results.plot_tradeoff()     # matplotlib axes; see study.report.illustrated
    study.read(results.path)

    study.simulate(zone={"memory": "64MiB"}).series    # one zone, its samples as a data frame
    print(study.why(open("dmesg.txt").read()))         # why a kernel refused pages

Importing this package loads neither Ray nor numba nor pandas; the calls do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from study.fanout import FanoutError
    from study.refusals.answers import Refusals
    from study.report.illustrated import Panels, Results
    from study.results import ResultsError
    from study.runs import Watcher
    from study.runs.single import Simulated
    from study.scenario import ScenarioError, Study

    __version__: str

__all__ = [
    "FanoutError",
    "Panels",
    "Refusals",
    "Results",
    "ResultsError",
    "ScenarioError",
    "Simulated",
    "Study",
    "__version__",
    "load",
    "read",
    "run",
    "simulate",
    "why",
]


def load(
    scenario: str | os.PathLike[str] | Mapping[str, Any],
    *overrides: str,
    extensions: str | Iterable[str] = (),
    **settings: Any,
) -> Study:
    """Load a scenario.

    Parameters
    ----------
    scenario
        A file, or what a file says as a dict: `{"extends": "machine/i386-256mb", "axes": ...}`.
    overrides
        `"key=value"`, as on the command line.
    extensions
        Code that the scenario may have imported and that no installed package declares: each
        `module:name`, or a module. The study's trials may import it too.
    settings
        The same as overrides: `replicates=6`, `zone={"memory": "128MiB"}`, or
        `**{"zone.memory": "128MiB"}`.

    Returns
    -------
    Study
        Its cells, trials and claims; nothing has been run.

    Raises
    ------
    ScenarioError
        Lists every fault with its place in the file.
    """
    from collections.abc import Mapping

    from study.scenario import load as load_file
    from study.scenario import load_mapping
    from study.scenario.override import as_overrides

    for one in overrides:
        if not isinstance(one, str):
            raise TypeError(f'an override is a text, "replicates=6", and not {one!r}')
    said = [*overrides, *as_overrides(settings)]
    if isinstance(scenario, Mapping):
        return load_mapping(scenario, said, extensions=extensions)
    return load_file(scenario, said, extensions=extensions)


def run(
    scenario: str | os.PathLike[str] | Mapping[str, Any] | Study,
    *overrides: str,
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    address: str | None = None,
    ray: bool = True,
    progress: bool = False,
    force: bool = False,
    extend: bool = False,
    extensions: str | Iterable[str] = (),
    **settings: Any,
) -> Results:
    """Run every trial of a scenario and return its results, which are also in a folder.

    Trials that fail are rows with status `failed`.

    Parameters
    ----------
    scenario
        As for load(), or what load() returned.
    overrides, settings
        As for load(); not with what load() returned.
    out
        Results folder: a new one, or one that holds part of this very study, which is then
        continued; None makes a new one below results/.
    workers
        Cores to use at most; None uses all.
    address
        Of a Ray cluster to join; None starts a Ray here and ends it afterwards.
    ray
        False runs the same trials one by one in this process.
    progress
        Show it on the terminal.
    force
        Start over in a folder that holds results of this very study.
    extend
        Add replicates or cells to the study in `out`.
    extensions
        Code that the scenario may have imported, as for load().

    Returns
    -------
    Results
        Of all rows in the folder, also those that it held before.

    Raises
    ------
    ScenarioError
        The scenario is faulty.
    ResultsError
        The folder cannot be used.
    FanoutError
        Ray cannot be used.
    ValueError
        Arguments contradict each other.
    KeyboardInterrupt
        After Ctrl-C, when all finished rows are on disk.
    """
    from study.report.illustrated import Results
    from study.runs import SILENT, Options, run_study

    study = _loaded(scenario, overrides, settings, extensions)
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
    results = run_study(study, out, options, watcher=watcher)
    if results.manifest["state"] == "interrupted":
        raise KeyboardInterrupt(f"finished trials are kept in {results.path}")
    return Results(results.folder, study.allowed)


def simulate(
    scenario: str | os.PathLike[str] | Mapping[str, Any] | Study | None = None,
    *overrides: str,
    replicate: int = 0,
    extensions: str | Iterable[str] = (),
    **settings: Any,
) -> Simulated:
    """Simulate one zone, here, and return what it measured; nothing is written.

    The numbers are those that run() has in the row of that replicate.

    Parameters
    ----------
    scenario
        As for run(), of one cell: an axis is given one level. None: all settings at their defaults.
    overrides, settings
        As for load().
    replicate
        Which load it meets, from 0 on.
    extensions
        As for load().

    Returns
    -------
    Simulated
        The trial's metrics, and its samples over simulated time.

    Raises
    ------
    ScenarioError
        The scenario is faulty.
    ValueError
        It has several cells.
    RuntimeError
        The trial failed.
    """
    from study.runs.single import simulate_one

    study = _loaded({} if scenario is None else scenario, overrides, settings, extensions)
    return simulate_one(study, replicate=replicate)


def read(path: str | os.PathLike[str], *, extensions: str | Iterable[str] = ()) -> Results:
    """Open a results folder.

    Parameters
    ----------
    path
        The folder, or its URL.
    extensions
        Code that may be imported when pictures of its zones are taken, as for load(); reading
        itself imports none.

    Returns
    -------
    Results
        Tables, verdicts and figures, each read or computed when it is first used.

    Raises
    ------
    ResultsError
        It is none, or its scenario is damaged.
    """
    from study.report.illustrated import Results
    from study.statistics.findings import check_scenario
    from study.transport import open_folder
    from study.trust.extensions import allowed_extensions

    found = Results(open_folder(path), allowed_extensions(extensions))
    check_scenario(found)
    return found


def why(text: str) -> Refusals:
    """Say why a kernel refused pages, and what would have let it pass; nothing is simulated.

    Parameters
    ----------
    text
        Any that holds the kernel's words: dmesg, a journal, a mail; also /proc/buddyinfo and its
        like.

    Returns
    -------
    Refusals
        One verdict for each report in the text; none if it holds no report.

    Raises
    ------
    TypeError
        It is no text.
    """
    from study.refusals.answers import refusals_in

    if not isinstance(text, str):
        raise TypeError(
            f"why() takes text, such as Path('dmesg.txt').read_text(); not {type(text)}"
        )
    return refusals_in(text)


def _loaded(
    scenario: str | os.PathLike[str] | Mapping[str, Any] | Study,
    overrides: tuple[str, ...],
    settings: Mapping[str, Any],
    extensions: str | Iterable[str],
) -> Study:
    from dataclasses import replace

    from study.scenario import Study
    from study.trust.extensions import allowed_extensions

    if not isinstance(scenario, Study):
        return load(scenario, *overrides, extensions=extensions, **settings)
    if overrides or settings:
        raise TypeError("overrides belong to load() when a loaded study is run")
    allowed = {*scenario.allowed, *allowed_extensions(extensions)}
    return replace(scenario, allowed=tuple(sorted(allowed)))


_HOMES = {
    "FanoutError": "study.fanout",
    "Panels": "study.report.illustrated",
    "Refusals": "study.refusals.answers",
    "Results": "study.report.illustrated",
    "ResultsError": "study.results",
    "ScenarioError": "study.scenario",
    "Simulated": "study.runs.single",
    "Study": "study.scenario",
}


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # a checker knows the names above, and no others

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
