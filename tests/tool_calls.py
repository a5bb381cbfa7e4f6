"""Calls tools of a source as a broker does: arguments and results are held against their schemas."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import msgspec

from caxton.tools.source import Call, Failure, Result

if TYPE_CHECKING:
    from caxton.tools.source import Outcome, Source

PATIENCE_S = 20.0


def a_call(tool: str, arguments: dict[str, Any], **more: Any) -> Call:
    """One of the agent `a` of the workspace `default`."""
    given: dict[str, Any] = {
        "workspace": "default",
        "agent": "a",
        "key": "",
        "until": time.monotonic() + PATIENCE_S,
        **more,
    }
    return Call(tool=tool, arguments=arguments, **given)


async def outcome(source: Source, tool: str, /, **arguments: Any) -> Outcome:
    """What a call came to, which fits the schemas of the tool."""
    (info,) = [info for info in await source.list_tools() if info.name == tool]
    jsonschema_rs.validator_for(info.input_schema).validate(arguments)
    found = await outcome_of(source, a_call(tool, arguments))
    if isinstance(found, Result) and not found.is_error:
        assert info.output_schema is not None
        jsonschema_rs.validator_for(info.output_schema).validate(found.structured)
        assert msgspec.json.decode(found.content[0]["text"]) == found.structured
    return found


async def outcome_of(source: Source, call: Call) -> Outcome:
    """Wait for it if there is something to wait for."""
    found = source.call(call)
    return await found if inspect.isawaitable(found) else found


async def asked(source: Source, tool: str, /, **arguments: Any) -> dict[str, Any]:
    """What a tool answered."""
    found = await outcome(source, tool, **arguments)
    assert isinstance(found, Result), found
    assert not found.is_error, found.content
    assert found.structured is not None
    return found.structured


async def said(source: Source, tool: str, /, **arguments: Any) -> str:
    """The text of a tool that says it failed."""
    found = await outcome(source, tool, **arguments)
    assert isinstance(found, Result), found
    assert found.is_error
    return found.content[0]["text"]


async def trouble(source: Source, tool: str, /, **arguments: Any) -> str:
    """Why there was no answer."""
    found = await outcome(source, tool, **arguments)
    assert isinstance(found, Failure), found
    return found.trouble
