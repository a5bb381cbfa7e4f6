"""Memory of an idle guest with ten thousand of them in one process: `python bench/density.py [--json]`.

Every guest handles one message before it is counted, so its stack and its first pages are touched.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from pathlib import Path
from zlib import crc32

import msgspec
import uvloop
from harness import emit, machine
from node import CLIENT, deploy, running_rooms, versions

from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.messages.message import AclMessage

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


async def measure(guests: int) -> dict[str, object]:
    """Deploy, count, talk to each, count again."""
    async with running_rooms() as rooms:
        await deploy(rooms, "echo", "warm")
        before, maps = resident_bytes(), memory_maps()
        began = time.perf_counter()
        agents = max(guests // PER_AGENT, 1)
        for n in range(agents):
            await deploy(rooms, "echo", f"idle-{n}", replicas=guests // agents)
        deployed_s = time.perf_counter() - began
        untouched = resident_bytes()
        asked = 0
        for n in range(agents):
            receiver = rooms.bus.directory("default").receivers[f"idle-{n}"]
            for conversation_id in one_for_each_replica(len(receiver.mailboxes)):
                message = AclMessage(
                    performative="request",
                    receiver=receiver.name,
                    conversation_id=conversation_id,
                    content=msgspec.Raw(b'{"ping":1}'),
                )
                await rooms.messages.ask(DEFAULT_WORKSPACE, CLIENT, message, timeout_s=10)
                asked += 1
        handled = sum(box.handled == 1 for r in rooms.bus.receivers() for box in r.mailboxes)
        touched = resident_bytes()
        return {
            "name": "density",
            "unit": "KiB",
            "n": rooms.agents.instances - 1,
            "median": round((touched - before) / 1024 / (rooms.agents.instances - 1), 2),
            "p99": round((touched - before) / 1024 / (rooms.agents.instances - 1), 2),
            "before_first_message": round((untouched - before) / 1024 / (rooms.agents.instances - 1), 2),
            "asked": asked,
            "guests_that_answered": handled,
            "maps_each": round((memory_maps() - maps) / (rooms.agents.instances - 1), 2),
            "deployed_s": round(deployed_s, 2),
            "process_mib": round(touched / 2**20),
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
