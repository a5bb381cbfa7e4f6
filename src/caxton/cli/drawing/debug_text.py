"""How `caxton debug` and `caxton profile` say what they found. Pure: views in, lines out."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from caxton.cli.drawing.figures import millis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.core.views.debugging import AgentDebug, FrameView, InHandView, KvEntry, MemoryDebug, RateView

_PER_LINE = 16


def figures_line(figures: AgentDebug) -> str:
    """`Memory: 45MB/512MB | Queue: 1,523 messages | Tool calls: 15/s (p99: 5.2s)`."""
    queue = f"{figures.mailbox_messages:,} message{'' if figures.mailbox_messages == 1 else 's'}"
    return (
        f"Memory: {megabytes(figures.memory_bytes)}/{megabytes(figures.memory_limit_bytes)} | Queue: {queue} | "
        f"Tool calls: {rate(figures.tool_calls)}"
    )


def rate(view: RateView) -> str:
    """`15/s (p99: 5.2s)`."""
    return f"{per_second(view.per_s)}/s (p99: {seconds(view.p99_s)})"


def megabytes(size_bytes: int) -> str:
    """`45MB`, without a blank; of 1,048,576 bytes each, as all sizes here."""
    if size_bytes < 1 << 20:
        return f"{size_bytes >> 10}KB"
    return f"{size_bytes / (1 << 20):.1f}".removesuffix(".0") + "MB"


def per_second(value: float) -> str:
    """As exact as is of use: `1,523`, `15`, `1.5`, `0.02`."""
    if value >= 10 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}".removesuffix(".0") if value >= 1 else f"{value:.2g}"


def seconds(value_s: float | None) -> str:
    """As all times here: `5.2s`, `12ms`, `80µs`, `2h 5m`; `-` for none."""
    return millis(None if value_s is None else value_s * 1000)


def in_hand(view: InHandView | None) -> str:
    """What an instance is in the middle of, in words."""
    if view is None:
        return "nothing"
    what = f"timer {view.timer_id}" if view.message_id is None else f"{view.performative} of {view.sender}"
    conversation = f", conversation {view.conversation_id}" if view.conversation_id else ""
    attempt = f", attempt {view.attempt}" if view.attempt > 1 else ""
    return f"{what}{conversation}{attempt}, for {seconds(view.for_s)}"


def frame_line(frame: FrameView, width: int) -> str:
    """A function with its place in the source, or in the module."""
    return f"{frame.function:<{width}}  {frame.source or '-'}  (at {frame.offset:#x} of the module)"


def key_text(entry: KvEntry) -> str:
    """A key as `--prefix` takes it."""
    return f"hex:{entry.key}" if entry.key_encoding == "hex" else entry.key


def value_text(entry: KvEntry) -> str:
    """A value, and whether there is more of it."""
    text = f"hex:{entry.value}" if entry.value_encoding == "hex" else entry.value
    return f"{text}…" if entry.is_cut else text


def hexdump(view: MemoryDebug) -> Iterator[str]:
    """Sixteen bytes a line: address, hexadecimal, and what can be printed."""
    data = bytes.fromhex(view.data)
    for at in range(0, len(data), _PER_LINE):
        part = data[at : at + _PER_LINE]
        left, right = part[:8].hex(" "), part[8:].hex(" ")
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{view.offset + at:08x}  {left:<23}  {right:<23}  |{text}|"


def profile_summary(data: bytes, most: int = 10) -> tuple[int, list[tuple[str, int, int]]]:
    """Samples in a profile, and its functions by how many samples found them on top, and found them at all."""
    total, own, whole = 0, Counter[str](), Counter[str]()
    for thread in json.loads(data).get("threads", ()):
        total += _count(thread, own, whole)
    return total, [(name, count, whole[name]) for name, count in own.most_common(most)]


def _count(thread: dict[str, Any], own: Counter[str], whole: Counter[str]) -> int:
    samples = thread["samples"]
    if not samples["length"] or "stackTable" not in thread:
        return int(samples["length"])
    stacks, frames, functions = thread["stackTable"], thread["frameTable"], thread["funcTable"]
    names = [thread["stringArray"][functions["name"][n]] for n in frames["func"]]
    tops: Counter[int | None] = Counter(samples["stack"])
    for top, count in tops.items():
        if top is None:
            continue
        stack: int | None = top
        own[names[stacks["frame"][top]]] += count
        seen: set[str] = set()
        while stack is not None:
            seen.add(names[stacks["frame"][stack]])
            stack = stacks["prefix"][stack]
        for name in seen:
            whole[name] += count
    return int(samples["length"])
