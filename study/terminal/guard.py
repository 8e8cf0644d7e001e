"""Standard output and error of the command line, which let no control character through.

A command need not think of it: while the guard stands, whatever writes to sys.stdout or sys.stderr
writes through it, click.echo() and warnings included. The one way past it is a console of
study.terminal.console, which colours text that it has cleaned itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO, cast

import click

from study.printable import printable_lines, without_colours

_STANDARD_ERROR = 2
"""The last of the three descriptors that a process is given."""


class Unwritable(click.ClickException):
    """Standard output takes no more: its disk is full, or whoever read it has gone.

    Ends the command, with a line that says why and status 1, or without a word and with the status
    that a shell gives to such an end.
    """

    def __init__(self, fault: OSError) -> None:
        super().__init__(f"cannot write the output: {fault.strerror}")
        self.gone = isinstance(fault, BrokenPipeError)

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """With which the command ends."""
        return 128 + signal.SIGPIPE if self.gone else 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it on standard error."""
        if not self.gone:
            click.echo(f"study: {self.message}", file=file, err=True)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise Unwritable(fault) from fault


class Lenient:
    """A text stream that puts a question mark where its encoding has no letter.

    stream  the one that is written to
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text; returns its length."""
        with _told():
            try:
                self.stream.write(text)
            except UnicodeEncodeError as error:
                # A locale that knows ASCII only: better than no table.
                self.stream.write(text.encode(error.encoding, "replace").decode(error.encoding))
        return len(text)

    def flush(self) -> None:
        """Have it written now."""
        with _told():
            self.stream.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Guarded(Lenient):
    """One that hands on printable text, line ends and tabs."""

    def write(self, text: str) -> int:
        """Write what may be written of a text; returns the length of all of it."""
        # Names of files need not be text: what no terminal can show is written with a backslash.
        said = text.encode(errors="backslashreplace").decode()
        super().write(printable_lines(without_colours(said)))
        return len(text)

    @property
    def encoding(self) -> str:
        """Any text may be written. Click would go round a stream that says otherwise."""
        return "utf-8"


def open_standard_streams() -> None:
    """Have what is written to a stream that was closed go nowhere (`study run ... >&-`).

    Else the next file that is opened gets its descriptor, and what is printed lands in it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


@contextmanager
def guarded() -> Iterator[None]:
    """Put a guard before standard output and error, unless one is there."""
    before = sys.stdout, sys.stderr
    if isinstance(sys.stdout, Guarded):
        yield
        return
    sys.stdout = cast("TextIO", Guarded(sys.stdout))
    sys.stderr = cast("TextIO", Guarded(sys.stderr))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def redraw_over(lines: int) -> None:
    """Have the next text on a terminal take the place of the last lines; elsewhere follow them."""
    if lines > 0 and sys.stdout.isatty():
        behind(sys.stdout).write(f"\x1b[{lines}F\x1b[J")


def behind(stream: TextIO) -> TextIO:
    """What is behind a guard, or the stream itself where none stands: for what is clean."""
    return cast("TextIO", Lenient(stream.stream if isinstance(stream, Guarded) else stream))
