"""docs/reference/logs.md says what the logs hold, and what is taken out of them."""

from __future__ import annotations

import json
import re

from caxton.core.redact import REMOVED, SECRET_NAMES, SHORT_NAMES
from caxton.core.views.logs import LogLine
from caxton.logs.filter import MAX_PATTERN_CHARS, MAX_PROGRAM, pattern
from caxton.logs.line import KEPT_LINE_BYTES
from caxton.logs.meter import EXTRA_LINE_BYTES
from caxton.observe.log import NAMES, SEVERITIES
from caxton.observe.redact import MAX_TEXT_CHARS
from tests.docs.tables import assert_same, block, read_page, rows, section

PAGE = read_page("reference/logs.md")
AGENTS = section(PAGE, "## Agents' logs")
SERVER = section(PAGE, "## The server's own log")


def test_fields_that_name_the_message_are_those_of_a_line() -> None:
    optional = [name for name, default in zip(LogLine.__struct_fields__, _defaults(), strict=True) if default is None]
    listed = re.findall(r"`(\w+)`", AGENTS.split("has `message_id`", 1)[1].split(".", 1)[0])
    assert_same("fields", code=optional, page=["message_id", *listed])


def _defaults() -> list[object]:
    required = len(LogLine.__struct_fields__) - len(LogLine.__struct_defaults__)
    return [*[Ellipsis] * required, *LogLine.__struct_defaults__]


def test_every_name_of_telemetry_has_a_line() -> None:
    listed = {name for row in rows(SERVER, "Field", "What it is") for name in re.findall(r"`([\w.]+)`", row[0])}
    assert set(NAMES.values()) <= listed
    written = json.loads(block(SERVER, "json"))
    assert written.keys() <= listed


def test_severities_are_listed_from_the_least_grave_on() -> None:
    (row,) = [row for row in rows(SERVER, "Field", "What it is") if row[0] == "`severity_text`"]
    assert re.findall(r"`([A-Z]+)`", row[1]) == [*SEVERITIES.values()]


def test_names_of_secrets_are_listed() -> None:
    text = section(PAGE, "### What is taken out").split("holds one of", 1)[1].split(", in any case", 1)[0]
    assert_same("names", code=SECRET_NAMES, page=re.findall(r"`([\w-]+)`", text))
    words = section(PAGE, "### What is taken out").split("one of the words", 1)[1].split(", as", 1)[0]
    assert_same("words", code=SHORT_NAMES, page=re.findall(r"`([\w-]+)`", words))
    assert f"`{REMOVED}`" in PAGE
    assert f"{MAX_TEXT_CHARS:,} characters" in PAGE


def test_patterns_and_figures_of_the_page_hold() -> None:
    text = section(PAGE, "### Patterns")
    for example in re.findall(r"`([^`]+)`", text.split("They are found", 1)[0].split("Syntax):", 1)[1]):
        pattern(example)
    assert f"{MAX_PATTERN_CHARS} characters and {MAX_PROGRAM} steps" in text
    assert f"counts {EXTRA_LINE_BYTES} bytes more" in AGENTS
    assert abs(KEPT_LINE_BYTES - int(re.findall(r"about (\d+) bytes and the text", AGENTS)[0])) <= 50
