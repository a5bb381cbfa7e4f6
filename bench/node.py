"""A node for benches: all rooms on a throw-away directory, with the settings of a real server, no doors."""

from __future__ import annotations

import gc
import json
import os
import tempfile
from contextlib import asynccontextmanager
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

from caxton.core.errors.error import CaxtonError
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.agents import AgentSpec, Resources
from caxton.messages.codec import decode_posted
from caxton.security.principal import Principal
from caxton.server.tuning import tune_process
from caxton.server.wiring import build
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from caxton.server.rooms import Rooms

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CLIENT = Principal("bench", frozenset({"admin"}))
BATCH = 1000


def versions() -> dict[str, str]:
    """Of everything that the figures depend on."""
    return {"caxton": VERSION, "wasmtime": version("wasmtime"), "sqlite": apsw.sqlite_lib_version()}


@asynccontextmanager
async def running_rooms(**settings: Any) -> AsyncGenerator[Rooms]:
    """A node that is ready; gone with its data at the end. `settings` are those of `server.wiring.build`."""
    tune_process()
    with tempfile.TemporaryDirectory() as directory:
        rooms = build(
            Path(directory), cache_key=bytes(32), max_instances=10_500, on_storage_failure=_give_up, **settings
        )
        await rooms.start()
        try:
            yield rooms
            await rooms.drain()
        finally:
            rooms.close()


async def deploy(rooms: Rooms, example: str, name: str, *, replicas: int = 1) -> None:
    """Deploy `examples/EXAMPLE.wasm` without a limit on what it sends: that is what is measured."""
    spec = AgentSpec(name=name, replicas=replicas, resources=Resources(messages_per_s=10_000_000))
    await rooms.agents.deploy(DEFAULT_WORKSPACE, spec, (EXAMPLES / f"{example}.wasm").read_bytes())


async def deploy_ring(rooms: Rooms, size: int) -> None:
    """Agents `ring-0` to `ring-<size - 1>`, each passing messages on to the next."""
    for n in range(size):
        await deploy(rooms, "ring", f"ring-{n}")
    gc.collect()
    gc.freeze()


def ring_message(n: int, *, size: int, hops: int, body_bytes: int) -> bytes:
    """A message to `ring-<n>` that goes `hops` times further, its content padded to about `body_bytes`."""
    content = {"hops": hops, "ring": size, "pad": ""}
    content["pad"] = "x" * max(body_bytes - len(json.dumps(content)), 0)
    return json.dumps({"performative": "inform", "receiver": f"ring-{n % size}", "content": content}).encode()


async def post(rooms: Rooms, data: bytes) -> None:
    """Post one message, as a client outside would."""
    await rooms.messages.post(DEFAULT_WORKSPACE, CLIENT, decode_posted(data))


async def post_all(rooms: Rooms, messages: Iterable[bytes]) -> None:
    """Post many, a batch at a time; stops the bench unless all are accepted."""
    waiting = iter(messages)
    while batch := [decode_posted(data) for data in islice(waiting, BATCH)]:
        for receipt in await rooms.messages.post_batch(DEFAULT_WORKSPACE, CLIENT, batch):
            if isinstance(receipt, CaxtonError):
                raise SystemExit(f"not accepted: {receipt}")


def pin(core: int | None) -> str:
    """Keep this whole process, threads that are yet to come included, on one processor; what to print of it."""
    if core is None:
        return "any core"
    os.sched_setaffinity(0, {core})
    return f"core {core}, the journal's writer and the epoch's ticker too"


def _give_up(error: Exception) -> None:
    raise SystemExit(f"the journal failed: {error}")
