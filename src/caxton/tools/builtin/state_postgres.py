"""State in PostgreSQL: two tables, which it makes if they are not there.

Each method is one transaction; those that change a space wait for each other at its row in `caxton_spaces`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caxton.tools.builtin.postgres import Connections, psycopg_for
from caxton.tools.builtin.state import StoreFull
from caxton.tools.builtin.state_sqlite import above

if TYPE_CHECKING:
    from caxton.tools.builtin.state import Room

_LOCK = 0x0CA8_7057
"""Of PostgreSQL's advisory locks: two servers that make the tables at once would fail."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS caxton_spaces (space text PRIMARY KEY, entries bigint NOT NULL, size bigint NOT NULL)",
    """CREATE TABLE IF NOT EXISTS caxton_entries (space text NOT NULL, key bytea NOT NULL, value bytea NOT NULL,
    call text NOT NULL, PRIMARY KEY (space, key))""",
)


class PostgresStore:
    """See the module."""

    def __init__(self, url: str) -> None:
        """Connects when it is first used. Raises `InvalidValue`: the URL is none, or psycopg is not installed."""
        self._connections = Connections(psycopg_for("store"), url, _make_tables)

    async def get(self, space: str, key: bytes) -> bytes | None:
        async with self._connections.one() as connection:
            return (await _get(connection, space, key))[0]

    async def set(self, space: str, key: bytes, value: bytes, room: Room) -> None:
        async with self._connections.one() as connection, connection.transaction():
            used = await _lock(connection, space)
            await _set(connection, used, (space, key, value, ""), room)

    async def delete(self, space: str, key: bytes) -> bool:
        async with self._connections.one() as connection, connection.transaction():
            await _lock(connection, space)
            gone = await connection.execute(
                "DELETE FROM caxton_entries WHERE space = %s AND key = %s RETURNING octet_length(value)", (space, key)
            )
            if (row := await gone.fetchone()) is None:
                return False
            await _count(connection, space, -1, -len(key) - row[0])
            return True

    async def keys(self, space: str, prefix: bytes, after: bytes, limit: int) -> list[bytes]:
        end = above(prefix)
        async with self._connections.one() as connection:
            found = await connection.execute(
                "SELECT key FROM caxton_entries WHERE space = %s AND key >= %s AND key > %s "
                "AND (%s::bytea IS NULL OR key < %s) ORDER BY key LIMIT %s",
                (space, prefix, after, end, end, limit),
            )
            return [bytes(key) for (key,) in await found.fetchall()]

    async def compare_and_set(
        self, space: str, key: bytes, expected: bytes | None, value: bytes, call: str, room: Room
    ) -> bool:
        async with self._connections.one() as connection, connection.transaction():
            used = await _lock(connection, space)
            found, last = await _get(connection, space, key)
            if call and last == call:
                return True
            if found != expected:
                return False
            await _set(connection, used, (space, key, value, call), room)
            return True

    async def close(self) -> None:
        await self._connections.close()


async def _make_tables(connection: Any) -> None:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for statement in _SCHEMA:
            await connection.execute(statement)


async def _lock(connection: Any, space: str) -> tuple[int, int]:
    """Entries and bytes of the space, which nobody else changes until the transaction ends."""
    found = await connection.execute(
        "INSERT INTO caxton_spaces VALUES (%s, 0, 0) ON CONFLICT (space) DO UPDATE SET entries = caxton_spaces.entries "
        "RETURNING entries, size",
        (space,),
    )
    return await found.fetchone()


async def _get(connection: Any, space: str, key: bytes) -> tuple[bytes | None, str]:
    """The value and the call that set it."""
    found = await connection.execute(
        "SELECT value, call FROM caxton_entries WHERE space = %s AND key = %s", (space, key)
    )
    row = await found.fetchone()
    return (None, "") if row is None else (bytes(row[0]), row[1])


async def _set(connection: Any, used: tuple[int, int], row: tuple[str, bytes, bytes, str], room: Room) -> None:
    space, key, value, _ = row
    old = (await _get(connection, space, key))[0]
    entries, size = (1, len(key) + len(value)) if old is None else (0, len(value) - len(old))
    if (entries and used[0] >= room.entries) or (size > 0 and used[1] + size > room.size):
        raise StoreFull
    await connection.execute(
        "INSERT INTO caxton_entries VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, call = excluded.call",
        row,
    )
    await _count(connection, space, entries, size)


async def _count(connection: Any, space: str, entries: int, size: int) -> None:
    await connection.execute(
        "UPDATE caxton_spaces SET entries = entries + %s, size = size + %s WHERE space = %s", (entries, size, space)
    )
