"""Compares what was seen outside with what is on disk: `python -m tests.faults.checker DIRECTORY`.

DIRECTORY has the lines of `history` and the server's `data`; no server may run on it. It knows nothing of the server
but its tables and the promises of docs/reference/messages.md, in the numbers of the delivery proofs:

I1 what was acknowledged is handled, pending or a dead letter; each is in one place, handled once, with all its effects.
I2 nothing is delivered that was not sent, or with another content, or to somebody else.
I3 first deliveries of a pair come in the order of sending, priority by priority; a repetition says so.
I4 the process ends only as it is documented to, and comes up again.
I10 every page and row is as it was written.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from caxton.core.errors.error import CaxtonError
from caxton.storage.verify import verify_file
from tests.faults.history import FAILED, FSYNC, REPLY, Deliver, History, Place, read

if TYPE_CHECKING:
    from collections.abc import Iterator

EXITS = (-9, 0, 74)
"""Killed; stopped; the disk failed."""


@dataclass(slots=True)
class Disk:
    """What a restart would find."""

    handled: dict[Place, int] = field(default_factory=dict[Place, int])
    """How often its effect is there."""
    fired: Counter[Place] = field(default_factory=Counter[Place])
    timers: Counter[Place] = field(default_factory=Counter[Place])
    """Timers that were set for a message and have not fired."""
    pending: Counter[Place] = field(default_factory=Counter[Place])
    dead: Counter[Place] = field(default_factory=Counter[Place])
    settled: Counter[Place] = field(default_factory=Counter[Place])
    problems: list[str] = field(default_factory=list[str])


def look(journal: Path) -> Disk:
    """Read a journal that no server has open."""
    disk = Disk()
    try:
        disk.problems = [str(finding) for finding in verify_file(journal, at_rest=True).findings]
    except CaxtonError as exc:
        disk.problems = [str(exc)]
        return disk
    connection: Any = apsw.Connection(str(journal), flags=apsw.SQLITE_OPEN_READONLY)
    with closing(connection):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        for receiver, body, settled_us in connection.execute("SELECT receiver, body, settled_us FROM messages"):
            _put(disk, disk.pending if settled_us is None else disk.settled, receiver, body)
        for receiver, body in connection.execute("SELECT receiver, body FROM dead_letters WHERE replayed_us IS NULL"):
            _put(disk, disk.dead, receiver, body)
        for agent, key, value in connection.execute("SELECT agent, key, value FROM kv"):
            name = key.decode()
            if name.startswith("timer:"):
                disk.timers[agent, value.decode()] += 1
            elif name.endswith("@"):
                disk.fired[agent, name[:-1]] += int(value)
            else:
                disk.handled[agent, name] = int(value)
    return disk


def _put(disk: Disk, where: Counter[Place], receiver: str, body: bytes) -> None:
    content: Any = msgspec.json.decode(body).get("content")
    if isinstance(content, dict) and not receiver.startswith("client:"):
        where[receiver, str(content["t"])] += 1  # pyright: ignore[reportUnknownArgumentType]


def check(history: History, disk: Disk) -> list[str]:
    """Every violation, in words; none if all is well."""
    return [
        *_lost(history, disk), *_places(disk), *_effects(history, disk), *_unsent(history), *_overtaken(history),
        *_repeated(history), *_ends(history), *(f"I10 {problem}" for problem in disk.problems),
    ]  # fmt: skip


def _lost(history: History, disk: Disk) -> Iterator[str]:
    attempts = {attempt.message_id: attempt for attempt in history.attempts}
    for ack in history.acks:
        attempt = attempts.get(ack.message_id)
        if attempt is None:
            yield f"I2 {ack.message_id} was acknowledged and never posted"
            continue
        token = attempt.content["t"]
        for agent in history.receivers(attempt.receiver):
            place = agent, token
            if ack.durability == FSYNC and not (place in disk.handled or disk.pending[place] or disk.dead[place]):
                yield f"I1 {token} to {agent} was acknowledged and is lost"
            if ack.durability == REPLY and place not in disk.handled:
                yield f"I1 the reply to {token} left {agent} before its commit"
            if ack.durability == FAILED and not (disk.dead[place] or disk.pending[place]):
                yield f"I1 {token} to {agent} was told to have failed and is no dead letter"


def _places(disk: Disk) -> Iterator[str]:
    for place in {*disk.handled, *disk.pending, *disk.dead}:
        count = (place in disk.handled) + disk.pending[place] + disk.dead[place]
        if count > 1:
            yield f"I1 {place} is in {count} places"
    for place, times in disk.handled.items():
        if times != 1:
            yield f"I1 {place} was handled {times} times"
    for place in disk.settled:
        if not (place in disk.handled or disk.dead[place] or disk.pending[place]):  # pending: a letter replayed
            yield f"I1 {place} is settled without its effect"


def _effects(history: History, disk: Disk) -> Iterator[str]:
    """What a handled message causes is there: the messages it sends, the timer it sets."""
    contents = {attempt.content["t"]: attempt.content for attempt in history.attempts}
    for agent, token in disk.handled:
        fate, kids, to = _content(contents, token)
        first, _, _ = to.partition("|")
        for n in range(kids):
            for receiver in history.receivers(first, agent):
                kid = receiver, f"{token}.{n}"
                if not (kid in disk.handled or disk.pending[kid] or disk.dead[kid]):
                    yield f"I1 {token} was handled by {agent}, and what it sent to {receiver} is lost"
        timers = disk.timers[agent, token] + disk.fired[agent, token]
        if timers != (fate == "timer"):
            yield f"I1 {token} was handled by {agent}, and {timers} timers of it are there"
    for place in {*disk.timers, *disk.fired}:
        if place not in disk.handled:
            yield f"I1 a timer of {place} is there, and it was not handled"


def _content(contents: dict[str, dict[str, Any]], token: str) -> tuple[str, int, str]:
    """(fate, kids, to) of any message: those that guests send follow from the one that a client did."""
    root, *generations = token.split(".")
    content = contents.get(root, {})
    fate, kids, to = content.get("fate", "ok"), content.get("kids", 0), content.get("to", "")
    for _ in generations:
        _, bar, to = to.partition("|")
        fate, kids = "ok", int(bool(bar))
    return fate, kids, to


def _unsent(history: History) -> Iterator[str]:
    posted = {(a.message_id, a.digest): a for a in reversed(history.attempts)}
    sent = {(s.agent, s.receiver, s.token, s.digest): s.at for s in reversed(history.sends)}
    for got in history.delivers:
        if got.sender.startswith("client:"):
            attempt = posted.get((got.message_id, got.digest))
            if attempt is None or attempt.at > got.at:
                yield f"I2 {got.agent} got {got.token}, which nobody posted so"
            elif "://" not in attempt.receiver and got.agent != attempt.receiver:
                yield f"I2 {got.agent} got {got.token}, which was for {attempt.receiver}"
            continue
        names = (got.agent, "topic://news/s1", "broadcast://all")
        times = [sent[key] for name in names if (key := (got.sender, name, got.token, got.digest)) in sent]
        if not times or min(times) > got.at:
            yield f"I2 {got.agent} got {got.token} from {got.sender}, which did not send it so"


def _overtaken(history: History) -> Iterator[str]:
    programs = {attempt.message_id: (attempt.client, attempt.n) for attempt in history.attempts}
    seen: set[tuple[str, str]] = set()
    last: dict[object, Deliver] = {}
    for got in history.delivers:
        if got.replayed or (got.agent, got.message_id) in seen:
            continue
        seen.add((got.agent, got.message_id))
        pair = got.run, got.sender, got.agent, got.priority
        if (before := last.get(pair)) is not None and before.seq > got.seq:
            yield f"I3 {got.agent} got {before.token} before {got.token}, which was accepted earlier"
        last[pair] = got
        client, n = programs.get(got.message_id, ("", 0))
        if client:
            pair = client, got.agent, got.priority
            before = last.get(pair)
            if before is not None and programs[before.message_id][1] > n:
                yield f"I3 {got.agent} got {before.token} before {got.token}, which its client posted earlier"
            last[pair] = got


def _repeated(history: History) -> Iterator[str]:
    posted: dict[str, list[int]] = defaultdict(list)
    for attempt in history.attempts:
        posted[attempt.message_id].append(attempt.at)
    acked = {ack.message_id: ack.at for ack in reversed(history.acks)}
    last: dict[object, Deliver] = {}
    for got in history.delivers:
        key = (got.agent, got.message_id, (got.run, got.seq) if got.replayed else 0)
        before = last.get(key)
        last[key] = got
        if before is None or got.attempt > (before.attempt if before.run == got.run else 1):
            continue  # over a crash the count may be the same again, if the disk was slow, but it is no first attempt
        # What a crash made vanish before anybody was told is a first delivery again, once its client posts it again.
        was_posted_again = any(before.at < at < got.at for at in posted[got.message_id])
        if before.run == got.run or not was_posted_again or acked.get(got.message_id, got.at) < before.at:
            yield f"I3 {got.agent} got {got.token} as attempt {before.attempt}, then as attempt {got.attempt}"


def _ends(history: History) -> Iterator[str]:
    for ended in history.exits:
        if ended.code not in EXITS:
            yield f"I4 run {ended.run} ended with {ended.code}"
    last = max((ready.run for ready in history.readies), default=0)
    for ended in history.exits:
        if ended.run > last:  # one that was killed before may be followed by one that comes up
            yield f"I4 run {ended.run} did not come up"


def main() -> int:
    """Exit code 1 if anything is wrong."""
    directory = Path(sys.argv[1])
    history, disk = read(directory), look(directory / "data" / "journal.db")
    violations = check(history, disk)
    for violation in violations:
        print(violation)  # noqa: T201 - that is what it is for
    figures = (len(history.acks), len(history.delivers), len(history.exits), len(violations))
    print("{} acknowledgements, {} deliveries, {} ends, {} violations".format(*figures))  # noqa: T201
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
