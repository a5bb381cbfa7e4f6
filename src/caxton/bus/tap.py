"""For those who listen to what agents say: every message when it takes effect, told after the commit that holds it.

Nobody listens most of the time, so all that the bus does for this is to look whether `listeners` is empty. A listener
that reads slower than agents speak misses messages and is told how many: it never holds anybody up.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Self

import msgspec

from caxton.core.errors.limits import TooManyListeners
from caxton.core.views.messages import Gap, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from caxton.bus.envelope import Envelope
    from caxton.bus.journal import Journal
    from caxton.core.clock import Clock
    from caxton.messages.message import AclMessage

MAX_LISTENERS = 32
"""At once, of a node: each costs a little for every message."""

MAX_UNREAD = 1000
"""Messages that a listener may be behind before it misses some."""

EXCERPT_CHARS = 120
"""Of a message's content: enough to know it again."""

GATHER_S = 0.05
"""Before a commit is asked for on behalf of listeners: a diagram may be late, and commits cost."""

SENT, DEAD, REFUSED = "sent", "dead", "refused"

LATE = "late"
"""Why a proposal is refused that came after its time; the node has rejected it for the initiator."""


class _Said(msgspec.Struct, gc=False):
    """What is looked at in a message's body."""

    performative: str
    sender: str = ""
    protocol: str | None = None
    conversation_id: str | None = None
    reply_with: str | None = None
    in_reply_to: str | None = None
    message_id: str = ""
    timestamp: int = 0
    attempt: int = 1
    content: msgspec.Raw = msgspec.Raw(b"")


_decode = msgspec.json.Decoder(_Said).decode


def sighting(
    body: bytes, *, seq: int, workspace: str, receiver: str, event: str = SENT, at_us: int | None = None,
    reason: str | None = None,
) -> Sighting:  # fmt: skip
    """What a listener sees of one message for one receiver.

    Args:
        body: as in an envelope.
        seq: its place among the others.
        workspace: where it was said.
        receiver: whom this copy of it is for.
        event: `SENT`, `DEAD` or `REFUSED`.
        at_us: when, if not when it was sent; µs since 1970 UTC.
        reason: why it did not arrive.

    Raises: msgspec.DecodeError: `body` is no message.
    """
    said = _decode(body)
    return Sighting(
        seq=seq, event=event, timestamp=said.timestamp if at_us is None else at_us, workspace=workspace,
        sender=said.sender, receiver=receiver, performative=said.performative, conversation_id=said.conversation_id,
        protocol=said.protocol, message_id=said.message_id, reply_with=said.reply_with, in_reply_to=said.in_reply_to,
        attempt=said.attempt, size_bytes=len(said.content), excerpt=excerpt(bytes(said.content)), reason=reason,
    )  # fmt: skip


def excerpt(content: bytes) -> str:
    """The beginning of a content, with `…` if there is more of it."""
    text = content[: 4 * EXCERPT_CHARS + 4].decode("utf-8", "ignore")  # no character has more than four bytes
    return text if len(text) <= EXCERPT_CHARS else f"{text[:EXCERPT_CHARS]}…"


class Tap:
    """See the module. All methods run on the event loop's thread."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock
        self.listeners: list[Listener] = []
        """Whoever shows something here looks first whether there is one. Always the same list."""
        self._seq = 0
        self._soon: asyncio.TimerHandle | None = None
        self._is_committing = False

    def listen(
        self, workspace: str, agents: Collection[str] | None = None, conversation_id: str | None = None
    ) -> Listener:
        """Hear of every message from now on, until it is closed.

        Args:
            workspace: where.
            agents: only what these say or are told; None means all.
            conversation_id: only what belongs to this conversation.

        Raises: TooManyListeners.
        """
        if len(self.listeners) >= MAX_LISTENERS:
            raise TooManyListeners(MAX_LISTENERS)
        listener = Listener(self.listeners, workspace, agents, conversation_id)
        self.listeners.append(listener)
        return listener

    def close(self) -> None:
        """Nobody is told anything any more."""
        if self._soon is not None:
            self._soon.cancel()

    # --- what happens ----------------------------------------------------------------------------------------

    def sent(self, envelopes: Iterable[Envelope]) -> None:
        """These messages take effect now."""
        for envelope in envelopes:
            self._show_envelope(envelope, SENT)

    def buried(self, envelope: Envelope, reason: str) -> None:
        """`envelope` became a dead letter."""
        self._show_envelope(envelope, DEAD, at_us=self._clock.wall_us(), reason=reason)

    def withheld(self, envelope: Envelope, reason: str) -> None:
        """`envelope` never takes effect, and became no dead letter either."""
        self._show_envelope(envelope, REFUSED, reason=reason)

    def _show_envelope(
        self, envelope: Envelope, event: str, *, at_us: int | None = None, reason: str | None = None
    ) -> None:
        make = partial(
            sighting, envelope.body, seq=self._next(), workspace=envelope.workspace, receiver=envelope.receiver,
            event=event, at_us=at_us, reason=reason,
        )  # fmt: skip
        self._show(envelope.workspace, envelope.sender, envelope.receiver, envelope.conversation_id, make)

    def refused(self, workspace: str, message: AclMessage, reason: str) -> None:
        """A client's `message`, which has its sender already, was not accepted; `reason` is the code of the error."""
        named = [message.receiver] if isinstance(message.receiver, str) else message.receiver
        for name in dict.fromkeys(named):
            receiver = name or f"capability {message.capability or ''}"
            make = partial(self._refusal, workspace, message, receiver, reason)
            self._show(workspace, message.sender, receiver, message.conversation_id, make)

    def _refusal(self, workspace: str, message: AclMessage, receiver: str, reason: str) -> Sighting:
        content = bytes(message.content)
        return Sighting(
            seq=self._next(), event=REFUSED, timestamp=self._clock.wall_us(), workspace=workspace,
            sender=message.sender, receiver=receiver, performative=message.performative,
            conversation_id=message.conversation_id, protocol=message.protocol, message_id=message.message_id,
            reply_with=message.reply_with, in_reply_to=message.in_reply_to, attempt=1, size_bytes=len(content),
            excerpt=excerpt(content), reason=reason,
        )  # fmt: skip

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    # --- who hears of it -------------------------------------------------------------------------------------

    def _show(
        self, workspace: str, sender: str, receiver: str, conversation_id: str | None, make: Callable[[], Sighting]
    ) -> None:
        made: Sighting | None = None
        for listener in self.listeners:
            if not listener.wants(workspace, sender, receiver, conversation_id):
                continue
            try:
                listener.offer(None if listener.is_full else (made := made or make()))
            except msgspec.DecodeError:  # whoever made such a body: listening must not undo what happened
                listener.offer(None)
            self._gather()

    def _gather(self) -> None:
        """See that there is a commit, and that it is told to those who wait. One at a time."""
        if self._soon is None and not self._is_committing:
            self._soon = asyncio.get_running_loop().call_later(GATHER_S, self._commit)

    def _commit(self) -> None:
        self._soon, self._is_committing = None, True
        batches = [(listener, listener.seal()) for listener in self.listeners]
        self._journal.after_commit(partial(self._committed, batches))

    def _committed(self, batches: list[tuple[Listener, list[Sighting | Gap]]]) -> None:
        self._is_committing = False
        for listener, batch in batches:
            listener.tell(batch)
        if any(listener.has_news for listener in self.listeners):
            self._gather()


class Listener:
    """One live stream: an iterator over what came since it was last asked, in order. Close it."""

    def __init__(
        self, others: list[Listener], workspace: str, agents: Collection[str] | None, conversation_id: str | None
    ) -> None:
        self._others, self._workspace, self._conversation_id = others, workspace, conversation_id
        self._agents = None if agents is None else frozenset(agents)
        self._fresh: list[Sighting] = []
        """No commit was asked for since they happened."""
        self._missed = 0
        """After the last of those."""
        self._unread: list[Sighting | Gap] = []
        self._held = 0
        """Messages that are here: fresh, with the journal, or unread."""
        self._some = asyncio.Event()

    def wants(self, workspace: str, sender: str, receiver: str, conversation_id: str | None) -> bool:
        """Whether a message is among those that were asked for."""
        agents, conversation = self._agents, self._conversation_id
        return (
            workspace == self._workspace
            and (agents is None or sender in agents or receiver in agents)
            and (conversation is None or conversation_id == conversation)
        )

    @property
    def is_full(self) -> bool:
        """Whether it has to miss what happens now."""
        return self._missed > 0 or self._held >= MAX_UNREAD

    @property
    def has_news(self) -> bool:
        """Whether a commit must be asked for."""
        return bool(self._fresh or self._missed)

    def offer(self, seen: Sighting | None) -> None:
        """Take `seen`; None is counted as missed."""
        if seen is None:
            self._missed += 1
        else:
            self._fresh.append(seen)
            self._held += 1

    def seal(self) -> list[Sighting | Gap]:
        """All that happened until now, to be told after the commit."""
        batch: list[Sighting | Gap] = [*self._fresh]
        if self._missed:
            batch.append(Gap(missed=self._missed))
        self._fresh, self._missed = [], 0
        return batch

    def tell(self, batch: list[Sighting | Gap]) -> None:
        """What was sealed is on disk."""
        for one in batch:
            last = self._unread[-1] if self._unread else None
            if isinstance(one, Gap) and isinstance(last, Gap):
                last.missed = (last.missed or 0) + (one.missed or 0)
            else:
                self._unread.append(one)
        if self._unread:
            self._some.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Sighting | Gap]:
        await self._some.wait()
        self._some.clear()
        found, self._unread = self._unread, []
        self._held -= sum(isinstance(one, Sighting) for one in found)
        return found

    async def aclose(self) -> None:
        """Hear of nothing more. Closing twice is allowed."""
        if self in self._others:
            self._others.remove(self)
