"""`df`, the directory facilitator: agents register what they can do, and find each other by it.

It is the yellow pages of FIPA's agent management (SC00023K, 2004), with JSON as its content language. Registrations are
its key-value state, and routing by capability goes by them; they end with their lease, or with their agent. It also
answers for those who asked for a capability that nobody offers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.bus.capabilities import health_word, load
from caxton.bus.turn import Turn
from caxton.core.errors.values import InvalidName
from caxton.core.ids import (
    DEFAULT_CAPABILITY_PRIORITY,
    DEFAULT_WORKSPACE,
    FACILITATOR,
    MAX_CAPABILITY_PRIORITY,
    parse_capability,
)
from caxton.natives.desk import FAILURE, REFUSE, Desk, Done, Refusal, invalid
from caxton.natives.native import answer
from caxton.natives.registrations import Registration, Registrations, has, key_of
from caxton.sandbox.codes import OK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caxton.bus.bus import Bus
    from caxton.bus.mailbox import Receiver
    from caxton.messages.message import AclMessage

MAX_REGISTRATIONS = 100
"""Of one agent, as many as it may be deployed with."""

MAX_PROPERTIES_BYTES = 4096
"""Of one registration, as JSON: enough to be found by, and more belongs into a message."""

MAX_NAME_CHARS = 64
MAX_RESULTS = 100
MAX_LOOKED_AT = 1000
"""Offers that one search looks at: about a millisecond, in which nobody else has a turn."""

MAX_LEASE_S = 366 * 86_400
LEASE_STEP_US = 1_000_000
"""Leases are looked at once a second at most, so that very many of them hold up nobody."""


class Offered(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is registered."""

    name: str
    priority: int = DEFAULT_CAPABILITY_PRIORITY
    properties: dict[str, Any] = {}
    lease_s: float | None = None


class Register(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Offer these from now on; none of them is registered yet."""

    action: str
    capabilities: list[Offered]
    agent: str | None = None


class Modify(Register, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Put these in the place of registrations of the same names."""


class Deregister(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Do not offer these any more; all, if none is named."""

    action: str
    capabilities: list[str] | None = None
    agent: str | None = None


class Search(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who offers this? All that is given must hold."""

    action: str
    capability: str | None = None
    agent: str | None = None
    properties: dict[str, Any] = {}
    max_results: int = MAX_RESULTS


ACTIONS = {"register": Register, "modify": Modify, "deregister": Deregister, "search": Search}


class Facilitator(Desk):
    """See the module. `restore` comes once the agents are there, before any mail flows."""

    def __init__(self, bus: Bus, workspace: str = DEFAULT_WORKSPACE) -> None:
        super().__init__(FACILITATOR, ACTIONS)
        self._bus = bus
        self._directory = bus.names.directory(workspace)
        self._registrations = Registrations()

    def properties(self, agent: str, capability: str) -> dict[str, Any]:
        """What `agent` registered about `capability`."""
        found = self._registrations.of(agent).get(capability)
        return {} if found is None else found.properties

    # --- messages --------------------------------------------------------------------------------------------

    def handle(self, message: AclMessage, turn: Turn) -> int:
        if message.capability is not None and not message.receiver:
            return self._nobody(message, turn)
        return super().handle(message, turn)

    def perform(self, action: Any, message: AclMessage, turn: Turn) -> Done:
        if isinstance(action, Search):
            return Done(self._search(action))
        receiver = self._own(action, message)
        before = self._registrations.of(receiver.name)
        after = (
            self._without(action, before)
            if isinstance(action, Deregister)
            else self._with(action, before, replacing=isinstance(action, Modify))
        )
        self._stage(turn, receiver.name, before, after)
        content = {"action": action.action, "agent": receiver.name, "capabilities": sorted(after)}
        return Done(content, lambda: self._put(receiver.name, after))

    def _nobody(self, message: AclMessage, turn: Turn) -> int:
        """The bus could not find anybody for `message`: tell its sender."""
        capability = message.capability or ""
        nearest = self._directory.capabilities.nearest(capability)
        content = {"error": "CAPABILITY_NOT_FOUND", "capability": capability, "nearest": nearest}
        told = msgspec.structs.replace(message, reply_to=None)
        return answer(turn, told, "failure", content)

    # --- registering -----------------------------------------------------------------------------------------

    def _own(self, action: Register | Deregister, message: AclMessage) -> Receiver:
        receiver = self._directory.receivers.get(message.sender)
        if receiver is None or receiver.is_vacant:
            raise Refusal(REFUSE, "NOT_AUTHORISED", "only an agent can offer something")
        if action.agent not in (None, message.sender):
            raise Refusal(REFUSE, "NOT_AUTHORISED", "an agent registers itself only", {"agent": message.sender})
        return receiver

    def _with(
        self, action: Register, before: Mapping[str, Registration], *, replacing: bool
    ) -> dict[str, Registration]:
        asked = {offered.name: self._checked(offered) for offered in action.capabilities}
        if not asked or len(asked) != len(action.capabilities):
            raise invalid("capabilities: name each once, and at least one")
        if replacing:
            self._need(asked, before)
        elif there := sorted(asked.keys() & before.keys()):
            reason = "'modify' changes what is registered"
            raise Refusal(FAILURE, "ALREADY_REGISTERED", reason, {"capabilities": there})
        if len(after := {**before, **asked}) > MAX_REGISTRATIONS:
            facts = {"registered": len(before), "limit": MAX_REGISTRATIONS}
            raise Refusal(REFUSE, "TOO_MANY_REGISTRATIONS", "an agent may not register more; deregister some", facts)
        return after

    def _without(self, action: Deregister, before: Mapping[str, Registration]) -> dict[str, Registration]:
        asked = before.keys() if action.capabilities is None else set(action.capabilities)
        self._need(asked, before)
        if not asked:
            raise Refusal(FAILURE, "NOT_REGISTERED", "there is nothing to deregister", {"capabilities": []})
        return {name: registration for name, registration in before.items() if name not in asked}

    @staticmethod
    def _need(asked: Any, before: Mapping[str, Registration]) -> None:
        if missing := sorted(set(asked) - before.keys()):
            named = [name[:MAX_NAME_CHARS] for name in missing[:MAX_REGISTRATIONS]]
            raise Refusal(FAILURE, "NOT_REGISTERED", "'register' comes first", {"capabilities": named})

    def _checked(self, offered: Offered) -> Registration:
        try:
            parse_capability(offered.name)
        except InvalidName as exc:
            raise invalid(str(exc)) from exc
        if not 0 <= offered.priority <= MAX_CAPABILITY_PRIORITY:
            raise invalid(f"priority: {offered.priority} is not from 0 to {MAX_CAPABILITY_PRIORITY}")
        size = len(msgspec.json.encode(offered.properties))
        if size > MAX_PROPERTIES_BYTES:
            raise invalid(f"properties: {size} bytes of JSON, the limit is {MAX_PROPERTIES_BYTES}")
        until_us = 0
        if offered.lease_s is not None:
            if not 1 <= offered.lease_s <= MAX_LEASE_S:
                raise invalid(f"lease_s: {offered.lease_s:g} is not from 1 to {MAX_LEASE_S}")
            until_us = self._bus.steady_us() + round(offered.lease_s * 1e6)
        return Registration(priority=offered.priority, properties=offered.properties, until_us=until_us)

    def _stage(
        self, turn: Turn, agent: str, before: Mapping[str, Registration], after: Mapping[str, Registration]
    ) -> None:
        """All of it, or, if there is no room, none."""
        for name in before.keys() - after.keys():
            turn.kv_delete(key_of(agent, name))
        changed = [name for name, registration in after.items() if registration is not before.get(name)]
        for name in changed:
            if turn.kv_set(key_of(agent, name), msgspec.json.encode(after[name])) != OK:
                turn.clear_state()
                raise Refusal(FAILURE, "DIRECTORY_FULL", "there is no room; deregister what is not used")
        ends = [after[name].until_us for name in changed if after[name].until_us]
        if ends:
            self._wake(turn, min(ends))

    def _put(self, agent: str, registrations: Mapping[str, Registration]) -> None:
        """Let routing go by what `agent` has registered now."""
        for name in list(self._registrations.of(agent).keys() - registrations.keys()):
            self._registrations.drop(agent, name)
        for name, registration in registrations.items():
            self._registrations.put(agent, name, registration)
        receiver = self._directory.receivers.get(agent)
        if receiver is not None:
            receiver.offer(registered={name: found.priority for name, found in registrations.items()})

    # --- searching -------------------------------------------------------------------------------------------

    def _search(self, action: Search) -> dict[str, Any]:
        if not 1 <= action.max_results <= MAX_RESULTS:
            raise invalid(f"max_results: {action.max_results} is not from 1 to {MAX_RESULTS}")
        result: list[dict[str, Any]] = []
        for looked_at, (receiver, name) in enumerate(self._candidates(action)):
            if looked_at == MAX_LOOKED_AT or len(result) == action.max_results:
                return {"action": action.action, "result": result, "complete": False}
            properties = self.properties(receiver.name, name)
            if has(properties, action.properties):
                result.append(self._description(receiver, name, properties))
        return {"action": action.action, "result": result, "complete": True}

    def _candidates(self, action: Search) -> Iterator[tuple[Receiver, str]]:
        """Offers that may be meant: those of one capability by priority, those of one agent, or all."""
        index = self._directory.capabilities
        if action.capability is not None:
            name = action.capability
            able = sorted(index.offering(name), key=lambda receiver: -receiver.offers[name])
            yield from ((receiver, name) for receiver in able if action.agent in (None, receiver.name))
        elif action.agent is not None:
            receiver = self._directory.receivers.get(action.agent)
            if receiver is not None:
                yield from ((receiver, name) for name in sorted(receiver.offers))
        else:
            for name in index.names():
                yield from ((receiver, name) for receiver in index.offering(name))

    @staticmethod
    def _description(receiver: Receiver, name: str, properties: dict[str, Any]) -> dict[str, Any]:
        return {
            "agent": receiver.name, "capability": name, "priority": receiver.offers[name],
            "health": health_word(receiver), "load": round(load(receiver), 4),
            "registered": name in receiver.registered, "properties": properties,
        }  # fmt: skip

    # --- ends ------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Take up what is in the state. What is over, or of agents that are gone, goes with the next commit."""
        self._registrations.load(self._directory.receivers[FACILITATOR].kv)
        for agent in self._registrations.agents():
            receiver = self._directory.receivers.get(agent)
            if receiver is None or receiver.is_vacant:
                self.forget(agent)
            else:
                self._put(agent, dict(self._registrations.of(agent)))

    def forget(self, agent: str) -> None:
        """`agent` is removed, in the same commit."""
        found = list(self._registrations.of(agent))
        if found:
            (box,) = self._directory.receivers[FACILITATOR].mailboxes
            turn = Turn(self._bus, box)
            turn.begin(None, self._bus.now_us())
            for name in found:
                turn.kv_delete(key_of(agent, name))
            self._bus.apply(turn)
            self._put(agent, {})

    def fire(self, timer_id: int, turn: Turn) -> int:
        """Leases may be over."""
        now_us = self._bus.steady_us()
        remaining: dict[str, dict[str, Registration]] = {}
        for agent, name in self._registrations.ended(now_us):
            turn.kv_delete(key_of(agent, name))
            remaining.setdefault(agent, dict(self._registrations.of(agent))).pop(name)
        next_us = self._registrations.next_end_us(now_us)
        if next_us is not None:
            self._wake(turn, next_us, but=timer_id)
        for agent, registrations in remaining.items():
            self._put(agent, registrations)
        return 0

    def _wake(self, turn: Turn, at_us: int, *, but: int = -1) -> None:
        """Have a timer that fires at `at_us`, or soon after, and no other (`but` the one that fires now)."""
        pending = {id_: due_us for id_, (due_us, _) in turn.receiver.timers.items() if id_ != but}
        due_us = at_us + LEASE_STEP_US
        if all(due_us < other_us for other_us in pending.values()):
            for timer_id in pending:
                turn.cancel_timer(timer_id)
            turn.set_timer(max(due_us - self._bus.steady_us(), 0))
