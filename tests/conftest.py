"""What all tests share: where the checkout is, and an environment of their own."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Every index of every table is checked. Set before anything compiles, for subprocesses too.
os.environ.setdefault("STUDY_BOUNDSCHECK", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# No test joins a Ray that somebody else runs.
os.environ.pop("RAY_ADDRESS", None)

# The same examples every time, however slow the machine; HYPOTHESIS_PROFILE=default seeks new ones.
settings.register_profile("same", deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parent.parent


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
