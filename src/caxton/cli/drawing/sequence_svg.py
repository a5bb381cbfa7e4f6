"""A conversation as one SVG picture that needs nothing else: no script, no style sheet, no font of its own. Pure.

Names and contents are only ever text: whatever they say, the picture has the elements that stand here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from caxton.cli.drawing.sequence import clipped, is_lost, label_of, named, shown, time_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.core.views.messages import Sighting

CHAR_PX = 7.3
"""Width of a character at `FONT_PX` in most monospaced fonts."""

FONT_PX = 12
TIME_PX, HEAD_PX, ROW_PX, MARGIN_PX = 100, 48, 34, 16
MIN_LANE_PX, MAX_LANE_PX = 150, 320

_INK, _PALE, _LOST, _REPLY = "#1f2430", "#79839a", "#b3261e", "#2457a6"

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML may hold, not even escaped."""


def svg(seen: Sequence[Sighting], title: str = "") -> str:
    """The picture: a group of class `message` for each message; ends with a line end.

    Args:
        seen: in the order in which they are drawn, from above.
        title: what the picture is called, for those who hear it read out.
    """
    names = named(seen)
    longest = max((len(label_of(one)) for one in seen), default=0)
    lane = min(max(MIN_LANE_PX, (longest + 3) * CHAR_PX), MAX_LANE_PX)
    to_itself = max((len(label_of(one)) for one in seen if one.sender == one.receiver), default=0) * CHAR_PX
    right = max(MARGIN_PX, min(to_itself, lane) + 50 - lane / 2)
    width, height = TIME_PX + lane * max(len(names), 1) + right, HEAD_PX + ROW_PX * len(seen) + 2 * MARGIN_PX
    at = {name: TIME_PX + lane * (n + 0.5) for n, name in enumerate(names)}
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    font = f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{FONT_PX}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} role="img">',
        f"<title>{_text(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    parts += [_lane(name, at[name], lane, height) for name in names]
    first_us = seen[0].timestamp if seen else 0
    parts += [
        _message(one, HEAD_PX + ROW_PX * (n + 1), at[one.sender], at[one.receiver], lane, first_us)
        for n, one in enumerate(seen)
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _lane(name: str, x: float, lane: float, height: float) -> str:
    label = clipped(shown(name), int((lane - 24) / CHAR_PX))
    box = f'<rect x="{x - lane / 2 + 8:g}" y="10" width="{lane - 16:g}" height="26" rx="4" fill="#eef1f6"/>'
    line = f'<line x1="{x:g}" y1="36" x2="{x:g}" y2="{height - MARGIN_PX:g}" stroke="{_PALE}" stroke-dasharray="2 4"/>'
    text = f'<text x="{x:g}" y="27" text-anchor="middle" fill="{_INK}">{_text(label)}</text>'
    return f'<g class="lane">{line}{box}{text}<title>{_text(name)}</title></g>'


def _message(one: Sighting, y: float, start: float, end: float, lane: float, first_us: int) -> str:
    lost = is_lost(one)
    colour = _LOST if lost else _REPLY if one.in_reply_to else _INK
    dashes = ' stroke-dasharray="6 4"' if lost or one.in_reply_to else ""
    way = 1 if end >= start else -1
    stroke = f'fill="none" stroke="{colour}" stroke-width="1.4"{dashes}'
    if start == end:
        line = f'<path d="M{start:g} {y - 8:g}h28v12H{start + 8:g}" {stroke}/>'
        tip, way, tip_y, middle, anchor = start, -1, y + 4, start + 34, "start"
    else:
        line = f'<path d="M{start:g} {y:g}H{end - 8 * way:g}" {stroke}/>'
        tip, tip_y, middle, anchor = end, y, (start + end) / 2, "middle"
    if lost:
        cross = f"M{tip - 12 * way:g} {tip_y - 5:g}l{8 * way} 10m0 -10l{-8 * way} 10"
        head = f'<path class="head" d="{cross}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
    else:
        head = f'<path class="head" d="M{tip:g} {tip_y:g}l{-9 * way} -4v8z" fill="{colour}"/>'
    room = max(lane, abs(end - start)) - 24
    label = clipped(label_of(one), int(room / CHAR_PX))
    place = f'x="{middle:g}" y="{y if start == end else y - 6:g}" text-anchor="{anchor}"'
    said = f'<text {place} fill="{colour}">{_text(label)}</text>'
    time = f'<text x="8" y="{y + 4:g}" fill="{_PALE}">{_text(time_of(one.timestamp, first_us))}</text>'
    facts = (one.performative, one.conversation_id or "", one.protocol or "", one.reason or "", one.excerpt)
    hint = " · ".join(fact for fact in facts if fact)
    return f'<g class="message">{time}{line}{head}{said}<title>{_text(hint)}</title></g>'


def _text(text: str) -> str:
    """`text` as XML in ASCII: nothing in it is markup, and nothing is there that XML does not allow."""
    clean = escape(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", shown(text)), {'"': "&quot;", "'": "&#39;"})
    return clean.encode("ascii", "xmlcharrefreplace").decode()
