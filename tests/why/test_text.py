"""What mail, logs, trackers and web pages do to a report changes nothing of what is read."""

from __future__ import annotations

import base64
import html
import json
import re
import textwrap
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from study.refusals.find import find
from study.refusals.render import answer, as_data, summary
from study.refusals.text import decode, tidy
from study.refusals.verdict import judge

DATA = Path(__file__).resolve().parent.parent / "data" / "kernel-reports"
OLD = (DATA / "2.6.32-order-2.txt").read_text()
NEW = (DATA / "6.6-order-4.txt").read_text()
FORMS = {"2.6.32": OLD, "6.6": NEW}


def each_line(prefix: str) -> Callable[[str], str]:
    return lambda text: "".join(f"{prefix}{line}\n" for line in text.splitlines())


def wrapped(width: int, prefix: str = "") -> Callable[[str], str]:
    """Long lines broken at spaces, as mail programs do; what follows has no prefix."""

    def wrap(text: str) -> str:
        return "\n".join(
            "\n".join(
                textwrap.wrap(prefix + line, width, break_long_words=False, break_on_hyphens=False)
            )
            for line in text.splitlines()
        )

    return wrap


def quoted_printable(text: str) -> str:
    """= as =3D, and lines broken after 76 characters wherever that is."""
    lines = []
    for line in text.replace("=", "=3D").splitlines():
        rest = line
        while len(rest) > 76:
            # Not within =3D.
            cut = 75 - (rest[73:76].find("=") + 1 and 3)
            lines.append(rest[:cut] + "=")
            rest = rest[cut:]
        lines.append(rest)
    return "\n".join(lines)


def cut(width: int, prefix: str = "") -> Callable[[str], str]:
    """Lines cut at a width, in the middle of words, as a copied terminal has them."""

    def cut_all(text: str) -> str:
        lines = [prefix + line for line in text.splitlines()]
        return "\n".join(
            line[at : at + width] for line in lines for at in range(0, len(line) or 1, width)
        )

    return cut_all


def two_dates(text: str) -> str:
    """Every line stamped by the kernel, by syslog and by a collector's level."""
    return "".join(
        f"<4>Jun  3 19:59:{second % 60:02} box kernel: [ 4{second}.{second:06}] {line}\n"
        for second, line in enumerate(text.splitlines())
    )


def as_html(text: str) -> str:
    """A web page's source: entities, and breaks where lines end."""
    return "<pre>" + html.escape(text).replace("\n", "<br />\n") + "</pre>"


def emphasised(text: str) -> str:
    """What a markdown renderer makes of pairs of stars."""
    halves = iter(range(10**6))
    return re.sub(r"\*", lambda _: "</em>" if next(halves) % 2 else "<em>", text)


def attached(text: str) -> str:
    """As a file that was attached to a mail, in which the text is not to be read."""
    packed = base64.encodebytes(text.encode()).decode()
    return (
        'It happened again, see the file.\n\n--0000\nContent-Type: text/plain; name="dmesg.txt"\n'
        "Content-Transfer-Encoding: base64\nX-Attachment-Id: f_0\n\n" + packed + "--0000--\n"
    )


DAMAGE: dict[str, Callable[[str], str]] = {
    "dmesg": each_line("[106595.212781] "),
    "dmesg -T": each_line("[Mon Jun  3 19:59:56 2024] "),
    "dmesg with levels": each_line("<4>[  859.563156] "),
    "printk caller": each_line("[  859.563156][  T911] "),
    "syslog": each_line("Dec 20 14:02:50 box kernel: "),
    "syslog and dmesg": two_dates,
    "journal": each_line("Jun 03 19:59:56 box.example.org kernel: "),
    "journal, ISO dates": each_line("2024-06-03T19:59:56.123456+02:00 box kernel: "),
    "syslog over the network": each_line("<4>1 2024-06-03T19:59:56.1+00:00 box kernel - - - "),
    "dates with slashes": each_line("2024/06/03 19:59:56 box kernel: "),
    "grep -n": lambda text: "".join(f"{n}:{x}\n" for n, x in enumerate(text.splitlines(), 7)),
    "cat -n": lambda text: "".join(f"{n:6}  {x}\n" for n, x in enumerate(text.splitlines(), 1)),
    "console over the network": each_line("4,1342,859563156,-;"),
    "mail quote": each_line("> "),
    "quoted three times": each_line("> >> "),
    "quote and date": each_line("| Dec 20 14:02:50 box kernel: [   12.345678] "),
    "indented": each_line("        "),
    "wrapped at 72": wrapped(72),
    "wrapped at 80 with stamps": wrapped(80, "[106595.212781] "),
    "cut at 80": cut(80),
    "cut at 132 with stamps": cut(132, "[  859.563156] "),
    "wrapped and quoted": lambda text: each_line("> ")(wrapped(70)(text)),
    "quoted-printable": quoted_printable,
    "quoted-printable in a quote": lambda text: each_line("> ")(quoted_printable(text)),
    "base64 in a mail": attached,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "rsyslog in one line": lambda text: "Dec 20 14:02:50 box kernel: " + text.replace("\n", "#012"),
    "escaped newlines": lambda text: text.replace("\n", "\\x0a"),
    "a JSON string": lambda text: json.dumps({"MESSAGE": text}),
    "markdown, _ for *": lambda text: text.replace("*", "_"),
    "markdown, escaped stars": lambda text: text.replace("*", "\\*"),
    "markdown, stars lost": lambda text: text.replace("*", ""),
    "markdown, rendered": emphasised,
    "a code fence": lambda text: f"It happened again:\n\n```\n{text}```\n\nAny idea?\n",
    "a web page": as_html,
    "typographic": lambda text: text.replace("*", "\xd7").replace(" ", "\xa0"),
    "tabs": lambda text: text.replace(" Node", "\tNode").replace(": ", ":\t"),
    "colours": lambda text: "".join(f"\x1b[33m{line}\x1b[0m\n" for line in text.splitlines()),
    "NUL bytes": lambda text: "\x00".join(text.splitlines(keepends=True)),
}


def figures(text: str) -> list[dict[str, object]]:
    """What is said of a text, but for where in it that stood."""
    return [
        {
            name: value
            for name, value in as_data(judge(report), names=False).items()
            if name != "line"
        }
        for report in find(text).reports
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_changes_no_figure(form: str, damage: str) -> None:
    """A damaged report gives the same request, zones, test, cause and changes as the plain one."""
    plain = figures(FORMS[form])

    assert len(plain) == 1
    assert plain[0]["cause"] is not None
    assert figures(DAMAGE[damage](FORMS[form])) == plain


@pytest.mark.quick
def test_several_reports_are_told_apart() -> None:
    """Each report of a text has its own request, zones and kernel, and the line it begins at."""
    text = f"Hello,\n\n{OLD}\nand on the other machine\n\n{NEW}"

    reports = find(text).reports

    assert [report.line for report in reports] == [3, 3 + OLD.count("\n") + 3]
    assert figures(text) == figures(OLD) + figures(NEW)


@pytest.mark.quick
@pytest.mark.parametrize(
    "text",
    [
        "Node    0, zone   Normal, type    Unmovable  ²  1  2  3  4  5\n",
        "node0:\n  normal:\n    ²: 5\n" + "".join(f"    {n}: 4\n" for n in range(1, 9)),
        "x: page allocation failure: order:1, mode:0x20, nodemask=0-²\n",
        "A   4kB 8kB 16kB\nB   1 ² 3\n",
    ],
)
def test_a_raised_digit_is_no_number(text: str) -> None:
    """² is a digit and none of 0 to 9: it is passed over, and what is beside it is read."""
    found = find(text + "\nDMA: 1*4kB 1*8kB\n").reports

    assert found[-1].zones[None, "DMA"].free_list is not None


@pytest.mark.quick
@pytest.mark.parametrize("digits", [13, 400, 4_290])
def test_counts_in_json_have_twelve_digits_at_most(digits: int) -> None:
    """As everywhere: no machine has more blocks, and no report is made of what is no count."""
    rows = {"Normal": [int("9" * digits)] * 11, "DMA32": [int("9" * 12)] * 11}
    maps = {"DMA": {str(order): 10**digits for order in range(11)}}
    found = find(json.dumps({"node 0": rows | maps}, indent=1)).reports

    assert [zone.name for report in found for zone in report.zones.values()] == ["DMA32"]


@pytest.mark.quick
def test_nodes_are_kept_as_they_are_printed() -> None:
    """A mask of thousands of nodes takes no more than its letters; who is outside is not tried."""
    line = "x: page allocation failure: order:1, mode:0x20, nodemask=0-2,7,3000-4095\n"
    rows = "".join(ROW.replace("#", node) for node in ("2", "3", "7", "4000"))
    (report, *_) = find(line + MARKS.replace("#", "7") + rows).reports
    assert report.request is not None

    assert as_data(judge(report), names=False)["request"]["nodes"] == "0-2,7,3000-4095"
    said = answer(judge(report), 1, 1, names=False, what_if=None)
    assert "nodes 0-2,7,3000-4095 only" in " ".join(said.split())
    assert [node for node in (2, 3, 7, 4000, 4096) if report.request.may_use(node)] == [2, 7, 4000]


def test_many_masks_take_little_memory() -> None:
    """Sets of 4,096 nodes would take 200 MB for a thousand of them."""
    line = "page allocation failure: order:1, mode:0x1\nnodemask=0-4095,\n"
    tracemalloc.start()
    reports = find(line * 1_000).reports
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(reports) == 1_000
    assert most < 20e6


@pytest.mark.parametrize(
    "line",
    ["\n", "#012", "DMA: 1*4kB 1*8kB\n", "Node 0, zone DMA 1 2 3 4 5 6\n", "&#10;", '{"a":[[]]}\n'],
)
def test_no_text_takes_more_than_so_many_lines_and_reports(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes first is read; then it ends, whatever the lines are made of."""
    monkeypatch.setattr("study.refusals.text.LINES_MOST", 500)
    monkeypatch.setattr("study.refusals.find.REPORTS_MOST", 20)
    found = find(REFUSED + MARKS.replace("#", "0") + line * 5_000)

    assert found.reports[0].zones[0, "Normal"].min_kb == 3_000
    assert len(found.reports) <= 20
    assert len(tidy(line * 5_000).number) <= 500


def test_records_end_where_enough_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first zones of a text are kept, in their order, whatever form each has."""
    monkeypatch.setattr("study.refusals.find.RECORDS_MOST", 10)
    text = REFUSED + numbered(3, MARKS + "Node #, zone Normal " + "1 " * 11 + "\n")
    (report, *_) = find(text + numbered(500, ROW)).reports

    assert [zone.min_kb for zone in report.zones.values()][:1] == [3_000]
    assert sum(len(one.zones) for one in find(text + numbered(500, ROW)).reports) <= 10


@pytest.mark.quick
def test_two_refusals_of_one_machine() -> None:
    """The same machine's second refusal is a second report, not a muddle of both."""
    later = OLD.replace("free:5272kB", "free:9272kB").replace("order:2", "order:1")

    assert figures(OLD + later) == figures(OLD) + figures(later)


@pytest.mark.quick
def test_utf_16_is_read() -> None:
    """What Windows saves as text is read like any other."""
    assert figures(decode(OLD.encode("utf-16"))) == figures(OLD)


def test_a_list_without_stars_needs_its_sum() -> None:
    """Counts without their star are taken only if they add up to the printed sum."""
    bare = OLD.replace("*", "")

    assert figures(bare.replace("= 5272kB", "= 5276kB")) != figures(OLD)


@pytest.mark.parametrize("column", [70, 72, 78, 80])
def test_columns_do_not_matter(column: int) -> None:
    """Wrapped at any width a report reads the same."""
    assert figures(wrapped(column)(NEW)) == figures(NEW)


@pytest.mark.parametrize(
    "entity", ["&#" + "9" * 5_000 + ";", "&#x" + "f" * 5_000 + ";", "&#;", "&"]
)
def test_what_is_no_entity_is_left_as_it_is(entity: str) -> None:
    """Of as many digits there is no letter; what stands beside it is read all the same."""
    report = "Node 0, zone &nbsp; Normal " + "1 " * 11
    (found,) = find(f"{entity}\n{report}").reports

    assert found.zones[0, "Normal"].free_list is not None


def seconds(text: str) -> float:
    """Of processor time until all that can be said of a text is said: the least of two tries."""
    taken = []
    for _ in range(2):
        start = time.process_time()
        verdicts = [judge(report) for report in find(text).reports]
        for verdict in verdicts[:10]:
            answer(verdict, 1, 1, names=False, what_if=5_000)
        summary(verdicts)
        for verdict in verdicts:
            as_data(verdict, names=False)
        taken.append(time.process_time() - start)
    return min(taken)


REFUSED = "x: page allocation failure. order:3, mode:0x20\nLinux version 2.6.20\nMem-info:\n"
MARKS = "Node # Normal free:100kB min:3000kB low:4000kB high:5000kB present:90000kB\n"
ROW = "Node #, zone Normal " + "1 " * 11 + "\n"
ZONE = (
    "Node #, zone   Normal\n  pages free     100\n        min      10\n        low      20\n"
    "        high     30\n        present  9000\n"
)
TEXTS = {
    "zones of a report": lambda n: REFUSED + numbered(n, MARKS),
    "zones with lists": lambda n: REFUSED + numbered(n, MARKS) + numbered(n, ROW),
    "zones of buddyinfo": lambda n: numbered(n, ROW),
    "zones of zoneinfo": lambda n: numbered(n, ZONE),
    "reports": lambda n: n * (REFUSED + MARKS.replace("#", "0")),
    "tables after a report": lambda n: REFUSED + numbered(n, MARKS) + n * ROW.replace("#", "0"),
    "returns": lambda n: 100 * n * "\r",
}


def numbered(count: int, text: str) -> str:
    return "".join(text.replace("#", str(node)) for node in range(count))


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.nightly(part="reports")
def test_a_text_of_four_times_as_much_takes_some_four_times_as_long(what: str) -> None:
    """Squares would be sixteen: what follows from all zones of a report is worked out once."""
    small, large = (seconds(TEXTS[what](count)) for count in (300, 1_200))

    assert large < 8 * small + 0.2


@pytest.mark.quick
@pytest.mark.parametrize(
    "packed", ["", "AAAA", "%%%%", "/9j/4AAQSkZJRgABAQ==", "QUJD" * 200_000, "Q" * 76 + "\n" + "="]
)
def test_a_part_that_is_no_text_is_passed_over(packed: str) -> None:
    """A picture, something cut off, nothing at all: what stands after it is read."""
    head = "Content-Transfer-Encoding: base64\n\n"
    found = find(f"{head}{packed}\n--0\n\nx: page allocation failure: order:1, mode:0x20\n").reports

    assert [report.request.order for report in found if report.request] == [1]
