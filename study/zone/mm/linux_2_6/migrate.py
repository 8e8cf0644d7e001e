"""Moving a page to another frame: content, flags, both maps and its place on the LRU lists.

mm/migrate.c, in one step: what would fail in a kernel (a locked page, a page in use by a driver)
is not simulated; a page being written is left alone by the callers.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Home
from study.zone.engine.layout import frames
from study.zone.mm.linux_2_6.lru import lru_add_active, lru_add_inactive, lru_del
from study.zone.mm.linux_2_6.rmap import move_page


@kernel
def migrate_page(z, source, target):
    """Let target hold what source holds; source is then nobody's."""
    active = frames(z)[source].home == Home.ACTIVE
    lru_del(z, source)
    move_page(z, source, target)
    if active:
        lru_add_active(z, target)
    else:
        lru_add_inactive(z, target)
