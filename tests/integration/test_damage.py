"""Bits flip on the disk, files end early: it is harmless, or noticed and named; nothing altered is ever delivered.

A journal with mail, state and dead letters is damaged at one place, then opened as a node does: agents read their state
and are handed their mail. What they get must be what was sent.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from caxton.bus.recovery import load_mail, load_names, load_state, load_timers, load_topics
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.storage import JournalDamaged, JournalTooNew
from caxton.storage.verify import verify_file
from caxton.testing.clock import ManualClock, ManualLoop
from caxton.testing.handlers import say
from tests.unit.bus.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage

AGENTS = ("passes-on", "waits", "also-waits")
Mail = tuple[str, str, str, bytes]
"""Receiver, sender, message id, content."""


@dataclass
class Found:
    """What the agents of a node had from its journal."""

    mail: list[Mail] = field(default_factory=list[Mail])
    state: dict[tuple[str, bytes], bytes] = field(default_factory=dict[tuple[str, bytes], bytes])
    quarantined: int = 0
    dead: int = 0
    """Dead letters, those that opening it made included."""


async def fill(path: Path, clock: ManualClock) -> None:
    """Two agents that do not run have mail from a third, which has state; some of it only in the log."""
    rig = Rig(path, clock)

    def pass_on(turn: Turn, message: AclMessage) -> int:
        turn.kv_set(bytes(message.content)[:12], b"state of " + bytes(message.content)[:400])
        turn.set_timer(3_600_000_000)
        return min(turn.send(say(name, bytes(message.content).decode())) for name in AGENTS[1:])

    rig.agent(AGENTS[0], pass_on)
    for name in AGENTS[1:]:
        rig.receiver(name)
    rig.agent("fails", lambda _turn, _message: 1)
    for n in range(24):
        rig.post(AGENTS[0], f"{n:04} " + "päd " * (n * 11))
        rig.post("waits", f"directly {n}", conversation_id=f"c-{n}")
        if n % 6 == 0:
            rig.post("fails", n)
        rig.pump()
        await rig.later(1.0)
        await rig.commit()
        if n == 15:
            rig.database._connection.wal_checkpoint()  # pyright: ignore[reportPrivateUsage]
    rig.bus.timers.close()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{path}{suffix}.good")
    rig.close()


async def look(path: Path, clock: ManualClock) -> Found:
    """Open it as a node does."""
    rig = Rig(path, clock)
    found = Found()
    try:
        agents = {name: rig.receiver(name) for name in AGENTS}
        for name, agent in agents.items():
            load_state(rig.database, agent.receiver)
            found.state |= {(name, key): value for key, value in agent.receiver.kv.items()}
        load_names(rig.database, rig.bus)
        load_topics(rig.database, rig.bus)
        load_timers(rig.database, rig.bus)
        load_mail(rig.database, rig.bus)
        for name, agent in agents.items():

            def take(_turn: Turn, message: AclMessage, name: str = name) -> int:
                found.mail.append((name, message.sender, message.message_id, bytes(message.content)))
                return 0

            rig.start(agent, take)
        rig.pump()
        found.quarantined = rig.rows("SELECT count(*) FROM quarantine")[0][0]
        found.dead = rig.rows("SELECT count(*) FROM dead_letters")[0][0] + rig.bus.letters.count
    finally:
        rig.close()
    return found


def run(work: Callable[[Path, ManualClock], Any], path: Path) -> Any:
    clock = ManualClock()
    with asyncio.Runner(loop_factory=lambda: ManualLoop(clock)) as runner:
        return runner.run(work(path, clock))


@dataclass
class Journal:
    """A good journal, to be damaged again and again."""

    path: Path
    files: dict[str, bytes]
    good: Found

    def put(self, damaged: dict[str, bytes]) -> None:
        for old in self.path.parent.glob(f"{self.path.name}*"):
            old.unlink()
        for suffix, data in (self.files | damaged).items():
            self.path.with_name(f"{self.path.name}{suffix}").write_bytes(data)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    path = tmp_path / "journal.db"
    run(fill, path)
    files = {suffix: (tmp_path / f"journal.db{suffix}.good").read_bytes() for suffix in ("", "-wal")}
    made = Journal(tmp_path / "copy.db", files, Found())
    made.put({})
    made.good = run(look, made.path)
    assert len(made.good.mail) == 3 * 24 + 0
    assert len(made.good.state) == 24
    assert made.good.dead == 4
    assert min(map(len, files.values())) > 40_000
    return made


@dataclass
class Tally:
    """How the cases ended."""

    harmless: int = 0
    refused: int = 0
    quarantined: int = 0
    named: int = 0
    """By a verification, though the node went on."""
    earlier: int = 0
    """The end of the log is gone, as if the power had failed a little earlier."""
    unnoticed: list[str] = field(default_factory=list[str])


def damage(journal: Journal, damaged: dict[str, bytes], what: str, tally: Tally) -> None:
    journal.put(damaged)
    verdict = verdict_of(journal.path)
    journal.put(damaged)
    try:
        found: Found = run(look, journal.path)
    except CaxtonError as exc:
        if journal.path.name not in str(exc) and not isinstance(exc, JournalTooNew):
            raise AssertionError(f"{what}: the start was refused without naming the file") from exc
        tally.refused += 1
        return
    except Exception as exc:
        if verdict:  # the node's start turns it into JournalDamaged
            tally.refused += 1
            return
        raise AssertionError(f"{what}: a start failed and nobody could say why") from exc
    altered = set(found.mail) - set(journal.good.mail)
    assert not altered, f"{what}: delivered altered: {altered}"
    for key, value in found.state.items():
        assert journal.good.state.get(key) == value, f"{what}: altered state {key}"
    if found.quarantined:
        tally.quarantined += 1
    elif verdict:
        tally.named += 1
    elif found == journal.good:
        tally.harmless += 1
    elif "-wal" in damaged and is_beginning(found, journal.good):
        tally.earlier += 1
    else:
        tally.unnoticed.append(what)


def verdict_of(path: Path) -> bool:
    """Whether a verification finds anything."""
    try:
        return bool(verify_file(path, at_rest=True).findings)
    except JournalDamaged:
        return True


def is_beginning(found: Found, good: Found) -> bool:
    """Every receiver has the first of its mail, none later than what is missing."""
    for name in AGENTS:
        mine, whole = ([mail for mail in lists if mail[0] == name] for lists in (found.mail, good.mail))
        if mine != whole[: len(mine)]:
            return False
    return True


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def flips(journal: Journal, number: int, seed: int) -> Tally:
    chance, tally = random.Random(seed), Tally()  # noqa: S311
    for _ in range(number):
        suffix = chance.choice(("", "-wal"))
        data = journal.files[suffix]
        bit = chance.randrange(len(data) * 8)
        damage(journal, {suffix: flip(data, bit)}, f"bit {bit} of the file{suffix}, seed {seed}", tally)
    return tally


@pytest.mark.timeout(120)
def test_no_flipped_bit_alters_what_is_delivered_and_none_is_overlooked(journal: Journal) -> None:
    seed = random.randrange(2**32)  # noqa: S311
    tally = flips(journal, 200, seed)
    assert tally.unnoticed == []
    assert tally.refused + tally.quarantined + tally.named + tally.earlier + tally.harmless == 200
    assert tally.refused + tally.quarantined + tally.named >= 20, tally


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(20))
def test_no_flipped_bit_of_a_thousand_is_overlooked(journal: Journal, seed: int) -> None:
    assert flips(journal, 1000, seed).unnoticed == []


@pytest.mark.parametrize("suffix", ["", "-wal"], ids=["file", "log"])
def test_file_that_ends_early_alters_nothing(journal: Journal, suffix: str) -> None:
    chance, tally, data = random.Random(1), Tally(), journal.files[suffix]  # noqa: S311
    for _ in range(30):
        size = chance.randrange(len(data))
        damage(journal, {suffix: data[:size]}, f"the file{suffix} cut to {size} bytes", tally)
    assert tally.unnoticed == []
    assert (tally.earlier if suffix else tally.refused + tally.named) >= 10
