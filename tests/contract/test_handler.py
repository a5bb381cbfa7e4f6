"""What the bus relies on in whoever handles messages: the sandbox's guests, and the fake of the bus's own tests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import pytest

from caxton.agents.tools import NoTools, ToolDoor
from caxton.agents.wasm_runner import WasmRunner
from caxton.bus.bus import Bus
from caxton.bus.journal import Journal
from caxton.bus.mailbox import Mailbox, Receiver
from caxton.bus.turn import Turn
from caxton.logs.book import LogBook
from caxton.sandbox.engine import Engine
from caxton.sandbox.limits import Limits
from caxton.storage.database import Database
from caxton.testing.clock import ManualClock
from caxton.testing.guests import guest, load, to_end
from caxton.testing.handlers import FakeCrash, FakeHandler, FakeSupervisor, say

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from caxton.bus.handler import Handler
    from caxton.testing.handlers import Outcome


class Make(Protocol):
    """Makes a handler of one kind that behaves as its name says."""

    def __call__(self, behaviour: str) -> Handler: ...


GUESTS = {
    "does nothing": "sink",
    "sends": "forged_sender",
    "fails": "kv_then_fail",
    "crashes": "kv_then_trap",
    "takes long": "slow_cpu",
    "has a timer": "timer_guest",
}


def _send(turn: Turn) -> Outcome:
    return turn.send(say("sink", {"from": "admin"}))


def _half(turn: Turn, outcome: Outcome) -> Outcome:
    turn.kv_set(b"half", b"done")
    turn.send(say("sink"))
    return outcome


def fake(turn: Turn, behaviour: str) -> FakeHandler:
    def resumed(_turn: Turn) -> Outcome:
        return None if made.resumed % 2 else 0

    on_message: dict[str, Callable[[Turn], Outcome]] = {
        "does nothing": lambda _turn: 0,
        "sends": _send,
        "fails": lambda turn: _half(turn, 1),
        "crashes": lambda turn: _half(turn, FakeCrash(functions=["handle_message"])),
        "takes long": lambda _turn: None,
        "has a timer": lambda turn: 0 if turn.set_timer(10_000) > 0 else 1,
    }
    act = on_message[behaviour]
    made = FakeHandler(turn, lambda turn, _message: act(turn), lambda turn, _timer: _send(turn), resumed)
    return made


@contextmanager
def bus_on(path: Path) -> Generator[tuple[Bus, Mailbox, ManualClock]]:
    clock = ManualClock()
    database = Database(path)
    bus = Bus(Journal(database, clock, lambda _error: None), clock, lambda: None)
    for name in ("sink", "a"):
        bus.names.add(Receiver(bus.names.directory("default"), name, FakeSupervisor()))
    receiver = bus.names.directory("default").receivers["a"]
    yield bus, Mailbox(receiver, 0), clock
    database.close()


@pytest.fixture(params=["fake", "guest"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Make]:
    with bus_on(tmp_path / "journal.db") as (bus, box, clock):
        if request.param == "fake":
            yield lambda behaviour: fake(Turn(bus, box), behaviour)
            return
        engine = Engine()
        engine.hold_ticks()
        made: list[WasmRunner] = []

        def make_guest(behaviour: str) -> WasmRunner:
            module = load(engine, guest(GUESTS[behaviour]))
            runner = WasmRunner(
                module, Limits(), Turn(bus, box), LogBook(clock), clock, ToolDoor(NoTools(), bus.flight, clock)
            )
            made.append(runner)
            assert to_end(runner.boot()) == ""
            return runner

        yield make_guest
        for runner in made:
            runner.close()
        engine.close()


MESSAGE = say("a", 1)


def test_message_that_was_handled_is_answered_with_0(make: Make) -> None:
    handler = make("does nothing")
    for _ in range(3):
        handler.turn.begin(None, 0)
        assert handler.deliver(MESSAGE) == 0
        assert (handler.turn.sends, handler.turn.kv) == ([], {})


def test_effects_are_staged_in_the_turn_and_happen_nowhere_else(make: Make) -> None:
    handler = make("sends")
    handler.turn.begin(None, 5)
    assert handler.deliver(MESSAGE) == 0
    ((target, envelope),) = handler.turn.sends
    assert target is not None
    assert (target.name, envelope.sender, list(target.held)) == ("sink", "a", [])


def test_failure_is_another_number_and_leaves_releasing_to_the_bus(make: Make) -> None:
    handler = make("fails")
    handler.turn.begin(None, 0)
    assert handler.deliver(MESSAGE) == 1
    assert (len(handler.turn.sends), handler.turn.kv) == (1, {b"half": b"done"})


def test_crash_says_of_what_kind_it_is_why_and_where(make: Make) -> None:
    handler = make("crashes")
    handler.turn.begin(None, 0)
    crash = handler.deliver(MESSAGE)
    assert crash is not None
    assert not isinstance(crash, int)
    assert crash.kind
    assert crash.reason
    assert "handle_message" in crash.functions
    assert len(handler.turn.sends) == 1


def test_long_work_comes_back_unfinished_until_it_has_been_resumed_to_its_end(make: Make) -> None:
    handler = make("takes long")
    for _ in range(2):  # and then takes the next one
        handler.turn.begin(None, 0)
        outcome, slices = handler.deliver(MESSAGE), 0
        assert outcome is None
        while outcome is None:
            outcome = handler.resume()
            slices += 1
        assert outcome == 0
        assert slices > 1


def test_timer_is_handled_like_a_message(make: Make) -> None:
    handler = make("has a timer")
    handler.turn.begin(None, 0)
    assert handler.deliver(MESSAGE) == 0
    (timer_id,) = handler.turn.timers
    handler.turn.release()
    handler.turn.begin(None, 0)
    assert handler.fire(timer_id) == 0
    assert len(handler.turn.sends) == 1
