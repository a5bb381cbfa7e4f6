"""A thousand agents write to one, durably: `python bench/fan_in.py [--json]`.

Every message begins outside: in each wave a client posts one message to every sender, in batches that are committed
before the next; the sender, a guest, sends one on to the receiver, which handles it. A message counts when the receiver
has settled it. What a commit finds waiting is written with fsync, so nearly everything posted is (`rows_per_message`).
`median` and `p99` are microseconds a message over windows of a tenth of a second; the work of posting and of the
sender's handler are in them.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

import uvloop
from harness import busy_cores, emit, machine, summary
from node import CLIENT, deploy_ring, pin, running_rooms, versions

from caxton.core.errors.error import CaxtonError
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.messages.codec import decode_message

if TYPE_CHECKING:
    from caxton.bus.mailbox import Receiver
    from caxton.server.rooms import Rooms

WINDOW_S = 0.1
WAVES = 4
"""Waves that may be committing at once."""
UNDER_WAY = 8000
"""Messages accepted and not yet with the receiver. Its mailbox takes 10,000: a sender that finds it full fails and is
tried again later, which is another game."""


def trigger(sender: int, body_bytes: int) -> bytes:
    """Makes `ring-<sender>` send one message to `ring-0`, as if the ring had one agent."""
    pad = "x" * max(body_bytes - 31, 0)
    text = f'{{"performative":"inform","receiver":"ring-{sender}","content":{{"hops":1,"ring":1,"pad":"{pad}"}}}}'
    return text.encode()


class Posting:
    """Clients that post wave after wave, together at most `UNDER_WAY` ahead of the receiver."""

    def __init__(self, rooms: Rooms, receiver: Receiver, triggers: list[bytes]) -> None:
        self._rooms, self._receiver, self._triggers = rooms, receiver, triggers
        self.accepted = 0

    async def run(self, until: float) -> None:
        while time.perf_counter() < until:
            if self.accepted - self._receiver.handled > UNDER_WAY - len(self._triggers):
                await asyncio.sleep(0)
                continue
            batch = [decode_message(data) for data in self._triggers]
            self.accepted += len(batch)
            receipts = await self._rooms.messages.post_batch(DEFAULT_WORKSPACE, CLIENT, batch)
            refused = next((receipt for receipt in receipts if isinstance(receipt, CaxtonError)), None)
            if refused is not None:
                raise SystemExit(f"not accepted: {refused}")


async def measure(*, senders: int, body_bytes: int, seconds: float) -> dict[str, object]:
    async with running_rooms() as rooms:
        await deploy_ring(rooms, senders + 1)
        triggers = [trigger(n, body_bytes) for n in range(1, senders + 1)]
        receiver = rooms.bus.names.directory(DEFAULT_WORKSPACE).receivers["ring-0"]
        until = time.perf_counter() + 1 + seconds
        posting = Posting(rooms, receiver, triggers)
        clients = asyncio.gather(*(posting.run(until) for _ in range(WAVES)))
        await asyncio.sleep(1.0)
        windows_ns: list[int] = []
        began, handled, rows = time.perf_counter_ns(), receiver.handled, rooms.journal.rows_written
        at, seen = began, handled
        while time.perf_counter() < until:
            await asyncio.sleep(WINDOW_S)
            now, count = time.perf_counter_ns(), receiver.handled
            windows_ns.append((now - at) // max(count - seen, 1))
            at, seen = now, count
        messages, elapsed_s = seen - handled, (at - began) / 1e9
        rows = rooms.journal.rows_written - rows
        await clients
        while rooms.bus.has_work:
            await asyncio.sleep(0.01)
        await rooms.journal.commit()
        if receiver.handled != posting.accepted or rooms.bus.failures:
            raise SystemExit(f"accepted {posting.accepted}, arrived {receiver.handled}, failed {rooms.bus.failures}")
        return {
            "name": "fan-in",
            **summary(windows_ns),
            "messages": messages,
            "messages_per_s": round(messages / elapsed_s),
            "rows_per_message": round(rows / messages, 2),
            "senders": senders,
            "body_bytes": body_bytes,
            "durability": "fsync",
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senders", type=int, default=1000)
    parser.add_argument("--body-bytes", type=int, default=256, help="of each message's content")
    parser.add_argument("--core", type=int, help="keep the whole process on this processor")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pinned = pin(options.core)
    busy = busy_cores(0.5)
    row = uvloop.run(measure(senders=options.senders, body_bytes=options.body_bytes, seconds=options.seconds))
    emit(row | {"pinned": pinned, "busy_cores": busy, "machine": machine(), "versions": versions()}, options.json)


if __name__ == "__main__":
    main()
