"""`study explain` as a process, and its animation in a real browser."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from study.explain import recording


def explain(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "study", "explain", *map(str, arguments)]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_moments_fit_a_terminal():
    """The short run shows its moments in order, in 80 columns, and says how to go on."""
    done = explain()

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith(" ") for line in lines)
    heads = [line for line in lines if line in {"A split", "kswapd is woken", "Free, but useless"}]
    assert heads == ["A split", "kswapd is woken", "Free, but useless"]
    assert "--at N" in lines[-1]


def test_one_step_can_be_asked_for():
    """--at shows that step alone, the same every time."""
    first, second = explain("--at", 3), explain("--at", 3)

    assert first.stdout == second.stdout
    assert first.stdout.startswith("step 3  ")
    assert first.stdout.count("step ") == 1


@pytest.mark.parametrize(
    "options", [["--seed", 2], ["--kswapd", "order-aware"], ["--defrag", "off"], ["--pages", 64]]
)
def test_another_run_is_simulated_and_says_so(options):
    """The shipped run is silent; one line of the error stream says that another is compiled."""
    shipped, other = explain("--at", 209), explain("--at", 209, *options)

    assert shipped.stderr == ""
    assert other.stderr.count("\n") == 1
    assert "the zone is simulated (the first time compiled" in other.stderr
    assert other.stdout != shipped.stdout


def test_the_shipped_run_goes_on_after_its_recording():
    """The last recorded step comes from the file, the next one from the zone, and both are of one
    run.
    """
    last, beyond = explain("--at", recording.STEPS), explain("--at", recording.STEPS + 1)

    assert last.stderr == ""
    assert "simulated" in beyond.stderr
    assert beyond.stdout.startswith(f"step {recording.STEPS + 1}  ")


def test_options_that_exclude_each_other_are_refused(tmp_path):
    """Of --at, --step and --html one is taken at most; --step needs a terminal."""
    both = explain("--at", 3, "--html", tmp_path / "zone.html")
    assert both.returncode == 2
    assert "exclude each other" in both.stderr
    assert not (tmp_path / "zone.html").exists()

    alone = explain("--step")
    assert alone.returncode == 2
    assert "no terminal; take --at N" in alone.stderr
    assert "Traceback" not in alone.stderr


@pytest.mark.parametrize(
    ("options", "without"),
    [(["--at=5"], "numba"), (["--html=zone.html"], "numba"), (["--seed=2", "--at=5"], "pandas")],
)
def test_it_needs_nothing_heavy(options, without, tmp_path):
    """The shipped run is played without numba, and none needs Ray, pandas, pydantic or
    matplotlib.
    """
    code = (
        "import sys; from click.testing import CliRunner; from study.cli import main\n"
        f"assert CliRunner().invoke(main, ['explain', *{options!r}]).exit_code == 0\n"
        f"heavy = ('ray', 'pandas', 'matplotlib', 'pydantic', {without!r})\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.fixture(scope="module")
def animation(tmp_path_factory):
    """An animation of 60 steps."""
    file = tmp_path_factory.mktemp("explain") / "zone.html"
    done = explain("--pages", 64, "--steps", 60, "--html", file)
    assert done.stdout == f"Animation of 60 steps: {file}\n", done.stderr
    return file


def where(page) -> str:
    return page.find_element(By.ID, "where").text


def test_the_animation_steps_plays_and_pauses(chromium, animation):
    """Buttons and keys step through it, play runs by itself, and nothing is said or asked for."""
    chromium.get_log("browser")
    chromium.get(animation.as_uri())
    body = chromium.find_element(By.TAG_NAME, "body")
    before = chromium.find_element(By.ID, "lists").text
    assert where(chromium).startswith("Step 0 of 60")

    chromium.find_element(By.ID, "next").click()
    assert where(chromium).startswith("Step 1 of 60")
    assert chromium.find_element(By.ID, "lists").text != before
    assert len(chromium.find_elements(By.CSS_SELECTOR, "#map > rect")) == 64
    assert chromium.find_elements(By.CSS_SELECTOR, "#map rect.new")

    body.send_keys(Keys.ARROW_RIGHT)
    assert where(chromium).startswith("Step 2 of 60")
    body.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert where(chromium).startswith("Step 0 of 60")
    assert chromium.find_element(By.ID, "lists").text == before

    body.send_keys(Keys.SPACE)
    WebDriverWait(chromium, 20, poll_frequency=0.05).until(
        lambda page: not where(page).startswith("Step 0 ")
    )
    body.send_keys(Keys.SPACE)
    assert chromium.find_element(By.ID, "play").text == "Play"
    body.send_keys(Keys.END)
    assert where(chromium).startswith("Step 60 of 60")
    assert not chromium.find_element(By.ID, "next").is_enabled()
    assert chromium.get_log("browser") == []


def test_free_blocks_are_drawn_as_listed(chromium, animation):
    """At every step each block of the free lists is a rectangle of its size, with its order."""
    chromium.get(animation.as_uri())
    for _ in range(60):
        listed = chromium.execute_script(
            "return data.steps[at].lists.flatMap((firsts, order) => firsts.map((pfn) => order))"
        )
        drawn = chromium.execute_script(
            "return [...document.querySelectorAll('#map g g')].map((block) => ["
            " Number(block.querySelector('text').textContent),"
            " Math.ceil(block.querySelector('rect').getAttribute('width'))"
            " * Math.ceil(block.querySelector('rect').getAttribute('height'))])"
        )
        assert sorted(order for order, _ in drawn) == sorted(listed)
        assert all(pages == 1 << order for order, pages in drawn)
        chromium.find_element(By.ID, "next").click()


def test_a_moment_comes_with_its_lesson(chromium, tmp_path):
    """The button of a moment leads to its step and tells what there is to learn from it."""
    file = tmp_path / "zone.html"
    explain("--html", file)
    chromium.get(file.as_uri())
    lessons = set()
    for button in chromium.find_elements(By.CSS_SELECTOR, ".moments button"):
        button.click()
        assert where(chromium).startswith(f"Step {button.get_attribute('data-step')} of")
        assert button.get_attribute("aria-pressed") == "true"
        lessons.add(chromium.find_element(By.ID, "lesson").text)
    assert len(lessons) == 7

    chromium.find_element(By.ID, "next").click()
    assert not chromium.find_element(By.ID, "lesson").is_displayed()


@pytest.mark.parametrize("width", [390, 800])
def test_nothing_of_the_animation_overlaps(chromium, animation, width):
    """On narrow windows the page is no wider than the window, and the marks' names stand apart."""
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        chromium.get(animation.as_uri())
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
        places = chromium.execute_script(
            "return [...document.querySelectorAll('.bar span')].map((each) => "
            "{ const box = each.getBoundingClientRect(); return [box.left, box.right]; })"
        )
        assert all(left[1] < right[0] for left, right in itertools.pairwise(places))
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_nothing_of_the_animation_keeps_people_out(barriers, animation):
    """axe-core finds nothing serious on it: contrast, names, order, reach by key."""
    assert barriers(animation.as_uri()) == []


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    """One line on the error stream, status 2."""
    done = explain("--steps", 3, "--html", tmp_path / "none" / "zone.html")

    assert done.returncode == 2
    assert done.stderr.startswith(f"study: cannot write {tmp_path / 'none' / 'zone.html'}: No such")
