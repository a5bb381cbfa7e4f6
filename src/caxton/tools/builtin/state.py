"""The tool `state`: what agents of a workspace keep together, as JSON values under keys.

Where it is kept is behind the port `Store`, which knows bytes only. A value is kept as JSON with sorted names, so that
two values are equal if their bytes are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from caxton.tools.builtin.options import Options
from caxton.tools.builtin.source import BuiltinSource, BuiltinTool, CannotCall, ToolError, answer, arguments_schema
from caxton.tools.source import ToolInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from caxton.tools.source import Call, Result

MAX_KEY_CHARS = 512
MAX_VALUE_BYTES = 192 << 10
"""As JSON. An answer has it twice, and has to be within the cap of results."""
MAX_LISTED = 1000
"""Keys that one answer has; the next call goes on after the last."""
MAX_ENTRIES = 10_000_000
MAX_TOTAL_BYTES = 1 << 40
DEFAULT_ENTRIES = 100_000
DEFAULT_TOTAL_BYTES = 64 << 20


class StoreFull(Exception):
    """A space has as many entries or bytes as it may have; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Room:
    """What one space may hold."""

    entries: int = DEFAULT_ENTRIES
    size: int = DEFAULT_TOTAL_BYTES
    """Bytes of all keys and values."""


class Store(Protocol):
    """Entries by space and key. Implementations pass tests/contract/test_state_store.py.

    Each method happens as a whole or not at all; cancelled, it may have happened. Raises `CannotCall`: the store cannot
    be reached; what was asked may have happened.
    """

    async def get(self, space: str, key: bytes) -> bytes | None:
        """The value, if there is one."""
        ...

    async def set(self, space: str, key: bytes, value: bytes, room: Room) -> None:
        """Raises `StoreFull`."""
        ...

    async def delete(self, space: str, key: bytes) -> bool:
        """Whether it was there."""
        ...

    async def keys(self, space: str, prefix: bytes, after: bytes, limit: int) -> list[bytes]:
        """Keys with the prefix that are greater than `after`, in order of their bytes, at most `limit`."""
        ...

    async def compare_and_set(
        self, space: str, key: bytes, expected: bytes | None, value: bytes, call: str, room: Room
    ) -> bool:
        """Set it if its value is `expected`, or, without one, if it is not there; whether it was set.

        Also true if the last change of the key was by a `compare_and_set` with the same `call`: who repeats a call
        after a crash is told what the first one did. Empty: nobody repeats it. Raises `StoreFull`.
        """
        ...

    async def close(self) -> None:
        """May be called without ever having been used."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings:
    """Options of the tool."""

    store: str = "sqlite"
    """`sqlite`, `redis` or `postgres`."""
    url: str = ""
    """Of redis or PostgreSQL; may have a password, so it is never shown."""
    scope: str = "workspace"
    """Whether all agents of a workspace share the entries, or each `agent` has its own."""
    room: Room = Room()
    """What a scope may hold."""

    @staticmethod
    def parse(given: Mapping[str, Any]) -> StateSettings:
        """Raises `InvalidValue`."""
        options = Options(given)
        store = options.choice("store", "sqlite", ("sqlite", "redis", "postgres"))
        settings = StateSettings(
            store=store,
            url="" if store == "sqlite" else options.text("url", is_secret=True),
            scope=options.choice("scope", "workspace", ("workspace", "agent")),
            room=Room(
                entries=options.count("max_entries", DEFAULT_ENTRIES, MAX_ENTRIES),
                size=options.size("max_total", DEFAULT_TOTAL_BYTES, MAX_TOTAL_BYTES),
            ),
        )
        options.done()
        return settings


_KEY: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARS}
_BOOLEAN = {"type": "boolean"}
_GET = ToolInfo(
    name="get",
    description="The value under a key.",
    input_schema=arguments_schema(("key",), key=_KEY),
    output_schema=arguments_schema(("found",), found=_BOOLEAN, value={"description": "Absent if nothing was found"}),
    is_idempotent=True,
    is_read_only=True,
)
_SET = ToolInfo(
    name="set",
    description="Put a JSON value under a key, whatever was there.",
    input_schema=arguments_schema(("key", "value"), key=_KEY, value={}),
    output_schema=arguments_schema(),
    is_idempotent=True,
)
_DELETE = ToolInfo(
    name="delete",
    description="Remove a key and its value.",
    input_schema=arguments_schema(("key",), key=_KEY),
    output_schema=arguments_schema(("deleted",), deleted={**_BOOLEAN, "description": "Whether it was there"}),
    is_idempotent=True,
)
_LIST = ToolInfo(
    name="list",
    description="The keys that begin with a prefix, in order.",
    input_schema=arguments_schema(
        prefix={"type": "string", "maxLength": MAX_KEY_CHARS},
        limit={"type": "integer", "minimum": 1, "maximum": MAX_LISTED, "description": "100 if not given"},
        after={"type": "string", "maxLength": MAX_KEY_CHARS, "description": "Go on behind this key"},
    ),
    output_schema=arguments_schema(
        ("keys", "more"), keys={"type": "array", "items": {"type": "string"}}, more=_BOOLEAN
    ),
    is_idempotent=True,
    is_read_only=True,
)
_COMPARE_AND_SET = ToolInfo(
    name="compare_and_set",
    description="Put a value under a key if the one there is as expected; without 'expected', if there is none.",
    input_schema=arguments_schema(("key", "value"), key=_KEY, expected={}, value={}),
    output_schema=arguments_schema(),
)


def state_source(name: str, settings: StateSettings, directory: Path) -> BuiltinSource:
    """The tool with the store that is configured. Raises `InvalidValue`: the URL is none.

    Args:
        name: of the source.
        settings: its options.
        directory: where files of tools are; that of SQLite is `NAME.state.db`.
    """
    return state_over(name, open_store(settings, directory / f"{name}.state.db"), settings)


def open_store(settings: StateSettings, path: Path) -> Store:
    """The store that is configured; it is reached when it is first used. Raises `InvalidValue`."""
    # Whoever does not use redis or PostgreSQL need not have their libraries.
    if settings.store == "redis":
        from caxton.tools.builtin.state_redis import RedisStore

        return RedisStore(settings.url)
    if settings.store == "postgres":
        from caxton.tools.builtin.state_postgres import PostgresStore

        return PostgresStore(settings.url)
    from caxton.tools.builtin.state_sqlite import SqliteStore

    return SqliteStore(path)


def state_over(name: str, store: Store, settings: StateSettings) -> BuiltinSource:
    """The tool over a store, which it closes."""
    tools = _Tools(name, store, settings)
    table: tuple[tuple[ToolInfo, Callable[[Call], Awaitable[Result]]], ...] = (
        (_GET, tools.get), (_SET, tools.set), (_DELETE, tools.delete), (_LIST, tools.list),
        (_COMPARE_AND_SET, tools.compare_and_set),
    )  # fmt: skip
    return BuiltinSource(name, [BuiltinTool(info, run) for info, run in table], kind="state", close=store.close)


class _Tools:
    def __init__(self, name: str, store: Store, settings: StateSettings) -> None:
        self._name, self._store, self._settings = name, store, settings

    async def get(self, call: Call) -> Result:
        value = await self._store.get(self._space(call), _key(call))
        return answer({"found": False} if value is None else {"found": True, "value": msgspec.json.decode(value)})

    async def set(self, call: Call) -> Result:
        value = _value(call.arguments["value"])
        try:
            await self._store.set(self._space(call), _key(call), value, self._settings.room)
        except StoreFull:
            raise self._full() from None
        return answer({})

    async def delete(self, call: Call) -> Result:
        return answer({"deleted": await self._store.delete(self._space(call), _key(call))})

    async def list(self, call: Call) -> Result:
        given = call.arguments
        prefix, after, limit = _bytes(given.get("prefix", "")), _bytes(given.get("after", "")), given.get("limit", 100)
        keys = await self._store.keys(self._space(call), prefix, after, limit + 1)
        return answer({"keys": [key.decode() for key in keys[:limit]], "more": len(keys) > limit})

    async def compare_and_set(self, call: Call) -> Result:
        given = call.arguments
        expected = _value(given["expected"]) if "expected" in given else None
        try:
            is_set = await self._store.compare_and_set(
                self._space(call), _key(call), expected, _value(given["value"]), call.key, self._settings.room
            )
        except StoreFull:
            raise self._full() from None
        if not is_set:
            raise ToolError("conflict: the value is not the expected one; get it and try again")
        return answer({})

    def _space(self, call: Call) -> str:
        """Names have no slash."""
        space = f"{call.workspace}/{self._name}"
        return space if self._settings.scope == "workspace" else f"{space}/{call.agent}"

    def _full(self) -> ToolError:
        room = self._settings.room
        return ToolError(f"no room: {room.entries} entries and {room.size} bytes are the most; delete some")


def _key(call: Call) -> bytes:
    return _bytes(call.arguments["key"])


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise CannotCall("invalid", "a key is not Unicode") from None


def _value(value: object) -> bytes:
    try:
        data = msgspec.json.encode(value, order="deterministic")
    except (msgspec.MsgspecError, ValueError, OverflowError, TypeError, RecursionError):
        raise CannotCall("invalid", "a value is no JSON that can be kept") from None
    if len(data) > MAX_VALUE_BYTES:
        raise ToolError(f"too large: the value has {len(data)} bytes as JSON, {MAX_VALUE_BYTES} are the most")
    return data
