"""docs/reference/tools.md has the keys of a source, their defaults, and the rules of the broker."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import get_args

import pytest

from caxton.sandbox import codes
from caxton.tools.audit import FILES, MAX_FILE_BYTES, NAME, CallRecord
from caxton.tools.broker import MAX_ARGUMENT_BYTES, MAX_ARGUMENT_DEPTH
from caxton.tools.grants import DEFAULT_CALLS_PER_S
from caxton.tools.limits import MAX_DEPTH
from caxton.tools.pins import Status
from caxton.tools.settings import Kind, ToolSettings
from caxton.tools.tables import KEYS, read_tool
from tests.docs.tables import assert_same, read_page, rows, section, word, words

PAGE = read_page("reference/tools.md")
BROKER = section(PAGE, "## The broker")
SOURCES = {word(row[0]): row for row in rows(section(PAGE, "### Sources"), "Key", "Type", "Default")}
NEEDED = {"stdio": {"command": "x"}, "http": {"url": "x"}, "wasm": {"module": "x"}, "builtin": {"builtin": "time"}}


def test_every_key_has_a_line() -> None:
    assert_same("keys", code=KEYS, page=SOURCES)


@pytest.mark.parametrize("key", KEYS)
def test_a_keys_line_names_the_types_that_have_it(key: str) -> None:
    said = SOURCES[key][1]
    assert (set(get_args(Kind)) if said == "all" else set(words(said))) == KEYS[key].kinds


@pytest.mark.parametrize("key", [key for key, row in SOURCES.items() if row[2].startswith("`") and key != "breaker"])
def test_a_keys_line_has_its_default(key: str) -> None:
    text = word(SOURCES[key][2])
    kind = min(KEYS[key].kinds)
    known: dict[str, object] = {"[]": list[str](), "{}": dict[str, str](), "false": False, '["*"]': ["*"]}
    value = known.get(text, int(text) if text.isdigit() else text)
    said = read_tool("x", {"type": kind, **NEEDED[kind], key: value}, "config.toml")
    assert said == read_tool("x", {"type": kind, **NEEDED[kind]}, "config.toml")


def test_the_default_of_the_breaker_is_right() -> None:
    found = dict(re.findall(r"(\w+) = \"?(\w+)\"?", SOURCES["breaker"][2]))
    table = {key: int(text) if text.isdigit() else text for key, text in found.items()}
    said = read_tool("x", {"type": "builtin", "builtin": "time", "breaker": table}, "config.toml")
    assert said == ToolSettings(name="x", kind="builtin", builtin="time")


def test_every_field_of_the_settings_is_read_from_a_key() -> None:
    assert {field.name for field in fields(ToolSettings)} == {key.field for key in KEYS.values()} | {"name", "costs"}


def test_rules_are_in_their_order_with_codes_that_exist() -> None:
    known = {str(value) for name, value in vars(codes).items() if name.isupper()}
    assert set(re.findall(r"-\d+", BROKER)) - {"-256"} <= known


def test_figures_are_right() -> None:
    figures = [
        f"at most {MAX_ARGUMENT_BYTES >> 10} KiB and {MAX_ARGUMENT_DEPTH} levels",
        f"no more than {MAX_DEPTH} calls",
        f"({DEFAULT_CALLS_PER_S:g} unless it says otherwise)",
        f"When a file has {MAX_FILE_BYTES >> 20} MiB a new one begins; the last {FILES} are kept",
        f"`{NAME}`",
    ]
    assert [figure for figure in figures if figure not in BROKER.replace("\n", " ")] == []


def test_every_status_has_a_line() -> None:
    listed = [word(row[0]) for row in rows(section(PAGE, "### Pins"), "Status", "Means")]
    assert_same("statuses", code=[*get_args(Status), "unusable", "gone"], page=listed)


def test_every_field_of_a_record_is_named() -> None:
    named = set(words(section(PAGE, "### Records")))
    assert set(CallRecord.__struct_encode_fields__) <= named
