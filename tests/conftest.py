"""What all tests share: where the checkout is, and an environment of their own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

# Every index of every table is checked. Set before anything compiles, for subprocesses too.
os.environ.setdefault("STUDY_BOUNDSCHECK", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# A page takes longer than the runs of most tests; those of the page ask for it (with "0").
os.environ["STUDY_NO_REPORT"] = "1"
# A shell that runs the tests in the background has them ignore Ctrl-C, and all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# No test joins a Ray that somebody else runs.
os.environ.pop("RAY_ADDRESS", None)

# The same examples every time, however slow the machine; HYPOTHESIS_PROFILE=default seeks new ones.
settings.register_profile("same", deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

_WITH_RAY = (
    "tests/fanout/test_faults.py",
    "tests/fanout/test_loss.py",
    "tests/fanout/test_lost_ray.py",
    "tests/fanout/test_ray_private.py",
    "tests/fanout/test_resume.py",
    "tests/fanout/test_session.py",
    "tests/fanout/test_tasks.py",
    "tests/test_api.py",
    "tests/test_cli.py",
    "tests/test_disturbed.py",
    "tests/test_examples.py",
    "tests/test_extensions.py",
    "tests/test_scale.py",
    "tests/test_submit.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """An option for changed wording: see tests/golden/."""
    parser.addoption(
        "--update-golden", action="store_true", help="Write what is said into tests/golden/."
    )


@pytest.hookimpl(tryfirst=True)  # xdist's own, which comes later, looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start Ray run one after another, when there are several processes for tests.

    Each takes both cores for itself, and mostly waits; what else there is runs beside them.
    """
    for item in items:
        if item.nodeid.startswith(_WITH_RAY):
            item.add_marker(pytest.mark.xdist_group("ray"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Groups that xdist does not see are no groups: two Rays at a time, in silence."""
    if session.config.getoption("loadgroup", default=False):
        alone = [i for i in session.items if i.get_closest_marker("xdist_group")]
        if not all(item.nodeid.endswith("@ray") for item in alone):
            raise pytest.UsageError("this pytest does not tell xdist of groups of tests")


@pytest.fixture
def in_a_changed_copy(root: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs Python beside a copy of study/ and docs/ with changes.

    Takes file -> (what stands there once, what instead), Python's arguments, and by name what
    else is in its environment; returns what is printed.
    """
    for folder in ("study", "docs"):
        shutil.copytree(
            root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )

    def run(changes: Mapping[str, tuple[str, str]], *arguments: str, **environment: str) -> str:
        for name, (before, after) in changes.items():
            text = (root / name).read_text()
            assert text.count(before) == 1, name
            (tmp_path / name).write_text(text.replace(before, after))
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={
                "PYTHONPATH": str(tmp_path), "HOME": str(Path.home()), "COLUMNS": "100",
                **environment,
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parent.parent


NOBODY = 65534


@pytest.fixture(scope="session")
def attacker() -> Callable[..., subprocess.CompletedProcess[str]]:
    """What another user of this machine does: a line for /bin/sh, and its $1, $2 and so on.

    Skipped where users cannot be switched. The interpreter may lie where he cannot come, so he has
    coreutils only.
    """

    def attack(line: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", line, "sh", *map(str, arguments)],
            user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={"PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    try:
        assert attack("id -u").stdout == f"{NOBODY}\n"
    except PermissionError:
        pytest.skip("only root can switch users")
    return attack


@pytest.fixture
def sighup_heard() -> Iterator[None]:
    """SIGHUP ends what a test starts, also where the tests themselves were started with nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder as /tmp is: everybody makes files in it, and removes his own."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def pins(root: Path) -> Callable[[str], dict[str, str]]:
    """Versions that requirements/NAME.lock pins for this Python, by canonical package name."""

    def read(name: str) -> dict[str, str]:
        lines = (root / "requirements" / f"{name}.lock").read_text().splitlines()
        found = [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"\w", line)]
        return {
            canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
            for pin in found
            if pin.marker is None or pin.marker.evaluate()
        }

    return read


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """A headless Chromium, the machine's own. Without one tests are skipped, but not in CI."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have a browser: apt-get install chromium chromium-driver")
        pytest.skip("no browser: apt install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = browser
    profile = tmp_path_factory.mktemp("chromium")
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
        *("disable-background-networking", "disable-component-update", "disable-sync"),
        *("disable-dev-shm-usage", f"user-data-dir={profile}", "window-size=1100,900"),
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    page = Chrome(options=options, service=ChromeService(executable_path=driver))
    yield page
    page.quit()


@pytest.fixture(params=["light", "dark"])
def barriers(request: pytest.FixtureRequest, chromium: WebDriver) -> Callable[[str], list[str]]:
    """What axe-core finds on a page that would keep people out: rule, place, and why.

    Only what it calls serious or critical, in a light and a dark room, on a phone and a desk.
    """
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    run = (
        "const done = arguments[0];"
        "axe.run({resultTypes: ['violations']}).then((all) => done(all.violations"
        ".filter((one) => ['serious', 'critical'].includes(one.impact))"
        ".flatMap((one) => one.nodes.map((node) =>"
        " [one.id, node.target.join(' '), node.failureSummary].join('\\n')))))"
    )

    def look(address: str) -> list[str]:
        found = []
        scheme = {"name": "prefers-color-scheme", "value": request.param}
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        try:
            for width in (390, 1280):
                screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
                chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
                chromium.get(address)
                chromium.execute_script(axe)
                found += [f"{width}: {one}" for one in chromium.execute_async_script(run)]
        finally:
            chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
            chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        return found

    return look
