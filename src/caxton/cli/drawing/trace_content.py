"""What was said in a trace, a line for each message. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.cli.drawing.trace_lines import time_of
from caxton.cli.output import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from caxton.core.views.traces import TraceView

MAX_CHARS = 400
"""Of one content; JSON has all of it."""


def content_lines(view: TraceView, zone: tzinfo | None) -> Iterator[str]:
    """`[03:23:45.123] a → b request: {"order":7}`, by the time of sending; what is not kept is left out.

    Args:
        view: the trace.
        zone: of the times; None: of this machine.
    """
    for span in sorted(view.spans, key=lambda one: one.sent):
        if span.content is not None:
            text = printable(msgspec.json.encode(span.content).decode())
            shown = text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}… ({span.size_bytes} bytes)"
            who = f"{printable(span.sender)} -> {printable(span.receiver)}"
            yield f"[{time_of(span.sent, zone)}] {who} {printable(span.performative)}: {shown}"
