"""SIGINT, SIGTERM, SIGHUP while trials run: the first ends the run, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Signals:
    """Whether one of them came. While gently is False the first one interrupts at once."""

    stopped: bool = False
    gently: bool = False


@contextmanager
def heeded_signals(heard: Callable[[], None]) -> Iterator[Signals]:
    """Note them instead of dying of them; only the main thread can. With nohup SIGHUP is none.

    heard  is called at one that ends the run gently
    """
    signals = Signals()

    def handle(_number: int, _frame: FrameType | None) -> None:
        again = signals.stopped
        signals.stopped = True
        if again or not signals.gently:
            raise KeyboardInterrupt
        heard()

    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heeded.append(signal.SIGHUP)
    with handling(heeded, handle):
        yield signals


@contextmanager
def handling(
    numbers: Iterable[signal.Signals], handle: Callable[[int, FrameType | None], object]
) -> Iterator[None]:
    """Have a function called at these signals until the block ends; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
