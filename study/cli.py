"""The command `study`.

Exit status: 0 all trials finished; 1 a trial failed, or the run could not be completed; 2 the
command, the scenario or the results folder is not usable as given; 130 stopped by a signal.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from study.commands.compare import compare
from study.commands.completion import completion, keys
from study.commands.contrasts import contrasts
from study.commands.ending import FAILED, end, tables
from study.commands.explain import explain
from study.commands.limits import limit_options, limits_from
from study.commands.plan import plan
from study.commands.plot import plot
from study.commands.presets import presets
from study.commands.refusal import refuse
from study.commands.report import report
from study.commands.schema import schema
from study.commands.sensitivity import sensitivity
from study.commands.show import show
from study.commands.status import status
from study.commands.submit import follow, job, submit
from study.commands.tradeoff import tradeoff
from study.commands.verdicts import verdicts
from study.replay.command import replay

_EPILOG = """\b
Exit status:
    0  done; of a run: all trials finished
    1  a trial failed, or the run could not be completed
    2  the command, the scenario or the folder is not usable as given
  130  stopped by a signal; what is finished is kept

Output has colours on a terminal only, and not with NO_COLOR set.
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _option, wanted: _show_version(context) if wanted else None,
    help="Show the version and exit.",
)
def main() -> None:
    """Monte Carlo studies of physical-memory fragmentation in a simulated Linux zone."""


@main.command()
@click.argument("scenario", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=keys)
@click.option("--out", type=click.Path(), metavar="DIR", help="Results folder to make.")
@click.option("--address", metavar="ADDR", help="Join this Ray cluster; it is left running.")
@click.option("--workers", type=click.IntRange(min=1), help="Use at most so many cores.")
@click.option("--no-ray", is_flag=True, help="Run the trials one by one in this process.")
@click.option("--force", is_flag=True, help="Start over in a folder that holds this very study.")
@click.option("--extend", is_flag=True, help="Add replicates or cells to the study in --out.")
@limit_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("-q", "--quiet", is_flag=True, help="Show neither progress nor tables.")
def run(
    scenario: str,
    overrides: tuple[str, ...],
    *,
    out: str | None,
    address: str | None,
    workers: int | None,
    no_ray: bool,
    force: bool,
    extend: bool,
    time_limit: str | None,
    memory_limit: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run all trials of SCENARIO (a YAML file) and summarise them.

    KEY=VALUE overrides any key of the scenario: replicates=5 zone.memory=256MiB

    With --out, a folder that holds part of this very study is continued.

    Without --address a Ray of its own is started on this machine and ended again.
    """
    if no_ray and (address or workers):
        raise click.UsageError("--no-ray runs in one process: it goes with no other Ray option")
    if force and extend:
        raise click.UsageError("--force starts over and --extend goes on: give one of them")
    limits = limits_from(time_limit, memory_limit)

    from study.conduct import SILENT, conduct
    from study.fanout import FanoutError
    from study.progress import terminal_watcher
    from study.results import ResultsError
    from study.scenario import ScenarioError, load

    try:
        study = load(scenario, overrides)
    except ScenarioError as fault:
        refuse(fault)
    try:
        results = conduct(
            study,
            out=out,
            workers=workers,
            address=address,
            ray=not no_ray,
            force=force,
            extend=extend,
            limits=limits,
            watcher=SILENT if quiet else terminal_watcher(),
            command=sys.argv,
        )
    except ResultsError as fault:
        refuse(fault)
    except FanoutError as fault:
        refuse(fault, status=FAILED)
    end(results, as_json=as_json, quiet=quiet)


@main.command()
@click.argument("folder", type=click.Path(), metavar="DIR")
@click.option("--address", metavar="ADDR", help="Join this Ray cluster; it is left running.")
@click.option("--workers", type=click.IntRange(min=1), help="Use at most so many cores.")
@click.option("--no-ray", is_flag=True, help="Run the trials one by one in this process.")
@limit_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("-q", "--quiet", is_flag=True, help="Show neither progress nor tables.")
def resume(
    folder: str,
    *,
    address: str | None,
    workers: int | None,
    no_ray: bool,
    time_limit: str | None,
    memory_limit: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Continue the run in the results folder DIR, however it ended.

    What is finished is not run again. The folder alone says what is to be done; it must have been
    made by this version of the simulation.
    """
    if no_ray and (address or workers):
        raise click.UsageError("--no-ray runs in one process: it goes with no other Ray option")
    limits = limits_from(time_limit, memory_limit)

    from study.conduct import SILENT
    from study.conduct import resume as resume_run
    from study.fanout import FanoutError
    from study.progress import terminal_watcher
    from study.results import ResultsError

    try:
        results = resume_run(
            folder,
            workers=workers,
            address=address,
            ray=not no_ray,
            limits=limits,
            watcher=SILENT if quiet else terminal_watcher(),
            command=sys.argv,
        )
    except ResultsError as fault:
        refuse(fault)
    except FanoutError as fault:
        refuse(fault, status=FAILED)
    end(results, as_json=as_json, quiet=quiet)


@main.command()
@click.argument("folder", type=click.Path(), metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def summary(folder: str, *, as_json: bool) -> None:
    """Show the tables of the results folder DIR again."""
    from study.results import ResultsError
    from study.statistics import read_findings

    try:
        tables(read_findings(folder), as_json=as_json, quiet=False)
    except ResultsError as fault:
        refuse(fault)


main.add_command(compare)
main.add_command(completion)
main.add_command(contrasts)
main.add_command(explain)
main.add_command(plan)
main.add_command(plot)
main.add_command(presets)
main.add_command(replay)
main.add_command(schema)
main.add_command(sensitivity)
main.add_command(show)
main.add_command(report)
main.add_command(tradeoff)
main.add_command(verdicts)
main.add_command(status)
main.add_command(submit)
main.add_command(follow)
main.add_command(job)


def _show_version(context: Any) -> None:
    import study

    click.echo(f"study {study.__version__}")
    context.exit()
