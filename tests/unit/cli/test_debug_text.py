"""How figures, keys, memory and profiles are written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from caxton.cli.drawing.debug_text import (
    figures_line,
    hexdump,
    in_hand,
    key_text,
    megabytes,
    per_second,
    profile_summary,
    seconds,
    value_text,
)
from caxton.core.views.debugging import AgentDebug, InHandView, KvEntry, MemoryDebug, RateView

NONE = RateView(count=0, per_s=0.0, p50_s=None, p99_s=None)


def figures(**changes: Any) -> AgentDebug:
    facts: dict[str, Any] = {
        "name": "a", "type": "wasm", "status": "running", "reason": None, "memory_bytes": 0,
        "memory_limit_bytes": 10 << 20,
        "mailbox_messages": 0, "mailbox_bytes": 0, "window_s": 60.0, "is_cut": False, "is_recorded": True,
        "tool_calls": NONE, "handlings": NONE, "waits": NONE, "failed": 0, "replicas": [],
    }  # fmt: skip
    return AgentDebug(**(facts | changes))


def test_the_line_is_that_of_the_founding_documents() -> None:
    busy = figures(
        memory_bytes=45 << 20, memory_limit_bytes=512 << 20, mailbox_messages=1523,
        tool_calls=RateView(count=900, per_s=15.0, p50_s=0.1, p99_s=5.2),
    )  # fmt: skip
    assert figures_line(busy) == "Memory: 45MB/512MB | Queue: 1,523 messages | Tool calls: 15/s (p99: 5.2s)"


def test_the_line_of_an_idle_agent() -> None:
    assert figures_line(figures()) == "Memory: 0KB/10MB | Queue: 0 messages | Tool calls: 0/s (p99: -)"
    assert "Queue: 1 message |" in figures_line(figures(mailbox_messages=1))


@pytest.mark.parametrize(
    ("size", "text"), [(131072, "128KB"), (1 << 20, "1MB"), (1_310_720, "1.2MB"), (3 << 30, "3072MB")]
)
def test_sizes(size: int, text: str) -> None:
    assert megabytes(size) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0167, "0.017"), (1.5, "1.5"), (2.0, "2"), (15.2, "15"), (52_345.6, "52,346")]
)
def test_rates(value: float, text: str) -> None:
    assert per_second(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (5.21, "5.2s"), (0.0123, "12.3ms"), (0.001, "1ms"), (0.00008, "80µs"), (0, "0µs"), (75, "1m 15s")],
)
def test_times(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_what_is_in_hand_is_told_in_words() -> None:
    view = InHandView(
        message_id="m", timer_id=None, sender="client:me", performative="request", conversation_id="c1", attempt=2,
        size=10, priority=4, handed_at="", for_s=4.2,
    )  # fmt: skip
    assert in_hand(view) == "request of client:me, conversation c1, attempt 2, for 4.2s"
    view.message_id, view.timer_id, view.conversation_id, view.attempt, view.for_s = None, 7, None, 1, 7500
    assert in_hand(view) == "timer 7, for 2h 5m"


def test_binary_keys_are_written_as_the_prefix_option_takes_them() -> None:
    entry = KvEntry(key="00ff", key_encoding="hex", value="ab", value_encoding="hex", value_bytes=9, is_cut=True)
    assert (key_text(entry), value_text(entry)) == ("hex:00ff", "hex:ab…")


def test_hexdump_has_addresses_bytes_and_what_can_be_printed() -> None:
    data = b'{"a":\x1b[31m\xff' + bytes(9)
    view = MemoryDebug(name="a", replica=0, offset=0x10000, length=20, memory_bytes=1 << 20, data=data.hex())
    assert list(hexdump(view)) == [
        '00010000  7b 22 61 22 3a 1b 5b 33  31 6d ff 00 00 00 00 00  |{"a":.[31m......|',
        "00010010  00 00 00 00                                       |....|",
    ]


def test_profile_is_counted_by_function_on_top_and_at_all() -> None:
    thread = {
        "stringArray": ["main", "work"], "funcTable": {"name": [0, 1]}, "frameTable": {"func": [0, 1, 1]},
        "stackTable": {"prefix": [None, 0, 1], "frame": [0, 1, 2]},
        "samples": {"length": 4, "stack": [2, 1, 0, None]},
    }  # fmt: skip
    profile = json.dumps({"threads": [thread]}).encode()
    assert profile_summary(profile) == (4, [("work", 2, 2), ("main", 1, 3)])
    assert profile_summary(b'{"threads":[{"samples":{"length":0}}]}') == (0, [])
