"""Counts what all agents together have and wait for, in steps: with 10,000 agents it must not hold up a message."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from caxton.agents.supervisor import Supervisor
    from caxton.bus.envelope import Envelope
    from caxton.bus.mailbox import Receiver

STEP = 250
"""Agents or mailboxes between two of which others have their turn: about 0.3 ms."""


@dataclass(slots=True)
class Census:
    """At about one moment: messages go on being handled while it is taken."""

    states: Counter[str] = field(default_factory=Counter[str])
    """Agents by their state."""
    circuits: Counter[str] = field(default_factory=Counter[str])
    """Agents by the state of their circuit breaker."""
    instances: int = 0
    memory_bytes: int = 0
    messages: int = 0
    """Accepted and not settled."""
    oldest_us: int | None = None
    """When the oldest of them was accepted; None if there is none."""


async def take_census(supervisors: Iterable[Supervisor], receivers: Iterable[Receiver]) -> Census:
    """Count agents and their mail; gives way after each `STEP`."""
    census = Census()
    for n, supervisor in enumerate(supervisors, 1):
        census.states[supervisor.state.phase] += 1
        census.circuits[supervisor.circuit.phase] += 1
        census.instances += supervisor.healthy
        census.memory_bytes += supervisor.memory_bytes
        if not n % STEP:
            await asyncio.sleep(0)
    for n, receiver in enumerate(receivers, 1):
        if receiver.messages:
            census.messages += receiver.messages
            for envelope in _first(receiver):
                if census.oldest_us is None or envelope.accepted_us < census.oldest_us:
                    census.oldest_us = envelope.accepted_us
        if not n % STEP:
            await asyncio.sleep(0)
    return census


def _first(receiver: Receiver) -> Iterator[Envelope]:
    """The foremost message of each queue of `receiver`, and those in hand: the oldest is among them."""
    queues: list[Iterable[Envelope]] = [receiver.held]
    for box in receiver.mailboxes:
        inbox = box.inbox
        queues += (inbox.lane, *inbox.others.values(), *inbox.paused.values())
        if box.busy and box.turn is not None and box.turn.envelope is not None:
            queues.append((box.turn.envelope,))
    for queue in queues:
        for envelope in queue:
            if envelope.timer_id < 0 and not envelope.settled_us:
                yield envelope
                break
