"""How `caxton tools` and `caxton approvals` say what they found. Pure: views in, lines out."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from caxton.cli.drawing.figures import millis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.core.views.tools import ToolDetail, ToolView

MAX_SHOWN_CHARS = 80
"""Of a description in a table."""


def tool_row(view: ToolView) -> tuple[str, ...]:
    """A line of the list."""
    times = "-" if view.times is None else f"{millis(view.times.p50_ms)} / {millis(view.times.p99_ms)}"
    return view.name, view.status, f"{view.calls:,}", f"{view.failures:,}", times, first_line(view.description)


def first_line(text: str) -> str:
    """Of a description, cut."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= MAX_SHOWN_CHARS else f"{line[:MAX_SHOWN_CHARS]}…"


def now_of(detail: ToolDetail) -> dict[str, Any]:
    """What the source says of a tool, as far as it can be shown; the hash is over more."""
    return {
        "description": detail.tool.description,
        "input_schema": detail.input_schema,
        "output_schema": detail.output_schema,
    }


def definition_lines(detail: ToolDetail) -> list[str]:
    """What a person has to read before approving it: all of it."""
    return _pretty(now_of(detail))


def change_lines(detail: ToolDetail) -> Iterator[str]:
    """The difference between what was approved and what is there now, as `diff -u` has it; nothing if there is none."""
    if detail.approved is None:
        return
    now = now_of(detail)
    before = {key: detail.approved.get(key, "") for key in now}
    rest = {key: value for key, value in detail.approved.items() if key not in now and key != "name"}
    lines = list(
        difflib.unified_diff(_pretty(before), _pretty(now), "approved", "now", lineterm="", n=2)
    )  # fmt: skip
    yield from lines
    if not lines:
        hints = ", ".join(f"{key} was {json.dumps(value)}" for key, value in sorted(rest.items()))
        yield f"description and schemas are as they were; its hints changed ({hints})"


def _pretty(definition: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, value in definition.items():
        text = value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
        lines += [f"{key}:", *(f"  {line}" for line in text.split("\n"))]
    return lines


def result_lines(result: dict[str, Any]) -> Iterator[str]:
    """Texts as they are, all else as JSON."""
    for block in result.get("content", ()):
        if block.get("type") == "text":
            yield from str(block.get("text", "")).split("\n")
        else:
            yield json.dumps(block, ensure_ascii=False)
    if "structuredContent" in result:
        yield from json.dumps(result["structuredContent"], indent=2, ensure_ascii=False).split("\n")
