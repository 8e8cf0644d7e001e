"""The command `study replay`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from study.commands.refusal import BAD_INPUT
from study.printable import json_text

if TYPE_CHECKING:
    from study.replay.replay import Replay


@click.command()
@click.argument("traces", nargs=-1, required=True, type=click.Path(), metavar="TRACE...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and trace.")
@click.option(
    "--load",
    "load_to",
    type=click.Path(),
    metavar="FILE",
    help="Fit a synthetic load to the first half of TRACE, and write it there as a scenario.",
)
def replay(traces: tuple[str, ...], *, as_json: bool, load_to: str | None) -> None:
    """Feed recorded traces of a real kernel through the simulated allocator.

    TRACE is a columnar trace_NAME.npz, or the kernel's own text as /sys/kernel/tracing/trace,
    `trace-cmd report` or `perf script` print it, gzip or not. Snapshots of /proc and the ordered
    free lists are looked for beside it, as snapshots_NAME.json.gz and freelists_NAME_0.json.gz;
    what is absent is not compared.

    Or it is a recording of what the kernel's own mm/ did after each of many operations, in
    user space (allocator-*.npz, reclaim-*.npz, case-*.npz, marks.npz): answers, lists in their
    order, flags and counters are compared after every operation.

    With --load it is not replayed: a synthetic load is fitted to the first half of its requests,
    and printed is how near it comes to both halves.

    Exit status: 0 all traces were replayed, however they compare; 2 one could not be read.
    """
    if load_to is not None:
        if len(traces) > 1:
            raise click.UsageError("--load takes one trace")
        _fit(Path(traces[0]), Path(load_to), as_json=as_json)
        return
    from study.replay.recording import is_recording
    from study.replay.replay import as_json as to_json
    from study.replay.replay import replay as replay_trace
    from study.replay.source import SourceReplay, replay_source
    from study.replay.source import as_json as source_as_json
    from study.replay.trace import ReplayError

    results: list[Replay | SourceReplay] = []
    status = 0
    for path in traces:
        try:
            file = Path(path)
            result = replay_source(file) if is_recording(file) else replay_trace(file)
        except ReplayError as fault:
            click.echo(f"study: {fault}", err=True)
            status = BAD_INPUT
            continue
        if as_json:
            plain = source_as_json(result) if isinstance(result, SourceReplay) else to_json(result)
            click.echo(json_text(plain))
        results.append(result)
    if not as_json:
        from study.terminal.console import console
        from study.terminal.replay import show

        show(results, console())
    sys.exit(status)


def _fit(trace: Path, to: Path, *, as_json: bool) -> None:
    """Fit a synthetic load to a trace, write it as a scenario, and tell how near it comes."""
    from dataclasses import asdict

    from study.commands.refusal import refuse
    from study.replay.demand import demand_of
    from study.replay.fit import fit
    from study.replay.trace import ReplayError
    from study.scenario.write import yaml_text
    from study.terminal.console import console
    from study.terminal.replay import show_fit

    try:
        found = fit(demand_of(trace))
        with to.open("x", encoding="utf-8") as file:
            file.write(f"# The load of {trace.name!a}, fitted to its first half.\n")
            file.write(yaml_text({"base": found.base}))
    except ReplayError as fault:
        refuse(fault)
    except ValueError as fault:
        refuse(ReplayError(f"{trace}: {fault}"))
    except FileExistsError:
        refuse(ReplayError(f"{to}: is there already; give another name"))
    except OSError as fault:
        refuse(ReplayError(f"{to}: {fault.strerror}"))
    if as_json:
        click.echo(json_text(asdict(found)))
    else:
        show_fit(trace.name, found, console())
        click.echo(f"Written to {to}")
