"""A guarded agent on a real bus, whatever happens to it: no mail is lost, an open circuit never lets any through.

Whether a handling works, lasts or crashes is decided by the moment in which it is made, not by the message. So every
failure is the agent's, as a circuit breaker sees it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from caxton.bus.envelope import MAX_ATTEMPTS
from caxton.bus.turn import Turn
from caxton.core.errors.receivers import BulkheadFull, CircuitOpen
from caxton.testing.handlers import FakeCrash, FakeHandler
from tests.unit.agents.test_circuit import Guarded
from tests.unit.agents.test_circuit import settings as circuit_settings
from tests.unit.bus.rig import Rig
from tests.unit.loop_machine import LoopMachine

if TYPE_CHECKING:
    from caxton.bus.mailbox import Mailbox
    from caxton.messages.message import AclMessage
    from caxton.testing.handlers import Outcome

T = TypeVar("T")

MODES = ("works", "fails", "fails", "crashes", "lasts")
TIMEOUTS_S = (0.5, 5.0, 60.0)
WAITING = 3


class CircuitMachine(LoopMachine):
    """Rules are what may happen; invariants are what the manual promises."""

    def __init__(self) -> None:
        super().__init__()
        self.mode, self.posted, self.waiting = "fails", 0, 0
        self.probes = 1
        self.began: dict[FakeHandler, int] = {}
        """Handlings under way, with the generation in which each began."""
        self.first: dict[str, list[int]] = {}
        """Sender → its messages in the order of their first delivery."""
        self.rig, self.agent = self.run(self._make())

    async def _make(self) -> tuple[Rig, Guarded]:
        rig = Rig(Path(self.folder.name) / "journal.db", self.clock)
        agent = Guarded(rig, circuit_settings(waiting=WAITING), replicas=2)
        for box in agent.receiver.mailboxes:
            rig.bus.queues.open(box, self._handler(rig, box))
        return rig, agent

    # --- the agent ---------------------------------------------------------------------------------------------

    def _handler(self, rig: Rig, box: Mailbox) -> FakeHandler:
        def on_message(_turn: Turn, message: AclMessage) -> Outcome:
            self._check_may_begin()
            if message.attempt == 1:
                self.first.setdefault(message.sender, []).append(int(bytes(message.content)))
            return self._ended(handler, self._outcome())

        def on_resume(_turn: Turn) -> Outcome:
            return self._ended(handler, self._outcome())

        handler = FakeHandler(Turn(rig.bus, box), on_message, on_resume=on_resume)
        return handler

    def _outcome(self) -> Outcome:
        if self.mode == "lasts":
            return None
        return {"fails": 7, "crashes": FakeCrash()}.get(self.mode, 0)

    def _ended(self, handler: FakeHandler, outcome: Outcome) -> Outcome:
        if outcome is None:
            self.began.setdefault(handler, self._generation)
        else:
            self.began.pop(handler, None)
        return outcome

    @property
    def _generation(self) -> int:
        return self.agent.circuit._state.generation  # pyright: ignore[reportPrivateUsage]

    def _check_may_begin(self) -> None:
        assert self.agent.state != "open", "an open circuit handed a message over"
        if self.agent.state == "half_open":
            under_way = sum(generation == self._generation for generation in self.began.values())
            assert under_way < self.probes, "more probes under way than there may be"

    # --- rules -------------------------------------------------------------------------------------------------

    @rule(sender=st.sampled_from(["alice", "bob", "carol"]))
    def post(self, sender: str) -> None:
        async def act() -> None:
            self.rig.post("b", self.posted, sender=sender, conversation_id=sender)

        self.run(act())
        self.posted += 1

    @rule(mode=st.sampled_from(MODES))
    def becomes(self, mode: str) -> None:
        self.mode = mode

    @rule(turns=st.integers(1, 4))
    def pump(self, turns: int) -> None:
        async def act() -> None:
            for _ in range(turns):
                self.rig.bus.pump(0.0)

        self.run(act())

    @rule(seconds=st.sampled_from([0.1, 0.9, 5.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.run(self.rig.turn_loop())

    @rule()
    def reboot(self) -> None:
        """As a supervisor does with replicas that crashed."""

        async def act() -> None:
            for box in self.agent.receiver.mailboxes:
                if box.handler is None:
                    self.rig.bus.queues.open(box, self._handler(self.rig, box))

        self.run(act())

    @rule(
        threshold=st.sampled_from(["off", 1, 2, 4]), timeout=st.sampled_from(TIMEOUTS_S), probes=st.sampled_from([1, 2])
    )
    def configure(self, threshold: str | int, timeout: float, probes: int) -> None:
        async def act() -> None:
            definition = circuit_settings(threshold=threshold, timeout=timeout, probes=probes, waiting=WAITING)
            self.agent.circuit.configure(definition)

        self.probes = probes
        self.run(act())

    @rule()
    def renew(self) -> None:
        async def act() -> None:
            self.agent.circuit.renew()

        self.run(act())

    @rule()
    def caller_comes(self) -> None:
        async def act() -> None:
            try:
                self.agent.circuit.enter()
            except CircuitOpen:
                assert self.agent.state in ("open", "half_open")
            except BulkheadFull:
                assert self.waiting == WAITING
            else:
                assert self.agent.state != "open"
                self.waiting += 1

        self.run(act())

    @precondition(lambda self: self.waiting > 0)
    @rule()
    def caller_goes(self) -> None:
        self.agent.circuit.leave()
        self.waiting -= 1

    # --- invariants --------------------------------------------------------------------------------------------

    @invariant()
    def mail_is_counted_and_order_kept(self) -> None:
        bus, receiver = self.rig.bus, self.agent.receiver
        assert receiver.messages == self.posted - bus.settled - bus.letters.count
        for firsts in self.first.values():
            assert firsts == sorted(firsts)

    @invariant()
    def bus_is_told_what_the_circuit_says(self) -> None:
        receiver, view = self.agent.receiver, self.agent.circuit.view()
        if view.state in ("closed", "off"):
            assert not receiver.is_held
            assert receiver.is_watched == (view.failures > 0)
        else:
            assert receiver.is_watched
        if view.state == "open":
            assert receiver.is_held
            assert not any(box.is_open for box in receiver.mailboxes)
        assert (view.retry_at is not None) == (view.state == "open")

    @invariant()
    def callers_are_counted(self) -> None:
        assert self.agent.circuit.bulkhead_view().waiting == self.waiting <= WAITING

    def teardown(self) -> None:
        self.mode = "works"
        self.reboot()
        for _ in range(4):  # a pause between attempts, and a timeout, may be under way
            self.wait(60.0)
            for _ in range(5):
                self.pump(4)
            self.reboot()
        bus, receiver = self.rig.bus, self.agent.receiver
        assert receiver.messages == 0, "what waited while it was open is handled in the end"
        assert self.agent.state in ("closed", "half_open", "off")
        assert bus.failures >= MAX_ATTEMPTS * bus.letters.count, "no attempt was counted that was not made"
        self.agent.circuit.close()
        self.rig.close()
        super().teardown()


TestCircuit = CircuitMachine.TestCase
TestCircuit.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
