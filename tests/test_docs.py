"""The documentation is built without a warning, needs no network, and can be searched."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import study
import study.results
import study.scenario
import study.statistics
from study.scenario.presets import presets
from tests.by_night import sampled

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, built as `python3 bootstrap.py docs` does: a warning is an error."""
    if find_spec("furo") is None and not os.environ.get("CI"):
        pytest.skip("python3 bootstrap.py setup dev brings Sphinx and its theme")
    root, out = Path(__file__).resolve().parent.parent, tmp_path_factory.mktemp("site")
    path = [str(root), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-E",
         "-d", out / "doctrees", root / "docs", out / "html"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 0
    return out / "html"


def test_nothing_comes_from_the_network(site: Path) -> None:
    """No page takes a font, a style, a script or a picture from elsewhere."""
    for page in site.rglob("*.html"):
        found = re.findall(
            r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"(?:https?:)?//[^\"]*",
            page.read_text(),
        )
        assert found == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)[^;)]*//", style.read_text()), style


def test_the_reference_has_every_public_name_command_and_preset(site: Path) -> None:
    """What is declared is on a page of the reference."""
    api, cli = (site / "api.html").read_text(), (site / "cli.html").read_text()
    ids = set(re.findall(r'id="study\.(\w+)"', api))
    assert {name for name in study.__all__ if not name.startswith("__")} - ids == set()
    for command in ("why", "run", "plan", "verdicts", "explain", "replay", "submit"):
        assert f'id="study-{command}"' in cli
    page = (site / "presets.html").read_text()
    assert [name for name in presets() if name not in page] == []


@pytest.mark.quick
@pytest.mark.parametrize(
    "module",
    [study, study.results, study.scenario, study.statistics],
    ids=lambda module: module.__name__,
)
def test_public_functions_document_what_they_take_and_return(module: ModuleType) -> None:
    """Each has the sections of numpydoc, a parameter each, for editors and the reference."""
    members = {name: getattr(module, name) for name in module.__all__}
    functions = {name: member for name, member in members.items() if inspect.isfunction(member)}
    for name, member in members.items():
        if inspect.isclass(member) and not issubclass(member, Exception):
            methods = inspect.getmembers(
                member, lambda own: inspect.isfunction(own) or inspect.ismethod(own)
            )
            functions |= {f"{name}.{key}": own for key, own in methods if key[0] != "_"}
    assert functions
    for name, function in functions.items():
        documented = inspect.getdoc(function) or ""
        signature = inspect.signature(function)
        if signature.return_annotation != "None":
            assert re.search(r"^(Returns|Yields)\n---", documented, re.MULTILINE), name
        for parameter in signature.parameters.keys() - {"self"}:
            assert re.search(rf"^(\w+, )*{parameter}(, \w+)*$", documented, re.MULTILINE), (
                name,
                parameter,
            )


@pytest.mark.quick
@pytest.mark.parametrize("room", ["results", "scenario", "statistics"])
def test_every_field_of_a_public_class_is_explained(root: Path, room: str) -> None:
    """In a list in the docstring of its class, or in a docstring or description of its own."""
    seen = 0
    for file in (root / "study" / room).rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
                continue
            listed = ast.get_docstring(node) or ""
            for field, after in zip(node.body, [*node.body[1:], None], strict=True):
                if not isinstance(field, ast.AnnAssign) or ast.unparse(field.target)[0] == "_":
                    continue
                seen += 1
                name = ast.unparse(field.target)
                own = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                own |= "description=" in ast.unparse(field)
                line = rf"^(?:\w+, )*{name}(?:, \w+)*(?:  +\S.*)?$"
                assert own or re.search(line, listed, re.MULTILINE), (file.name, node.name, name)
    assert seen > 20


def test_every_page_is_in_the_contents(site: Path, root: Path) -> None:
    """No page of docs/ is left out of the site or of its table of contents."""
    first = (site / "index.html").read_text()
    for page in (root / "docs").rglob("*.md"):
        name = page.relative_to(root / "docs").with_suffix(".html").as_posix()
        assert (site / name).exists(), name
        assert name == "index.html" or f'href="{name}"' in first, name


@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_the_screen_and_is_searched_offline(
    chromium: WebDriver, site: Path, width: int
) -> None:
    """Nothing is wider than a phone, and the search finds a key in the built folder alone."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        for name in ("index", "tutorial", "settings", "fidelity", "howto/dmesg", "cli", "api"):
            chromium.get((site / f"{name}.html").as_uri())
            wide = chromium.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, name
        chromium.get((site / "search.html").as_uri() + "?q=min_free_kbytes")
        WebDriverWait(chromium, 20).until(
            lambda page: page.find_elements(By.CSS_SELECTOR, 'ul.search a[href*="settings.html"]')
        )
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("name", sampled(["tutorial", "settings"], every=2))
def test_nothing_of_the_site_keeps_people_out(
    barriers: Callable[[str], list[str]], site: Path, name: str
) -> None:
    """axe-core finds nothing serious on a page of text and code, nor on one of tables."""
    assert barriers((site / f"{name}.html").as_uri()) == []
