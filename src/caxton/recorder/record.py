"""One thing that happened to a message, as the recorder keeps it.

Whoever records makes a plain tuple with the fields of `Record`, in their order: on the way of every message a tuple
costs a third of what an object does.
"""

from __future__ import annotations

import msgspec

SETTLED = 0
"""Its handler succeeded."""
FAILED = 1
"""Its handler returned something else than 0, and what it did was undone."""
CRASHED = 2
"""Its handler trapped or was stopped at a limit; undone as well."""
DEAD = 3
"""It became a dead letter."""
REFUSED = 4
"""It was not accepted: nobody will handle it."""
TIMER = 5
"""Not a message: a timer's handler succeeded. If it failed, `FAILED` or `CRASHED` with no message id."""
TOOL = 6
"""Not a message: a tool was called by `receiver`, who is the `sender` too, from `handed_us` to `ended_us`; `sent_us` is
when the handling began in which that was."""
REPLIED = 7
"""It left the node: a client gets it, or may ask for it."""
LOST = 8
"""It was in hand when the node ended otherwise than by a stop; that counts as an attempt."""

KINDS = ("settled", "failed", "crashed", "dead", "refused", "timer", "tool", "replied", "lost")
"""By number."""

ACT_AT = len(b'{"performative":"')
ACT_END = ACT_AT + len(b'request-whenever"')
"""Where the act stands in an encoded message."""

MAX_DETAIL_CHARS = 500


class Record(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """See the module. Times are wall clock in µs since 1970.

    The message was sent by the handling of which `receiver` and `handed_us` are this one's `sender` and `sent_us`: the
    host takes one time for all that a handling does. So cause and effect need no field of their own.
    """

    kind: int
    seq: int
    """Number of the message on this node; 0 for what is no message."""
    workspace: str
    sender: str
    receiver: str
    message_id: str
    conversation_id: str | None
    act: bytes
    """The beginning of its body, from the act on."""
    trace: str
    """`00-<32 hex digits>-`, or empty if nobody needed it; its span is `seq` in 16 hex digits."""
    attempt: int
    sent_us: int
    """When it was accepted."""
    handed_us: int
    """When its handler began."""
    ended_us: int
    """When this happened."""
    size: int
    """Bytes of the whole message."""
    detail: str | None = None
    """Text of an error, reason of a dead letter, code of a refusal; of a tool `NAME`, or `NAME: why it failed`."""

    @property
    def tool(self) -> str:
        """Of a `TOOL`: the tool's name. No name has a colon."""
        return (self.detail or "").partition(": ")[0]

    @property
    def tool_error(self) -> str | None:
        """Of a `TOOL`: why it gave no result."""
        return (self.detail or "").partition(": ")[2] or None

    @property
    def performative(self) -> str:
        """Its act; empty for what is no message."""
        return self.act.partition(b'"')[0].decode("utf-8", "replace")
