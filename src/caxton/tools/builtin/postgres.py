"""A few connections to a PostgreSQL, for tools that ask one thing at a time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from caxton.core.errors.values import InvalidValue
from caxton.tools.builtin.source import CannotCall

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

MAX_CONNECTIONS = 4
"""Of one source; who finds none waits for one."""
CONNECT_S = 5


def psycopg_for(option: str) -> Any:
    """The library. Raises `InvalidValue`: it is not installed."""
    try:
        import psycopg
    except ImportError:
        raise InvalidValue(option, "postgres", "install Caxton with its extra 'postgres'") from None
    return psycopg


class Connections:
    """Connections in autocommit mode. One that is given back in the middle of something, or broken, is closed."""

    def __init__(self, psycopg: Any, url: str, prepare: Callable[[Any], Awaitable[None]]) -> None:
        """Connects when it is first used; raises `InvalidValue`: the URL is none.

        Args:
            psycopg: the library.
            url: `postgresql://…` or keywords; may have a password, which is never repeated.
            prepare: called with each new connection; whatever it raises, the connection is closed.
        """
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise InvalidValue("url", "…", "write it like postgresql://USER@HOST:PORT/DATABASE") from None
        self._psycopg, self._url, self._prepare = psycopg, url, prepare
        self._idle: list[Any] = []
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[Any]:
        """A connection. Raises `CannotCall` instead of errors of the connection itself; others pass."""
        async with self._turns:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                yield connection
            except (self._psycopg.OperationalError, self._psycopg.InterfaceError) as exc:
                raise _unavailable(exc) from None
            finally:
                if connection.info.transaction_status == self._psycopg.pq.TransactionStatus.IDLE:
                    self._idle.append(connection)
                else:
                    await connection.close()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> Any:
        try:
            connection = await self._psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_S,
                prepare_threshold=None,
                application_name="caxton",
            )
        except (self._psycopg.Error, OSError) as exc:
            raise _unavailable(exc) from None
        try:
            await self._prepare(connection)
        except self._psycopg.Error as exc:
            await connection.close()
            raise _unavailable(exc) from None
        except BaseException:
            await connection.close()
            raise
        return connection


def _unavailable(exc: Exception) -> CannotCall:
    return CannotCall("unavailable", "PostgreSQL does not answer", cause=f"{type(exc).__name__}: {exc}")
