"""How agents of the node's own take requests: an action as JSON, answered at once in the way of FIPA Request.

The content of a request is an object with the key `action`. Its answer is `inform` with what came of it, `refuse`
(it may not be, or cannot be meant), `failure` (it did not work), or `not-understood`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from caxton.conversations.referee import ASKING
from caxton.natives.native import answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage

REFUSE, FAILURE, NOT_UNDERSTOOD = "refuse", "failure", "not-understood"


@dataclass
class Refusal(Exception):
    """An answer other than `inform`; nothing was done."""

    act: str
    error: str
    """A code that never changes its meaning."""
    reason: str
    """For people."""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def content(self) -> dict[str, Any]:
        return {"error": self.error, "reason": self.reason, **self.facts}


class Done(NamedTuple):
    """An action was carried out, as far as it is staged."""

    content: dict[str, Any]
    """Of the `inform`."""
    happened: Callable[[], None] = lambda: None
    """Called when nothing can go wrong any more: changes what is not staged."""


class _Named(msgspec.Struct):
    action: str


class Desk(ABC):
    """A native agent that answers requests. A subclass says how, in `perform`.

    Args:
        name: as an agent.
        actions: what can be asked for, and what the content must then be.
    """

    def __init__(self, name: str, actions: Mapping[str, type[msgspec.Struct]]) -> None:
        self.name = name
        self._actions = actions

    def handle(self, message: AclMessage, turn: Turn) -> int:
        try:
            done = self.perform(self._read(message), message, turn)
        except Refusal as refusal:
            if message.performative not in ASKING | {"cancel"}:
                return 0  # no answer to an answer, or there would be no end
            return answer(turn, message, refusal.act, refusal.content)
        status = answer(turn, message, "inform", done.content)
        if status == 0:
            done.happened()
        return status

    def fire(self, timer_id: int, turn: Turn) -> int:
        return 0

    @abstractmethod
    def perform(self, action: Any, message: AclMessage, turn: Turn) -> Done:
        """Carry out an action. Raises `Refusal`; then nothing is staged."""

    def _read(self, message: AclMessage) -> msgspec.Struct:
        if message.performative != "request":
            reason = f"{self.name} understands requests"
            raise Refusal(NOT_UNDERSTOOD, "UNSUPPORTED_ACT", reason, {"known": ["request"]})
        known = sorted(self._actions)
        try:
            named = msgspec.json.decode(message.content, type=_Named)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            reason = "the content must be a JSON object with the key 'action'"
            raise Refusal(NOT_UNDERSTOOD, "UNKNOWN_ACTION", reason, {"known": known}) from exc
        kind = self._actions.get(named.action)
        if kind is None:
            reason = f"{self.name} does {', '.join(known)}"
            raise Refusal(NOT_UNDERSTOOD, "UNKNOWN_ACTION", reason, {"known": known})
        try:
            return msgspec.json.decode(message.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise invalid(str(exc)) from exc


def invalid(reason: str) -> Refusal:
    """Something in the request is not as it must be."""
    return Refusal(REFUSE, "INVALID_ARGUMENT", reason[:MAX_REASON_CHARS])


MAX_REASON_CHARS = 300
"""How much of a parser's text an answer repeats."""
