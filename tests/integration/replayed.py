"""Agents that record, and their recordings run again: what the tests of replays have in common."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.recordings import RecordingFilter
from caxton.replay.file import read
from caxton.replay.plan import plan
from caxton.replay.session import Session
from caxton.sandbox.engine import Engine
from caxton.testing.guests import load
from caxton.testing.rooms import LocalNode

if TYPE_CHECKING:
    from collections.abc import Generator

    from caxton.core.views.agents import AgentView
    from caxton.core.views.recordings import RecordingPage
    from caxton.replay.file import Recording
    from caxton.replay.plan import Step
    from caxton.replay.player import Played
    from caxton.sandbox.module import Module


class RecordedNode(LocalNode):
    """Every agent that is deployed here records."""

    async def deploy(self, name: str, wasm: bytes, *, replicas: int = 1, **resources: Any) -> AgentView:
        return await super().deploy(name, wasm, replicas=replicas, **{"record": True, **resources})


async def recorded(node: LocalNode, **wanted: Any) -> tuple[RecordingPage, list[Recording]]:
    """What the node has recorded of an agent, a conversation or a message."""
    service = node.rooms.recording_service
    page = await service.list(DEFAULT_WORKSPACE, RecordingFilter(**wanted), limit=10_000)
    return page, [read(await service.read(DEFAULT_WORKSPACE, view.id), view.id) for view in page.recordings]


class Replayer:
    """Runs recordings in an engine of its own; modules are compiled once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._modules: dict[str, Module] = {}

    def module(self, wasm: bytes) -> Module:
        sha256 = hashlib.sha256(wasm).hexdigest()
        if sha256 not in self._modules:
            self._modules[sha256] = load(self.engine, wasm)
            self._modules[sha256].sha256 = sha256
        return self._modules[sha256]

    def close(self) -> None:
        for module in self._modules.values():
            module.close()
        self.engine.close()

    def run(
        self,
        recordings: list[Recording],
        *modules: bytes,
        against: bytes | None = None,
        fork_at: int | None = None,
        body: bytes | None = None,
        conversation_id: str | None = None,
        message_id: str | None = None,
    ) -> list[tuple[Step, Played | None]]:
        """All steps up to the first that diverges."""
        known = {(module := self.module(wasm)).sha256: module for wasm in modules}
        new = None if against is None else self.module(against)
        done: list[tuple[Step, Played | None]] = []
        with Session(self.engine, recordings, known, against=new, fork_at=fork_at, body=body) as session:
            for step in plan(recordings, conversation_id=conversation_id, message_id=message_id):
                played = session.run(step)
                done.append((step, played))
                if played is not None and played.divergence is not None:
                    break
        return done

    def same(
        self,
        recordings: list[Recording],
        *modules: bytes,
        conversation_id: str | None = None,
        message_id: str | None = None,
    ) -> int:
        """Every step did what was recorded; how many."""
        done = self.run(recordings, *modules, conversation_id=conversation_id, message_id=message_id)
        for step, played in done:
            assert played is not None
            assert played.divergence is None, (step.number, played.divergence)
        assert len(done) == len(plan(recordings, conversation_id=conversation_id, message_id=message_id)) > 0
        return len(done)


@contextmanager
def replayer() -> Generator[Replayer]:
    found = Replayer(Engine())
    try:
        yield found
    finally:
        found.close()
