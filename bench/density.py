"""Memory of an idle guest with ten thousand of them in one process: `python bench/density.py [--json]`.

Every guest handles one message before it is counted, so its stack and its first pages are touched.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec
import uvloop
from harness import emit, machine
from node import CLIENT, deploy, running_rooms, versions

from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.messages.message import AclMessage

if TYPE_CHECKING:
    from caxton.server.rooms import Rooms

PER_AGENT = 1000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


def memory_maps() -> int:
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("\n")


def one_for_each_replica(count: int) -> list[str]:
    """Conversation ids of which each goes to another of `count` replicas."""
    found: dict[int, str] = {}
    n = 0
    while len(found) < count:
        found.setdefault(crc32(f"c-{n}".encode()) % count, f"c-{n}")
        n += 1
    return list(found.values())


async def ask_each(rooms: Rooms, name: str) -> None:
    """Let every replica of an agent handle one message."""
    receiver = rooms.bus.names.directory(DEFAULT_WORKSPACE).receivers[name]
    for conversation_id in one_for_each_replica(len(receiver.mailboxes)):
        message = AclMessage(
            performative="request",
            receiver=name,
            conversation_id=conversation_id,
            content=msgspec.Raw(b'{"ping":1}'),
        )
        await rooms.messages.ask(DEFAULT_WORKSPACE, CLIENT, message, timeout_s=10)


async def measure(guests: int) -> dict[str, object]:
    """Deploy an agent of a thousand guests, count, talk to each, count again; and so on until all are there."""
    agents = max(guests // PER_AGENT, 1)
    each = guests // agents
    idle: list[float] = []
    touched: list[float] = []
    async with running_rooms() as rooms:
        await deploy(rooms, "echo", "warm")
        maps = memory_maps()
        for n in range(agents):
            before = resident_bytes()
            await deploy(rooms, "echo", f"idle-{n}", replicas=each)
            idle.append((resident_bytes() - before) / 1024 / each)
            await ask_each(rooms, f"idle-{n}")
            touched.append((resident_bytes() - before) / 1024 / each)
        held = rooms.agents.instances - 1
        return {
            "name": "density",
            "unit": "KiB",
            "n": held,
            "median": round(statistics.median(touched), 2),
            "p99": round(max(touched), 2),
            "samples": f"{agents} averages over {each} guests each; p99 is the largest of them",
            "before_first_message": round(statistics.median(idle), 2),
            "guests_that_answered": sum(box.handled == 1 for r in rooms.bus.names.receivers() for box in r.mailboxes),
            "maps_each": round((memory_maps() - maps) / held, 2),
            "process_mib": round(resident_bytes() / 2**20),
            "machine": machine(),
            "versions": versions(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    emit(uvloop.run(measure(options.guests)), options.json)


if __name__ == "__main__":
    main()
