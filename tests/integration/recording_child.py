"""A node whose agents record, under load, to be killed. `python recording_child.py DIRECTORY COMPILED`

It tells on standard output which messages were acknowledged, a line each, written at once.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from caxton.testing.guests import example, guest
from caxton.testing.rooms import LocalNode, open_node

CLIENTS = 6


async def client(node: LocalNode, name: int) -> None:
    for n in itertools.count():
        reply = await node.ask(
            "counter", {"add": 1, "pad": "x" * (n % 7 * 5000)}, conversation_id=f"c-{os.getpid()}-{name}-{n}"
        )
        os.write(1, f"{reply['conversation_id']}\n".encode())
        await node.post("asker", n)


async def main() -> None:
    directory, compiled = Path(sys.argv[1]), Path(sys.argv[2])
    async with open_node(directory, compiled=compiled) as node:
        if not node.names():
            await node.deploy("sink", guest("sink"))
            await node.deploy("counter", example("counter"), replicas=2, record=True)
            await node.deploy("asker", guest("asks_all"), record=True)
        async with asyncio.TaskGroup() as tasks:
            for name in range(CLIENTS):
                tasks.create_task(client(node, name))


if __name__ == "__main__":
    asyncio.run(main())
