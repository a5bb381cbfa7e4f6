"""A trace as the text of a Mermaid sequence diagram: its messages as arrows, its tools as lanes of their own. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.cli.drawing.sequence_mermaid import mermaid
from caxton.core.views.messages import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.core.views.traces import TraceSpan, TraceView

_LOST = {"dead": "dead", "refused": "refused"}


def trace_mermaid(view: TraceView) -> str:
    """The diagram, in the order of time; ends with a line end."""
    seen = [one for span in view.spans for one in _sightings(span)]
    seen.sort(key=lambda one: one.timestamp)
    return mermaid(seen)


def _sightings(span: TraceSpan) -> Iterator[Sighting]:
    event = _LOST.get(span.status, "sent")
    yield _arrow(span, span.performative or "timer", span.sent, event=event, reason=span.error)
    for tool in span.tools:
        yield _arrow(
            span, "call", tool.began, sender=span.receiver, receiver=f"tool {tool.tool}",
            event="sent" if tool.error is None else "refused", reason=tool.error,
        )  # fmt: skip


def _arrow(
    span: TraceSpan, act: str, at_us: int, *, event: str, reason: str | None, sender: str = "",
    receiver: str = "",
) -> Sighting:  # fmt: skip
    return Sighting(
        seq=0, event=event, timestamp=at_us, workspace="", sender=sender or span.sender,
        receiver=receiver or span.receiver, performative=act, conversation_id=span.conversation_id, protocol=None,
        message_id=span.message_id, reply_with=None, in_reply_to=None, attempt=span.attempt,
        size_bytes=span.size_bytes, excerpt="", reason=reason,
    )  # fmt: skip
