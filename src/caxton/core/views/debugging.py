"""What can be seen of an agent from inside: its mail, its state, its memory, where it is."""

from __future__ import annotations

import msgspec


class RateView(msgspec.Struct, kw_only=True):
    """How often something happened lately, and how long it took."""

    count: int
    per_s: float
    p50_s: float | None
    """Half of them took no longer; None if there was none."""
    p99_s: float | None
    """99 of 100 took no longer."""


class InHandView(msgspec.Struct, kw_only=True):
    """What an instance is in the middle of."""

    message_id: str | None
    """None for a timer."""
    timer_id: int | None
    sender: str
    performative: str
    conversation_id: str | None
    attempt: int
    size: int
    priority: int
    handed_at: str
    for_s: float
    """Since then."""


class ReplicaView(msgspec.Struct, kw_only=True):
    """One replica."""

    replica: int
    is_up: bool
    memory_bytes: int
    waiting: int
    """Messages in its own mailbox."""
    handled: int
    in_hand: InHandView | None


class AgentDebug(msgspec.Struct, kw_only=True):
    """What an agent uses and does."""

    name: str
    type: str
    """As in AgentFigures: of a `native` one there are only figures and mail."""
    status: str
    reason: str | None
    memory_bytes: int
    """Of all its instances together."""
    memory_limit_bytes: int
    """What all its replicas may have together."""
    mailbox_messages: int
    mailbox_bytes: int
    window_s: float
    """The rates are those of the last so many seconds."""
    is_cut: bool
    """More happened in the time asked for than is kept or looked at, so `window_s` is shorter."""
    is_recorded: bool
    """Whether there are rates at all: the flight recorder may be off."""
    tool_calls: RateView
    handlings: RateView
    """Of messages and timers, failed ones too; from handing over to the end."""
    waits: RateView
    """Of the messages among them: from acceptance to handing over."""
    failed: int
    """Of those handlings."""
    replicas: list[ReplicaView]


class WaitingView(msgspec.Struct, kw_only=True):
    """A message that waits."""

    replica: int | None
    """None: it waits for the agent to have a mailbox again."""
    state: str
    """`waiting`, `paused` (an earlier message of its sender is to be repeated first) or `held`."""
    message_id: str
    sender: str
    performative: str
    conversation_id: str | None
    accepted_at: str
    age_s: float
    attempt: int
    size: int
    priority: int


class MailboxDebug(msgspec.Struct, kw_only=True):
    """An agent's mail."""

    name: str
    waiting: int
    in_hand: list[ReplicaView]
    """Those replicas that have something in hand."""
    messages: list[WaitingView]
    """Those that come first."""
    left_out: int


class KvEntry(msgspec.Struct, kw_only=True):
    """A key of an agent's state."""

    key: str
    key_encoding: str
    """`text`, or `hex` for what cannot be printed."""
    value: str
    """The beginning of it."""
    value_encoding: str
    """`text` or `hex`."""
    value_bytes: int
    is_cut: bool
    """Whether the value is longer than what is shown."""


class KvDebug(msgspec.Struct, kw_only=True):
    """An agent's state as its last handler left it."""

    name: str
    total: int
    """Keys that begin with the prefix."""
    bytes: int
    """What all keys count towards the quota."""
    entries: list[KvEntry]
    """In order of key."""
    left_out: int


class FrameView(msgspec.Struct, kw_only=True):
    """One function that was called and has not returned."""

    function: str
    offset: int
    """Of the instruction, in the bytes of the module."""
    source: str | None
    """`file:line`, if the module was built with debug information."""


class StackView(msgspec.Struct, kw_only=True):
    """Where one replica is."""

    replica: int
    state: str
    """`running`, `not running` or `no instance`."""
    note: str | None
    in_hand: InHandView | None
    frames: list[FrameView]
    """Innermost first."""


class StackDebug(msgspec.Struct, kw_only=True):
    """Where an agent is."""

    name: str
    replicas: list[StackView]
    has_source_lines: bool


class MemoryDebug(msgspec.Struct, kw_only=True):
    """A part of a guest's linear memory."""

    name: str
    replica: int
    offset: int
    length: int
    memory_bytes: int
    """All that it has."""
    data: str
    """Hexadecimal."""


class BundleView(msgspec.Struct, kw_only=True):
    """What a server adds to an archive for a bug report; secrets are taken out."""

    files: dict[str, str]
    """Name → text."""
