"""numba, configured by the environment alone, and what is used of it without its promising it.

Every module that imports numba imports this one first. tests/zone/test_compile.py and
tests/test_current_folder.py say at once what a new release of numba has taken away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from study.trust.current_folder import away_from_current_folder

with away_from_current_folder():
    from numba.core import config
    from numba.core.types import Record

# It is looked for again whenever something is compiled; a device is no file of settings.
config._config_fname = os.devnull
# Each call's typing asks for it, and that of the zone's record takes a tenth of all compiling.
Record.__repr__ = cache(Record.__repr__)  # type: ignore[method-assign]


@contextmanager
def own_locators() -> Iterator[None]:
    """Have numba's cache ask the locators of the class, whatever NUMBA_CACHE_LOCATOR_CLASSES names.

    Others do not look at who may write the folder that they choose.
    """
    named = config.CACHE_LOCATOR_CLASSES
    config.CACHE_LOCATOR_CLASSES = ""
    try:
        yield
    finally:
        config.CACHE_LOCATOR_CLASSES = named
