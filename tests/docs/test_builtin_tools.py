"""docs/reference/tools.md names every built-in tool, its arguments and its options, and no others."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from caxton.tools.builtin.clock import time_source
from caxton.tools.builtin.files import FilesSettings, files_source
from caxton.tools.builtin.sql import SqlSettings, sql_source
from caxton.tools.builtin.state import Room, StateSettings, state_source
from tests.docs.tables import assert_same, read_page, rows, section, word, words

PAGE = section(read_page("reference/tools.md"), "## Built-in tools")
SOURCES = {
    "state": state_source("state", StateSettings(), Path("nowhere")),
    "files": files_source("files", FilesSettings(path="nowhere", mode="rw")),
    "time": time_source("time", {}, lambda: 0),
    "sql": sql_source("sql", SqlSettings(sqlite="nowhere")),
}
OPTIONS = {
    "state": {"store", "url", "scope", "max_entries", "max_total"},
    "files": {field.name for field in fields(FilesSettings)},
    "sql": {field.name for field in fields(SqlSettings)},
}


@pytest.mark.parametrize("kind", ["state", "files"])
async def test_every_tool_of_a_table_has_its_line_with_its_arguments(kind: str) -> None:
    table = {word(row[0]): row for row in rows(section(PAGE, f"### `{kind}`"), "Tool")}
    tools = {info.name: info for info in await SOURCES[kind].list_tools()}
    assert_same("tools", code=tools, page=table)
    for name, info in tools.items():
        known = set(info.input_schema["properties"])
        assert known <= set(words(table[name][1]))


@pytest.mark.parametrize("kind", ["time", "sql"])
async def test_every_tool_without_a_table_is_named_with_its_arguments(kind: str) -> None:
    named = set(words(section(PAGE, f"### `{kind}`")))
    for info in await SOURCES[kind].list_tools():
        assert {info.name, *info.input_schema["properties"]} <= named


@pytest.mark.parametrize("kind", OPTIONS)
def test_every_option_has_its_line(kind: str) -> None:
    table = rows(section(PAGE, f"### `{kind}`"), "Option")
    assert_same("options", code=OPTIONS[kind], page=[name for row in table for name in words(row[0])])


def test_options_of_state_are_those_that_it_takes() -> None:
    given = {"store": "redis", "url": "redis://x", "scope": "agent", "max_entries": 2, "max_total": 3}
    assert set(given) == OPTIONS["state"]
    taken = StateSettings.parse(given)
    assert taken == StateSettings(store="redis", url="redis://x", scope="agent", room=Room(entries=2, size=3))
