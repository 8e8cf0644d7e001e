"""How Sphinx builds the documentation: python3 bootstrap.py docs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

from docutils import nodes  # noqa: E402
from sphinx.writers.html5 import HTML5Translator  # noqa: E402

import study  # noqa: E402

project = "fragmentation-study"
author = "The fragmentation-study contributors"
project_copyright = author
version = release = study.__version__
extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx_click"]
root_doc = "index"
exclude_patterns = ["_build"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sourcelink = False
html_copy_source = False
# Nothing comes from the network: the theme's letters are those of the reader's machine.
html_theme_options = {"top_of_page_buttons": []}

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False


GENERATED = ("presets", "kernels")


def read(_app: Any, name: str, source: list[str]) -> None:
    """Make the contents from the links on the first page; other Markdown files are downloads."""
    text = re.sub(r"\]\(((?:\.\./)+(?!howto/)[^)#]*\.md)(#[^)]*)?\)", as_download(name), source[0])
    if name == root_doc:
        parts = re.findall(r"^\*\*(.+)\*\*\n\n((?:[- ] .+\n)+)", text, re.MULTILINE)
        for caption, links in parts:
            pages = [*dict.fromkeys(re.findall(r"\]\(([\w/-]+)\.md\)", links))]
            pages += GENERATED if caption == "Reference" else ()
            lines = "\n".join(pages)
            text += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n"
    source[0] = text


def as_download(name: str) -> Callable[[re.Match[str]], str]:
    """What becomes of a link on the page of this name to a Markdown file that is none."""
    folder = (DOCS / name).parent

    def changed(link: re.Match[str]) -> str:
        outside = DOCS not in (folder / link[1]).resolve().parents
        return f"](<path:{link[1]}>)" if outside else link[0]

    return changed


def examples(_app: Any, what: str, _name: str, _of: Any, _options: Any, lines: list[str]) -> None:
    """In a module's docstring, what is indented after a colon is an example."""
    for number in range(len(lines) - 2 if what == "module" else 0):
        said, gap, code = lines[number : number + 3]
        if said.endswith(":") and not gap and code.startswith("    "):
            lines[number] += ":"


def help_text(_app: Any, _context: Any, lines: list[str]) -> None:
    """An asterisk in a help text is an asterisk."""
    lines[:] = [line.replace("*", "\\*") for line in lines]


class Writer(HTML5Translator):
    """What people without a mouse or a screen need beyond what Sphinx writes.

    Its captions of the contents are headings of no level, and wide tables and blocks of code
    cannot be scrolled by key.
    """

    def starttag(self, node: Any, *args: Any, **attributes: Any) -> str:
        """Open an element, as docutils does."""
        if attributes.get("ROLE") == "heading":
            attributes["ARIA-LEVEL"] = 2
        if isinstance(node, nodes.container) and "table-wrapper" in node["classes"]:
            attributes["TABINDEX"] = 0
        return str(super().starttag(node, *args, **attributes))

    def visit_literal_block(self, node: Any) -> None:
        """Write a block of code."""
        try:
            super().visit_literal_block(node)
        finally:
            self.body[-1] = self.body[-1].replace("<pre>", '<pre tabindex="0">', 1)


def setup(app: Any) -> None:
    """Write the pages that are read off the declarations, before any page is read."""
    import catalogues

    for name in GENERATED:
        (DOCS / f"{name}.md").write_text(getattr(catalogues, name)())
    app.set_translator("html", Writer)
    app.connect("source-read", read)
    app.connect("sphinx-click-process-description", help_text)
    app.connect("autodoc-process-docstring", examples)
