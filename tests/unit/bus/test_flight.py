"""What the bus tells the flight recorder: every message's life, before anybody outside hears of it."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from caxton.bus.envelope import MAX_ATTEMPTS
from caxton.bus.flight import MAX_REFUSALS_PER_S, SLOW_US
from caxton.bus.recovery import load_mail
from caxton.recorder.bodies import Bodies, open_shelf
from caxton.recorder.record import KINDS
from caxton.recorder.recorder import Recorder, open_recorder
from caxton.sandbox.codes import UNKNOWN_RECEIVER, WOULD_BLOCK
from caxton.testing.handlers import FakeCrash, say
from tests.unit.bus.rig import WORKSPACE, Caller, Rig

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from caxton.testing.clock import ManualClock


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    with closing(open_recorder(tmp_path / "recorder", 2 << 20)) as made:
        yield made


@pytest.fixture
async def rig(tmp_path: Path, clock: ManualClock, recorder: Recorder) -> AsyncGenerator[Rig]:
    made = Rig(tmp_path / "journal.db", clock, recorder=recorder)
    yield made
    made.close()


def told(recorder: Recorder) -> list[tuple[str, str, str, int, str | None]]:
    """Kind, sender, receiver, attempt, detail."""
    return [(KINDS[r.kind], r.sender, r.receiver, r.attempt, r.detail) for r in recorder.recent()]


async def test_effect_has_the_time_and_trace_of_its_cause(rig: Rig, recorder: Recorder) -> None:
    def pass_on(turn: Turn, _message: AclMessage) -> int:
        rig.clock.advance(0.25)
        return turn.send(say("b", 1, conversation_id="c"))

    rig.agent("a", pass_on)
    rig.agent("b")
    rig.post("a", 1, performative="request", conversation_id="c")
    rig.clock.advance(1)
    rig.pump()
    first, second = recorder.find(WORKSPACE, conversation_id="c")
    assert (first.performative, first.sender, first.receiver) == ("request", "client:admin", "a")
    assert (first.handed_us - first.sent_us, first.ended_us - first.handed_us) == (1_000_000, 250_000)
    assert (second.sender, second.sent_us) == (first.receiver, first.handed_us)
    assert first.trace[:3] == "00-"
    assert (second.trace, len(second.trace)) == (first.trace, 36)
    assert first.size > 50


async def test_record_is_there_before_the_reply_leaves(rig: Rig, recorder: Recorder) -> None:
    rig.agent("a", lambda turn, message: turn.send(say(message.sender, 2, in_reply_to=message.reply_with)))
    caller = Caller()
    rig.post("a", 1, caller=caller)
    rig.pump()
    assert not caller.has_heard
    assert [kind for kind, *_ in told(recorder)] == ["replied", "settled"]
    await rig.commit()
    assert caller.has_heard


async def test_failures_attempts_and_the_dead_letter_are_recorded_with_their_errors(
    rig: Rig, recorder: Recorder
) -> None:
    rig.agent("a", lambda _turn, _message: 7)
    rig.post("a", 1)
    rig.pump()
    for _ in range(MAX_ATTEMPTS):
        await rig.later(31)
    found = told(recorder)
    assert [(kind, attempt) for kind, _, _, attempt, _ in found] == [
        *(("failed", n) for n in range(1, MAX_ATTEMPTS + 1)), ("dead", MAX_ATTEMPTS),
    ]  # fmt: skip
    assert found[0][4] == "its handler returned 7"
    assert found[-1][4] == "failed: its handler returned 7"


async def test_trap_is_recorded_with_its_reason(rig: Rig, recorder: Recorder) -> None:
    rig.agent("a", lambda _turn, _message: FakeCrash(reason="it divided by zero"))
    rig.post("a", 1)
    rig.pump()
    await rig.turn_loop()
    assert [(kind, detail) for kind, *_, detail in told(recorder)] == [("crashed", "it divided by zero")]


async def test_message_without_receiver_and_sends_that_are_refused_are_recorded(rig: Rig, recorder: Recorder) -> None:
    rig.receiver("full", max_messages=1)
    rig.post("full", 1)
    results: list[int] = []

    def send(turn: Turn, _message: AclMessage) -> int:
        results.extend(turn.send(say(name, 1, conversation_id="c")) for name in ("full", "nobody"))
        return 0

    rig.agent("a", send)
    rig.post("a", 1)
    rig.pump()
    await rig.turn_loop()
    assert results == [WOULD_BLOCK, UNKNOWN_RECEIVER]
    refused = [record for record in told(recorder) if record[0] == "refused"]
    assert refused == [
        ("refused", "a", "full", 1, "WOULD_BLOCK"),
        ("refused", "a", "nobody", 1, "UNKNOWN_RECEIVER"),
    ]


async def test_flood_of_refusals_does_not_fill_the_ring(rig: Rig, recorder: Recorder) -> None:
    def flood(turn: Turn, _message: AclMessage) -> int:
        for _ in range(10 * MAX_REFUSALS_PER_S):
            turn.send(say("nobody", 1))
        return 0

    rig.agent("a", flood)
    rig.post("a", 1)
    rig.pump()
    await rig.turn_loop()
    assert sum(kind == "refused" for kind, *_ in told(recorder)) == MAX_REFUSALS_PER_S


async def test_timer_that_fired_is_recorded_as_one(rig: Rig, recorder: Recorder) -> None:
    rig.agent("a", lambda turn, _message: 0 if turn.set_timer(1_000_000) > 0 else 1, on_timer=lambda _turn, _id: 0)
    rig.post("a", 1)
    rig.pump()
    await rig.later(2)
    assert [record[:3] for record in told(recorder)] == [
        ("settled", "client:admin", "a"),
        ("timer", "a", "a"),
    ]


async def test_message_that_was_in_hand_at_a_crash_is_recorded_at_the_start(
    rig: Rig, recorder: Recorder, tmp_path: Path
) -> None:
    rig.receiver("a")
    rig.post("a", 1, conversation_id="c")
    await rig.commit()
    seq = rig.rows("SELECT seq FROM messages")[0][0]
    rig.close()
    again = Rig(tmp_path / "journal.db", rig.clock, recorder=recorder)
    again.receiver("a")
    load_mail(again.database, again.bus, frozenset({seq}))
    await again.turn_loop()
    assert [(KINDS[r.kind], r.conversation_id) for r in recorder.recent()] == [("lost", "c")]
    again.close()


async def test_message_that_waited_over_a_restart_has_its_own_time_and_trace(
    rig: Rig, recorder: Recorder, tmp_path: Path
) -> None:
    rig.receiver("a")
    sent = rig.post("a", 1, conversation_id="c")
    await rig.commit()
    rig.close()
    rig.clock.advance(60)
    again = Rig(tmp_path / "journal.db", rig.clock, recorder=recorder)
    agent = again.receiver("a")
    load_mail(again.database, again.bus)
    again.start(agent)
    again.pump()
    (record,) = recorder.find(WORKSPACE, conversation_id="c")
    assert record.sent_us == sent.timestamp <= record.handed_us - 60_000_000
    assert record.trace == (sent.traceparent or "")[:36] != ""
    again.close()


# --- bodies --------------------------------------------------------------------------------------------------------


@pytest.fixture
def bodies(rig: Rig, tmp_path: Path) -> Iterator[Bodies]:
    shelf = open_shelf(tmp_path / "recorder")
    assert shelf is not None
    with closing(Bodies(shelf, 1 << 20, rig.clock.monotonic, rig.bus.history.envelopes)) as made:
        rig.bus.flight.bodies = made
        yield made
        rig.bus.flight.bodies = None


def contents(bodies: Bodies, conversation: str) -> list[bytes]:
    written = threading.Event()
    bodies._shelf.when_written(written.set)  # pyright: ignore[reportPrivateUsage]
    assert written.wait(10)
    return [body for _, body in sorted(bodies.of(WORKSPACE, conversation).items())]


async def test_what_was_said_is_kept_by_conversation(rig: Rig, bodies: Bodies) -> None:
    rig.agent("a", lambda turn, message: turn.send(say(message.sender, 2, conversation_id="c")))
    rig.post("a", 1, conversation_id="c")
    rig.pump()
    first, second = contents(bodies, "c")
    assert b'"content":1' in first
    assert b'"content":2' in second


async def test_conversation_whose_handler_fails_or_is_slow_is_notable(rig: Rig, bodies: Bodies) -> None:
    def slow(_turn: Turn, _message: AclMessage) -> int:
        rig.clock.advance(SLOW_US / 1e6 + 0.001)
        return 0

    rig.agent("slow", slow)
    rig.agent("fails", lambda _turn, _message: 1)
    rig.agent("good")
    for name in ("slow", "fails", "good"):
        rig.post(name, 1, conversation_id=name)
    rig.pump()
    choice = bodies._choices[WORKSPACE]  # pyright: ignore[reportPrivateUsage]
    assert set(choice.notable) == {"slow", "fails"}
    assert set(choice.plain) == {"good"}
