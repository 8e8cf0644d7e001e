"""report.html in a real browser, and as text."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pytest
import yaml
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By

import study
from study.report.compared import render_comparison
from study.report.page import render
from study.results.folder import REPORT
from study.results.manifest import new_manifest
from study.statistics.compare import compare
from study.statistics.ranking import ranking_of


@pytest.fixture(scope="module")
def address(results) -> str:
    return results.report().as_uri()


@pytest.fixture
def page(chromium, address):
    chromium.get_log("browser")
    chromium.get_log("performance")
    chromium.get(address)
    return chromium


def requests_of(chromium) -> list[str]:
    """What the browser asked for, other than the page itself and what the page holds."""
    events = [json.loads(line["message"])["message"] for line in chromium.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith(("file:", "data:", "chrome:"))]


def column(page, number: int) -> list[str]:
    """Texts of a column of the table, of the rows that are shown."""
    cells = page.find_elements(By.CSS_SELECTOR, f"#cells tbody tr > :nth-child({number})")
    return [cell.text for cell in cells if cell.is_displayed()]


def test_it_loads_without_errors_and_without_the_network(page):
    """The page says nothing on the console, asks for nothing, and fits the window's width."""
    assert page.get_log("browser") == []
    assert requests_of(page) == []
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_words_of_a_scenario_are_no_markup(page):
    """Markup in the question or in a claim is shown as text and runs nothing."""
    assert page.title.startswith("page: <script>")
    assert "<img src=x onerror=alert(1)>" in page.find_element(By.TAG_NAME, "h1").text
    assert "</script><script>alert(3)</script>" in page.find_element(By.ID, "verdicts").text
    assert page.find_elements(By.CSS_SELECTOR, "h1 *, [onmouseover], [onerror]") == []


def test_names_of_levels_are_no_markup(page):
    """Nor are the names of levels, in figures, captions, pictures or the table."""
    assert page.find_elements(By.CSS_SELECTOR, "i:not(.legend i), a[href^='javascript']") == []
    assert "<i>&linear\"' $x_1$" in column(page, 2)
    drawn = page.find_elements(By.CSS_SELECTOR, "#forest .wide text")
    assert any("<i>&linear\"' $x_1$" in text.get_attribute("textContent") for text in drawn)
    # A mark that reverses the reading direction ends with its name.
    for cell in page.find_elements(By.CSS_SELECTOR, "#cells tbody td bdi"):
        assert cell.value_of_css_property("unicode-bidi") == "isolate"


def test_columns_sort_both_ways_by_key(page):
    """A column's button sorts the rows by number, and the other way when pressed again."""
    headers = page.find_elements(By.CSS_SELECTOR, "#cells thead button")
    served = next(i for i, each in enumerate(headers) if each.text.startswith("pages reclaimed"))
    shown = []
    for _ in range(2):
        headers[served].send_keys(Keys.ENTER)
        texts = column(page, served + 1)
        shown.append([float(text.split("\n")[0].replace(",", "")) for text in texts])

    assert shown[0] == sorted(shown[0])
    assert shown[1] == sorted(shown[0], reverse=True)
    assert len(set(shown[0])) > 1


def test_the_filter_keeps_rows_that_hold_every_word(page):
    """Only cells with all words of the filter remain, and their number is told."""
    box = page.find_element(By.ID, "filter")
    box.send_keys("order-aware &linear")

    assert column(page, 1) == ["order-aware"]
    assert page.find_element(By.ID, "shown").text == "1 of 4 cells"
    for _ in range(len("order-aware &linear")):
        box.send_keys(Keys.BACKSPACE)
    assert len(column(page, 1)) == 4


def test_pictures_have_words_and_can_be_reached_by_key(page):
    """Each figure and picture has an alternative text; Enter enlarges a zone map."""
    figures = page.find_elements(By.CSS_SELECTOR, "figure [role=img]")
    assert len(figures) == 5
    assert all(len(figure.get_attribute("aria-label")) > 40 for figure in figures)
    assert all(img.get_attribute("alt") for img in page.find_elements(By.TAG_NAME, "img"))
    button = page.find_element(By.CSS_SELECTOR, ".maps button")
    narrow = button.size["width"]
    button.send_keys(Keys.ENTER)
    assert button.size["width"] > 2 * narrow


def test_it_fits_a_phone(page):
    """At 390 pixels nothing is wider than the window, figures are legible; the table scrolls."""
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= 390
        figures = page.find_elements(By.CSS_SELECTOR, "figure svg")
        shown = [figure for figure in figures if figure.is_displayed()]
        assert len(shown) == 5
        assert all(figure.rect["x"] + figure.rect["width"] <= 390 for figure in shown)
        letters = page.execute_script(
            "return [...document.querySelectorAll('.narrow svg text')]"
            ".map((text) => text.getBoundingClientRect())"
            ".map((box) => Math.min(box.width, box.height)).filter((size) => size > 0)"
        )
        assert np.median(letters) >= 10
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_nothing_of_it_keeps_people_out(barriers, address):
    """axe-core finds nothing serious on the report: contrast, names, order, reach by key."""
    assert barriers(address) == []


def test_nothing_of_a_comparison_keeps_people_out(barriers, results, along, tmp_path):
    """Nor on the page of two studies side by side."""
    file = tmp_path / "compare.html"
    file.write_text(render_comparison(compare(results, along)), encoding="utf-8")

    assert barriers(file.as_uri()) == []


def test_text_can_be_read_in_light_and_dark(page):
    """Ink and paper differ by a contrast of at least 7, in both schemes, figures included."""

    def luminance(text: str) -> float:
        parts = [int(n) / 255 for n in re.findall(r"\d+", text)[:3]]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for scheme in ("light", "dark"):
        page.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        paper, ink, tick = page.execute_script(
            "const of = (e, name) => getComputedStyle(e)[name];"
            "return [of(document.body, 'backgroundColor'), of(document.body, 'color'),"
            " of(document.querySelector('figure svg text'), 'fill')]"
        )
        for text in (ink, tick):
            light, dark = sorted((luminance(paper), luminance(text)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 7


def test_a_part_of_a_run_makes_a_page_that_says_so(copy):
    """A folder whose run is still going gives a page with what there is, and a warning first."""
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest |= {"state": "running", "headline": []}
    manifest["counts"] |= {"finished": 12, "trials": 40}
    (copy / "manifest.json").write_text(json.dumps(manifest))

    text = render(study.read(copy))

    assert "still going" in text
    assert "12 of the 40" in text or "the 12 of 40 trials" in text


def test_a_folder_without_claims_samples_or_pictures_gives_a_page(copy):
    """What is missing is named in its place; the rest is there."""
    import shutil

    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["scenario"]["claims"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    (copy / "zonemaps.npz").unlink()
    shutil.rmtree(copy / "series")
    (copy / "series").mkdir()

    text = render(study.read(copy))

    assert 'id="verdicts"' not in text
    assert text.count("Not drawn:") == 2
    assert "keeps no picture of a zone" in text
    # Each of the others for a screen and for a phone.
    assert text.count("<svg") == 2 * 3


def test_notes_stand_below_the_answer(copy):
    """What a reader must know of the study comes on the first screen, but after what it says."""
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["notes"] = ["kernel 6.7 is taken as <5.9>"]
    (copy / "manifest.json").write_text(json.dumps(manifest))

    text = render(study.read(copy))

    note = text.index("Note: kernel 6.7 is taken as &lt;5.9&gt;.")
    assert text.index('class="answer"') < note < text.index('id="tradeoff"')


def test_a_ranking_stands_on_the_page(scenario, tmp_path):
    """Of a study that ranks cures the page says what serves best, as the terminal does, instead of
    a trade-off that no card has asked for.
    """
    axes = {"cure": {"own": {}, "marks": {"vm.min_free_kbytes": 2048}}}
    base = yaml.safe_load(scenario.read_text())["base"] | {
        "nic": {"rx_rate": "0/s", "tx_rate": "0/s"}
    }
    request = {"order": 4, "flags": "GFP_ATOMIC", "rate": "50/s", "hold": "200ms"}
    plain = {"ranking": "cure", "base": base, "axes": axes, "requests": {"jumbo": request}}
    results = study.run(plain, replicates=2, ray=False, out=tmp_path / "ranked")
    ranking = ranking_of(results)

    text = html.unescape(render(results))
    listed = re.search(r'<ol class="ranking">(.*?)</ol>', text, re.DOTALL)[1]
    assert ranking.refuses
    assert re.findall("<b>(.*?)</b>", listed) == [one.level for one in ranking.levels]
    assert "(vm.min_free_kbytes 2048): serves" in listed
    assert 'id="tradeoff"' not in text


def test_the_scenario_on_the_page_is_the_study_again(results, page, tmp_path):
    """What stands under "How to reproduce", saved as a file, has the fingerprint of the run."""
    file = tmp_path / "again.yaml"
    file.write_text(page.find_element(By.CSS_SELECTOR, "#again pre").get_attribute("textContent"))
    manifest = results.manifest
    again = new_manifest(study.load(file), simulation=manifest["simulation"], command=[])

    assert again["fingerprint"] == manifest["fingerprint"]
    assert again["scenario"] == manifest["scenario"]


def test_the_command_can_be_pasted(copy):
    """Arguments with spaces or brackets are quoted as a shell wants them."""
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["command"] = ["study", "run", "a b.yaml", "defrag.mode=[off, rmap-evict]"]
    (copy / "manifest.json").write_text(json.dumps(manifest))

    text = html.unescape(render(study.read(copy)))

    assert "<code>study run 'a b.yaml' 'defrag.mode=[off, rmap-evict]'</code>" in text


def test_the_same_folder_gives_the_same_page(results):
    """A page holds no time of its making and no chance ids: it can be compared."""
    assert render(results) == render(study.read(results.path))


def test_the_page_stands_alone(results):
    """No address other than namespaces stands in it, and ids are given once."""
    text = results.report().read_text()

    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*', text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert (results.path / REPORT).stat().st_size < 1_000_000
