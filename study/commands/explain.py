"""The command `study explain`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from study.commands.refusal import refuse
from study.commands.whole import Whole
from study.zone.settings import DefragMode, KswapdPolicy, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from study.explain.step import Step
    from study.explain.words import Moment
    from study.zone.settings import Settings

_POLICIES, _MODES = words_of(KswapdPolicy), words_of(DefragMode)


@click.command()
@click.option(
    "--pages", type=Whole(64, 1024), default=256, show_default=True,
    metavar="N", help="Size of the zone.",
)  # fmt: skip
@click.option(
    "--seed", type=Whole(0, 2**64 - 1), default=1, show_default=True,
    metavar="N", help="Another seed is another run.",
)  # fmt: skip
@click.option(
    "--kswapd", type=click.Choice(list(_POLICIES)), default="count-only", show_default=True,
    help="What kswapd looks at.",
)  # fmt: skip
@click.option(
    "--defrag", type=click.Choice(list(_MODES)), default="rmap-evict", show_default=True,
    help="What the defragmenter does.",
)  # fmt: skip
@click.option(
    "--steps", type=Whole(1, 5000), metavar="N",
    help="At most so many.  [default: 500, or 2 a page]",
)  # fmt: skip
@click.option("--at", type=Whole(0, 5000), metavar="N", help="Show step N and nothing else.")
@click.option("--step", "one_by_one", is_flag=True, help="One step at a time; a key goes on.")
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write an animation.")
def explain(
    pages: int,
    seed: int,
    kswapd: str,
    defrag: str,
    steps: int | None,
    at: int | None,
    one_by_one: bool,
    html: str | None,
) -> None:
    """Watch a small zone fill, split, merge, and wear out.

    Without options the telling moments of a short run are shown. The same options show the same
    steps on every machine: ask what step N will do, and check with --at N. The run of the default
    options is recorded up to step 512 and there at once; another is compiled first.
    """
    if (at is not None) + one_by_one + (html is not None) > 1:
        raise click.UsageError("--at, --step and --html exclude each other")
    if one_by_one and not sys.stdin.isatty():
        raise click.UsageError("--step waits for keys, and there is no terminal; take --at N")

    from study.explain.lesson import settings

    told = settings(
        pages=pages,
        policy=KswapdPolicy(_POLICIES[kswapd]),
        defrag=DefragMode(_MODES[defrag]),
    )
    last = (steps or max(500, 2 * pages)) if at is None else at
    shown = _steps(told, seed=seed, last=last)
    if html:
        options = f"--pages {pages} --seed {seed} --kswapd {kswapd} --defrag {defrag}"
        _write(html, list(shown), options=options)
    elif at is not None:
        _print([(None, step) for step in shown if step.number == at])
    elif one_by_one:
        _one_by_one(shown)
    else:
        _moments(shown)


def _steps(told: Settings, *, seed: int, last: int) -> Iterator[Step]:
    """Steps 0 to `last`: of the recording, where it has them, or of the compiled zone."""
    from study.explain import lesson, recording

    if told == lesson.settings() and seed == recording.SEED and last <= recording.STEPS:
        return recording.recorded(last)

    click.echo(
        "Not recorded: the zone is simulated (the first time compiled, up to a minute).", err=True
    )
    from study.explain.watch import watch

    return watch(told, seed=seed, steps=last)


def _print(shown: list[tuple[Moment | None, Step]]) -> None:
    from study.terminal.explain import parts
    from study.terminal.listing import show

    for moment, step in shown:
        show(*parts(step, moment))


def _moments(steps: Iterator[Step]) -> None:
    from study.explain.words import MOMENTS, moments
    from study.terminal.explain import KEY

    found = moments(steps)
    click.echo(f"{KEY}\n")
    _print([(moment, found[moment.name]) for moment in MOMENTS if moment.name in found])
    click.echo("Any step: the same command with --at N. An animation: --html FILE")


def _one_by_one(steps: Iterator[Step]) -> None:
    from study.terminal.explain import KEY

    click.echo(f"{KEY}\nAny key: next step; q: leave.\n")
    for step in steps:
        _print([(None, step)])
        if click.getchar() in ("q", "Q", "\x04"):
            return


def _write(html: str, steps: list[Step], *, options: str) -> None:
    from study.explain.animation import render
    from study.results.errors import ResultsError, disk_errors
    from study.results.files import write_whole
    from study.results.folder import MANIFEST

    path, page = Path(html), render(steps, options=options)
    try:
        if any(os.path.lexists(parent / MANIFEST) for parent in path.absolute().parents):
            write_whole(path, page)
        else:
            # Whoever names a pipe, a device or a link of their own wants it there.
            with disk_errors(f"cannot write {html}"):
                path.write_text(page, encoding="utf-8")
    except ResultsError as error:
        refuse(error)
    click.echo(f"Animation of {len(steps) - 1} steps: {html}")
