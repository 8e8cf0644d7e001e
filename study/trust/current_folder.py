"""Libraries that would be configured by a file of the current folder are imported away from it.

numba reads `.numba_config.yaml` and matplotlib reads `matplotlibrc` wherever a command happens to
be started. That folder may be one from somebody else, and what stands there would choose modules to
import, files to write and programs to run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def away_from_current_folder() -> Iterator[None]:
    """Have the root folder as the current one, for an import.

    Whether the file is there is not asked first: in a shared folder somebody else may put it there
    in between. Other threads of the process are away from their folder as well, so nothing but an
    import belongs in here.
    """
    try:
        here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # it is gone, or nobody may look into it: nothing is read from there either
        yield
        return
    try:
        os.chdir("/")
        yield
    finally:
        try:
            os.fchdir(here)
        finally:
            os.close(here)
