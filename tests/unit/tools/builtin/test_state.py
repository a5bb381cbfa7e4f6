from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.errors.values import InvalidValue
from caxton.tools.builtin.state import MAX_VALUE_BYTES, StateSettings, state_source
from caxton.tools.source import Failure, Result
from tests.tool_calls import a_call, asked, outcome_of, said, trouble

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from caxton.tools.builtin.source import BuiltinSource


@pytest.fixture
async def source(tmp_path: Path) -> AsyncGenerator[BuiltinSource]:
    source = state_source("state", StateSettings.parse({}), tmp_path / "tools")
    yield source
    await source.close()


@pytest.mark.parametrize(
    "value", [None, True, 0, 1 << 70, -1.5, "", "ä\0", [], [1, [2]], {}, {"b": 1, "a": {"y": 1, "x": 2}}]
)
async def test_every_json_value_comes_back(source: BuiltinSource, value: Any) -> None:
    await asked(source, "set", key="k", value=value)
    assert await asked(source, "get", key="k") == {"found": True, "value": value}


async def test_what_is_not_there_is_found_to_be_not_there(source: BuiltinSource) -> None:
    assert await asked(source, "get", key="k") == {"found": False}
    assert await asked(source, "delete", key="k") == {"deleted": False}


async def test_objects_are_equal_whatever_the_order_of_their_names(source: BuiltinSource) -> None:
    await asked(source, "set", key="k", value={"a": 1, "b": 2})
    await asked(source, "compare_and_set", key="k", expected={"b": 2, "a": 1}, value=3)
    assert (await asked(source, "get", key="k"))["value"] == 3


async def test_compare_and_set_that_finds_something_else_is_a_conflict(source: BuiltinSource) -> None:
    assert "conflict" in await said(source, "compare_and_set", key="k", expected=None, value=1)
    await asked(source, "compare_and_set", key="k", value=None)
    assert "conflict" in await said(source, "compare_and_set", key="k", value=1)
    await asked(source, "compare_and_set", key="k", expected=None, value=1)


async def test_call_that_is_repeated_after_a_crash_is_told_the_same(source: BuiltinSource, tmp_path: Path) -> None:
    call = a_call("compare_and_set", {"key": "k", "value": 1}, key="c0ffee")
    first = await outcome_of(source, call)
    await source.close()
    again = state_source("state", StateSettings.parse({}), tmp_path / "tools")
    assert await outcome_of(again, call) == first
    assert isinstance(first, Result)
    assert not first.is_error
    await again.close()


async def test_keys_are_listed_by_prefix_and_in_pages(source: BuiltinSource) -> None:
    for key in ("a/1", "a/2", "a/3", "b"):
        await asked(source, "set", key=key, value=0)
    assert await asked(source, "list", prefix="a/", limit=2) == {"keys": ["a/1", "a/2"], "more": True}
    assert await asked(source, "list", prefix="a/", limit=2, after="a/2") == {"keys": ["a/3"], "more": False}
    assert (await asked(source, "list"))["keys"] == ["a/1", "a/2", "a/3", "b"]


async def test_workspaces_share_nothing_and_agents_what_they_are_to(tmp_path: Path) -> None:
    for scope, agent_sees in (("workspace", True), ("agent", False)):
        source = state_source(scope, StateSettings.parse({"scope": scope}), tmp_path)
        await asked(source, "set", key="k", value=1)
        for who, sees in (({"agent": "b"}, agent_sees), ({"workspace": "other"}, False), ({}, True)):
            found = await outcome_of(source, a_call("get", {"key": "k"}, **who))
            assert isinstance(found, Result)
            assert found.structured is not None
            assert found.structured["found"] is sees
        await source.close()


async def test_value_that_is_too_large_or_finds_no_room_is_an_error(tmp_path: Path) -> None:
    source = state_source("state", StateSettings.parse({"max_entries": 1, "max_total": "100B"}), tmp_path)
    assert "too large" in await said(source, "set", key="k", value="x" * MAX_VALUE_BYTES)
    assert "no room" in await said(source, "set", key="k", value="x" * 100)
    await asked(source, "set", key="k", value=1)
    assert "no room" in await said(source, "compare_and_set", key="l", value=1)
    await source.close()


async def test_text_that_is_no_unicode_is_invalid(source: BuiltinSource) -> None:
    for arguments in ({"key": "k", "value": "\ud800"}, {"key": "\ud800", "value": 1}):
        found = await outcome_of(source, a_call("set", arguments))
        assert isinstance(found, Failure)
        assert found.trouble == "invalid"


async def test_state_is_in_a_file_that_only_the_server_may_read_and_is_made_when_it_is_used(tmp_path: Path) -> None:
    source = state_source("state", StateSettings.parse({}), tmp_path / "tools")
    assert os.listdir(tmp_path) == []
    await asked(source, "set", key="k", value=1)
    assert (tmp_path / "tools" / "state.state.db").stat().st_mode & 0o777 == 0o600
    await source.close()


async def test_file_that_could_not_be_used_is_used_once_it_can(tmp_path: Path) -> None:
    (tmp_path / "tools").write_text("in the way")
    source = state_source("state", StateSettings.parse({}), tmp_path / "tools")
    for _ in range(2):
        assert await trouble(source, "set", key="k", value=1) == "unavailable"
    os.unlink(tmp_path / "tools")
    await asked(source, "set", key="k", value=1)
    await source.close()


@pytest.mark.parametrize(
    "options",
    [
        {"store": "mysql"}, {"store": "redis"}, {"store": "postgres", "url": ""}, {"scope": "all"}, {"max_entries": 0},
        {"typo": 1}, {"url": "redis://x"},
    ],
)  # fmt: skip
def test_options_that_will_not_do_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        StateSettings.parse(options)


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_url_that_is_none_is_refused_and_not_repeated(tmp_path: Path, store: str) -> None:
    settings = StateSettings.parse({"store": store, "url": "pass-word"})
    with pytest.raises(InvalidValue) as caught:
        state_source("state", settings, tmp_path)
    assert "pass-word" not in str(caught.value)
