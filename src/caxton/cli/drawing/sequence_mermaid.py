"""A conversation as the text of a Mermaid sequence diagram. Pure.

Source: Mermaid's documentation of sequence diagrams: `->>` is an arrow, `-->>` a dotted one, `-x` one that does not
arrive; `#35;` is the character with the decimal number 35.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from caxton.cli.drawing.sequence import is_lost, label_of, named, shown, time_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.core.views.messages import Sighting

MAX_CHARS = 80
"""Of a name or label: a longer one would only stretch the picture."""

_SPECIAL = re.compile(r"[^A-Za-z0-9 _.+-]|\b(?=end\b)e", re.IGNORECASE)
"""Whatever could mean something to Mermaid or to HTML, and the word `end`, which closes blocks."""


def mermaid(seen: Sequence[Sighting]) -> str:
    """The diagram, one line for each name and message; ends with a line end."""
    ids = {name: f"p{n}" for n, name in enumerate(named(seen))}
    lines = ["sequenceDiagram", *(f"    participant {ids[name]} as {_text(name)}" for name in ids)]
    first_us = seen[0].timestamp if seen else 0
    for one in seen:
        arrow = "-x" if is_lost(one) else "-->>" if one.in_reply_to else "->>"
        text = f"{time_of(one.timestamp, first_us)} {label_of(one)}"
        lines.append(f"    {ids[one.sender]}{arrow}{ids[one.receiver]}: {_text(text)}")
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """`text` with everything that Mermaid would obey as a number; never empty."""
    clean = shown(text).strip()
    clean = clean if len(clean) <= MAX_CHARS else f"{clean[: MAX_CHARS - 1]}…"
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", clean) or "#32;"
