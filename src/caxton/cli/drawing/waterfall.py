"""Messages as bars under one another, each below what caused it: when it waited, and when it was in hand. Pure.

No line is wider than asked for, counted in cells of a terminal.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len

from caxton.cli.drawing.sequence import clipped, plain, shown
from caxton.cli.drawing.trace_lines import lasted
from caxton.cli.output import DIM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caxton.cli.drawing.sequence import Paint
    from caxton.core.views.traces import TraceSpan, TraceView

MIN_WIDTH = 40

MAX_INDENT = 8
"""Steps to the right; deeper ones say by a number how deep they are."""

_RIGHT = 18
"""Cells for how long it took and what became of it."""

_GOOD = frozenset({"handled", "replied", "kept"})
_RED, _YELLOW = 31, 33


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """What bars are made of; each is one cell wide."""

    waits: str = "─"
    works: str = "█"
    tool: str = "▒"
    bad: str = "✗"
    open: str = "▸"
    because: str = "↳"
    to: str = "→"
    more: str = "…"

    @property
    def all(self) -> str:
        """Every character that is drawn with."""
        return "".join(astuple(self))


UNICODE = Glyphs()
ASCII = Glyphs(waits="-", works="#", tool="=", bad="x", open=">", because="'", to=">", more="~")


@dataclass(frozen=True, slots=True)
class _Scale:
    first_us: int
    total_us: int
    cells: int

    def cell(self, at_us: int) -> int:
        """Where a moment stands."""
        place = (at_us - self.first_us) * self.cells // self.total_us
        return min(max(place, 0), self.cells - 1)


def waterfall(view: TraceView, width: int, glyphs: Glyphs = UNICODE, paint: Paint = plain) -> Iterator[str]:
    """The bars, without line ends; nothing for a trace without messages."""
    spans = view.spans
    if not spans:
        return
    width = max(width, MIN_WIDTH)
    first_us = min(one.sent for one in spans)
    total_us = max(max(_end(one, view.now) for one in spans) - first_us, 1)
    labels = [_label(one, glyphs) for one in spans]
    room = min(max(cell_len(label) for label in labels), width * 2 // 5)
    scale = _Scale(first_us, total_us, width - room - 2 - _RIGHT)
    yield paint(f"{' ' * room} 0{lasted(total_us):>{scale.cells - 1}}", DIM)
    for one, label in zip(spans, labels, strict=True):
        text = clipped(label, room, glyphs.more)
        bar = _bar(one, scale, view.now, glyphs)
        took = "" if one.status == "kept" else lasted(_end(one, view.now) - one.sent)
        right = f"{took:>9} {'' if one.status == 'handled' else one.status}"
        colour = None if one.status in _GOOD else _YELLOW if one.ended is None else _RED
        line = f"{text}{' ' * (room - cell_len(text))} {bar} {right}".rstrip()
        yield line if colour is None else paint(line, colour)
        for reason in _reasons(one, view.now):
            begin = f"{'  ' * (min(one.depth, MAX_INDENT) + 1)}{glyphs.because} "
            yield clipped(f"{begin}{shown(reason)}", width, glyphs.more)
    yield paint(clipped(_legend(spans, glyphs), width, glyphs.more), DIM)


def _end(one: TraceSpan, now_us: int) -> int:
    end_us = one.ended if one.ended is not None else one.sent if one.status == "kept" else now_us
    return max(end_us, one.sent)  # a clock may have been set back


def _label(one: TraceSpan, glyphs: Glyphs) -> str:
    who = one.receiver if one.parent is not None else f"{one.sender} {glyphs.to} {one.receiver}"
    if one.sender == one.receiver and not one.performative:
        who = f"{one.receiver}, timer"
    deep = f"{one.depth}: " if one.depth > MAX_INDENT else ""
    return f"{'  ' * min(one.depth, MAX_INDENT)}{deep}{shown(f'{who} {one.performative}').strip()}"


def _bar(one: TraceSpan, scale: _Scale, now_us: int, glyphs: Glyphs) -> str:
    """Waiting, with the times in hand over it and the calls of tools over these; each has a cell at least."""
    cells = [" "] * scale.cells

    def draw(begin_us: int, end_us: int, glyph: str) -> None:
        begin, end = scale.cell(begin_us), scale.cell(max(begin_us, end_us))
        cells[begin : end + 1] = glyph * (end + 1 - begin)

    end_us = _end(one, now_us)
    draw(one.sent, end_us, glyphs.waits)
    for attempt in one.tries:
        draw(attempt.began, now_us if attempt.ended is None else attempt.ended, glyphs.works)
    for tool in one.tools:
        draw(tool.began, tool.ended, glyphs.tool)
    for attempt in one.tries:
        if attempt.outcome in ("failed", "crashed") and attempt.ended is not None:
            cells[scale.cell(attempt.ended)] = glyphs.bad
    if one.ended is None and one.status != "kept":
        cells[scale.cell(end_us)] = glyphs.open
    elif one.status not in _GOOD:
        cells[scale.cell(end_us)] = glyphs.bad
    return "".join(cells)


def _went_wrong(one: TraceSpan) -> bool:
    """Whether its bar has a mark that says so."""
    if one.ended is not None and one.status not in _GOOD:
        return True
    return any(attempt.outcome in ("failed", "crashed") and attempt.ended is not None for attempt in one.tries)


def _reasons(one: TraceSpan, now_us: int) -> list[str]:
    """What is to be said of a message that is not simply handled."""
    found = [f"{tool.tool}: {tool.error} ({lasted(tool.ended - tool.began)})" for tool in one.tools if tool.error]
    found = [*dict.fromkeys(found)][-3:]
    found += [*dict.fromkeys(attempt.note for attempt in one.tries if attempt.note)]
    failed = sum(attempt.outcome in ("failed", "crashed") for attempt in one.tries)
    if one.error is not None:
        found.append(f"{one.error}, {failed} times" if failed > 1 else one.error)
    if one.again_at is not None:
        found.append(f"attempt {one.attempt} in {lasted(max(one.again_at - now_us, 0))}")
    elif one.note is not None:
        found.append(one.note)
    return found


def _legend(spans: Sequence[TraceSpan], glyphs: Glyphs) -> str:
    parts = [f"{glyphs.waits} waits", f"{glyphs.works} in hand"]
    if any(one.tools for one in spans):
        parts.append(f"{glyphs.tool} calls a tool")
    if any(map(_went_wrong, spans)):
        parts.append(f"{glyphs.bad} went wrong")
    if any(one.ended is None and one.status != "kept" for one in spans):
        parts.append(f"{glyphs.open} goes on")
    return "  ".join(parts)
