"""A node that starts with much mail (S9): all of it is handled, in order, and starting costs so many queries and rows.

How long a start with a million takes is measured by bench/start.py.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec

from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.messages import Receipt
from caxton.messages.codec import decode_message
from caxton.security.principal import Principal
from caxton.storage.database import Database
from caxton.testing.rooms import open_node, until
from tests.faults.history import FSYNC, Pen, digest
from tests.faults.load import AGENTS, copy, examine, finish

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from caxton.storage.database import Row
    from caxton.testing.rooms import LocalNode

PENDING = int(os.environ.get("FAULTS_PENDING", "10000"))
LETTERS = 1000
HANDLED = 2000
BATCH = 500
SENDERS = ("alice", "bob")


class Counter:
    """Counts the queries of this process, and the rows that they read."""

    def __init__(self) -> None:
        self.queries = self.rows = 0

    def counting(self) -> AbstractContextManager[Any]:
        real = Database.query

        def query(database: Database, sql: str, parameters: Row = ()) -> list[Row]:
            rows = real(database, sql, parameters)
            self.queries += 1
            self.rows += len(rows)
            return rows

        return mock.patch.object(Database, "query", query)


class Writer:
    """Posts from two senders in turn, and tells the checker."""

    def __init__(self, node: LocalNode, pen: Pen) -> None:
        self._node, self._pen, self._n = node, pen, 0

    async def post(self, count: int, **fields: Any) -> None:
        for start in range(0, count, BATCH):
            for sender in SENDERS:
                await self._post(sender, min(BATCH, count - start) // len(SENDERS), fields)

    async def _post(self, sender: str, count: int, fields: dict[str, Any]) -> None:
        messages: list[Any] = []
        for content in self._contents(count):
            n = int(content["t"].rpartition("-")[2])
            receiver, priority = AGENTS[n % len(AGENTS)], (4, 4, 4, 7)[n % 7 % 4]
            raw = msgspec.json.encode(content)
            message_id = f"id-{content['t']}"
            self._pen.write("attempt", sender, n, message_id, receiver, priority, content, digest(raw))
            body = {"performative": "inform", "receiver": receiver, "priority": priority, "message_id": message_id}
            messages.append(decode_message(msgspec.json.encode({**body, "content": content, **fields})))
        principal = Principal(sender, frozenset({"admin"}))
        for receipt in await self._node.messages.post_batch(DEFAULT_WORKSPACE, principal, messages):
            assert isinstance(receipt, Receipt)
            self._pen.write("ack", receipt.message_id, FSYNC)

    def _contents(self, count: int) -> Generator[dict[str, str]]:
        for _ in range(count):
            self._n += 1
            yield {"t": f"m-{self._n}", "fate": "ok"}


async def fill(place: Path) -> None:
    """So much state, so many letters and so much mail, and then a crash."""
    pen = Pen(place / "writer.lines")
    async with open_node(place / "data") as node:
        writer = Writer(node, pen)
        await writer.post(HANDLED)
        await node.wait_for_quiet()
        for name in AGENTS:
            await node.stop(name)
        await writer.post(LETTERS, ttl_ms=1)
        await until(lambda: node.rooms.bus.letters.count == LETTERS)
        await writer.post(PENDING)
    pen.close()


def test_node_with_much_mail_hands_over_all_of_it_in_order_and_starts_with_few_queries(
    tmp_path: Path, template: Path
) -> None:
    place = copy(template, tmp_path / "place")
    asyncio.run(fill(place))
    problems, _, disk = examine(place)
    assert problems == []
    assert (len(disk.pending), len(disk.dead), len(disk.handled)) == (PENDING, LETTERS, HANDLED)

    counter = Counter()
    with counter.counting():
        asyncio.run(start(place))
    assert counter.queries <= 20 + 2 * len(AGENTS)
    settled = HANDLED  # messages of clients that are kept to be asked for: number and size
    receipts = HANDLED + LETTERS + PENDING
    state = HANDLED
    assert counter.rows <= PENDING + settled + LETTERS + state + receipts + 50

    asyncio.run(finish(place, 1))
    problems, history, disk = examine(place)
    assert problems == []
    assert (len(disk.pending), len(disk.dead)) == (0, LETTERS)
    assert sum(got.token.startswith("m-") for got in history.delivers) == PENDING


async def start(place: Path) -> None:
    async with open_node(place / "data") as node:
        assert sum(receiver.messages for receiver in node.rooms.bus.names.receivers()) == PENDING
