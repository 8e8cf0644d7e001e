"""The commands `study submit` and `study follow`: a study as a job on a Ray cluster."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from study.commands.allowing import allow_option
from study.commands.completion import keys
from study.commands.ending import end, status_of
from study.commands.limits import limit_options, limits_from
from study.commands.refusal import FAILED, STOPPED, refuse
from study.commands.whole import Whole

if TYPE_CHECKING:
    from study.scenario import Study
    from study.transport.jobs import JobServer
    from study.transport.received import Awaited

_BEGUN = "begun"
_TASK = "job.json"
_NAME_LETTERS = 40
_OF_RAY = re.compile(r"Running entrypoint for job |\S{1,40} \S{1,40}\tINFO job_manager\.py:\d+ -- ")
"""What Ray writes into a job's log before the job does."""


def _url(_context: click.Context, _parameter: click.Parameter, address: str) -> str:
    """The address with its scheme; ends the command if it is none."""
    from study.transport.jobs import server_url

    try:
        return server_url(address)
    except ValueError as fault:
        refuse(fault)


def _server_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--address",
        required=True,
        envvar="RAY_API_SERVER_ADDRESS",
        metavar="URL",
        callback=_url,
        help="The cluster's job server: http://HOST:8265, or HOST:8265.",
    )(command)


@click.command()
@click.argument("scenario", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=keys)
@_server_option
@click.option(
    "--out",
    type=click.Path(),
    metavar="DIR",
    help="Results folder here; or a URL (s3://...), which the cluster then writes itself.",
)
@click.option("--workers", type=Whole(min=1), metavar="N", help="Use at most N cores.")
@click.option("--extend", is_flag=True, help="Add replicates or cells to the study in --out.")
@limit_options
@allow_option
@click.option(
    "--python",
    default="python",
    show_default=True,
    metavar="CMD",
    help="The Python on the head that has Ray and the study's packages.",
)
@click.option("--no-wait", is_flag=True, help="Submit only; `study follow` brings the results.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("-q", "--quiet", is_flag=True, help="Show neither progress nor tables.")
def submit(
    scenario: str,
    overrides: tuple[str, ...],
    *,
    address: str,
    out: str | None,
    workers: int | None,
    extend: bool,
    time_limit: str | None,
    memory_limit: str | None,
    extensions: tuple[str, ...],
    python: str,
    no_wait: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run SCENARIO as a job on a Ray cluster and bring the results home.

    Sent are the resolved scenario and the sources of this package. The results come back through
    the job's log while it runs. A folder that holds part of this very study is sent along and
    continued.

    The exit status is that of `study run`. Ctrl-C leaves the job running and tells how to go on.
    """
    limits = limits_from(time_limit, memory_limit)

    from study.fanout import FanoutError
    from study.results import ResultsError, adopt
    from study.results.folder import open_local, remove_folder
    from study.runs import writing
    from study.scenario import ScenarioError, load
    from study.transport.jobs import JobServer
    from study.transport.received import Awaited
    from study.transport.storage import is_url

    try:
        study = load(scenario, overrides, extensions=extensions)
        _remark(study)
        server = JobServer(address)
        name = _job_name(study)
        elsewhere = out is not None and is_url(out)
        held = ExitStack()
        folder, is_new = None, True
        if not elsewhere:
            note = partial(click.echo, err=True)
            folder, is_new = held.enter_context(
                writing(study, out, sys.argv, extend=extend, note=note)
            )
    except (ScenarioError, ResultsError) as fault:
        refuse(fault)
    except FanoutError as fault:
        refuse(fault, status=FAILED)
    place = str(out) if folder is None else folder.place
    task = {
        "scenario": _plain_scenario(study),
        "name": name,
        "out": place if elsewhere else None,
        "place": place,
        "command": sys.argv,
        "workers": workers,
        "extend": extend,
        "limits": [limits.time_s, limits.memory_bytes],
        "extensions": study.allowed,
    }
    noted = {"out": place}
    if folder is not None:
        noted["fingerprint"] = folder.manifest["fingerprint"]
    with held:
        try:
            if folder is not None and not is_new:
                # What cannot be gone on from is set aside here, and not sent along.
                adopt(open_local(folder.path), study)
            _send(server, task, noted, None if folder is None or is_new else folder.path, python)
        except (FanoutError, ResultsError, OSError) as fault:
            if folder is not None and is_new:
                remove_folder(folder)
            refuse(fault, status=FAILED)
        with _going_on(server, name, place):
            click.echo(f"Submitted {name} to {server.address}", err=True)
            if no_wait:
                click.echo(f"Follow with: {_follow_with(server, name, place)}")
                return
            home = None if elsewhere else place
            awaited = None
            if folder is not None:
                # The very words as well: they were sent along.
                awaited = Awaited(noted["fingerprint"], folder.manifest, words=True)
            status = _bring_home(server, name, place, home, awaited, quiet=quiet)
    _end(status, home, name, as_json=as_json, quiet=quiet, extensions=study.allowed)


@click.command()
@click.argument("job")
@_server_option
@click.option(
    "--out",
    type=click.Path(),
    metavar="DIR",
    help="Results folder; default: as was submitted, if that is below the current one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("-q", "--quiet", is_flag=True, help="Show neither progress nor tables.")
def follow(job: str, *, address: str, out: str | None, as_json: bool, quiet: bool) -> None:
    """Follow JOB, which `study submit` has started, and bring its results home.

    Also when it has ended: the log is read from its first line.
    """
    from study.fanout import FanoutError
    from study.results import ResultsError
    from study.results.folder import only_writer
    from study.scenario.errors import shown
    from study.transport.jobs import JobServer
    from study.transport.storage import is_url

    try:
        server = JobServer(address)
        noted = server.metadata(job)
    except FanoutError as fault:
        refuse(fault, status=FAILED)
    elsewhere = is_url(noted.get("out", ""))
    if not noted.get("out") or not (elsewhere or noted.get("fingerprint")):
        refuse(FanoutError(f"{job} is no job of `study submit`"), status=FAILED)
    if elsewhere:
        with _going_on(server, job, noted["out"]):
            status = _bring_home(server, job, noted["out"], None, None, quiet=quiet)
        _end(status, None, job, as_json=as_json, quiet=quiet)
    if out is None and not _is_below(noted["out"]):
        raise click.UsageError(
            f"the job server says that {job} was to come home into {shown(noted['out'], 200)}, "
            "which is no folder below the current one; name the folder with --out"
        )
    home = Path(out or noted["out"])
    try:
        awaited = _receive_into(home, noted["fingerprint"])
        with only_writer(home), _going_on(server, job, str(home)):
            status = _bring_home(server, job, str(home), str(home), awaited, quiet=quiet)
    except (ResultsError, OSError, ValueError) as fault:
        refuse(fault)
    _end(status, str(home), job, as_json=as_json, quiet=quiet)


@click.command(hidden=True)
@click.argument("task", type=click.Path(exists=True, dir_okay=False))
def job(task: str) -> None:
    """Run on the cluster what `study submit` has packed into the file TASK."""
    from study.transport.relay import Sender

    told = json.loads(Path(task).read_text(encoding="utf-8"))
    sender = Sender(sys.stdout.fileno())
    try:
        _run_task(told, sender)
    except SystemExit as ended:
        sys.stdout.flush()
        sender.exit(ended.code if isinstance(ended.code, int) else FAILED)
        raise


def _run_task(told: dict[str, Any], sender: Any) -> NoReturn:
    from study.fanout import FanoutError, Limits
    from study.results import ResultsError, study_of
    from study.results.mirror import Mirror
    from study.runs import Options, run_study
    from study.terminal.progress import terminal_watcher
    from study.transport.relay import sendable

    home = Path.cwd() / _BEGUN
    mirror = None
    if told["out"] is None:
        begun = list(sendable(home)) if home.is_dir() else []
        mirror = Mirror(home, sender, place=told["place"], carried=begun)
    try:
        options = Options(
            workers=told["workers"],
            address="auto",
            extend=told["extend"],
            limits=Limits(*told["limits"]),
            command=tuple(told["command"]),
        )
        results = run_study(
            study_of(told["scenario"], told["name"], extensions=told["extensions"]),
            told["out"] or home,
            options,
            watcher=terminal_watcher(),
            mirror=mirror,
        )
    except ResultsError as fault:
        refuse(fault)
    except FanoutError as fault:
        refuse(fault, status=FAILED)
    if mirror is None:
        end(results, as_json=False, quiet=False, extensions=told["extensions"])
    sys.exit(status_of(results))


@contextmanager
def _going_on(server: JobServer, name: str, place: str) -> Iterator[None]:
    """Whoever leaves is told how to come back."""
    try:
        yield
    except KeyboardInterrupt:
        if server.answers():
            click.echo(f"The job goes on. Follow it with: {_follow_with(server, name, place)}")
            click.echo(f"Stop it with: ray job stop --address {server.address} {name}")
        else:
            click.echo("The job server does not answer, and may have lost the job.")
            click.echo(f"Once it answers follow it with: {_follow_with(server, name, place)}")
            for line in _way_on(place):
                click.echo(line)
        sys.exit(STOPPED)


def _is_below(place: str) -> bool:
    """Whether what a job server says is the plain name of a folder below the current one."""
    parts = Path(place).parts
    if not place.isprintable() or not parts or any(part.startswith((".", "~")) for part in parts):
        return False
    try:
        here = Path.cwd().resolve()
        return not Path(place).is_absolute() and (here / place).resolve().is_relative_to(here)
    except (OSError, RuntimeError, ValueError):
        return False


def _bring_home(
    server: JobServer,
    name: str,
    place: str,
    home: str | None,
    awaited: Awaited | None,
    *,
    quiet: bool,
) -> int | None:
    """Show a job's log and take the rows out of it; returns the status of the study, if known.

    home     folder to put the rows into; None if the job writes them elsewhere
    awaited  the study that they must be of
    """
    from study.fanout import FanoutError
    from study.results import ResultsError
    from study.transport.received import keep_before, settle_received
    from study.transport.relay import Receiver

    receiver = Receiver(Path(home) if home is not None else None, awaited)
    try:
        if home is not None and (said := keep_before(Path(home))):
            click.echo(said, err=True)
        for line in server.log(name, note=lambda said: click.echo(said, err=True)):
            shown = receiver.take(line)
            if shown is not None and not quiet and not _OF_RAY.match(shown):
                click.echo(shown, err=True)
        if home is not None:
            settle_received(Path(home))
        if receiver.status is None:
            ended = server.ended(name)
            click.echo(f"study: job {name} {ended.state}: {ended.message}", err=True)
    except KeyboardInterrupt:
        _settled(home)
        raise
    except (FanoutError, ResultsError, OSError) as fault:
        again = f"try again: {_follow_with(server, name, place)}"
        # Whatever came before is whole, or what was here before is there again.
        told = dict.fromkeys([str(fault), *_settled(home), again, *_way_on(home)])
        refuse(RuntimeError("\n".join(told)), status=FAILED)
    return receiver.status


def _settled(home: str | None) -> list[str]:
    """Settle what came home of a log that broke off; what there is to say of that."""
    from study.results import ResultsError
    from study.transport.received import settle_received

    try:
        if home is not None:
            settle_received(Path(home))
    except ResultsError as fault:
        return [str(fault)]
    return []


def _way_on(home: str | None) -> list[str]:
    """What has come home, and how to go on with it here; nothing if there is nothing."""
    from study.results import ResultsError
    from study.results.errors import shell_word
    from study.results.status import status_of as state_of
    from study.transport.storage import is_url

    if home is None or is_url(home):
        return []
    try:
        counts = state_of(home)["counts"]
    except ResultsError:
        return []
    return [
        f"{counts['finished']} of {counts['trials']} trials are kept, complete and readable.",
        f"Resume here with: study resume {shell_word(home)}",
    ]


def _end(
    status: int | None,
    home: str | None,
    name: str,
    *,
    as_json: bool,
    quiet: bool,
    extensions: Sequence[str] = (),
) -> NoReturn:
    """Show what came home, or that it is not all, and end with the status of the study."""
    if home is None:
        sys.exit(FAILED if status is None else status)
    from study.results import ResultsError
    from study.results.errors import shell_word
    from study.results.summary import write_summary
    from study.statistics import read_findings, write_findings

    try:
        findings = read_findings(home)
        if status is not None and findings.manifest["state"] != "running":
            write_summary(findings.folder)
            findings = write_findings(findings.folder)
    except ResultsError as fault:
        refuse(ResultsError(f"job {name} brought no results: {fault}"), status=status or FAILED)
    counts, state = findings.manifest["counts"], findings.manifest["state"]
    if status is None or state == "running":
        click.echo(
            f"{counts['finished']} of {counts['trials']} trials are kept, complete and readable."
        )
        click.echo(f"Resume here with: study resume {shell_word(home)}")
        click.echo(f"Or there with the same study submit and --out {shell_word(home)}")
        sys.exit(status or FAILED)
    end(findings, as_json=as_json, quiet=quiet, extensions=extensions)


def _receive_into(home: Path, fingerprint: str) -> Awaited:
    """See to it that a folder is there, and that it is empty or holds this very study.

    Returns what a log may bring into it.
    """
    from study.results import ResultsError
    from study.results.errors import disk_errors
    from study.results.folder import check_room, is_blank, open_local
    from study.transport.received import Awaited

    check_room(home)
    with disk_errors(f"cannot write {home}"):
        if not home.exists() or is_blank(home):
            home.mkdir(parents=True, exist_ok=True)
            return Awaited(fingerprint)
        manifest = open_local(home).manifest
        if manifest["fingerprint"] != fingerprint:
            raise ResultsError(f"{home} holds results of another study; give another --out")
        return Awaited(fingerprint, manifest)


def _send(
    server: JobServer, task: dict[str, Any], noted: dict[str, str], begun: Path | None, python: str
) -> None:
    """Pack a task, and a run to be continued, and start the job of that name."""
    from study.transport.jobs import sources
    from study.trust.folders import temporary_root

    with tempfile.TemporaryDirectory(prefix="study-job-", dir=temporary_root()) as files:
        _pack(Path(files), task, begun)
        entrypoint = f"{python} -m study job {_TASK}"
        server.submit(task["name"], entrypoint, Path(files), package=sources(), metadata=noted)


def _pack(files: Path, task: dict[str, Any], begun: Path | None) -> None:
    """What travels to the head besides the package: the task, and a run to be continued."""
    from study.transport.relay import sendable

    (files / _TASK).write_text(json.dumps(task), encoding="utf-8")
    if begun is not None:
        for name in sendable(begun):
            target = files / _BEGUN / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(begun / name, target)


def _remark(study: Study) -> None:
    for said in study.remarks:
        click.echo(f"Note: {said}.", err=True)


def _job_name(study: Study) -> str:
    """As smoke-1f0c4e2a: unlike any other."""
    letters = re.sub(r"[^A-Za-z0-9._-]+", "-", study.name).strip("-.")[:_NAME_LETTERS]
    return f"{letters or 'study'}-{uuid.uuid4().hex[:8]}"


def _plain_scenario(study: Study) -> Any:
    return json.loads(json.dumps(study.document, default=str))


def _follow_with(server: JobServer, name: str, place: str) -> str:
    from study.results.errors import shell_word

    return f"study follow {name} --address {server.address} --out {shell_word(place)}"
