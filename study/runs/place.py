"""The folder that a run writes: made or gone on with, and kept from other runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from study.results import Folder
    from study.scenario import Study


@contextmanager
def writing(
    study: Study,
    out: str | os.PathLike[str] | None,
    command: Sequence[str],
    *,
    force: bool = False,
    extend: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Folder, bool]]:
    """The folder to write a study into, kept from other runs, and whether it is a new one.

    note  takes what there is to say of how it was found

    Raises ResultsError when it holds something else, is being written, or cannot be written.
    """
    from study.results import MANIFEST, create_folder, default_path, only_writer, reopen
    from study.results.errors import ResultsError, disk_errors
    from study.results.folder import check_room, put_back_replaced, remove_if_empty
    from study.results.manifest import check_reads_back, new_manifest
    from study.transport.received import settle_left
    from study.transport.storage import is_url, mirror_of, naming
    from study.zone.engine.compile import digest

    if out is not None and "\0" in os.fsdecode(out):
        raise ResultsError("a folder's name has no character NUL in it")
    # Rows depend on the code of extensions as they do on the simulation's.
    version = "+".join([digest(), *study.extensions()])
    manifest = new_manifest(study, simulation=version, command=command)

    def here(path: Path) -> tuple[Folder, bool]:
        # Of a run that was stopped while it made room for itself.
        put_back_replaced(path)
        if (path / MANIFEST).is_file() and not force:
            return reopen(path, manifest, extend=extend), False
        check_reads_back(study)
        return create_folder(path, manifest, force=force), True

    cannot = f"cannot write the results folder {'below results/' if out is None else out}"
    with ExitStack() as held:
        if out is not None and is_url(out):
            mirror = mirror_of(os.fspath(out))
            with naming(mirror):
                folder, is_new = here(mirror.local)
            folder.mirror = mirror
            held.enter_context(folder.only_writer())
        else:
            with disk_errors(cannot):
                path = default_path(study.name) if out is None else Path(out)
                check_room(path)
                if not path.exists():
                    path.mkdir(parents=True, exist_ok=True)
                    # Unless it becomes a results folder; the lock in it is gone by then.
                    held.callback(remove_if_empty, path)
            # What is there may change until it is ours.
            held.enter_context(only_writer(path))
            with disk_errors(cannot):
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                held.callback(os.close, descriptor)
            # Or the next log would put back what was there before this run.
            if not force and (said := settle_left(path)):
                note(said)
            with disk_errors(cannot):
                folder, is_new = here(path)
                folder.held = descriptor
        yield folder, is_new
