"""Handlers and supervisors for the bus that do what a test says (`caxton.bus.handler`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from caxton.messages.codec import decode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.bus.mailbox import Mailbox
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from caxton.sandbox.host import Pending

Outcome: TypeAlias = "int | Crash | None"
"""0 (done), another number (failed), a crash, or None (not yet)."""

OnMessage: TypeAlias = "Callable[[Turn, AclMessage], Outcome]"
OnTimer: TypeAlias = "Callable[[Turn, int], Outcome]"
OnResume: TypeAlias = "Callable[[Turn], Outcome]"


@dataclass(frozen=True)
class FakeCrash:
    """The end of a fake handler."""

    kind: str = "unreachable"
    reason: str = "it reached what is unreachable"
    functions: list[str] = field(default_factory=list[str])


class FakeHandler:
    """Handles messages with functions of the test and writes down what it was given.

    It is as strict as a sandbox: one call at a time, and none after a crash.
    """

    def __init__(
        self, turn: Turn, on_message: OnMessage | None = None, on_timer: OnTimer | None = None,
        on_resume: OnResume | None = None,
    ) -> None:  # fmt: skip
        self.turn = turn
        self.on_message: OnMessage = on_message or (lambda _turn, _message: 0)
        self.on_timer: OnTimer = on_timer or (lambda _turn, _timer_id: 0)
        self.on_resume: OnResume = on_resume or (lambda _turn: 0)
        self.delivered: list[AclMessage] = []
        self.fired: list[int] = []
        self.resumed = 0
        self._pending: Pending | None = None
        self._is_busy = self._is_over = False

    @property
    def waits_for(self) -> Pending | None:
        """Set by `wait_for`."""
        return self._pending if self._pending is not None and self._pending.result is None else None

    def wait_for(self, pending: Pending) -> None:
        """Its handling waits: the outcome that goes with it is None."""
        self._pending = pending

    def deliver(self, body: bytes) -> Outcome:
        message = decode_message(body)
        self.delivered.append(message)
        return self._end(self.on_message(self._begin(), message))

    def fire(self, timer_id: int) -> Outcome:
        self.fired.append(timer_id)
        return self._end(self.on_timer(self._begin(), timer_id))

    def resume(self) -> Outcome:
        _require(self._is_busy, "resumed without a message in hand")
        self.resumed += 1
        return self._end(self.on_resume(self.turn))

    def _begin(self) -> Turn:
        _require(not self._is_busy, "given a message while another is in hand")
        _require(not self._is_over, "given a message after its end")
        return self.turn

    def _end(self, outcome: Outcome) -> Outcome:
        self._is_busy = outcome is None
        self._is_over = not isinstance(outcome, int | None)
        return outcome


class FakeSupervisor:
    """Writes down what the bus tells it."""

    def __init__(self) -> None:
        self.crashes: list[tuple[int, Crash]] = []
        """(replica, crash)."""
        self.failures: list[tuple[int, int]] = []
        """(replica, status)."""
        self.successes: list[int] = []
        self.begun: list[int] = []
        """Replicas; told only while the receiver is watched."""
        self.without_room: list[int] = []
        self.given_up: list[tuple[int, str, int]] = []
        """(replica, message id, timer id or -1)."""

    def crashed(self, mailbox: Mailbox, crash: Crash) -> None:
        _require(mailbox.handler is None and not mailbox.is_open, "the mailbox is still in use")
        self.crashes.append((mailbox.replica, crash))

    def failed(self, mailbox: Mailbox, status: int) -> None:
        self.failures.append((mailbox.replica, status))

    def succeeded(self, mailbox: Mailbox) -> None:
        self.successes.append(mailbox.replica)

    def began(self, mailbox: Mailbox) -> None:
        _require(mailbox.busy, "it is not in the middle of a message")
        self.begun.append(mailbox.replica)

    def found_no_room(self, mailbox: Mailbox) -> None:
        self.without_room.append(mailbox.replica)

    def gave_up(self, mailbox: Mailbox, envelope: Envelope) -> None:
        self.given_up.append((mailbox.replica, envelope.message_id, envelope.timer_id))


def _require(kept: bool, breach: str) -> None:
    if not kept:
        raise AssertionError(f"the bus broke the handler's contract: {breach}")


def acl(receiver: str | list[str] = "", content: object = None, **fields: object) -> AclMessage:
    """A message as a client would post it; an `inform` unless `fields` say otherwise."""
    given = {"performative": "inform", "receiver": receiver, "content": content, **fields}
    return decode_message(msgspec.json.encode(given))


def say(receiver: str | list[str], content: object = None, **fields: object) -> bytes:
    """A message as a guest would send it."""
    return msgspec.json.encode({"performative": "inform", "receiver": receiver, "content": content, **fields})
