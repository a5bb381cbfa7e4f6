"""Calls of tools: what reaches them, what the guest gets, and what is recorded."""

from __future__ import annotations

import json
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from caxton.agents.tools import MAX_NAME_CHARS, MAX_UNKNOWN_PER_S, REASONS, NoTools, ToolDoor
from caxton.bus.directory import Directory
from caxton.bus.envelope import Envelope
from caxton.bus.flight import Flight
from caxton.bus.history import History
from caxton.bus.intake import Intake
from caxton.bus.mailbox import Mailbox, Receiver
from caxton.bus.turn import Exchange, Turn
from caxton.recorder.record import TOOL
from caxton.recorder.recorder import open_recorder
from caxton.sandbox.codes import INVALID, NOT_FOUND, TIMED_OUT
from caxton.testing.clock import ManualClock
from caxton.testing.handlers import FakeSupervisor
from caxton.tools.wanted import Pending as Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caxton.agents.tools import Tools
    from caxton.recorder.record import Record
    from caxton.sandbox.host import Pending
    from caxton.tools.wanted import Wanted


class SlowTools:
    """Every call takes five seconds; the database gives up then."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.calls: list[tuple[str, str, str, bytes]] = []
        self.keys: list[str] = []

    def call(self, wanted: Wanted, /) -> bytes | int:
        self.calls.append((wanted.workspace, wanted.agent, wanted.tool, wanted.arguments))
        self.keys.append(wanted.key)
        self._clock.advance(5)
        return TIMED_OUT if wanted.tool == "database_query" else b'{"rows": 3}'


class Guest:
    """An agent in the middle of a message, and what is recorded of it."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.recorder = open_recorder(directory, 2 << 20)
        self.slow = SlowTools(self.clock)
        self._flight = Flight(self.recorder, self.clock, History())
        bus = cast(
            "Exchange",
            SimpleNamespace(intake=Intake(), next_seq=count(1).__next__, id_prefix="x-", new_trace_id=lambda: "b" * 32),
        )
        self.turn = Turn(bus, Mailbox(Receiver(Directory("default"), "checker", FakeSupervisor()), 0))
        self.began_us = self.clock.wall_us()
        self.turn.begin(self.message(), self.began_us)
        self.clock.advance(1)

    def message(self, message_id: str = "m-7") -> Envelope:
        return Envelope(
            7,
            "default",
            "orders",
            "checker",
            message_id,
            "c-1",
            b"{}",
            self.began_us,
            attempt=3,
            trace=f"00-{'a' * 32}-",
        )

    def call(self, request: bytes, tools: Tools | None = None) -> bytes | int | Pending:
        """Through a door of its own."""
        return self.door(tools).call(self.turn, request)

    def door(self, tools: Tools | None = None) -> ToolDoor:
        return ToolDoor(self.slow if tools is None else tools, self._flight, self.clock)

    @property
    def recorded(self) -> list[Record]:
        self.recorder.flush()
        return self.recorder.recent()


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    made = Guest(tmp_path)
    yield made
    made.recorder.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"", b"null", b"[]", b"{}", b'{"tool": 5}', b'{"tool": ""}', b'{"tool": "a: b"}', b'{"tool": "\\u001b[2J"}',
        json.dumps({"tool": "x" * (MAX_NAME_CHARS + 1)}).encode(), b'{"tool": "\xff"}', b'{"tool": "x"',
    ],
)  # fmt: skip
async def test_what_names_no_tool_is_invalid_and_reaches_none(guest: Guest, request_: bytes) -> None:
    assert guest.call(request_) == INVALID
    assert (guest.slow.calls, guest.recorded) == ([], [])


async def test_without_tools_every_call_is_not_found_and_a_guest_in_a_loop_does_not_fill_the_recorder(
    guest: Guest,
) -> None:
    door = guest.door(NoTools())
    results = {door.call(guest.turn, b'{"tool": "database_query"}') for _ in range(MAX_UNKNOWN_PER_S + 50)}
    assert results == {NOT_FOUND}
    assert [one.detail for one in guest.recorded] == ["database_query: unknown tool"] * MAX_UNKNOWN_PER_S
    guest.clock.advance(1)
    door.call(guest.turn, b'{"tool": "database_query"}')
    assert len(guest.recorded) == MAX_UNKNOWN_PER_S + 1


async def test_result_comes_back_and_the_call_is_recorded_with_its_times_and_its_cause(guest: Guest) -> None:
    assert guest.call(b'{"tool": "stock", "arguments": {"sku": 4}}') == b'{"rows": 3}'
    assert guest.slow.calls == [("default", "checker", "stock", b'{"sku": 4}')]
    (one,) = guest.recorded
    assert (one.kind, one.sender, one.receiver, one.message_id, one.conversation_id) == (
        TOOL, "checker", "checker", "m-7", "c-1",
    )  # fmt: skip
    assert (one.tool, one.tool_error, one.attempt, one.trace) == ("stock", None, 3, f"00-{'a' * 32}-")
    assert (one.sent_us, one.handed_us, one.ended_us) == (
        guest.began_us, guest.began_us + 1_000_000, guest.began_us + 6_000_000,
    )  # fmt: skip


async def test_tool_that_gives_up_says_why(guest: Guest) -> None:
    assert guest.call(b'{"tool": "database_query"}') == TIMED_OUT
    assert guest.slow.calls[0][3] == b"{}"
    (one,) = guest.recorded
    assert (one.tool, one.tool_error) == ("database_query", "tool timeout")


async def test_repeated_call_of_the_same_message_has_the_same_key_and_another_has_another(guest: Guest) -> None:
    def keys_of_a_handling(message: Envelope | None) -> list[str]:
        guest.turn.begin(message, guest.clock.wall_us())
        guest.slow.keys.clear()
        for _ in range(2):
            guest.call(b'{"tool": "stock"}')
        guest.turn.release()
        return list(guest.slow.keys)

    first, second = keys_of_a_handling(guest.message()), keys_of_a_handling(guest.message())
    assert first == second
    found = [*first, *keys_of_a_handling(guest.message("m-8")), *keys_of_a_handling(None), *keys_of_a_handling(None)]
    assert len(set(found)) == len(found)


async def test_call_that_comes_back_later_is_recorded_then_and_before_anybody_hears_of_it(guest: Guest) -> None:
    pending = Waiting()

    class Later:
        def call(self, _wanted: Wanted, /) -> Waiting:
            return pending

    heard: list[int] = []
    assert guest.call(b'{"tool": "stock"}', Later()) is pending
    pending.when_done(lambda: heard.append(len(guest.recorded)))
    assert guest.recorded == []
    guest.clock.advance(3)
    pending.settle(TIMED_OUT)
    (one,) = guest.recorded
    assert (heard, one.tool_error, one.ended_us - one.handed_us) == ([1], "tool timeout", 3_000_000)


async def test_code_that_nobody_knows_is_told_as_it_is(guest: Guest) -> None:
    class Odd:
        def call(self, _wanted: Wanted, /) -> bytes | int:
            return -99

    assert -99 not in REASONS
    assert guest.call(b'{"tool": "odd"}', Odd()) == -99
    assert guest.recorded[0].tool_error == "error -99"


async def test_call_within_a_timer_belongs_to_no_message(guest: Guest) -> None:
    guest.turn.begin(None, guest.began_us)
    guest.call(b'{"tool": "stock"}')
    (one,) = guest.recorded
    assert (one.message_id, one.conversation_id, one.sent_us) == ("", None, guest.began_us)
