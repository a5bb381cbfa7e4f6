"""What an agent does while it starts: it happens once the agent is there, and not before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from caxton.bus.turn import MAX_TOPICS, Turn
from caxton.core.errors.agents import TooManyInstances
from caxton.sandbox.codes import OK, RATE_LIMITED
from caxton.testing.guests import example, guest
from caxton.testing.rooms import open_node, until

if TYPE_CHECKING:
    from pathlib import Path


async def test_answer_to_what_agent_init_asked_arrives(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path / "data", compiled=compiled_dir) as node:
        await node.deploy("echo", example("echo"))
        await node.deploy("asker", guest("asks_at_start"))
        await until(lambda: node.receiver("asker").kv == {b"answers": b"1"})


async def test_deployments_at_once_do_not_exceed_the_instances_allowed(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path / "data", compiled=compiled_dir, max_instances=10) as node:
        outcomes = await asyncio.gather(
            *(node.deploy(f"echo-{n}", example("echo"), replicas=4) for n in range(5)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, TooManyInstances)]
        assert (len(node.names()), len(refused)) == (2, 3)


async def test_more_topics_than_allowed_are_refused(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path / "data", compiled=compiled_dir) as node:
        await node.deploy("echo", example("echo"))
        turn = Turn(node.rooms.bus, node.receiver("echo").mailboxes[0])
        turn.begin(None, node.rooms.clock.wall_us())
        assert {turn.subscribe(f"topic-{n}".encode()) for n in range(MAX_TOPICS)} == {OK}
        assert turn.subscribe(b"one-more") == RATE_LIMITED
        assert turn.subscribe(b"topic-0") == OK  # it has that one already
        node.rooms.bus.apply(turn)
        turn.begin(None, node.rooms.clock.wall_us())
        assert (turn.subscribe(b"one-more"), turn.unsubscribe(b"topic-0")) == (RATE_LIMITED, OK)
