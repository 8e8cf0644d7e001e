"""What a private Ray would leave behind when it ends in disorder, ended at once.

When the driver is killed Ray's servers end with it, by the kernel's hand (PR_SET_PDEATHSIG), and
the workers two seconds later. The two agents of the raylet see its end as well, but first report
it to Ray's head, which is gone too: Ray 2.60 waits a minute for that (publish_error_to_driver), and
no setting shortens it. All that time they hold the token. So a small process waits for the end of
the driver and then kills them. Processes are referred to by pidfd: no other can take their place.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


@contextmanager
def children_ended(pid: int) -> Iterator[None]:
    """When the block ends, or this process dies in it, the children of a process are killed.

    Where the kernel has no pidfd (before 5.3), or there is no room for a process, nothing is done.

    Parameters
    ----------
    pid
        Whose children; those that it has now.
    """
    with ExitStack() as held:
        try:
            descriptors = [_opened(held, each) for each in (os.getpid(), *_children(pid))]
            watch = _watch(descriptors)
        except OSError:
            yield
            return
        try:
            yield
        finally:
            watch.kill()
            watch.wait()
            _kill(descriptors[1:])


def _opened(held: ExitStack, pid: int) -> int:
    """A descriptor of a process, to be closed later."""
    descriptor = os.pidfd_open(pid)
    held.callback(os.close, descriptor)
    return descriptor


def _watch(descriptors: list[int]) -> subprocess.Popen[bytes]:
    """Start the process that waits for the end of the first to kill the others."""
    return subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, "-I", "-S", __file__, *map(str, descriptors)],
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=descriptors,
        # Ctrl-C and the end of a terminal are for the driver.
        start_new_session=True,
    )


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in lists for child in children.read_text().split()]


def _wait(process: int) -> None:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.poll()


def _kill(processes: list[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)


if __name__ == "__main__":
    driver, *doomed = map(int, sys.argv[1:])
    _wait(driver)
    _kill(doomed)
