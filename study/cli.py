"""The command `study`: its subcommands in the order in which one meets them.

Exit status: 0 all trials finished; 1 a trial failed, or the run could not be completed; 2 the
command, the scenario or the results folder is not usable as given; 130 stopped by a signal.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from study.commands.completion import completion
from study.commands.examples import EXAMPLES, epilog
from study.commands.explain import explain
from study.commands.machine.scenario import scenario
from study.commands.machine.why import why
from study.commands.plan import plan
from study.commands.presets import presets
from study.commands.reference import kernels, keys, metrics
from study.commands.refusal import STOPPED, refuse
from study.commands.replay import replay
from study.commands.results.compare import compare
from study.commands.results.contrasts import contrasts
from study.commands.results.plot import plot
from study.commands.results.report import report
from study.commands.results.sensitivity import sensitivity
from study.commands.results.status import status
from study.commands.results.summary import summary
from study.commands.results.tradeoff import tradeoff
from study.commands.results.verdicts import verdicts
from study.commands.run import resume, run
from study.commands.schema import schema
from study.commands.show import show
from study.commands.submit import follow, job, submit
from study.runs.signals import handling
from study.terminal.guard import guarded, open_standard_streams

_SECTIONS = {
    "Ask about a machine": (why,),
    "Write a scenario": (scenario, presets, show, plan, schema),
    "Look something up": (keys, metrics, kernels),
    "Run it": (run, status, resume, submit, follow),
    "Read the results": (
        summary, verdicts, report, plot, contrasts, tradeoff, sensitivity, compare
    ),
    "Look at the simulation": (explain, replay),
    "Other": (completion,),
}  # fmt: skip

_EPILOG = """\b
Exit status:
    0  done; of a run: all trials finished
    1  a trial failed, or the run could not be completed
    2  the command, the scenario or the folder is not usable as given
  130  stopped by a signal; what is finished is kept
  141  whoever read the output has gone (`study summary DIR | head`)

Output has colours on a terminal only, and not with NO_COLOR set.
"""

_LONGEST_HELP = 100


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Have SIGTERM, and SIGHUP of a terminal that goes, raise what Ctrl-C raises.

    So temporary copies go with the command, and what came home of a job is settled.
    """
    # With nohup a command goes on.
    heard = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    with handling(heard, signal.default_int_handler):
        yield


class _Commands(click.Group):
    """The commands, which cannot print what a terminal obeys.

    Help lists them by what they are for, not by the alphabet.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command with a guard before standard output and error."""
        open_standard_streams()
        epoch = os.environ.get("SOURCE_DATE_EPOCH", "0")
        if not re.fullmatch("[0-9]{1,12}", epoch):
            # numpy and matplotlib read it as they are imported, and know no words for this.
            refuse(ValueError(f"SOURCE_DATE_EPOCH is {epoch[:40]!a}; seconds since 1970, or unset"))
        with guarded(), ended_as_by_ctrl_c():
            return super().main(*args, **kwargs)

    def invoke(self, context: click.Context) -> Any:
        """Run the command that was asked for; a signal that it does not answer ends it."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            click.echo("study: stopped", err=True)
            sys.exit(STOPPED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each entry of _SECTIONS."""
        width = max(len(name) for name in self.list_commands(ctx))
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (str(command.name).ljust(width), command.get_short_help_str(_LONGEST_HELP))
                        for command in commands
                    ]
                )


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _option, wanted: _show_version(context) if wanted else None,
    help="Show the version, the simulation's digest and the kernels it knows, and exit.",
)
def main() -> None:
    """Monte Carlo studies of physical-memory fragmentation in a simulated Linux zone.

    A study is described by a SCENARIO, one YAML file, and leaves its results in a folder DIR.
    """


for _command in (*(each for section in _SECTIONS.values() for each in section), job):
    if _command.name in EXAMPLES:
        _command.epilog = epilog(_command.name)
    main.add_command(_command)


def _show_version(context: click.Context) -> None:
    import study
    from study.scenario.model import KERNELS
    from study.zone.engine.compile import digest

    click.echo(f"study {study.__version__}")
    click.echo(f"simulation {digest()}")
    click.echo(f"kernels {', '.join(KERNELS)}")
    context.exit()
