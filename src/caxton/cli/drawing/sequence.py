"""A sequence diagram as text, one message at a time: lanes side by side, an arrow from lane to lane. Pure.

No line is ever wider than asked for, counted in cells of a terminal, and every message is exactly one arrow: its head
is `>`, `<`, or a cross for what did not arrive. Where there is no room for all lanes, each message is a line of its own
form. Nothing here moves a cursor, so that a pipe gets the same text as a terminal.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

from rich.cells import cell_len

from caxton.cli.output import BOLD, DIM, printable
from caxton.core.views.messages import Gap, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Paint: TypeAlias = "Callable[[str, int], str]"
    """Text and an ANSI colour → what is printed."""

MIN_WIDTH = 40
"""Below this lines are cut off, whatever they say."""

MIN_LANE, MAX_LANE = 8, 28
"""Cells of a lane: for an arrow and a piece of a name; and not so far apart that the eye loses the arrow."""

HEADER_EVERY = 40
"""Messages after which the names are printed again: a screen."""

TIME_CELLS = 12
"""`23:59:59.999`, or a day and more since the first message."""

_COLOURS = (36, 35, 34, 32, 33)
_RED = 31
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """What a diagram is drawn with; each is one cell wide, but for `gap`."""

    line: str = "─"
    dashed: str = "╌"
    lane: str = "│"
    out_right: str = "├"
    out_left: str = "┤"
    corner: str = "┘"
    cross: str = "✗"
    more: str = "…"
    gap: str = "⋯"

    @property
    def all(self) -> str:
        """Every character that is drawn with."""
        return "".join(astuple(self))


UNICODE = Glyphs()
ASCII = Glyphs(
    line="-", dashed=".", lane="|", out_right="|", out_left="|", corner="'", cross="x", more="~", gap="..."
)  # fmt: skip


def plain(text: str, _colour: int) -> str:
    """No colour."""
    return text


def shown(text: str) -> str:
    """Somebody else's text on one line, with nothing in it that a terminal would obey."""
    return printable(text).replace("\t", " ")


def label_of(seen: Sighting) -> str:
    """What stands on the arrow."""
    act = shown(seen.performative)
    facts = [shown(seen.reason or seen.event)] if is_lost(seen) else []
    if seen.attempt > 1:
        facts.append(f"attempt {seen.attempt}")
    return f"{act} ({', '.join(facts)})" if facts else act


def is_lost(seen: Sighting) -> bool:
    """Whether this arrow does not arrive: a dead letter, or a message that was refused."""
    return seen.event != "sent"


def time_of(timestamp_us: int, first_us: int | None) -> str:
    """Since `first_us`, like `+1.250s`; with None the time of day in UTC, like `09:30:00.000`."""
    if first_us is not None:
        return f"{(timestamp_us - first_us) / 1e6:+.3f}s"
    minutes, ms = divmod(timestamp_us // 1000 % _DAY_MS, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}.{ms % 1000:03}"


def clipped(text: str, cells: int, more: str = "…") -> str:
    """`text` in at most so many cells; the middle goes, since names often differ at their end."""
    if cell_len(text) <= cells:
        return text
    if cells < 1:
        return ""
    begin = (cells - 1) // 2
    head = _begin(text, begin, "") if begin else ""
    tail = text[len(head) :]
    while tail and cell_len(head) + 1 + cell_len(tail) > cells:
        tail = tail[1:]
    return f"{head}{more}{tail}"


def _begin(text: str, cells: int, more: str) -> str:
    """`text` in at most so many cells; the end goes."""
    if cell_len(text) <= cells:
        return text
    while text and cell_len(text) > cells - len(more):
        text = text[:-1]
    return f"{text}{more}" if cells > 0 else ""


class _Row:
    """Cells of one line, written in any order."""

    def __init__(self, width: int) -> None:
        self._cells = [" "] * width
        self._painted: list[tuple[int, int, int]] = []

    def put(self, at: int, text: str, colour: int | None = None) -> None:
        """Write `text` from the cell `at`; what does not fit is left out."""
        start = at
        for char in text:
            size = cell_len(char)
            if size == 0 and at > start:
                self._cells[at - 1] += char
            if at < 0 or size == 0 or at + size > len(self._cells):
                continue
            if self._cells[at] == "":  # the second half of a wide character, which is gone then
                self._cells[at - 1] = " "
            self._cells[at : at + size] = [char, *[""] * (size - 1)]
            at += size
            if at < len(self._cells) and self._cells[at] == "":
                self._cells[at] = " "
        if colour is not None:
            self.colour(start, at, colour)

    def colour(self, start: int, end: int, colour: int) -> None:
        """Give what stands from `start` up to `end` a colour."""
        self._painted.append((start, end, colour))

    def text(self, paint: Paint) -> str:
        """The whole line, without blanks at its end."""
        if cell_len("".join(self._cells)) > len(self._cells):  # characters that are wider together than alone
            self._cells = [cell if len(cell) == 1 and cell_len(cell) == 1 else "?" for cell in self._cells]
        parts, done = list[str](), 0
        for start, end, colour in sorted(self._painted):
            parts += ["".join(self._cells[done:start]), paint("".join(self._cells[start:end]), colour)]
            done = end
        return ("".join(parts) + "".join(self._cells[done:])).rstrip()


class TextDiagram:
    """Draws messages as they come. It remembers the names in its lanes, and of time only the first."""

    def __init__(
        self, *, width: int, absolute: bool = False, content: bool = False, names: Sequence[str] = (),
        glyphs: Glyphs = UNICODE, paint: Paint = plain,
    ) -> None:  # fmt: skip
        """Begin a diagram.

        Args:
            width: cells that a line may have.
            absolute: times of day instead of times since the first message.
            content: say on a line of its own what was said, and in which conversation.
            names: those who will appear, if that is known: each has its lane from the start.
            glyphs: what to draw with.
            paint: makes colours.
        """
        self._width, self._absolute, self._content = width, absolute, content
        self._glyphs, self._paint = glyphs, paint
        self._lanes: list[str] = []
        self._coming = list(dict.fromkeys(names))
        self._is_list = False
        """There were more names than lanes."""
        self._first_us: int | None = None
        self._since_header = 0

    def resize(self, width: int) -> None:
        """The terminal has another width from now on."""
        if width != self._width:
            self._width, self._since_header = width, HEADER_EVERY

    def draw(self, seen: Sighting | Gap) -> list[str]:
        """The lines of one message, without line ends: one or two, after the names when these have to be told."""
        if isinstance(seen, Gap):
            return [self._remark(_missing(seen))]
        if self._first_us is None:
            self._first_us = seen.timestamp
        lines = self._header(seen)
        return [*lines, *(self._list_form(seen) if self._is_list else self._arrow(seen))]

    # --- lanes -----------------------------------------------------------------------------------------------

    def _header(self, seen: Sighting) -> list[str]:
        """The names, if there is a new one or they are out of sight."""
        coming = dict.fromkeys((*self._coming, seen.sender, seen.receiver))
        new = [name for name in coming if name not in self._lanes]
        self._coming = []
        if not self._is_list and len(self._lanes) + len(new) > self._room():
            self._is_list = True
            self._lanes.clear()
            return [self._remark("more names than lanes: each message for itself from here")]
        if self._is_list:
            return []
        self._lanes += new
        self._since_header += 1
        if not new and self._since_header <= HEADER_EVERY:
            return []
        self._since_header = 1
        row = _Row(self._width)
        for n, name in enumerate(self._lanes):
            text = clipped(shown(name), self._lane - 2, self._glyphs.more)
            row.put(self._centre(n) - cell_len(text) // 2, text)
        return [self._paint(row.text(plain), BOLD)]

    def _room(self) -> int:
        return (self._width - TIME_CELLS - 1) // MIN_LANE

    @property
    def _lane(self) -> int:
        return min(MAX_LANE, (self._width - TIME_CELLS - 1) // len(self._lanes))

    def _centre(self, n: int) -> int:
        return TIME_CELLS + 1 + n * self._lane + self._lane // 2

    # --- messages --------------------------------------------------------------------------------------------

    def _arrow(self, seen: Sighting) -> list[str]:
        start, end = (self._centre(self._lanes.index(name)) for name in (seen.sender, seen.receiver))
        label, colour = label_of(seen), self._colour(seen)
        above, row = self._row(), self._row()
        inside = self._draw(row, start, end, label, seen)
        if inside and not self._content:
            row.put(0, self._time(seen))
            return [self._text(row, start, end, colour)]
        above.put(0, self._time(seen))
        room = self._width - TIME_CELLS - 1
        said = _begin(f"{label}{self._said(seen)}" if self._content else label, room, self._glyphs.more)
        if inside:
            row = self._row()
            self._draw(row, start, end, "", seen)
        above.put(min(min(start, end) + 2, self._width - cell_len(said)), said, colour)
        return [above.text(self._paint), self._text(row, start, end, colour)]

    def _draw(self, row: _Row, start: int, end: int, label: str, seen: Sighting) -> bool:
        """Put the arrow into `row`; whether its label found room there."""
        glyphs, lost = self._glyphs, is_lost(seen)
        line = glyphs.dashed if lost else glyphs.line
        if start == end:
            row.put(start + 1, f"{glyphs.cross if lost else '<'}{line}{glyphs.corner}")
            fits = start + 5 + cell_len(label) <= self._width
            row.put(start + 5, label if fits else "")
            return fits
        low, length = min(start, end) + 1, abs(end - start) - 1
        head, tail = (glyphs.cross, glyphs.cross) if lost else (">", "<")
        body = line * (length - 1)
        row.put(start, glyphs.out_right if start < end else glyphs.out_left)
        row.put(low, f"{body}{head}" if start < end else f"{tail}{body}")
        size = cell_len(label) + 2
        if not label or size > length - 3:
            return False
        row.put(low + (start > end) + (length - 1 - size) // 2, f" {label} ")  # with some of the line on either side
        return True

    def _row(self) -> _Row:
        row = _Row(self._width)
        for n in range(len(self._lanes)):
            row.put(self._centre(n), self._glyphs.lane)
        return row

    def _text(self, row: _Row, start: int, end: int, colour: int) -> str:
        """`row` with its arrow, which is drawn already, in colour."""
        row.colour(min(start, end), max(start, end) + 1 if start != end else self._width, colour)
        return row.text(self._paint)

    def _list_form(self, seen: Sighting) -> list[str]:
        glyphs, lost = self._glyphs, is_lost(seen)
        line = glyphs.dashed if lost else glyphs.line
        room = max(self._width, MIN_WIDTH) - TIME_CELLS - 1 - 7  # blanks, lines and head
        label = _begin(label_of(seen), room // 2, glyphs.more)
        each = (room - cell_len(label)) // 2
        sender, receiver = (clipped(shown(name), each, glyphs.more) for name in (seen.sender, seen.receiver))
        text = f"{sender} {line} {label} {line}{glyphs.cross if lost else '>'} {receiver}"
        row = _Row(self._width)
        row.put(0, self._time(seen))
        row.put(TIME_CELLS + 1, text, self._colour(seen))
        if not self._content:
            return [row.text(self._paint)]
        return [row.text(self._paint), self._remark(self._said(seen).strip())]

    # --- words -----------------------------------------------------------------------------------------------

    def _said(self, seen: Sighting) -> str:
        conversation = f" [{shown(seen.conversation_id)}]" if seen.conversation_id else ""
        return f"{conversation} {shown(seen.excerpt)}"

    def _time(self, seen: Sighting) -> str:
        return time_of(seen.timestamp, None if self._absolute else self._first_us).rjust(TIME_CELLS)

    def _colour(self, seen: Sighting) -> int:
        return (
            _RED
            if is_lost(seen)
            else _COLOURS[crc32((seen.conversation_id or "").encode("utf-8", "replace")) % len(_COLOURS)]
        )

    def _remark(self, text: str) -> str:
        row = _Row(self._width)
        row.put(TIME_CELLS + 1, _begin(f"{self._glyphs.gap} {text}", self._width - TIME_CELLS - 1, self._glyphs.more))
        return self._paint(row.text(plain), DIM)


def _missing(gap: Gap) -> str:
    if gap.missed is None:
        return "the connection was away: messages may be missing"
    return f"{gap.missed} message{'s are' if gap.missed != 1 else ' is'} missing: they came too fast"


def named(seen: Sequence[Sighting]) -> list[str]:
    """Everybody who says something or is told, in the order of their first appearance."""
    return list(dict.fromkeys(name for one in seen for name in (one.sender, one.receiver)))
