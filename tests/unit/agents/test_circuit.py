"""An agent's circuit on a real bus and a real journal, in time that the test turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.agents.circuit import Circuit, CircuitCounts
from caxton.agents.definition import define
from caxton.bus.mailbox import Receiver
from caxton.core.errors.receivers import BulkheadFull, CircuitOpen
from caxton.core.views.agents import AgentSpec, Bulkhead, CircuitBreaker
from caxton.testing.handlers import FakeCrash, FakeSupervisor, say
from tests.unit.bus.conftest import anyio_backend, clock, rig
from tests.unit.bus.rig import WORKSPACE, Agent, Caller

if TYPE_CHECKING:
    from caxton.agents.definition import Definition
    from caxton.bus.handler import Crash
    from caxton.bus.mailbox import Mailbox
    from caxton.bus.turn import Turn
    from caxton.logs.line import Context
    from caxton.messages.message import AclMessage
    from caxton.testing.handlers import OnMessage, OnResume, Outcome
    from tests.unit.bus.rig import Rig

__all__ = ["anyio_backend", "clock", "rig"]

THRESHOLD, TIMEOUT_S = 3, 60.0
"""The timeout is longer than any pause between attempts."""


def settings(*, threshold: Any = THRESHOLD, timeout: Any = TIMEOUT_S, probes: int = 1, waiting: int = 2) -> Definition:
    breaker = CircuitBreaker(threshold=threshold, timeout=timeout, probes=probes)
    return define(AgentSpec(name="b", circuit_breaker=breaker, bulkhead=Bulkhead(max_waiting=waiting)))


class GuardedSupervisor(FakeSupervisor):
    """Passes on what the bus says, as `agents.supervisor` does."""

    circuit: Circuit

    def crashed(self, mailbox: Mailbox, crash: Crash) -> None:
        super().crashed(mailbox, crash)
        self.circuit.ended(mailbox, has_succeeded=False)

    def failed(self, mailbox: Mailbox, status: int) -> None:
        super().failed(mailbox, status)
        self.circuit.ended(mailbox, has_succeeded=False)

    def succeeded(self, mailbox: Mailbox) -> None:
        super().succeeded(mailbox)
        self.circuit.ended(mailbox, has_succeeded=True)

    def found_no_room(self, mailbox: Mailbox) -> None:
        super().found_no_room(mailbox)
        self.circuit.ended(mailbox, has_succeeded=None)

    def began(self, mailbox: Mailbox) -> None:
        super().began(mailbox)
        self.circuit.began(mailbox)


class Guarded(Agent):
    """An agent with a circuit. It fails as long as `is_broken`."""

    def __init__(
        self, rig: Rig, definition: Definition, *, replicas: int = 1, act: OnMessage | None = None,
        on_resume: OnResume | None = None,
    ) -> None:  # fmt: skip
        supervisor = GuardedSupervisor()
        receiver = Receiver(rig.bus.names.directory(WORKSPACE), "b", supervisor)
        super().__init__(receiver, supervisor)
        self.rig, self.said, self.counts, self.is_broken = rig, list[str](), CircuitCounts(), True
        self.said_of: list[str | None] = []
        """The messages that those lines are about."""
        self.circuit = supervisor.circuit = Circuit(
            receiver, rig.bus.queues, rig.clock, definition, self.counts, self._say
        )
        rig.bus.names.add(receiver)
        rig.start(self, act or self.act, replicas=replicas, on_resume=on_resume)

    def _say(self, _level: int, text: str, _replica: int, about: Context | None) -> None:
        self.said.append(text)
        self.said_of.append(about and about.message_id)

    def act(self, _turn: Turn, _message: AclMessage) -> Outcome:
        return 7 if self.is_broken else 0

    @property
    def state(self) -> str:
        return self.circuit.phase

    async def open_it(self) -> None:
        """Fail as often as it takes, on one message."""
        self.rig.post("b", "poison")
        self.rig.pump()
        while self.state == "closed":
            await self.rig.later(1)
        assert self.state == "open"


def attempts(agent: Agent) -> list[int]:
    return [message.attempt for handler in agent.handlers for message in handler.delivered]


# --- mail while it is open ---------------------------------------------------------------------------------------


async def test_agent_that_works_is_not_watched(rig: Rig) -> None:
    b = Guarded(rig, settings())
    b.is_broken = False
    for n in range(10):
        rig.post("b", n)
    rig.pump()
    assert (b.receiver.is_watched, b.supervisor.successes, b.contents) == (False, [], list(range(10)))


async def test_failures_in_a_row_open_it_and_a_success_between_starts_the_count_anew(rig: Rig) -> None:
    b = Guarded(rig, settings(), act=lambda _turn, message: 7 if bytes(message.content) == b'"bad"' else 0)
    for content in ("bad", "good", "bad", "good"):
        rig.post("b", content, conversation_id="c")
        rig.pump()
        await rig.later(0.01)
    await rig.later(1)
    assert b.state == "closed"
    assert b.circuit.view().failures < THRESHOLD


async def test_one_senders_poison_among_the_good_mail_of_others_never_opens_it(rig: Rig) -> None:
    b = Guarded(rig, settings(), act=lambda _turn, message: 7 if bytes(message.content) == b'"bad"' else 0)
    rig.post("b", "bad", sender="mallory")
    for n in range(60):
        rig.post("b", n, sender="alice")
        await rig.later(0.05)
    assert (b.state, b.said, len(b.supervisor.given_up)) == ("closed", [], 1)


async def test_mail_waits_untouched_while_it_is_open_and_no_attempt_is_burnt(rig: Rig) -> None:
    b = Guarded(rig, settings())
    await b.open_it()
    assert attempts(b) == [1, 2, 3]
    for n in range(20):
        rig.post("b", n)
    await rig.later(TIMEOUT_S - 0.1 - 1)
    await rig.later(1)
    assert (b.state, attempts(b), b.receiver.messages) == ("open", [1, 2, 3], 21)
    await rig.commit()
    assert len(rig.pending()) == 21
    assert rig.dead() == []
    b.is_broken = False
    await rig.later(0.2)
    assert (b.state, b.receiver.messages) == ("closed", 0)
    assert b.contents == ["poison"] * 4 + list(range(20)), "in the order in which it came"
    assert attempts(b) == [1, 2, 3, 4] + [1] * 20


async def test_probe_that_fails_opens_it_again_and_only_that_message_was_tried(rig: Rig) -> None:
    b = Guarded(rig, settings())
    await b.open_it()
    for n in range(5):
        rig.post("b", n)
    await rig.later(TIMEOUT_S)
    assert (b.state, attempts(b), b.contents) == ("open", [1, 2, 3, 4], ["poison"] * 4)
    assert b.circuit.view().failures == 4
    await rig.later(TIMEOUT_S - 1)
    assert attempts(b) == [1, 2, 3, 4]
    await rig.later(1)
    assert attempts(b) == [1, 2, 3, 4, 5]


async def test_mail_that_comes_while_it_is_half_open_is_the_probe(rig: Rig) -> None:
    b = Guarded(rig, settings(threshold=1))
    rig.post("b", 0, caller=Caller())  # is tried once
    rig.pump()
    assert (b.state, b.receiver.messages) == ("open", 0)
    await rig.later(TIMEOUT_S)
    assert b.state == "half_open", "nothing came that could be tried"
    b.is_broken = False
    rig.post("b", "at last")
    rig.pump()
    assert (b.state, b.contents[-1]) == ("closed", "at last")


async def test_all_probes_have_to_succeed_before_the_rest_follows(rig: Rig) -> None:
    good = {b'"poison"', b"0"}
    b = Guarded(rig, settings(probes=3))
    await b.open_it()
    for n in range(5):
        rig.post("b", n)
    b.handler.on_message = lambda _turn, message: 0 if bytes(message.content) in good else 7
    await rig.later(TIMEOUT_S)
    assert (b.state, b.contents[3:]) == ("open", ["poison", 0, 1])
    b.handler.on_message = lambda _turn, _message: 0
    await rig.later(TIMEOUT_S)
    assert (b.state, b.contents[6:]) == ("closed", [1, 2, 3, 4])


async def test_crashes_count_and_a_handler_that_is_made_again_gets_no_mail_while_it_is_open(rig: Rig) -> None:
    b = Guarded(rig, settings(threshold=1), act=lambda _turn, _message: FakeCrash())
    rig.post("b", 1)
    rig.pump()
    assert (b.state, b.contents) == ("open", [1])
    rig.start(b, lambda _turn, _message: 0)
    await rig.later(1)
    assert (b.state, b.contents) == ("open", [])
    await rig.later(TIMEOUT_S)
    assert (b.state, b.contents) == ("closed", [1])


async def test_only_one_of_several_replicas_is_tried_and_the_others_follow_when_it_succeeds(rig: Rig) -> None:
    """A probe that takes its time holds the other replicas back."""
    outcome: list[Outcome] = [None]
    b = Guarded(rig, settings(threshold=1), replicas=3, on_resume=lambda _turn: outcome[0])
    rig.post("b", "poison", conversation_id="c")
    rig.pump()
    assert b.state == "open"
    for handler in b.handlers:
        handler.on_message = lambda _turn, _message: None
    for n in range(9):
        rig.post("b", n, conversation_id=str(n))
    rig.clock.advance(TIMEOUT_S)
    await rig.turn_loop()
    for _ in range(5):
        rig.bus.pump(1.0)
    assert b.state == "half_open"
    assert sum(box.busy for box in b.receiver.mailboxes) == 1
    for handler in b.handlers:
        handler.on_message = lambda _turn, _message: 0
    outcome[0] = 0
    rig.pump()
    assert (b.state, b.receiver.messages) == ("closed", 0)


@pytest.mark.parametrize("phase", ["open", "half_open", "closed"])
@pytest.mark.parametrize("late", [0, 7])
async def test_what_was_in_hand_when_it_opened_changes_nothing_when_it_ends(rig: Rig, late: int, phase: str) -> None:
    outcome: list[Outcome] = [None]

    def act(_turn: Turn, message: AclMessage) -> Outcome:
        return {b'"slow"': None, b'"good"': 0}.get(bytes(message.content), 7)

    def pump() -> None:  # what is in hand never lets the bus come to rest
        for _ in range(5):
            rig.bus.pump(1.0)

    b = Guarded(rig, settings(threshold=1), replicas=2, act=act, on_resume=lambda _turn: outcome[0])
    rig.post("b", "slow", conversation_id="one")
    pump()
    rig.post("b", "bad", conversation_id="two", caller=Caller())  # is tried once
    pump()
    assert b.state == "open"
    if phase != "open":
        rig.clock.advance(TIMEOUT_S)
        await rig.turn_loop()
    if phase == "closed":
        rig.post("b", "good", conversation_id="two")
        pump()
    before = b.circuit.view()
    assert before.state == phase
    outcome[0] = late
    pump()
    assert not any(box.busy for box in b.receiver.mailboxes)
    assert b.circuit.view() == before


async def test_draining_mailboxes_stay_shut_when_the_timeout_passes(rig: Rig) -> None:
    """Whoever shut a mailbox opens it again, not the circuit."""
    b = Guarded(rig, settings())
    await b.open_it()
    rig.bus.queues.shut(b.receiver.mailboxes[0])
    b.is_broken = False
    await rig.later(TIMEOUT_S)
    assert (b.state, attempts(b)) == ("half_open", [1, 2, 3])
    rig.bus.queues.open(b.receiver.mailboxes[0], b.handler)
    rig.pump()
    assert (b.state, attempts(b)) == ("closed", [1, 2, 3, 4])


async def test_timers_of_the_agent_wait_as_well(rig: Rig) -> None:
    b = Guarded(rig, settings(threshold=1))
    turn = rig.boot_turn(b)
    assert turn.set_timer(1_000_000) > 0
    rig.bus.apply(turn)
    rig.post("b", "poison")
    rig.pump()
    await rig.later(5)
    assert (b.state, b.handler.fired) == ("open", [])
    b.is_broken = False
    await rig.later(TIMEOUT_S)
    assert (b.state, len(b.handler.fired)) == ("closed", 1)


async def test_other_agents_that_offer_the_same_take_over_while_it_is_open(rig: Rig) -> None:
    b, other = Guarded(rig, settings(threshold=1)), rig.agent("other")
    for agent in (b, other):
        agent.receiver.offer(deployed={"sorting": 50})
    rig.post("b", "poison")
    rig.pump()
    for n in range(4):
        rig.post("", n, capability="sorting")
    rig.pump()
    assert (b.contents, other.contents) == (["poison"], [0, 1, 2, 3])


# --- callers -----------------------------------------------------------------------------------------------------


async def test_who_would_wait_for_a_reply_is_refused_at_once_and_told_when_to_come_again(rig: Rig) -> None:
    b = Guarded(rig, settings(threshold=1))
    rig.post("b", 1)
    rig.pump()
    await rig.later(12.5)
    with pytest.raises(CircuitOpen) as caught:
        b.circuit.enter()
    assert caught.value.details() == {"name": "b", "failures": 1, "retry_after_s": TIMEOUT_S - 12.5}
    assert (b.circuit.bulkhead_view().waiting, b.counts.refused) == (0, {"CIRCUIT_OPEN": 1})


async def test_while_half_open_a_caller_gets_in_only_as_a_probe(rig: Rig) -> None:
    b = Guarded(rig, settings(threshold=1))
    b.circuit.enter()
    b.circuit.leave()
    rig.post("b", 1, caller=Caller())  # is tried once
    rig.pump()
    await rig.later(TIMEOUT_S)
    assert (b.state, b.receiver.messages) == ("half_open", 0)
    b.circuit.enter()
    rig.post("b", 2)  # not pumped yet
    with pytest.raises(CircuitOpen) as caught:
        b.circuit.enter()
    assert caught.value.retry_after_s == 0.0


async def test_one_caller_more_than_the_bulkhead_holds_is_refused_until_one_leaves(rig: Rig) -> None:
    b = Guarded(rig, settings(waiting=2))
    b.circuit.enter()
    b.circuit.enter()
    with pytest.raises(BulkheadFull) as caught:
        b.circuit.enter()
    assert caught.value.details() == {"name": "b", "max_waiting": 2}
    b.circuit.leave()
    b.circuit.enter()
    assert (b.circuit.bulkhead_view().waiting, b.counts.refused) == (2, {"BULKHEAD_FULL": 1})


# --- settings ----------------------------------------------------------------------------------------------------


async def test_shorter_timeout_holds_for_a_circuit_that_is_open_already(rig: Rig) -> None:
    b = Guarded(rig, settings(threshold=1, timeout="1h"))
    rig.post("b", 1)
    rig.pump()
    b.is_broken = False
    await rig.later(20)
    b.circuit.configure(settings(threshold=1, timeout="30s"))
    await rig.later(9.9)
    assert (b.state, attempts(b)) == ("open", [1])
    await rig.later(0.2)
    assert (b.state, attempts(b)) == ("closed", [1, 2])


@pytest.mark.parametrize("off", ["off", 0, False])
async def test_switched_off_it_lets_everything_through_at_once(rig: Rig, off: object) -> None:
    b = Guarded(rig, settings(threshold=1))
    rig.post("b", 1)
    rig.pump()
    b.is_broken = False
    await rig.later(1)
    b.circuit.configure(settings(threshold=off))
    rig.pump()
    assert (b.state, attempts(b), b.circuit.view().threshold) == ("off", [1, 2], 0)


async def test_switched_off_from_the_beginning_no_failure_opens_it(rig: Rig) -> None:
    b = Guarded(rig, settings(threshold="off"))
    for n in range(10):
        rig.post("b", n)
    for _ in range(20):
        await rig.later(1)
    assert (b.state, b.said, b.receiver.is_watched) == ("off", [], False)


async def test_new_instances_begin_with_a_closed_circuit_and_no_timer_of_the_old(rig: Rig) -> None:
    b = Guarded(rig, settings(threshold=1))
    rig.post("b", 1)
    rig.pump()
    b.circuit.renew()
    await rig.later(0.2)
    assert (b.state, attempts(b)) == ("open", [1, 2]), "closed, tried, and open again for the whole timeout"
    await rig.later(TIMEOUT_S - 0.2)
    assert attempts(b) == [1, 2]


# --- what is told ------------------------------------------------------------------------------------------------


async def test_every_turn_is_told_in_the_log_and_counted(rig: Rig) -> None:
    b = Guarded(rig, settings())
    await b.open_it()
    await rig.later(TIMEOUT_S)
    b.is_broken = False
    await rig.later(TIMEOUT_S)
    assert b.said == [
        "circuit open: 3 failures in a row; mail waits, callers are refused, next try in 1m",
        "circuit half-open: 1 let through to see whether it works again",
        "circuit open: the probe failed; mail waits, callers are refused, next try in 1m",
        "circuit half-open: 1 let through to see whether it works again",
        "circuit closed: it works again",
    ]
    poison = b.handlers[0].delivered[0].message_id
    assert b.said_of == [poison, None, poison, None, None]
    assert b.counts.transitions == {"open": 2, "half_open": 2, "closed": 1}


async def test_view_tells_the_state_and_when_it_is_tried_again(rig: Rig) -> None:
    b = Guarded(rig, settings(threshold=1))
    assert (b.circuit.view().state, b.circuit.view().retry_at) == ("closed", None)
    rig.post("b", 1)
    rig.pump()
    view = b.circuit.view()
    assert (view.state, view.failures, view.threshold, view.timeout_s, view.probes) == ("open", 1, 1, TIMEOUT_S, 1)
    at_opening = view.retry_at
    await rig.later(30)
    assert b.circuit.view().retry_at == at_opening == "2027-01-15T08:01:00.000+00:00"


async def test_probe_that_finds_no_room_says_nothing_and_the_next_try_is_a_probe_again(rig: Rig) -> None:
    def send_on(turn: Turn, _message: AclMessage) -> Outcome:
        return 7 if b.is_broken else None

    def go_on(turn: Turn) -> Outcome:
        return turn.send(say("full", 1))

    b = Guarded(rig, settings(), act=send_on, on_resume=go_on)
    full = rig.receiver("full", max_messages=1)
    rig.post("full", 0)
    await b.open_it()
    b.is_broken = False
    await rig.later(TIMEOUT_S)  # the probe lasts longer than a slice, and ends without room
    assert (b.state, b.receiver.is_held) == ("half_open", False)
    rig.start(full)
    await rig.later(30)
    assert (b.state, full.contents, b.receiver.messages) == ("closed", [0, 1], 0)
