"""What is recorded of one instance, from its start to its end: its life.

An instance's behaviour is a function of its module, its limits, and what the host answers; so these are recorded, and
the calls with which it asked and acted, in their order. Times and ids that the host adds to a message when it takes
one are no part of it: a guest does not make them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
"""Of the files. Another one is refused and left as it is."""

START, MESSAGE, TIMER, SHUTDOWN = range(4)
"""Kinds of `Handling`."""

KINDS = ("start", "message", "timer", "shutdown")

CALLS = (
    "send_message", "log", "now_us", "random", "set_timer", "cancel_timer", "kv_get", "kv_set", "kv_delete",
    "call_tool", "subscribe", "unsubscribe",
)  # fmt: skip
"""Methods of `sandbox.host.Host` by their number in a `Call`. Never reordered within a format."""

Call: TypeAlias = tuple[int, tuple[Any, ...], Any]
"""Number of the function, its arguments (int, bytes, str), and what the host answered (int, bytes, None)."""

OutcomeKind: TypeAlias = Literal["returned", "trapped", "not started", "cut"]

BY_THE_HOST = frozenset({"cpu_time", "wall_time", "host_error"})
"""Kinds of traps that come when the host wants them, not when the guest got somewhere."""


class Life(msgspec.Struct, array_like=True, frozen=True):
    """Whose life it is, and what it began with."""

    id: str
    """Hex digits and a hyphen; those of later lives sort later."""
    workspace: str
    agent: str
    replica: int
    began_us: int
    """Wall clock, as all times here."""
    module_sha256: str
    limits: dict[str, int | float]
    """Fields of `sandbox.limits.Limits`."""
    caxton: str
    """Version that recorded it."""


class State(msgspec.Struct, array_like=True, frozen=True):
    """The agent's key-value state when the life began; what was read later is recorded with the reading."""

    kv: list[tuple[bytes, bytes]]
    next_timer_id: int


class Outcome(msgspec.Struct, array_like=True, frozen=True):
    """How a handling ended."""

    kind: OutcomeKind
    status: int = 0
    """What the handler returned."""
    text: str = ""
    """Kind of the trap; why it did not start; of a start, the capabilities that the module named."""
    reason: str = ""
    """The trap in a sentence."""

    @property
    def is_by_the_host(self) -> bool:
        """It was ended from outside, at a point that another run need not meet."""
        return self.kind == "cut" or (self.kind == "trapped" and self.text in BY_THE_HOST)


class Handling(msgspec.Struct, array_like=True, frozen=True):
    """One call into the instance and everything that it did meanwhile."""

    kind: int
    """`START`, `MESSAGE`, `TIMER` or `SHUTDOWN`."""
    at_us: int
    """When it was handed over."""
    body: bytes
    """The message, byte for byte; empty for others."""
    sender: str
    message_id: str
    conversation_id: str | None
    attempt: int
    timer_id: int
    calls: list[Call]
    outcome: Outcome


class End(msgspec.Struct, array_like=True, frozen=True):
    """The life, or its recording, was over."""

    at_us: int
    why: str


_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode


def encode_state(kv: Mapping[bytes, bytes], next_timer_id: int) -> bytearray:
    """As `encode(State(list(kv.items()), next_timer_id))`, entry by entry: other threads get their turns."""
    found = bytearray(b"\x92")  # an array of two, and in it one of all entries
    found += _array_head(len(kv))
    for entry in kv.items():
        _encoder.encode_into(entry, found, -1)
    found += encode(next_timer_id)
    return found


def _array_head(length: int) -> bytes:
    if length < 16:
        return bytes((0x90 | length,))
    return b"\xdc" + length.to_bytes(2, "big") if length < 1 << 16 else b"\xdd" + length.to_bytes(4, "big")


def decoder(kind: Any) -> Any:
    """Decodes one kind of record. Raises `msgspec.DecodeError`."""
    return msgspec.msgpack.Decoder(kind).decode
