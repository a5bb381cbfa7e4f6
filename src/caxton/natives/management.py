"""`ams`, the agent management system: says which agents there are and how they are.

It is the white pages of FIPA's agent management (SC00023K, 2004), with JSON as its content language. Agents do not
register there: whoever is deployed is in it, and nobody else. The node's own notices come in its name as well.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.bus.capabilities import health_word
from caxton.core.ids import DEFAULT_WORKSPACE, MANAGEMENT, RESERVED_NAMES
from caxton.core.suggest import nearest
from caxton.natives.desk import FAILURE, REFUSE, Desk, Done, Refusal, invalid
from caxton.protocols.catalogue import PROTOCOLS
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.bus import Bus
    from caxton.bus.mailbox import Receiver
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage

MAX_RESULTS = 100
MAX_LOOKED_AT = 1000
"""Agents that one search looks at: about a millisecond, in which nobody else has a turn."""

MAX_NAMES_COMPARED = 100
"""Names that a mistyped one is compared with."""

STATES = ("loaded", "running", "draining", "stopped", "failed")


class Search(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which agents are there? All that is given must hold."""

    action: str
    capability: str | None = None
    state: str | None = None
    after: str | None = None
    """Only names behind this one: for the next page."""
    max_results: int = MAX_RESULTS


class Describe(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How is this agent?"""

    action: str
    agent: str


class GetDescription(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What kind of platform is this?"""

    action: str


class Registering(msgspec.Struct, kw_only=True, frozen=True):
    """What deployment does."""

    action: str


ACTIONS = {
    "search": Search, "describe": Describe, "get-description": GetDescription,
    "register": Registering, "modify": Registering, "deregister": Registering,
}  # fmt: skip


class Management(Desk):
    """See the module. `state` tells the phase of an agent; None for one that was not deployed."""

    def __init__(self, bus: Bus, state: Callable[[str, str], str | None], workspace: str = DEFAULT_WORKSPACE) -> None:
        super().__init__(MANAGEMENT, ACTIONS)
        self._directory = bus.names.directory(workspace)
        self._state = state

    def perform(self, action: Any, message: AclMessage, turn: Turn) -> Done:
        match action:
            case Search():
                return Done(self._search(action))
            case Describe():
                return Done({"action": action.action, **self._description(self._find(action.agent))})
            case GetDescription():
                content = {"name": "caxton", "version": VERSION, "services": list(RESERVED_NAMES)}
                return Done({"action": action.action, **content, "protocols": sorted(PROTOCOLS)})
            case _:
                reason = (
                    "who is deployed is in the white pages, and nobody else; 'caxton deploy' and 'caxton agent' do it"
                )
                raise Refusal(REFUSE, "NOT_AUTHORISED", reason)

    def _search(self, action: Search) -> dict[str, Any]:
        if not 1 <= action.max_results <= MAX_RESULTS:
            raise invalid(f"max_results: {action.max_results} is not from 1 to {MAX_RESULTS}")
        if action.state is not None and action.state not in STATES:
            raise invalid(f"state: there are {', '.join(STATES)}")
        directory = self._directory
        if action.capability is None:
            names = sorted(directory.receivers)
        else:
            names = [receiver.name for receiver in directory.capabilities.offering(action.capability)]
        first = 0 if action.after is None else bisect_right(names, action.after)
        result: list[dict[str, Any]] = []
        for n, name in enumerate(names[first:]):
            if n == MAX_LOOKED_AT or len(result) == action.max_results:
                return {"action": action.action, "result": result, "complete": False, "after": names[first + n - 1]}
            receiver = directory.receivers[name]
            if not receiver.is_vacant and action.state in (None, self._state_of(receiver)):
                result.append(self._description(receiver))
        return {"action": action.action, "result": result, "complete": True}

    def _find(self, name: str) -> Receiver:
        found = self._directory.receivers.get(name)
        if found is None or found.is_vacant:
            like = nearest(name, islice(self._directory.receivers, MAX_NAMES_COMPARED))
            reason, facts = "there is no agent of that name", {"nearest": [] if like is None else [like]}
            raise Refusal(FAILURE, "AGENT_NOT_FOUND", reason, facts)
        return found

    def _description(self, receiver: Receiver) -> dict[str, Any]:
        return {
            "agent": receiver.name, "state": self._state_of(receiver), "health": health_word(receiver),
            "replicas": len(receiver.mailboxes), "waiting": receiver.messages,
            "capabilities": sorted(receiver.offers), "native": self._is_native(receiver),
        }  # fmt: skip

    def _state_of(self, receiver: Receiver) -> str:
        state = self._state(receiver.workspace, receiver.name)
        return "running" if state is None else state

    def _is_native(self, receiver: Receiver) -> bool:
        return self._state(receiver.workspace, receiver.name) is None
