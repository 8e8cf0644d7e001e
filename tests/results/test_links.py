"""Nothing is written through a link: what somebody has laid into a results folder stays theirs."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from study.cli import main
from study.results import ResultsError, Store, adopt, only_writer, read_trials, reopen
from study.results.folder import open_local
from study.results.sorting import sort_table
from study.runs import Options, resume_study, run_study
from study.scenario import Study
from study.statistics import write_findings
from study.transport import open_folder
from study.transport.received import Awaited, keep_before, settle_received
from study.transport.relay import Receiver, Sender, sendable
from study.transport.storage import Storage
from tests.by_night import sampled

FILES = [
    *("manifest.json", "summary.csv", "contrasts.csv", "verdicts.csv"),
    *("trials/part-000000.parquet", "series/part-000000.parquet"),
]
ASIDE = [
    *(".manifest.json.new", ".summary.csv.new", ".contrasts.csv.new", ".verdicts.csv.new"),
    *("trials/.part-000000.parquet.new", "series/.part-000000.parquet.new"),
]
FOLDERS_ASIDE = [".trials.new", ".series.new", ".trials.old", ".series.old"]
FOLDERS = ["trials", "series", "damaged"]
OF_COMMANDS = {
    ("report", "{}", "--pictures"): ["report.html", "zonemaps.npz"],
    ("plot", "{}", "success"): ["figures/success.svg"],
    ("explain", "--html", "{}/figures/success.svg", "--pages", "64"): ["figures/success.svg"],
}


@pytest.fixture
def folder(make_store: Callable[..., Store], simulated) -> Path:
    """The results of a run that has ended, and a part that is damaged."""
    store = make_store()
    store.add(simulated)
    store.close("failed")
    write_findings(store.folder)
    (store.folder.trials / "part-000009.parquet").write_bytes(b"damaged")
    return store.folder.path


@pytest.fixture(scope="module")
def made(tiny: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a real run."""
    path = tmp_path_factory.mktemp("made") / "out"
    run_study(tiny, path, Options(ray=False))
    return path


def go_on(path: Path) -> None:
    """Continue a run: everything is read back, sorted, and written anew."""
    with only_writer(path):
        found = open_folder(path)
        continued = reopen(path, found.manifest)
        store = Store(continued, adopt(continued))
        store.close("failed")
        write_findings(continued)


def called(folder: Path, *command: str) -> Result:
    """What a command did, with {} in it for the folder."""
    return CliRunner().invoke(main, [word.format(folder) for word in command])


def lay_links(folder: Path, names: Iterable[str], victims: Path) -> None:
    """Put links to what lies in `victims` in the place of files and folders."""
    victims.mkdir(exist_ok=True)
    for name in names:
        there, victim = folder / name, victims / name.replace("/", "-")
        there.parent.mkdir(exist_ok=True)
        if there.exists():
            there.rename(victim)
        elif name in FOLDERS + FOLDERS_ASIDE + ["figures"]:
            victim.mkdir()
        else:
            victim.write_text("mine")
        if victim.is_dir():
            (victim / "mine.txt").write_text("mine")
        there.symlink_to(victim)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_links_are_replaced_by_what_is_written(folder: Path, tmp_path: Path):
    """A run that goes on writes files of its own, whatever links have their names."""
    whole = {name: (folder / name).read_bytes() for name in FILES[1:]}
    names = [*FILES, *ASIDE, *FOLDERS_ASIDE]
    lay_links(folder, names, tmp_path / "victims")
    before = content(tmp_path / "victims")
    go_on(folder)

    assert content(tmp_path / "victims") == before
    assert {name: (folder / name).read_bytes() for name in FILES[1:]} == whole
    assert [name for name in names if (folder / name).is_symlink()] == []


@pytest.mark.parametrize("name", [*FOLDERS, ".lock"])
def test_a_run_goes_no_further_than_a_link(folder: Path, tmp_path: Path, name: str):
    """Where a link stands for a folder or for the lock, a run is refused and changes nothing."""
    lay_links(folder, [name], tmp_path / "victims")
    before = content(tmp_path)

    with pytest.raises(ResultsError, match=rf"{folder}/{name} is a symbolic link") as refused:
        go_on(folder)
    assert len(str(refused.value).splitlines()) == 1
    assert content(tmp_path) == before


@pytest.mark.parametrize("command", OF_COMMANDS)
def test_a_command_writes_through_no_link(made: Path, tmp_path: Path, command: tuple[str, ...]):
    """The report, pictures and figures are files of their own, whatever links have their names."""
    folder, names = tmp_path / "out", OF_COMMANDS[command]
    shutil.copytree(made, folder)
    aside = [str(Path(name).with_name(f".{Path(name).name}.new")) for name in names]
    lay_links(folder, [*names, *aside], tmp_path / "victims")
    before = content(tmp_path / "victims")
    result = called(folder, *command)

    assert result.exit_code == 0, result.output
    assert content(tmp_path / "victims") == before
    assert [name for name in [*names, *aside] if (folder / name).is_symlink()] == []


def test_a_folder_of_figures_that_is_a_link(made: Path, tmp_path: Path):
    """Figures go into no folder that DIR/figures only points to, unless --out names it."""
    folder = tmp_path / "out"
    shutil.copytree(made, folder)
    lay_links(folder, ["figures"], tmp_path / "victims")
    before = content(tmp_path / "victims")
    refused = called(folder, "plot", "{}", "success")

    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"study: {folder}/figures is a symbolic link")
    assert content(tmp_path / "victims") == before
    assert called(folder, "plot", "{}", "success", "--out", "{}/figures").exit_code == 0
    assert (tmp_path / "victims/figures/success.svg").stat().st_size > 0


def test_a_page_goes_where_a_person_wants_it(tmp_path: Path):
    """Outside a results folder `study explain --html` writes through a link, as any tool does."""
    (tmp_path / "page.html").write_text("old")
    (tmp_path / "link.html").symlink_to(tmp_path / "page.html")
    html = str(tmp_path / "link.html")

    assert called(tmp_path, "explain", "--html", html, "--pages", "64").exit_code == 0
    assert (tmp_path / "link.html").is_symlink()
    assert "<html" in (tmp_path / "page.html").read_text()


def test_a_place_by_url_is_written_through_no_link(made: Path, tmp_path: Path):
    """What is carried into a folder of this machine by its URL goes through no link either."""
    folder = tmp_path / "out"
    shutil.copytree(made, folder)
    lay_links(folder, [*FILES, ".lock"], tmp_path / "victims")
    (tmp_path / "other").write_text("mine")
    (folder / "verdicts.csv").unlink()
    (folder / "verdicts.csv").hardlink_to(tmp_path / "other")
    before = content(tmp_path / "victims")
    (folder / "trials/part-000009.parquet").write_bytes(b"damaged")
    with pytest.raises(ResultsError, match=r"\.lock is a symbolic link and not the lock of a run"):
        resume_study(f"file://{folder}", Options(ray=False))
    (folder / ".lock").unlink()
    resume_study(f"file://{folder}", Options(ray=False))

    assert content(tmp_path / "victims") == before
    assert (tmp_path / "other").read_text() == "mine"
    shutil.rmtree(tmp_path / "victims")
    lay_links(folder, ["trials"], tmp_path / "victims")
    before = content(tmp_path / "victims")
    (folder / "manifest.json").write_text((made / "manifest.json").read_text())
    (tmp_path / "victims/trials/part-000000.parquet").write_bytes(b"damaged")
    with pytest.raises(ResultsError, match="trials is a symbolic link"):
        resume_study(f"file://{folder}", Options(ray=False))
    assert len(content(tmp_path / "victims")) == len(before)


def test_a_lock_with_another_name_is_left_alone(folder: Path, tmp_path: Path):
    """A hard link to a file of somebody's in the place of the lock does not cost the file."""
    (tmp_path / "victim").write_text("mine")
    (folder / ".lock").hardlink_to(tmp_path / "victim")

    with pytest.raises(ResultsError, match=r"\.lock is a file that has another name too; remove"):
        go_on(folder)
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("table", ["trials", "series"])
def test_a_table_on_another_disk_can_be_read(folder: Path, tmp_path: Path, table: str):
    """A table that is a link is read like any other, unless what it points to is away."""
    (folder / "trials/part-000009.parquet").unlink()
    lay_links(folder, [table], tmp_path / "victims")

    assert called(folder, "status", "{}").exit_code == 0
    assert len(read_trials(folder)) == 12
    (tmp_path / "victims").rename(tmp_path / "away")
    result = called(folder, "status", "{}")
    assert result.exit_code == 2
    where = tmp_path / "victims" / table
    assert (
        result.stderr
        == f"study: {folder}/{table} is a symbolic link to {where}, which is not there\n"
    )


def test_a_folder_that_was_left_half_exchanged_opens(folder: Path, tmp_path: Path):
    """A link that stands where old parts are set aside is taken away, and it alone."""
    (folder / "trials/part-000009.parquet").unlink()
    shutil.copytree(folder / "trials", tmp_path / "disk")
    (folder / ".trials.old").symlink_to(tmp_path / "disk")
    before = content(tmp_path / "disk")

    assert called(folder, "status", "{}").exit_code == 0
    assert content(tmp_path / "disk") == before
    assert len(read_trials(folder)) == 12


def test_an_exchange_cut_short_is_finished_by_the_next_run(folder: Path):
    """A run that goes on finds the rows that a crash left where old parts are set aside."""
    (folder / "trials").rename(folder / ".trials.old")
    go_on(folder)

    assert len(read_trials(folder)) == 12
    assert not (folder / ".trials.old").exists()


@pytest.mark.parametrize("name", ["trials", "series", ".new"])
def test_what_comes_home_stays_at_home(folder: Path, tmp_path: Path, name: str):
    """Files that a job's log brings go into the folder or nowhere."""
    victim, log, part = tmp_path / "victim", tmp_path / "log", "trials/part-000000.parquet"
    (folder / "trials/part-000009.parquet").unlink()
    sound = tmp_path / "sound"
    shutil.copytree(folder, sound)
    victim.mkdir()
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).symlink_to(victim)
    (victim / "part-000007.parquet").write_text("mine")
    (victim / "trials").mkdir()
    (victim / "trials/part-000008.parquet").write_text("mine")
    before = content(victim)
    with log.open("wb") as file:
        sender = Sender(file.fileno())
        for there in (part, "series/part-000007.parquet", f".new/{part}"):
            sender.put(there, sound / part)
        sender.remove("trials/part-000007.parquet")
        sender.remove(".new/trials/part-000008.parquet")
    refused = []
    receiver = Receiver(folder, Awaited("0" * 32))
    for line in log.read_text().splitlines():
        try:
            receiver.take(line)
        except ResultsError as error:
            refused.append(str(error))
    try:
        settle_received(folder)
    except ResultsError as error:
        refused.append(str(error))

    assert any(f"{folder / name} is a symbolic link" in text for text in refused)
    assert content(victim) == before


def test_what_is_a_link_is_not_sent_away(folder: Path, tmp_path: Path):
    """A folder that is sent to a cluster takes nothing along that does not lie in it."""
    lay_links(folder, ["summary.csv"], tmp_path / "victims")

    assert "summary.csv" not in set(sendable(folder))
    assert {"manifest.json", "trials/part-000000.parquet"} <= set(sendable(folder))


class Rival:
    """Somebody who puts a link in the place of a folder just before something is written."""

    def __init__(self) -> None:
        self.folder = self.victim = Path()
        self.left = -1
        sys.addaudithook(self._watch)

    def arm(self, folder: Path, victim: Path, after: int) -> None:
        """Do it before whatever comes after so many writes, if it is a folder then."""
        self.folder, self.victim, self.left = folder, victim, after

    def _watch(self, event: str, arguments: tuple[object, ...]) -> None:
        writes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir") or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE
        )
        if self.left < 0 or not writes:
            return
        self.left -= 1
        if self.left < 0 and self.folder.is_dir() and not self.folder.is_symlink():
            self.folder.rename(self.folder.with_name(".moved"))
            self.folder.symlink_to(self.victim)


@pytest.fixture(scope="module")
def rival() -> Rival:
    return Rival()


def sort(path: Path) -> None:
    sort_table(open_local(path), path / "trials")


def take_back(path: Path) -> None:
    adopt(open_local(path))


def bring_home(path: Path) -> None:
    """A log that changes rows, one that breaks off, and what was there before is put back."""
    part, new = "trials/part-000000.parquet", "trials/part-000005.parquet"
    keep_before(path)
    lines = []
    for name in (part, new, f".new/{part}"):
        (path / "log").unlink(missing_ok=True)
        with (path / "log").open("wb") as log:
            Sender(log.fileno()).put(name, path / "report.html")
        lines += (path / "log").read_text().splitlines()
    lines += [f"study-results move .new/{part} {part}", f"study-results remove {new}"]
    receiver = Receiver(path, Awaited("0" * 32))
    for line in (*lines, *lines[:9]):
        with suppress(ResultsError):
            receiver.take(line)
    settle_received(path)


def carry(path: Path) -> None:
    storage = Storage(f"file://{path}")
    part = "trials/part-000000.parquet"
    storage.put(f".new/{part}", path / "report.html")
    storage.put(part, path / "report.html")
    storage.move(f".new/{part}", part)
    storage.remove(part)


@pytest.mark.parametrize(
    ("does", "name"),
    sampled(
        [(sort, ".trials.new"), (take_back, "trials"), (take_back, "damaged"),
         (bring_home, "trials"), (bring_home, ".before.new"), (bring_home, ".new"),
         (carry, "trials"), (carry, ".new")],
        every=2,
    ),
    ids=lambda value: getattr(value, "__name__", value),
)  # fmt: skip
def test_a_folder_exchanged_meanwhile_is_not_written_through(
    folder: Path, tmp_path: Path, rival: Rival, does: Callable[[Path], None], name: str
):
    """Whenever a link takes the place of a folder that is written to, nothing is where it leads."""
    (folder / "report.html").write_text("no part")
    (folder / "trials/.part-000007.parquet.new").write_text("half")
    victim = tmp_path / "victim"
    for table in (".", "trials", "series"):
        (victim / table).mkdir(exist_ok=True)
        for file in ("part-000000.parquet", "part-000005.parquet", ".part-000007.parquet.new"):
            (victim / table / file).write_text("mine")
    before = content(victim)
    exchanged, after, fired = 0, 0, True
    while fired:
        path = tmp_path / f"tried-{after}"
        shutil.copytree(folder, path)
        rival.arm(path / name, victim, after)
        with suppress(ResultsError, OSError):
            does(path)
        fired, rival.left = rival.left < 0, -1
        exchanged += (path / ".moved").exists()
        assert content(victim) == before, after
        assert not (path / "trials").is_symlink() or name == "trials"
        shutil.rmtree(path)
        after += 9 if does is bring_home else 1
    assert exchanged


def test_a_table_that_is_a_link_loses_nothing_to_a_log(folder: Path, tmp_path: Path):
    """Parts of another folder are not taken away through a link before a log is read."""
    lay_links(folder, ["trials"], tmp_path / "victims")
    (tmp_path / "victims/trials/.part-000007.parquet.new").write_text("half")
    manifest = json.loads((folder / "manifest.json").read_text())
    before = content(tmp_path / "victims")
    for changed in ({"parts": {}, "noted_first": False}, {}, {"parts": {}}):
        (folder / "manifest.json").write_text(json.dumps(manifest | changed))
        for look in (keep_before, take_back):
            with pytest.raises(ResultsError, match="trials is a symbolic link"):
                look(folder)
        assert content(tmp_path / "victims") == before


def test_a_figure_goes_where_it_was_to_go(made: Path, tmp_path: Path, rival: Rival):
    """A link that takes the place of DIR/figures while they are drawn gets no figure."""
    folder, victim = tmp_path / "out", tmp_path / "victim"
    shutil.copytree(made, folder)
    (folder / "figures").mkdir()
    victim.mkdir()
    (victim / "success.svg").write_text("mine")
    for after in range(3):
        rival.arm(folder / "figures", victim, after)
        called(folder, "plot", "{}", "success")
        rival.left = -1
        assert (victim / "success.svg").read_text() == "mine"
        if (folder / "figures").is_symlink():
            (folder / "figures").unlink()
            (folder / ".moved").rename(folder / "figures")
    assert (folder / "figures/success.svg").stat().st_size > 1_000
