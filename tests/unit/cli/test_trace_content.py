"""What was said in a trace, as lines that never steer a terminal."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from caxton.cli.drawing.trace_content import MAX_CHARS, content_lines
from caxton.core.views.traces import TraceSpan, TraceView


def span(sent: int, content: Any) -> TraceSpan:
    return TraceSpan(
        id=f"{sent:016x}", parent=None, depth=0, trace_id="", message_id="m", conversation_id="c", sender="client:a",
        receiver="b", performative="request", attempt=1, sent=sent, ended=None, status="handled", size_bytes=9000,
        tries=[], tools=[], content=content,
    )  # fmt: skip


def lines(*spans: TraceSpan) -> list[str]:
    view = TraceView(
        conversation_id="c", message_id=None, now=0, since=None, recorded_since=None, last_us=None, total=0, cut=False,
        said="whole", spans=list(spans), events=[],
    )  # fmt: skip
    return list(content_lines(view, UTC))


def test_lines_are_by_time_and_leave_out_what_is_not_kept() -> None:
    assert lines(span(2_000_000, {"n": 2}), span(1_000_000, "one"), span(3_000_000, None)) == [
        '[00:00:01.000] client:a -> b request: "one"',
        '[00:00:02.000] client:a -> b request: {"n":2}',
    ]


def test_long_and_hostile_content_is_cut_and_harmless() -> None:
    (line,) = lines(span(0, "\x1b[2J\u202e" + "x" * 9000))
    assert line.isprintable()
    assert len(line) < MAX_CHARS + 80
    assert line.endswith("(9000 bytes)")
