"""A node under load, to be killed. `python crash_child.py DIRECTORY COMPILED load|finish`

It tells on standard output what it tries and what was acknowledged, a line each, written at once: what was written to
the pipe survives the process. `load` goes on until it is killed; `finish` lets all mail be handled and stops in order.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from caxton.testing.guests import example
from caxton.testing.rooms import open_node, until

if TYPE_CHECKING:
    from caxton.testing.rooms import LocalNode

CLIENTS = 8
RING = 3
TOKENS = 5
PAD = "x" * 40_000
"""Makes a commit take a while, so that the kill often falls into one."""


def tell(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def prepare(node: LocalNode) -> None:
    """The first time: agents, and tokens that go round among three of them for ever."""
    if node.names():
        return
    await node.deploy("counter", example("counter"))
    await node.deploy("pong", example("pong"))
    for n in range(RING):
        await node.deploy(f"ring-{n}", example("ring"), messages_per_s=1_000_000)
    for n in range(TOKENS):
        receipt = await node.post(f"ring-{n % RING}", {"hops": 10**9, "ring": RING, "token": n})
        tell("ack", "token", receipt.message_id)


async def client(node: LocalNode, name: int) -> None:
    for n in itertools.count():
        tell("try", name, n)
        if n % 4 == 3:
            reply = await node.ask("pong", {"ping": n})
            tell("reply", "pong", reply["message_id"])
        else:
            receipt = await node.post("counter", {"add": 1, "pad": PAD}, performative="request")
            tell("ack", "counter", receipt.message_id)


async def main() -> None:
    directory, compiled, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    async with open_node(directory, compiled=compiled) as node:
        await prepare(node)
        tell("ready")
        if mode == "load":
            await asyncio.gather(*(client(node, name) for name in range(CLIENTS)))
        await until(lambda: not node.receiver("counter").messages and not node.receiver("pong").messages)
        count = await node.ask("counter", {"get": True})
        tell("count", count["content"]["count"])
        await node.rooms.drain()


if __name__ == "__main__":
    asyncio.run(main())
