"""README and docs/ tell the truth: their blocks are run, their links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parent.parent


def script(name: str) -> ModuleType:
    """A script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


blocks = script("blocks")
PAGES = [page.relative_to(ROOT).as_posix() for page in blocks.pages()]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_is_what_is_printed(page: str, tmp_path: Path) -> None:
    """Scenarios load, scripts run, commands print what is shown, from top to bottom of the page."""
    assert blocks.check(ROOT / page, tmp_path) == []


@pytest.mark.nightly(part="docs")
@pytest.mark.parametrize(
    "page",
    [name for name in PAGES if any(one.said == "minutes" for one in blocks.blocks(ROOT / name))],
)
def test_what_takes_minutes_is_as_shown(page: str, tmp_path: Path) -> None:
    """The same with the blocks that take minutes."""
    assert blocks.check(ROOT / page, tmp_path, minutes=True) == []


def test_every_block_is_run_or_counted() -> None:
    """A block has a language and at most one known marker; ten at most are never run by anybody."""
    never = []
    for page in PAGES:
        for block in blocks.blocks(ROOT / page):
            where = f"{page}:{block.line}"
            assert block.language in blocks.LANGUAGES, where
            verb = block.said.partition(": ")[0]
            assert verb in (*blocks.MARKERS, "file", "add", "") or block.language == "text", where
            if block.language == "console":
                assert block.text.startswith("$ "), where
            if block.language == "text":
                assert not re.search(r"^(\$|study|python\S*|ray) ", block.text, re.MULTILINE), where
            if block.said in ("network", "root"):
                never.append(where)

    assert len(never) <= 10


def links(page: Path) -> Iterator[str]:
    """Targets of the links and pictures of a page that are no URLs."""
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        for part in token.children or ():
            target = str(part.attrs.get("href") or part.attrs.get("src") or "")
            if target and "://" not in target:
                yield target


def anchors(page: Path) -> set[str]:
    """What `#` can lead to on a page, as GitHub has it."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link is a file of the checkout, and its heading is there."""
    for link in links(ROOT / page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert not anchor or target.suffix != ".md" or anchor in anchors(target), link


def test_the_readme_is_a_first_page() -> None:
    """It begins with the name, one command for each way in, and stays short."""
    text = (ROOT / "README.md").read_text()
    name = re.search(r'^name = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert name is not None

    assert text.startswith(f"# {name[1]}\n")
    assert len(text.splitlines()) < 200
    first = text.partition("\n## What a study shows")[0]
    shown = [b.text for b in blocks.blocks(ROOT / "README.md") if b.language == "console"][:3]
    assert [block.split()[2] for block in shown] == ["why", "run", "explain"]
    assert all(block in first for block in shown)


def test_the_cures_of_the_page_on_dmesg_are_those_of_its_scenario(tmp_path: Path) -> None:
    """The ranking that is shown has the levels that `study scenario from` makes."""
    shown = (ROOT / "docs/howto/dmesg.md").read_text()
    place = blocks.Folder(tmp_path)
    [(status, printed)] = place.shell(["study scenario from dmesg.txt"])
    ranked = re.findall(r"^  ([a-z][\w-]+)(?: \(|: serves)", shown, re.MULTILINE)

    assert status == 0
    assert sorted(ranked) == sorted(yaml.safe_load("\n".join(printed))["axes"]["cure"])
    for value in re.findall(r"vm.min_free_kbytes (\d+)\)", shown):
        assert f"vm.min_free_kbytes: {value}" in "\n".join(printed)
