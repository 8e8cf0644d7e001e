"""Run the code blocks of README.md and of the pages in docs/, and compare what they print.

python docs/blocks.py [--minutes] [--write] [PAGE ...]

Prints where a page is wrong; --write puts what was printed into the page instead (look at the
difference before it is kept), --minutes also runs the blocks that take minutes.

A block is fenced, with its language. What is said of it stands before it as a comment that nobody
sees, `<!-- minutes -->`:

    console  commands after `$ `, each with what it prints; `...` is what was left out
    yaml     a scenario, which is loaded; `file: NAME` writes it, `add: NAME` adds to that file
    python   a script
    text     neither code nor output: a drawing

    minutes  takes more than a few seconds; run by night
    cluster  needs a Ray head of several commands; run by tests/test_submit.py
    network, root  fetches something, or needs the rights: never run
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("console", "yaml", "python", "text")
MARKERS = ("minutes", "cluster", "network", "root")
FILES = {
    "dmesg.txt": "tests/data/kernel-reports/2.6.17-jumbo.txt",
    "common.yaml": "scenarios/smoke.yaml",
    "touches.csv": "scenarios/validation/e268s_onoff.csv",
    "trace_mine.txt.gz": "tests/data/kernel-traces/trace_head_hiorder.txt.gz",
}
"""What a reader has and a page only names."""
GAP = "..."


@dataclass(frozen=True)
class Block:
    """A fenced block: where its first line is, from 0 on, and what is said of it."""

    line: int
    language: str
    said: str
    text: str


def pages() -> list[Path]:
    """All pages whose blocks are run."""
    generated = {ROOT / "docs/presets.md", ROOT / "docs/kernels.md"}
    return [ROOT / "README.md", *sorted({*(ROOT / "docs").rglob("*.md")} - generated)]


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of a page; one that is indented has no language."""
    said = ""
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type in ("fence", "code_block") and not token.info.startswith("{"):
            first = (token.map or [0])[0] + (token.type == "fence")
            yield Block(first, token.info if token.type == "fence" else "", said, token.content)
        found = re.fullmatch(r"<!-- (.+?) -->\s*", token.content)
        said = found[1] if token.type == "html_block" and found else ""


def commands(block: Block) -> Iterator[tuple[str, int, list[str]]]:
    """Each command of a console block, the line its output begins at, and the output shown."""
    lines = block.text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        first = start
        while lines[first].endswith("\\"):
            first += 1
        yield "\n".join(lines[start : first + 1])[2:], first + 1, lines[first + 1 : end]


class Folder:
    """The folder that a page is followed in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in ("scenarios", "examples", "tests", "docs"):
            (path / name).symlink_to(ROOT / name)
        for name, source in FILES.items():
            shutil.copy(ROOT / source, path / name)
        bin_ = path / ".bin"
        bin_.mkdir()
        (bin_ / "study").write_text(f'#!/bin/sh\nexec {sys.executable} -m study "$@"\n')
        (bin_ / "study").chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{bin_}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHON": sys.executable,
            "COLUMNS": "80",
            "NO_COLOR": "1",
        }

    def shell(self, lines: list[str]) -> list[tuple[int, list[str]]]:
        """Exit status of each command, and the lines it prints to stdout and stderr."""
        end = "\x01end "
        # One process for each trial is enough, and no Ray has to start.
        local = [
            re.sub(r"^(study|python3 bootstrap\.py) run ", "study run --no-ray ", line)
            for line in lines
        ]
        script = "".join(f"{line}\nprintf '\\n{end}%d\\n' $?\n" for line in local)
        done = subprocess.run(
            ["bash"], input=script, cwd=self.path, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        parts = re.split(rf"\n?{end}(\d+)\n", done.stdout)
        printed = [[line.rstrip() for line in part.splitlines()] for part in parts[::2]]
        return [(int(status), part) for status, part in zip(parts[1::2], printed, strict=False)]

    def follow(self, block: Block) -> Iterator[str]:
        """What is wrong with a block that is no console block."""
        verb, _, name = block.said.partition(": ")
        if verb in ("file", "add"):
            with (self.path / name).open("a" if verb == "add" else "w") as file:
                file.write(block.text)
        elif block.language == "yaml":
            from study.scenario import ScenarioError, load

            file = self.path / "block.yaml"
            file.write_text(block.text)
            try:
                load(file, ["sampling.points=4"] if "integers" in block.text else [])
            except ScenarioError as error:
                yield str(error)
        elif block.language == "python":
            done = subprocess.run(
                [sys.executable, "-c", block.text], cwd=self.path, env=self.environment,
                text=True, capture_output=True, check=False,
            )  # fmt: skip
            if done.returncode:
                yield done.stderr


def alike(shown: str, printed: str) -> bool:
    """Whether a line is as shown; `...` in it stands for any words."""
    pattern = ".*".join(re.escape(part) for part in shown.rstrip().split(GAP))
    return re.fullmatch(pattern, printed) is not None


def pieces(shown: list[str]) -> Iterator[tuple[int, list[str]]]:
    """What stands between the gaps: where each begins, and its lines."""
    first = 0
    for number, line in enumerate([*shown, GAP]):
        if line.strip() == GAP:
            if number > first:
                yield first, shown[first:number]
            first = number + 1


def missing(shown: list[str], printed: list[str]) -> list[str]:
    """The first piece of what is shown that was not printed, after those before it."""
    at = 0
    for first, piece in pieces(shown):
        places = range(at, len(printed) - len(piece) + 1)
        if first == 0:
            places = places[:1]
        found = [p for p in places if all(map(alike, piece, printed[p:]))]
        if not found:
            return piece
        at = found[0] + len(piece)
    whole = not shown or shown[-1].strip() == GAP or at == len(printed)
    return [] if whole else printed[at:]


def renewed(shown: list[str], printed: list[str]) -> list[str]:
    """What is shown, with the lines that were printed now in place of those most like them."""

    def shape(lines: list[str]) -> str:
        return "\n".join(re.sub(r"[\d.,]+", "#", " ".join(line.split())) for line in lines)

    result, at = list(shown), 0
    for first, piece in pieces(shown):
        places = range(at, max(at, len(printed) - len(piece)) + 1)
        like = {
            p: difflib.SequenceMatcher(
                None, shape(piece), shape(printed[p : p + len(piece)])
            ).ratio()
            for p in places
        }
        best = max(places, key=lambda p: like[p])
        for offset, line in enumerate(printed[best : best + len(piece)]):
            if not alike(piece[offset], line):
                result[first + offset] = line
        at = best + len(piece)
    return result


def check(page: Path, folder: Path, *, minutes: bool = False, write: bool = False) -> list[str]:
    """Follow a page from top to bottom in an empty folder; returns what is wrong with it."""
    wrong, place = [], Folder(folder)
    before = page.read_text()
    lines = before.splitlines()
    name = page.relative_to(ROOT)
    for block in blocks(page):
        if block.said in MARKERS and not (block.said == "minutes" and minutes):
            continue
        if block.language != "console":
            wrong += [f"{name}:{block.line}: {fault}" for fault in place.follow(block)]
            continue
        asked = list(commands(block))
        answers = place.shell([command for command, *_ in asked])
        for (command, first, shown), (status, printed) in zip(asked, answers, strict=True):
            fault = missing(shown, printed)
            refused = any(line.startswith("study: ") for line in shown)
            if fault and write:
                start = block.line + first
                lines[start : start + len(shown)] = renewed(shown, printed)
            elif fault or (status != 0 and not refused):
                said = "\n".join(printed)
                wrong.append(
                    f"{name}:{block.line + 1}: $ {command}\nstatus {status}; is not so:\n"
                    + "\n".join(fault)
                    + f"\nprinted:\n{said}"
                )
    if write and page.read_text() != before:
        wrong.append(f"{name}: was changed meanwhile, so nothing is written")
    elif write:
        page.write_text("\n".join(lines) + "\n")
    return wrong


def main() -> None:
    """Check the pages named, or all."""
    options = {word for word in sys.argv[1:] if word.startswith("--")}
    named = [Path(word).resolve() for word in sys.argv[1:] if word not in options]
    wrong = []
    for page in named or pages():
        with tempfile.TemporaryDirectory() as folder:
            wrong += check(
                page, Path(folder), minutes="--minutes" in options, write="--write" in options
            )
    print("\n\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
