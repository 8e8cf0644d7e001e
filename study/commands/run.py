"""The commands `study run` and `study resume`: trials here, or on a Ray cluster that is joined."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from study.commands.allowing import allow_option
from study.commands.completion import keys
from study.commands.ending import end
from study.commands.limits import limit_options, limits_from
from study.commands.refusal import FAILED, refuse
from study.commands.whole import Whole

if TYPE_CHECKING:
    from study.runs import Options, Watcher
    from study.statistics import Findings


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both commands can be told; _carry_out() takes it."""
    options = (
        click.option(
            "--address", metavar="ADDR", help="Join this Ray cluster; it is left running."
        ),
        click.option("--workers", type=Whole(min=1), metavar="N", help="Use at most N cores."),
        click.option("--no-ray", is_flag=True, help="Run the trials one by one in this process."),
        limit_options,
        allow_option,
        click.option(
            "--no-report",
            is_flag=True,
            envvar="STUDY_NO_REPORT",
            help="Make no report.html at the end; `study report DIR` makes it later.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object, no tables."),
        click.option("-q", "--quiet", is_flag=True, help="Show neither progress nor tables."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("scenario", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=keys)
@click.option("--out", type=click.Path(), metavar="DIR", help="Results folder to make.")
@click.option("--force", is_flag=True, help="Start over in a folder that holds this very study.")
@click.option("--extend", is_flag=True, help="Add replicates or cells to the study in --out.")
@_run_options
def run(
    scenario: str,
    overrides: tuple[str, ...],
    *,
    out: str | None,
    force: bool,
    extend: bool,
    extensions: tuple[str, ...],
    **options: Any,
) -> None:
    """Run all trials of SCENARIO (a YAML file) and summarise them.

    KEY=VALUE overrides any key of the scenario: replicates=5 zone.memory=256MiB

    With --out, a folder that holds part of this very study is continued.

    Without --address a Ray of its own is started on this machine and ended again.
    """
    if force and extend:
        raise click.UsageError("--force starts over and --extend goes on: give one of them")

    def work(options: Options, watcher: Watcher) -> Findings:
        from dataclasses import replace

        from study.runs import run_study
        from study.scenario import load

        study = load(scenario, overrides, extensions=extensions)
        for said in study.remarks:
            watcher.note(f"Note: {said}.")
        options = replace(options, force=force, extend=extend)
        return run_study(study, out, options, watcher=watcher)

    _carry_out(work, extensions=extensions, **options)


@click.command()
@click.argument("folder", type=click.Path(), metavar="DIR")
@_run_options
def resume(folder: str, *, extensions: tuple[str, ...], **options: Any) -> None:
    """Continue the run in the results folder DIR, however it ended.

    What is finished is not run again. The folder alone says what is to be done; it must have been
    made by this version of the simulation.
    """

    def work(options: Options, watcher: Watcher) -> Findings:
        from study.runs import resume_study

        return resume_study(folder, options, extensions=extensions, watcher=watcher)

    _carry_out(work, extensions=extensions, **options)


def _carry_out(
    work: Callable[[Options, Watcher], Findings],
    *,
    extensions: tuple[str, ...],
    address: str | None,
    workers: int | None,
    no_ray: bool,
    time_limit: str | None,
    memory_limit: str | None,
    no_report: bool,
    as_json: bool,
    quiet: bool,
) -> NoReturn:
    """Run trials as the options say, show what came of it, and end with its status.

    work        runs a study, given how and who watches
    extensions  that may be imported when pictures are taken at the end
    """
    if no_ray and (address or workers):
        raise click.UsageError("--no-ray runs in one process: it goes with no other Ray option")
    limits = limits_from(time_limit, memory_limit)

    from study.fanout import FanoutError
    from study.results import ResultsError
    from study.runs import SILENT, Options
    from study.scenario import ScenarioError
    from study.terminal.progress import terminal_watcher

    try:
        options = Options(
            workers=workers,
            address=address,
            ray=not no_ray,
            limits=limits,
            command=tuple(sys.argv),
        )
        results = work(options, SILENT if quiet else terminal_watcher())
    except (ScenarioError, ResultsError) as fault:
        refuse(fault)
    except FanoutError as fault:
        refuse(fault, status=FAILED)
    end(results, as_json=as_json, quiet=quiet, report=not no_report, extensions=extensions)
