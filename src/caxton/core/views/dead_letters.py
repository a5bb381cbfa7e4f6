"""Messages that were given up."""

from __future__ import annotations

import msgspec

from caxton.core.views.problem import Problem  # noqa: TC001  (msgspec reads it at run time)


class DeadLetterView(msgspec.Struct, kw_only=True):
    """A message that was given up, without what it says."""

    id: str
    """A number as text; larger ones were accepted later."""
    workspace: str
    agent: str
    """The receiver that it did not reach."""
    sender: str
    message_id: str
    conversation_id: str | None
    reason: str
    """`failed`, `expired`, `removed` or `poison`."""
    explanation: str
    """The reason for people."""
    attempts: int
    error: str | None
    """The last failure."""
    trap: str | None
    """Its kind, if it was a crash."""
    functions: list[str]
    """Of the guest, in which it crashed; innermost first."""
    died_at: str
    """ISO 8601, UTC."""
    size_bytes: int
    """Of the message as JSON."""
    trace_id: str | None
    replayed_at: str | None
    """ISO 8601, UTC; null: it waits."""
    replayed_by: str | None
    replayed_as: str | None
    """The id that its message has now: that of the next dead letter, if it fails again."""


class DeadLetterDetail(DeadLetterView, kw_only=True):
    """A dead letter with what it says."""

    message: msgspec.Raw = msgspec.Raw(b"null")
    """The whole message; null once it was replayed, since then it goes on as a new one."""


class DeadLetterPage(msgspec.Struct, kw_only=True):
    """Some dead letters, those accepted last first."""

    letters: list[DeadLetterView]
    next: str | None
    """The `after` with which the list goes on; null at its end."""


class DeadLetterFilter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which dead letters are meant: those for which all that is given holds."""

    agent: str | None = None
    """The receiver."""
    reason: str | None = None
    sender: str | None = None
    """An agent, or `client:NAME`."""
    conversation_id: str | None = None
    since: str | int | float | None = None
    """Those that died in the last while: seconds, or a text like `1h`."""


class ReplayReceipt(msgspec.Struct, kw_only=True):
    """Proof that a dead letter was handed over again, once: it is on disk."""

    id: str
    """Of the letter."""
    agent: str
    message_id: str
    conversation_id: str | None
    replayed_at: str
    replayed_by: str
    replayed_as: str
    status: str
    """`replayed`; `already-replayed` for whoever asks again, and then there is no second copy."""
    durability: str = "fsync"


class PurgeReceipt(msgspec.Struct, kw_only=True):
    """What was deleted."""

    purged: int
    """Letters in all."""
    waiting: int
    """Of those: not replayed, so that their messages are gone for good."""


class ReplayOutcome(msgspec.Struct, kw_only=True):
    """What became of one letter of many: one of the two is null."""

    id: str
    receipt: ReplayReceipt | None = None
    problem: Problem | None = None
