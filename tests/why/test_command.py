"""The command `study why`: what it prints, what it asks for, and how it ends."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from study.cli import main
from study.refusals import here
from study.refusals.render import WIDTH

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "tests" / "data" / "kernel-reports"
LIST_ONLY = (
    "Normal: 44578*4kB 11117*8kB 800*16kB 0*32kB 1*64kB 1*128kB 0*256kB 0*512kB 0*1024kB "
    "0*2048kB 0*4096kB = 280240kB\n"
)
SETTINGS = "vm.compaction_proactiveness = 0\nvm.watermark_scale_factor = 100\nvm.swappiness = 60\n"
TABLE = """\
# arm64, kernel 6.17
machine       MemAvailable  16MiB  32MiB
A (7 d)       118 GiB          27      0   compact_stall 2700000  compact_fail 1350000
B (rebooted)               1417    782
"""


def why(*arguments: str, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["why", *arguments], input=text)


def test_it_is_listed_in_the_help() -> None:
    """Study --help has it in a section of its own, study why --help its exit statuses."""
    shown = CliRunner().invoke(main, ["--help"]).output

    assert re.search(r"^  why  ", shown, re.MULTILINE)
    assert "Exit status: 0" in " ".join(why("--help").output.split())


@pytest.mark.parametrize("path", sorted(DATA.glob("*.*")), ids=lambda path: path.name)
def test_lines_fit_a_mail(path: Path) -> None:
    """No line of an answer is longer than 78 columns."""
    lines = why("-", text=path.read_text()).output.splitlines()

    assert lines
    assert max(map(len, lines)) <= WIDTH


def test_a_report_is_answered() -> None:
    """A report gives request, kernel, each zone's test, a cause, and what would have passed."""
    result = why(str(DATA / "6.6-order-4.txt"))

    assert result.exit_code == 0
    assert "order 4 (16 pages, 64 kB), GFP_KERNEL|__GFP_COMP|__GFP_ZERO" in result.output
    assert "last try, at min: 11,347 pages > 10,536" in result.output
    assert "Cause: blocks are of a type that may not serve it." in result.output
    assert "1 more free block of 64 kB (order 4); cost: 16 pages" in result.output
    assert "Missing" not in result.output


def test_what_is_missing_is_asked_for_and_options_supply_it() -> None:
    """A list alone names four options; with them it is answered, by the same numbers."""
    asked = why("-", text=LIST_ONLY)
    given = why(
        *("-", "--order", "3", "--atomic", "--kernel", "2.6.17", "--min", "3756kB"), text=LIST_ONLY
    )

    assert asked.exit_code == 0
    for option in ("--order N", "--atomic, or --gfp", "--kernel 2.6.17", "--min 3756kB"):
        assert option in asked.output
    assert "Cause: no answer yet" in asked.output
    assert "above order 2 41 <= 44" in " ".join(given.output.split())
    assert "Cause: order test." in given.output
    assert "Missing" not in given.output


def test_figures_alone_are_enough() -> None:
    """Without any text the options make a zone."""
    result = why(
        *("--list", "44578 11117 800 0 1 1 0 0 0 0 0", "--order", "3", "--atomic"),
        *("--kernel", "2.6.17", "--min", "939pages"),
    )

    assert result.exit_code == 0
    assert "refused by 3" in result.output


def test_a_table_that_is_no_form_of_the_kernel_is_named() -> None:
    """What somebody counted by hand is read for what it is, with the options for the rest."""
    result = why("-", text=TABLE)

    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert "2 rows with free blocks of 16 MiB, 32 MiB" in said
    assert "compact_stall 2,700,000" in said
    assert "--list 'N N N ...'" in said


@pytest.mark.parametrize(("text", "said"), [(SETTINGS, "sysctl"), ("Hello.\n", "No report")])
def test_no_report_is_said(text: str, said: str) -> None:
    """A text without a report says so and ends with 2."""
    result = why("-", text=text)

    assert result.exit_code == 2
    assert "No report in this text." in result.output
    assert said in result.output


def test_a_trace_is_named_as_one() -> None:
    """A trace of events is no report; the command that replays it is named."""
    path = str(DATA / "trace.txt")
    result = why(path)

    assert result.exit_code == 2
    assert "1 mm_page_alloc_extfrag" in " ".join(result.output.split())
    assert f"study replay {path}" in result.output


def test_page_sizes_and_orders_are_named() -> None:
    """64 kB pages and 14 orders follow from the list, count in the arithmetic, and are said."""
    result = why(str(DATA / "4.19-64k-pages.txt"))
    said = " ".join(result.output.split())

    assert "64 kB pages (the lists begin so: not a 4 kB machine)" in said
    assert "orders 0 to 13 (14 orders, not 11)" in said
    assert "order 2 (4 pages, 256 kB)" in said
    assert "780 pages <= 891" in said


def test_json_holds_no_task_unless_asked() -> None:
    """JSON has the figures in pages, and neither task, host nor address; --names adds the task."""
    path = DATA / "2.6.32-order-2.txt"
    text = "".join(
        f"Dec 20 14:02:50 secrethost kernel: {line}\n" for line in path.read_text().splitlines()
    )
    plain, named = why("-", "--json", text=text), why("-", "--json", "--names", text=text)

    data = json.loads(plain.output)
    (report,) = data["reports"]
    assert report["zones"][0]["last"]["steps"][-1] == {
        "order": 1, "usable": 57, "needed": 65, "mark": 65,
    }  # fmt: skip
    assert not re.search("secrethost|swapper|ffffffff", plain.output)
    assert json.loads(named.output)["reports"][0]["request"]["task"] == "swapper"
    assert not re.search("secrethost|ffffffff", named.output)


def test_the_text_for_people_names_the_task_only_if_asked() -> None:
    """Who asked is shown with --names alone."""
    path = str(DATA / "2.6.32-order-2.txt")

    assert "swapper" not in why(path).output
    assert "by swapper:" in why(path, "--names").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-", "--min", "3756"), "with a unit"),
        (("-", "--kernel", "ours"), "a version from 2.6.0 on"),
        (("-", "--gfp", "sleepy"), "GFP_KERNEL|__GFP_COMP"),
        (("-", "--atomic", "--gfp", "GFP_KERNEL"), "exclude each other"),
        (("-", "--zone", "Abnormal", "--min", "4kB"), "one of DMA, DMA32, Normal"),
        (("-", "--list", "1 2 x"), "as in /proc/buddyinfo"),
        (("-", "--list", "² 1 2 3"), "as in /proc/buddyinfo"),
        (("-", "--reserve", "-1"), "in the range 0 to 1,099,511"),
        (("-", "--reserve", "9" * 4_000), "in the range 0 to 1,099,511"),
        (("-", "--page-size", "3kB"), "power of two"),
        ((), "give a FILE"),
        (("-", "--here"), "takes no FILE"),
        (("--every", "1"), "a time with its unit"),
    ],
)
def test_an_option_that_makes_no_sense_is_explained(arguments: tuple[str, ...], said: str) -> None:
    """What cannot be used says what can, and ends with 2."""
    result = why(*arguments, text=LIST_ONLY)

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_which_zone_is_asked_for() -> None:
    """Marks for one of several zones need its name; a node goes before it."""
    path = str(DATA / "hotsos.yaml")
    request = ("--order", "3", "--atomic", "--kernel", "5.15", "--min", "40000kB")

    asked = why(path, *request)
    given = why(path, *request, "--zone", "1/Normal")

    assert asked.exit_code == 2
    assert "Node 0 DMA32, Node 1 Normal" in " ".join(asked.output.split())
    assert given.exit_code == 0
    assert "Node 1 Normal" in given.output
    assert "Cause:" in given.output


def test_files_that_are_not_plain(tmp_path: Path) -> None:
    """Gzip is undone, a sosreport's folder searched; what cannot be read is said."""
    report = DATA / "6.6-order-4.txt"
    packed = tmp_path / "dmesg.gz"
    packed.write_bytes(gzip.compress(report.read_bytes()))
    sos = tmp_path / "sosreport-box"
    (sos / "proc").mkdir(parents=True)
    shutil.copy(DATA / "6.12-proc.txt", sos / "proc" / "buddyinfo")
    damaged = tmp_path / "half.gz"
    damaged.write_bytes(packed.read_bytes()[:200])
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(b"\n" * (8 << 20)))

    of_packed = why(str(packed)).output.replace(str(packed), str(report))
    assert of_packed == why(str(report)).output
    assert "Node 0 Normal: free 26,498" in why(str(sos)).output
    for path, said in (
        (damaged, "not a whole gzip file"),
        (bomb, "200 times its size; no log is packed so well"),
        (tmp_path, "not a sosreport"),
        (tmp_path / "absent", "no such file"),
    ):
        result = why(str(path))
        assert result.exit_code == 2
        assert said in result.output


def test_a_sosreport_is_read_up_to_a_bound(tmp_path: Path) -> None:
    """A log of gigabytes, of which an archive is some bytes long, takes no more than one file."""
    (tmp_path / "proc").mkdir()
    shutil.copy(DATA / "6.12-proc.txt", tmp_path / "proc" / "buddyinfo")
    (tmp_path / "var/log").mkdir(parents=True)
    with (tmp_path / "var/log/messages").open("wb") as file:
        file.truncate(6 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    output = why(str(tmp_path)).output

    assert "Node 0 Normal: free 26,498" in output
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000


def test_tables_of_proc_make_one_state() -> None:
    """buddyinfo, pagetypeinfo and zoneinfo of one moment are one report, types and marks in it.

    160 pages on HIGHATOMIC lists do not serve GFP_KERNEL and are taken off for it.
    """
    path = str(DATA / "6.12-proc.txt")
    result = why(path, "--order", "4", "--gfp", "GFP_KERNEL", "--json")

    (report,) = json.loads(result.output)["reports"]
    normal = report["zones"][0]
    assert (normal["zone"], normal["low"], normal["size"]) == ("Normal", 20_250, 1_021_440)
    assert normal["types"][:5] == ["EMU", "EMU", "EMU", "EMU", "HM"]
    assert normal["last"]["steps"][0]["usable"] == 26_498 - 15 - 10 * 16
    assert report["cause"].startswith("none")


def test_many_reports_are_counted(tmp_path: Path) -> None:
    """Beyond ten reports the rest is counted by request and cause; --all shows each."""
    path = tmp_path / "log"
    path.write_text((DATA / "6.6-order-4.txt").read_text() * 15)

    few, each = why(str(path)).output, why(str(path), "--all").output

    assert few.count("\nCause:") == 10
    assert "5 more reports in this text" in few
    assert each.count("\nCause:") == 15


def test_nothing_heavy_is_loaded() -> None:
    """An answer needs neither numba nor Ray, pandas or numpy."""
    code = (
        "import sys\nfrom study.cli import main\n"
        f"main(['why', {str(DATA / '6.6-order-4.txt')!r}], standalone_mode=False)\n"
        "heavy = {'numba', 'numpy', 'ray', 'pandas', 'yaml', 'rich', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert result.stdout.splitlines()[-1] == "[]"


def machine(tmp_path: Path, *, types: bool = True) -> Path:
    """A /proc with the tables of one machine."""
    whole = (DATA / "6.12-proc.txt").read_text().split("\n", 1)[1]
    buddy, rest = whole.split("Page block order", 1)
    typed, zones = rest.split("\nNode 0, zone      DMA\n", 1)
    (tmp_path / "buddyinfo").write_text(buddy)
    (tmp_path / "zoneinfo").write_text("Node 0, zone      DMA\n" + zones)
    if types:
        (tmp_path / "pagetypeinfo").write_text("Page block order" + typed)
    (tmp_path / "sys" / "kernel").mkdir(parents=True)
    (tmp_path / "sys" / "kernel" / "osrelease").write_text("6.12.9-amd64\n")
    return tmp_path


def test_a_machine_is_asked_for_every_order_and_class(tmp_path: Path) -> None:
    """Atomic requests may use what is reserved for them; order 5 finds no block in Normal."""
    report = here.read(machine(tmp_path))
    data = here.as_data(report)["requests"]

    assert [entry["served"] for entry in data["GFP_KERNEL"][:5]] == [True] * 5
    assert data["GFP_KERNEL"][4]["margin"] == 26_498 - 15 - 160 - 16_200
    assert data["atomic"][4]["margin"] == 26_498 - 15 - 6_075
    refused = data["GFP_KERNEL"][5]
    assert (refused["served"], refused["cause"]) == (False, "no block of the order")
    assert max(map(len, here.table(report, "").splitlines())) <= WIDTH


def test_without_pagetypeinfo_it_says_what_is_not_known(tmp_path: Path) -> None:
    """Types of blocks are then not held against a request, and the table says so."""
    report = here.read(machine(tmp_path, types=False))

    assert "on which lists blocks are is not known" in " ".join(here.table(report, "").split())


def test_another_system_is_refused(tmp_path: Path) -> None:
    """Without Linux's /proc there is a sentence, no traceback."""
    with pytest.raises(here.HereError, match="--here needs Linux's own /proc"):
        here.read(tmp_path)


def test_this_machine_answers() -> None:
    """--here has a row for every order, in text and in JSON."""
    shown, data = why("--here"), why("--here", "--json")

    assert shown.exit_code == 0
    rows = [
        line for line in shown.output.splitlines() if re.match(r"\s+\d+\s+[\d,]+ [kM]B  ", line)
    ]
    requests = json.loads(data.output)["requests"]
    assert len(rows) == len(requests["atomic"]) >= 9
    assert set(requests) == {"atomic", "GFP_KERNEL", "movable"}


def test_followed_it_stays_in_its_place() -> None:
    """--every draws each table over the last one, on a terminal, until Ctrl-C."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "study", "why", "--every", "100ms"],
        cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    seen = b""
    deadline = time.monotonic() + 60
    while seen.count(b"\x1b[J") < 2 and time.monotonic() < deadline:
        if select.select([master], [], [], 1.0)[0]:
            seen += os.read(master, 65_536)
    process.send_signal(signal.SIGINT)
    status = process.wait(timeout=30)
    os.close(master)

    height = seen.split(b"\x1b[", 1)[0].count(b"\n")
    assert seen.count(b"\x1b[J") >= 2
    assert f"\x1b[{height}F\x1b[J".encode() in seen
    assert status == 130


def test_options_of_the_document_exist() -> None:
    """Each command of docs/why.md has options that study why, or study scenario, knows."""
    document = (ROOT / "docs" / "why.md").read_text()
    known = why("--help").output
    known += CliRunner().invoke(main, ["scenario", "from", "--help"]).output

    used = set(re.findall(r"(--[a-z][a-z-]+)", document))
    assert len(used) > 8
    assert [option for option in sorted(used) if option not in known] == []


def test_of_a_log_the_last_snapshot_is_told(tmp_path: Path) -> None:
    """Which one, and from when to when; --report gives another, --all each, scenarios the last."""
    rows = "Node 0, zone   Normal    {0}    133    205     26     42     14     11      3  0 0 0\n"
    path = tmp_path / "log.txt"
    path.write_text(
        "".join(f"Tue Dec  1 02:0{n}:00 UTC 2020\n{rows.format(700 + n)}" for n in range(4))
    )
    request = ("--order", "4", "--atomic", "--kernel", "5.4", "--min", "9000pages")
    last, second = why(str(path)), why(str(path), "--report", "2")
    made = CliRunner().invoke(main, ["scenario", "from", str(path), *request])

    assert last.output.count("blocks ") == 1
    assert "blocks 703 133" in last.output
    told = " ".join(last.output.split())
    assert "The last of 4 snapshots in a row, Tue Dec 1 02:00:00 UTC 2020 to Tue Dec 1" in told
    assert "blocks 701 133" in second.output
    assert why(str(path), "--all").output.count("blocks ") == 4
    assert "log.txt, line 8" in made.output
    assert "the text has 4" in why(str(path), "--report", "5").output
