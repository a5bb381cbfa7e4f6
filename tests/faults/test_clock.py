"""Somebody sets the machine's clock while the server runs (S8): whatever goes by time that passes does not notice.

Each case is a random life of a node. It is lived twice, once with jumps of the clock and once without, and everything
that can be seen must be the same, to the microsecond.
"""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from caxton.bus.retention import KEEP_SETTLED_US
from caxton.core.errors.access import Unauthorized
from caxton.core.errors.messages import MessageIdConflict
from caxton.observe.time import SystemClock
from caxton.security.keys import load_or_create_key
from caxton.security.tokens import TokenVerifier, issue_token
from caxton.services.letter_purges import MAX_AGE_US
from caxton.testing.clock import ManualClock, ManualLoop
from caxton.testing.guests import guest
from caxton.testing.rooms import open_node
from tests.unit.bus.rig import Rig

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage

CASES = int(os.environ.get("FAULTS_CLOCK_CASES", "100"))
HOUR_S, DAY_S = 3600, 86_400
JUMPS_S = (HOUR_S, -HOUR_S, 3650 * DAY_S, -3650 * DAY_S)
WEEK_S = max(MAX_AGE_US, KEEP_SETTLED_US) / 1e6

Seen: TypeAlias = list[tuple[Any, ...]]


class Life:
    """A node with one agent, and all that happens to it."""

    def __init__(self, path: Path, clock: ManualClock, *, jumps: bool) -> None:
        self._rig, self._clock, self._jumps = Rig(path, clock), clock, jumps
        self._began = clock.monotonic()
        self.seen: Seen = []
        self._agent = self._rig.agent("a", self._handle, on_timer=self._fire)

    def _note(self, *what: Any) -> None:
        self.seen.append((round(self._clock.monotonic() - self._began, 6), *what))

    def _handle(self, turn: Turn, message: AclMessage) -> int:
        content = bytes(message.content)
        self._note("deliver", content, message.attempt)
        if b"timer" in content:
            turn.set_timer(int(content.split()[1]))
        return int(b"fail" in content)

    def _fire(self, _turn: Turn, timer_id: int) -> int:
        self._note("timer", timer_id)
        return 0

    async def step(self, chance: Random, n: int) -> None:
        rig = self._rig
        match chance.choice(("post", "post", "fail", "expire", "timer", "again", "wait", "long", "jump", "look")):
            case "post":
                rig.post("a", n)
            case "fail":
                rig.post("a", f"fail {n}")
            case "expire":
                self._rig.bus.queues.hold(self._agent.receiver)
                rig.post("a", n, ttl_ms=chance.randint(1, 20_000))
                await rig.later(chance.random() * 20)
                self._rig.bus.queues.let_go(self._agent.receiver, in_pump=False)
            case "timer":
                rig.post("a", f"timer {chance.randint(1, 20_000_000)} {n}")
            case "again":
                self._again(f"id-{chance.randint(0, 2)}", chance.randint(0, 3) > 0)
            case "wait":
                await rig.later(chance.choice((0.05, 0.3, 5.0, 70.0, 299.0)))
            case "long":
                await rig.later(chance.choice((HOUR_S, DAY_S, WEEK_S - HOUR_S, WEEK_S + HOUR_S)))
            case "jump":
                jump_s = chance.choice(JUMPS_S)
                if self._jumps:
                    self._clock.set_wall_us(self._clock.wall_us() + jump_s * 1_000_000)
            case _:
                await self._look()
        await rig.later(0)

    def _again(self, message_id: str, is_same: bool) -> None:
        try:
            self._rig.post("a", "same" if is_same else "other", message_id=message_id)
        except MessageIdConflict:
            self._note("conflict", message_id)
        else:
            self._note("post", message_id, self._rig.is_queued)

    async def _look(self) -> None:
        """What is kept, and what waits; committed, and with what is too old let go."""
        rig = self._rig
        await rig.answer(rig.letters.prune())
        await rig.commit()
        self._note("letters", *rig.rows("SELECT seq, reason, attempts FROM dead_letters ORDER BY seq"))
        rows = rig.rows("SELECT seq, settled_us IS NULL FROM messages ORDER BY seq")
        self._note("kept", rig.journal.kept.rows, *rows)
        self._note("receipts", *rig.rows("SELECT message_id, accepted_us FROM receipts ORDER BY accepted_us"))

    async def live(self, seed: int) -> Seen:
        chance = Random(seed)  # noqa: S311
        vars(self._rig.bus.redelivery)["_random"] = Random(seed)  # noqa: S311 - pauses of the same length in both
        for n in range(40):
            await self.step(chance, n)
        await self._look()
        self._rig.close()
        return self.seen


def lived(path: Path, seed: int, *, jumps: bool) -> Seen:
    clock = ManualClock()
    loop = ManualLoop(clock)

    async def live() -> Seen:
        return await Life(path, clock, jumps=jumps).live(seed)

    try:
        return loop.run_until_complete(live())
    finally:
        loop.close()


@pytest.mark.parametrize("seed", range(CASES))
def test_a_life_with_a_clock_that_jumps_is_the_same_as_one_without(tmp_path: Path, seed: int) -> None:
    without = lived(tmp_path / "without.db", seed, jumps=False)
    assert lived(tmp_path / "with.db", seed, jumps=True) == without


class SetClock(SystemClock):
    """The machine's, and somebody sets it."""

    jump_us = 0

    def wall_us(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().wall_us() + self.jump_us


@pytest.mark.parametrize("jump_s", JUMPS_S)
async def test_crashes_within_a_minute_are_counted_although_the_clock_jumps(
    tmp_path: Path, compiled_dir: Path, jump_s: int
) -> None:
    clock = SetClock()
    async with open_node(tmp_path / "node", compiled=compiled_dir, clock=clock) as node:
        await node.deploy("bad", guest("trap_unreachable"))
        await node.post("bad", 1)
        await node.wait_for_line("bad", "crashed", count=2)
        clock.jump_us = jump_s * 1_000_000
        await node.wait_for_status("bad", "failed")
        assert node.view("bad").restarts == 3


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_token_expires_by_the_time_of_day(tmp_path: Path, jump_s: int) -> None:
    clock = ManualClock()
    key = load_or_create_key(tmp_path)
    verifier = TokenVerifier([key], clock)
    token = issue_token(key, "me", ["admin"], now_s=clock.wall_us() // 1_000_000, lifetime_s=HOUR_S // 2)
    assert verifier.verify(token).name == "me"
    before = clock.wall_us()
    clock.set_wall_us(before + abs(jump_s) * 1_000_000)
    with pytest.raises(Unauthorized):
        verifier.verify(token)
    clock.set_wall_us(before)
    assert verifier.verify(token).name == "me"


def test_events_of_a_life_are_of_every_kind(tmp_path: Path) -> None:
    """The comparison compares something."""
    kinds = {entry[1] for seed in range(12) for entry in lived(tmp_path / f"{seed}.db", seed, jumps=True)}
    assert kinds == {"deliver", "timer", "post", "conflict", "letters", "kept", "receipts"}
