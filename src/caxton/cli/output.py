"""What a command prints: lines with marks, tables, JSON, and a sign of life on slow things.

Answers go to standard output, all else (errors, warnings, progress) to standard error. Colours on a terminal
only, and not with NO_COLOR. Strangers' text passes through `printable`: no guest's log may steer a terminal.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence


class Mark(Enum):
    """The sign in front of a line, its ANSI colour, and the word where it cannot be written."""

    OK = ("✓", 32, "OK")
    FAIL = ("✗", 31, "ERROR")
    WARN = ("⚠", 33, "WARNING")
    INFO = ("ℹ", 34, "INFO")  # noqa: RUF001 - the sign itself
    BUSY = ("◐", 36, "BUSY")


BOLD, DIM = 1, 2

PROGRESS_AFTER_S = 0.5
"""Shorter than this feels immediate; a spinner would only flicker."""

_WIDE = 10_000
"""Columns of a pipe: there a table is never wrapped, or a script would read broken lines."""

_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters but TAB, and those that reorder text."""


def printable(text: str) -> str:
    """`text` with everything that a terminal would obey written out as an escape."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shown_url(url: str) -> str:
    """`url` as people know it: `localhost` for 127.0.0.1, which is what a server on this machine listens on."""
    return url.replace("http://127.0.0.1:", "http://localhost:", 1)


class Screen:
    """Where one command prints to.

    Args:
        as_json: answers and errors are JSON, and nothing else is printed.
        quiet: only answers and errors are printed.
        out: instead of standard output.
        err: instead of standard error.
    """

    def __init__(
        self, *, as_json: bool = False, quiet: bool = False, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._out: TextIO = sys.stdout if out is None else out
        self._err: TextIO = sys.stderr if err is None else err

    # --- answers ------------------------------------------------------------------------------------------

    def answer(self, value: object, human: Callable[[], None]) -> None:
        """The command's result: `value` as JSON, or whatever `human` prints."""
        if self.as_json:
            self.json(value)
        else:
            human()

    def json(self, value: object, *, one_line: bool = False) -> None:
        """`value` as JSON on standard output."""
        import msgspec

        data = msgspec.json.encode(value)
        self.line((data if one_line else msgspec.json.format(data, indent=2)).decode())

    def line(self, text: str = "") -> None:
        """A line of the answer, as it is."""
        self._out.write(f"{text}\n")
        self._out.flush()

    def text(self, text: str) -> None:
        """A whole answer that has its own line ends."""
        self._out.write(text)
        self._out.flush()

    def done(self, text: str) -> None:
        """Says that something was done; not with --quiet."""
        self.say(Mark.OK, text)

    def say(self, mark: Mark, text: str) -> None:
        """A marked line on standard output; not with --quiet, and never between JSON."""
        if not self.quiet and not self.as_json:
            self.line(f"{self.sign(mark)} {text}")

    def state(self, mark: Mark, text: str) -> None:
        """A marked line that is the answer itself: it stays with --quiet."""
        self.line(f"{self.sign(mark)} {text}")

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Names and values, one below the other."""
        width = max(len(name) for name, _ in pairs)
        for name, value in pairs:
            self.line(f"  {self.colour(f'{name:<{width}}', DIM)}  {printable(value)}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], total: str | None = None) -> None:
        """A table with a line of totals below it."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        coloured = _is_coloured(self._out)
        console = Console(
            file=self._out,
            no_color=not coloured,
            force_terminal=coloured,
            width=None if self._out.isatty() else _WIDE,
            highlight=False,
        )
        table = Table(box=None, pad_edge=False, header_style="bold" if coloured else "")
        for column in columns:
            table.add_column(column.upper(), overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        with console.capture() as rendered:
            console.print(table)
        for line in rendered.get().splitlines():  # rich fills the last column with blanks
            self.line(line.rstrip())
        if total and not self.quiet:
            self.line(self.colour(total, DIM))

    # --- remarks ------------------------------------------------------------------------------------------

    def warn(self, text: str) -> None:
        """Something to know, on standard error; not with --quiet or JSON."""
        if not self.quiet and not self.as_json:
            self._remark(f"{self.sign(Mark.WARN, self._err)} {text}")

    def hint(self, text: str) -> None:
        """What could be done next, on standard error; not with --quiet or JSON."""
        if not self.quiet and not self.as_json:
            self._remark(f"{self.sign(Mark.INFO, self._err)} {text}")

    def error(self, text: str, below: Sequence[str] = ()) -> None:
        """What went wrong, and indented facts below it, on standard error."""
        self._remark(f"{self.sign(Mark.FAIL, self._err)} {printable(text)}")
        for line in below:
            self._remark(f"  {printable(line)}")

    def error_json(self, value: object) -> None:
        """What went wrong as one JSON object on standard error."""
        import msgspec

        self._remark(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())

    @contextmanager
    def busy(self, text: str) -> Generator[None]:
        """A spinner with `text` while the body runs, once that takes half a second; on a terminal only."""
        if self.quiet or self.as_json or not self._err.isatty():
            yield
            return
        over = threading.Event()
        spinner = threading.Thread(target=_spin, args=(self._err, text, over), daemon=True)
        spinner.start()
        try:
            yield
        finally:
            over.set()
            spinner.join()

    # --- looks --------------------------------------------------------------------------------------------

    def sign(self, mark: Mark, stream: TextIO | None = None) -> str:
        """The mark as `stream` can show it: coloured, plain, or as a word."""
        stream = self._out if stream is None else stream
        sign, colour, word = mark.value
        try:
            sign.encode(stream.encoding or "ascii")
        except UnicodeEncodeError:
            sign = word
        return _paint(sign, colour) if _is_coloured(stream) else sign

    def can_show(self, text: str) -> bool:
        """Whether standard output has all these characters."""
        try:
            text.encode(self._out.encoding or "ascii")
        except UnicodeEncodeError:
            return False
        return True

    def colour(self, text: str, colour: int) -> str:
        """`text` in an ANSI colour if standard output is to have colours."""
        return _paint(text, colour) if _is_coloured(self._out) else text

    def _remark(self, text: str) -> None:
        self._err.write(f"{text}\n")
        self._err.flush()


def _spin(stream: TextIO, text: str, over: threading.Event) -> None:
    if over.wait(PROGRESS_AFTER_S):
        return
    from rich.console import Console

    console = Console(file=stream, no_color=not _is_coloured(stream))
    with console.status(printable(text).replace("[", r"\["), spinner="dots"):
        over.wait()


def _is_coloured(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _paint(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


def make_writable_anywhere(*streams: Any) -> None:
    """Let streams replace what their encoding lacks: Greek in a log must not end a command."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
