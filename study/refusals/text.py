"""Undo what mail, logs, trackers and web pages do to a report.

Every pattern is linear: no nested repetition, every repetition bounded, and lines are cut.
"""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass
from itertools import pairwise

LONGEST_LINE = 20_000
"""A line's characters beyond this are dropped: no report has such lines."""
LARGEST = 32 << 20
"""Bytes of a file that are read; what comes after is not looked at."""
LINES_MOST = 500_000
"""Of a text, also of what escapes make of it; what comes after is not looked at. Logs of LARGEST
bytes have some 300,000."""
PACKED_MOST = 200
"""How many times larger a text may become by unpacking: logs become 10 to 50 times larger."""
UNPACKED_FREELY = 4 << 20

# The next line may have been quoted by a reply to the undecoded mail.
_SOFT_BREAK = re.compile(r"=[ \t]{0,3}\n(?:(?:[ \t]{0,4}[>|]){1,20} ?)?")
# What begins a line of a report, in places where a line may also go on.
_BEGINS = re.compile(
    r"[>|#`]|Node\s|DMA|Normal|HighMem|Movable|Device|Call |Mem-|CPU|Swap|Free|Total|Pid|Hardware"
    r"|\s{0,8}(?:lowmem_reserve|protections|free:|active|inactive|slab|mapped|unevict)"
    r"|\s{0,8}\d{1,12} pages"
    # What a loop prints between tables.
    r"|.{0,30}\d\d:\d\d:\d\d|1\d{9}(?!\d)|zzz"
)
_QUOTED = re.compile(r"=(3D|09|A0|C2=A0|E2=80=8B|20(?=[ \t]*(?:\r?\n|\Z)))", re.IGNORECASE)
_QUOTED_TEXT = {"3D": "=", "09": "\t", "A0": " ", "C2=A0": " ", "E2=80=8B": "", "20": ""}
_BASE64 = re.compile(r"^Content-Transfer-Encoding:[ \t]{0,3}base64[ \t]{0,3}$", re.IGNORECASE)
_BASE64_LINE = re.compile(r"[A-Za-z0-9+/]{1,100}={0,2}")
_OCTAL_BREAK = re.compile(r"#012|\\x0a|\\x0A|\\012")
_OCTAL_SPACE = re.compile(r"#011|#015|\\x09|\\x0d|\\t(?=[ \d])")
_TAG = re.compile(r"</?(?:br|p|pre|code|tt|span|div|td|tr)\b[^<>\n]{0,120}>", re.IGNORECASE)
# Of more digits there is no letter, and Python converts no number of very many.
_ENTITY = re.compile(r"&(?:#[0-9]{1,10}|#[xX][0-9a-fA-F]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});?")
_EMPHASIS = re.compile(r"</?(?:em|i)>", re.IGNORECASE)  # what markdown makes of a pair of *
_ESCAPE = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]|\x1b[@-Z\\-_]")
_QUOTE = re.compile(r"(?:[ \t]{0,4}[>|]){1,20}[ \t]?")
_LEVEL = re.compile(r"<\d{1,3}>|\d{1,3},\d{1,12},\d{1,20},[^;\n]{1,20};")
# RFC 5424, as rsyslog and syslog-ng forward it: version, time, host, program, process, id, data.
_FORWARDED = re.compile(
    r"(?:<\d{1,3}>)?1 \d{4}-\d\d-\d\dT\S{8,30} \S{1,255} \S{1,48} \S{1,128} \S{1,32} "
    r"(?:-|\[[^\]\n]{0,300}\]) ?"
)
# A line's number before it, as of grep -n and cat -n.
_LISTED = re.compile(r"[ \t]{0,8}(\d{1,6})(?:[|.:]|(?=\s)|\Z)[ \t]?")
_LISTED_LEAST = 15
"""Lines in a row: more than a list has orders."""
_DATED = re.compile(
    r"\s{0,8}(?:[A-Z][a-z]{2} [ \d]\d(?: \d{4})? \d\d:\d\d:\d\d"
    r"|\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d\S{0,24})"
)
_KERNEL = re.compile(r"\bkernel(?:\[\d{1,8}\])?: ?")
_PREFIX = 140  # characters in which a system log names host and program
_STAMP = re.compile(
    r"\s{0,8}\[(?:\s{0,12}\d{1,12}\.\d{1,9}|[A-Z][a-z]{2} [A-Z][a-z]{2}[^\]\n]{1,30}"
    r"|\d{4}-\d\d-\d\d[^\]\n]{1,40}|\s{0,6}[TC]\s{0,6}\d{1,7})\] ?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_STARS = str.maketrans({
    # Stars, spaces, letters of lists, quotes and dashes that typography has replaced.
    "\u2217": "*", "\xd7": "*", "\uff0a": "*", "\u204e": "*", "\xa0": " ", "\t": " ",
    "\xa9": "(C)", "\xae": "(R)", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2212": "-",
})  # fmt: skip


# The last character of a line and the first of the next, if a word or a record may go on there.
_COUNTED = re.compile(r"\bzone\s{1,12}\w{1,12}(?:\s{1,12}\d{1,12}){11,20}\s{0,4}\Z")
"""A row of /proc/buddyinfo with all its orders: what comes next is none of them."""
_WORD_GOES_ON = re.compile(
    r".\s|\s.|\d[\dkK*_.:()|,=-]|k[B]|[a-z][a-z\d_:*(,.=?+/-]|[A-Z_][\w|):,*(]|[:*(=|,\[+/.-].|\)[,:]|\]:"
)


@dataclass(frozen=True)
class Text:
    """A text that has been put right.

    whole   for what may stand anywhere, such as a kernel's version: nothing but damage undone
    lines   the same without what loggers put before a line
    first   offset in body at which each line begins
    number  for each line the number it had in the file, from 1
    """

    whole: str
    body: str
    first: tuple[int, ...]
    number: tuple[int, ...]

    def line_at(self, offset: int) -> int:
        """The number of the line of an offset into the body."""
        from bisect import bisect_right

        at = bisect_right(self.first, offset) - 1
        return self.number[at] if at >= 0 else 1


def decode(data: bytes) -> str:
    """Text of a file's bytes: UTF-16 by its mark, else what of it is UTF-8."""
    data = data[:LARGEST]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8", errors="replace")


def printable(text: str) -> str:
    """A text of which no character moves a cursor or hides."""
    return _CONTROL.sub("", text)


def _first_lines(text: str) -> str:
    """No more lines of a text than are read."""
    if text.count("\n") < LINES_MOST:
        return text
    return "\n".join(text.split("\n", LINES_MOST)[:LINES_MOST])


def _plain(text: str) -> str:
    """Undo transport: quoted-printable, escaped newlines, entities, tags."""
    text = text.replace("\x00", "")
    if "=3D" in text or re.search(r"[^=\s]=\n(?=\S)", text):
        text = _SOFT_BREAK.sub("", text)
        text = _QUOTED.sub(lambda match: _QUOTED_TEXT.get(match[1].upper(), ""), text)
    if "#012" in text or "\\x0a" in text.lower() or "\\012" in text:
        text = _OCTAL_SPACE.sub(" ", _OCTAL_BREAK.sub("\n", text))
    if "\\n" in text and text.count("\\n") > text.count("\n"):
        text = text.replace("\\n", "\n").replace("\\t", " ")
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if "<" in text and any(word in text for word in ("kB", "zone", "FREE_AREA")):
        text = _TAG.sub(" ", _EMPHASIS.sub("*", text))
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    return _rejoin(_first_lines(text)).translate(_STARS)


def _rejoin(text: str) -> str:
    """Undo breaks in the middle of words, as terminals of a fixed width leave them when copied.

    Their sign is that several lines have one length, none is longer and few are a word shorter.
    """
    lines = text.split("\n")
    width = max(map(len, lines))
    full = [len(line) == width for line in lines]
    # Wrapped at spaces, most broken lines would be somewhat shorter.
    nearly = sum(width - 15 <= len(line) < width for line in lines)
    if not 60 <= width <= 300 or sum(full) < 2 or sum(full) < nearly:
        return text
    joined = [lines[0]]
    for line, before, after_full in zip(lines[1:], lines, full, strict=False):
        # Rows of a table have one length too, and begin alike.
        begins = line[:4] == before[:4] or any(
            form.match(line) for form in (_BEGINS, _DATED, _STAMP, _LEVEL)
        )
        begins = begins or _COUNTED.search(before) is not None
        if after_full and line and not begins and _WORD_GOES_ON.match(before[-1] + line[0]):
            joined[-1] += line
        else:
            joined.append(line)
    return "\n".join(joined)


def tidy(text: str) -> Text:
    """Put a text right, and remember which line each part came from."""
    numbers: list[int] = []
    lines: list[str] = []
    whole: list[str] = []
    for number, damaged in _numbered(text):
        line = printable(damaged[:LONGEST_LINE])
        quote = _QUOTE.match(line) if line[:5].strip()[:1] in (">", "|") else None
        line = line if quote is None else line[quote.end() :]
        whole.append(line)
        numbers.append(number)
        lines.append(_without_prefix(line))
    first = []
    at = 0
    for line in lines:
        first.append(at)
        at += len(line) + 1
    return Text("\n".join(whole), "\n".join(lines), tuple(first), tuple(numbers))


def _unpacked(text: str) -> str:
    """A text with the parts of a mail that are base64 as they were before, if they are text."""
    if "base64" not in text.lower():
        return text
    found: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        found.append(line)
        if not _BASE64.match(line):
            continue
        # The rest of its head; what follows up to an empty line, or another part's, is its content.
        for after in lines:
            found.append(after)
            if not after:
                break
        packed: list[str] = []
        ends = ""
        for after in lines:
            if not _BASE64_LINE.fullmatch(after):
                ends = after
                break
            packed.append(after)
        found += [*_contents_of(packed), ends]
    return "\n".join(found)


def _contents_of(packed: list[str]) -> list[str]:
    """The lines of a part that is base64; itself if it is no text."""
    try:
        content = base64.b64decode("".join(packed), validate=True).decode()
    except ValueError:
        return packed
    return content.replace("\r\n", "\n").split("\n")


def _numbered(text: str) -> list[tuple[int, str]]:
    """Lines of the text put right, each with the number of the line that it began in."""
    text = _unpacked(text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _without_numbers(_first_lines(text))
    plain = _plain(text)
    if plain.count("\n") == text.count("\n"):
        return list(enumerate(plain.split("\n"), start=1))
    # Lines were joined or cut: count by what each original line gives on its own.
    result: list[tuple[int, str]] = []
    source = text.split("\n")
    quoted = "=3D" in text or re.search(r"[^=\s]=\n(?=\S)", text) is not None
    rest = iter(plain.split("\n"))
    at = 0
    while at < len(source):
        number = at + 1
        while quoted and at + 1 < len(source) and _SOFT_BREAK.match(source[at][-1:] + "\n"):
            at += 1
        pieces = 1 + len(_OCTAL_BREAK.findall(source[at]))
        result.extend((number, line) for _, line in zip(range(pieces), rest, strict=False))
        at += 1
    result.extend((number, line) for line in rest)
    return result


def _without_numbers(text: str) -> str:
    """A text without its lines' numbers, if nearly all lines have one and they ascend by one."""
    lines = text.split("\n")
    told = [line for line in lines if line.strip()]
    listed = [match for line in told[: 2 * _LISTED_LEAST] if (match := _LISTED.match(line))]
    rises = sum(int(b[1]) == int(a[1]) + 1 for a, b in pairwise(listed))
    if rises + 1 < max(_LISTED_LEAST, 0.8 * len(told[: 2 * _LISTED_LEAST])):
        return text
    return "\n".join(_LISTED.sub("", line, count=1) for line in lines)


def _without_prefix(line: str) -> str:
    """A line without level, date, host, unit and time stamps that a logger put before it."""
    if not line:
        return line
    level = _FORWARDED.match(line) or _LEVEL.match(line)
    if level is not None:
        line = line[level.end() :]
    if "kernel" in line[:160] and _DATED.match(line):
        kernel = _KERNEL.search(line, 0, _PREFIX)
        if kernel is not None:
            line = line[kernel.end() :]
    elif line.startswith("kernel: ["):
        line = line[8:]
    for _ in range(3):
        if "[" not in line[:20]:
            break
        stamp = _STAMP.match(line)
        if stamp is None:
            break
        line = line[stamp.end() :]
    return line
