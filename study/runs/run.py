"""A study from beginning to end: make the folder, fan out, store, summarise."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING

from study.runs.options import Options
from study.runs.place import writing
from study.runs.rounds import Rounds
from study.runs.signals import heeded_signals
from study.runs.watcher import SILENT, Watcher

if TYPE_CHECKING:
    from study.fanout import FanoutError
    from study.results import Folder, ResultsError, Store
    from study.results.mirror import Mirror
    from study.results.model import Ended
    from study.results.read import More
    from study.results.resume import Kept
    from study.scenario import Study
    from study.statistics import Findings


def run_study(
    study: Study,
    out: str | os.PathLike[str] | None = None,
    options: Options | None = None,
    *,
    watcher: Watcher = SILENT,
    more: More | None = None,
    mirror: Mirror | None = None,
) -> Findings:
    """Run all trials of a study into a results folder and summarise them.

    A folder that holds part of this very study is continued: what it has is not run again.

    Parameters
    ----------
    study
        From study.load().
    out
        The folder, or its URL; None makes a new one below results/.
    options
        How it is run; None for all cores of this machine.
    watcher
        Is told how the run gets on.
    more
        Asked between rounds for further replicates; None asks the scenario's stopping rule, if it
        has one.
    mirror
        Carries the folder elsewhere as it grows.

    Returns
    -------
    Findings
        The state in its manifest tells how the run ended: 'complete', 'failed' (some trials did) or
        'interrupted' (SIGINT, SIGTERM or SIGHUP came, or it could not go on; finished trials are
        kept).

    Raises
    ------
    ResultsError, FanoutError
        The run cannot start or go on.
    """
    from study.fanout import FanoutError
    from study.results import ResultsError, Store
    from study.results.columns import REPLICATES_MOST
    from study.results.folder import REPLACED
    from study.statistics import write_findings

    options = options or Options()
    started = monotonic()
    with heeded_signals(watcher.stopping) as signals, ExitStack() as at_end:
        folder, is_new = at_end.enter_context(
            writing(
                study,
                out,
                options.command,
                force=options.force,
                extend=options.extend,
                note=watcher.note,
            )
        )
        folder.mirror = folder.mirror or mirror
        at_end.callback(watcher.close)
        # Who asks for more may have asked for any number before.
        kept = _adopted(folder, study, most=None if more is None else REPLICATES_MOST)
        for part in kept.damaged:
            watcher.note(f"set aside {folder.place}/{part}; its trials are run again")
        if os.path.lexists(folder.path / REPLACED):
            watcher.note(
                f"what was there is kept in {folder.place}/{REPLACED} until there are rows"
            )
        if kept.done:
            watcher.note(f"{len(kept.done)} trials are there already")
        elapsed_before = 0.0 if is_new else float(folder.manifest.get("elapsed_s") or 0.0)
        store = Store(folder, kept)
        more = more or _stopping_rule(study)
        rounds = Rounds(study, store, kept, watcher=watcher, signals=signals, more=more)
        try:
            folder.manifest["state"] = "running"
            folder.save_manifest()
            folder.publish()
            rounds.run(options)
        except KeyboardInterrupt:
            signals.stopped = True
        except BaseException as fault:
            watcher.close()
            told = _give_up(store, started - elapsed_before, is_new=is_new)
            if told and isinstance(fault, ResultsError | FanoutError):
                raise _with_way_on(fault, told, folder) from fault
            raise
        watcher.close()
        watcher.phase("sorting and summarising")
        counts = folder.manifest["counts"]
        if signals.stopped and not rounds.whole:
            state: Ended = "interrupted"
        else:
            state = "failed" if counts["failed"] else "complete"
        elapsed = elapsed_before + monotonic() - started
        try:
            store.close(state, elapsed_s=elapsed, headline=_headline())
            findings = write_findings(folder)
        except ResultsError as fault:
            raise _with_way_on(fault, _KEPT, folder) from fault
        _publish_or_keep(folder)
        return findings


def resume_study(
    path: str | os.PathLike[str],
    options: Options | None = None,
    *,
    extensions: Sequence[str] = (),
    watcher: Watcher = SILENT,
) -> Findings:
    """Continue the run of a results folder, from what its manifest says alone.

    Parameters
    ----------
    path
        The folder, or its URL.
    options, watcher
        As for run_study().
    extensions
        That it may import: each `module:name`, or a module; its manifest allows none.

    Raises
    ------
    ResultsError
        The folder was made by another version of the simulation, or is none.
    """
    from study.results import study_of
    from study.transport import open_folder

    study = study_of(open_folder(path).manifest["scenario"], str(path), extensions=extensions)
    return run_study(study, path, options, watcher=watcher)


def _stopping_rule(study: Study) -> More | None:
    """What a study's stopping rule makes of the rows so far; None if it has none."""
    stopping = study.stopping
    if stopping is None:
        return None
    from study.statistics import replicates_wanted

    cells = {cell.id: cell.levels for cell in study.cells}
    return lambda rows: replicates_wanted(stopping, rows, cells, study.claims)


def _headline() -> tuple[tuple[str, str], ...]:
    from study.zone.trial.metrics import HEADLINE

    return tuple(HEADLINE)


def _adopted(folder: Folder, study: Study, *, most: int | None) -> Kept:
    """What is there already; where the disk is in the way, and not the study, with the way on."""
    from study.results import ResultsError, adopt

    try:
        return adopt(folder, study, most=most)
    except ResultsError as fault:
        if isinstance(fault.__cause__, OSError):
            raise _with_way_on(fault, _KEPT, folder) from fault
        raise


def _publish_or_keep(folder: Folder) -> None:
    """Carry the end of a run to where it belongs, or say where it can be found."""
    from study.results import ResultsError

    try:
        folder.publish()
    except ResultsError as fault:
        if folder.mirror is not None:
            folder.mirror.keep()
        raise ResultsError(f"{fault}\nthe results are kept in {folder.path}") from fault


_KEPT = "what was written before is kept"


def _with_way_on(
    fault: ResultsError | FanoutError, kept: str, folder: Folder
) -> ResultsError | FanoutError:
    """The same fault, with what is kept and how to go on."""
    from study.results.errors import shell_word

    hint = f"Resume with: study resume {shell_word(folder.place)}"
    return type(fault)(f"{fault}\n{kept}\n{hint}")


def _give_up(store: Store, started: float, *, is_new: bool) -> str:
    """Keep what there is when the run breaks, and say what that is; nothing if there is nothing.

    The fault that broke it matters more than one of ours.
    """
    from study.results import ResultsError
    from study.results.folder import put_back_replaced, remove_folder

    counts = store.folder.manifest["counts"]
    try:
        if is_new and not counts["finished"]:
            remove_folder(store.folder)
            is_back = put_back_replaced(store.folder.path)
            store.folder.publish()
            return "the results that were there before are back" if is_back else ""
        store.close("interrupted", elapsed_s=monotonic() - started, headline=_headline())
        _publish_or_keep(store.folder)
    except (ResultsError, OSError):
        return _KEPT
    return f"{counts['finished']} of {counts['trials']} trials are kept"
