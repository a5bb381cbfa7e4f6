"""Which recorded handlings are run again, and in which order. Pure.

An instance's memory is what all its messages made of it, so each life is run from its start up to the last message that
is asked for, whoever's messages lie in between. Lives take turns as they did: by the time of each handling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.replay.file import Recording
    from caxton.replay.record import Handling


@dataclass(frozen=True, slots=True)
class Step:
    """One handling to run."""

    number: int
    """From 1, over all instances: what `--from` counts."""
    instance: int
    """Index of its recording."""
    handling: Handling
    is_wanted: bool
    """It belongs to what is asked for; others are run because of what they did to the memory."""


def plan(
    recordings: Sequence[Recording], *, conversation_id: str | None = None, message_id: str | None = None
) -> list[Step]:
    """The steps in their order; without a conversation or message everything that was recorded."""
    found: list[tuple[int, int, int, Handling, bool]] = []
    for instance, recording in enumerate(recordings):
        wanted = [is_wanted(handling, conversation_id, message_id) for handling in recording.handlings]
        last = max((n for n, is_one in enumerate(wanted) if is_one), default=-1)
        at_us = 0
        for n, handling in enumerate(recording.handlings[: last + 1]):
            at_us = max(at_us, handling.at_us)  # a clock that was set back changes no order within a life
            found.append((at_us, instance, n, handling, wanted[n]))
    found.sort(key=lambda one: one[:3])
    return [
        Step(number, instance, handling, is_one)
        for number, (_, instance, _, handling, is_one) in enumerate(found, start=1)
    ]


def is_wanted(handling: Handling, conversation_id: str | None, message_id: str | None) -> bool:
    """Whether a handling belongs to what is asked for."""
    if conversation_id is None and message_id is None:
        return True
    if message_id is not None and handling.message_id != message_id:
        return False
    return conversation_id is None or handling.conversation_id == conversation_id
