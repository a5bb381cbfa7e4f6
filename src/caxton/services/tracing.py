"""What happened to messages and what became of them: the flight recorder's records, joined with what waits now."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.bus.envelope import DEFAULT_PRIORITY, trace_of
from caxton.core.errors.traces import ConversationNotRecorded, MessageNotFound
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.traces import TraceView
from caxton.messages.codec import ANY_SIZE, decode_message
from caxton.recorder.record import ACT_AT, ACT_END
from caxton.services.trace_tree import Live, Tree, grow, newest, sent_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from caxton.agents.service import AgentService
    from caxton.bus.bus import Bus
    from caxton.bus.envelope import Envelope
    from caxton.bus.mailbox import Mailbox, Receiver
    from caxton.core.clock import Clock
    from caxton.core.errors.error import CaxtonError
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.traces import TraceFilter, TraceSpan
    from caxton.recorder.record import Record
    from caxton.services.messaging import MessageService

MAX_RECORDS = 20_000
"""Of the flight recorder, the last, that one trace is made of; beside those of errors, if these are wanted."""

MAX_LIVE = 2000
"""Messages that are not over, of one trace: they are looked at on the event loop."""

MAX_KEPT = 1000
"""Messages of a conversation that is not in the flight recorder, the last ones."""

MAX_CONVERSATIONS = 20
"""Whose bodies are shown in one trace."""

MAX_CONTENT_BYTES = 8 << 20
"""Of all bodies that are shown in one trace."""

_TAIL_BYTES = 256
"""Of a body: its time, its trace and what comes after them take no more."""

LOOK_S = 0.002
"""Mailboxes are looked at for so long before others have their turn on the event loop."""


class TraceService:
    """See `api.services`."""

    def __init__(self, bus: Bus, clock: Clock, agents: AgentService, messages: MessageService) -> None:
        self._bus, self._clock, self._agents, self._messages = bus, clock, agents, messages
        self._recorder = bus.recorder
        self._looking = asyncio.Lock()

    async def trace(self, workspace: WorkspaceName, wanted: TraceFilter, *, limit: int) -> TraceView:
        """What happened in a conversation or because of a message, and what is not over.

        Raises: ConversationNotFound, MessageNotFound, WorkspaceNotFound.
        """
        if workspace != DEFAULT_WORKSPACE:
            raise WorkspaceNotFound(workspace)
        async with self._looking:  # one thread at most reads records
            return await self._trace(workspace, wanted, limit)

    async def _trace(self, workspace: WorkspaceName, wanted: TraceFilter, limit: int) -> TraceView:
        conversation_id, message_id = wanted.conversation_id, wanted.message_id
        trace = "" if message_id is None else await self._trace_of(workspace, message_id)
        # What is not over is looked at first: what ends after that is recorded, and so is missed by neither.
        live = await self._live(
            workspace,
            (lambda one: one.conversation_id == conversation_id)
            if message_id is None
            else _in_family(message_id, trace),
        )
        now_us = self._clock.wall_us()
        since_us = 0 if wanted.last_s is None else max(now_us - round(wanted.last_s * 1e6), 0)

        def read(since_us: int) -> list[Record]:
            if not trace:
                return self._recorder.find(
                    workspace, conversation_id=conversation_id, message_id=message_id, since_us=since_us
                )
            found = self._recorder.find(workspace, trace=trace, since_us=since_us)
            own = self._recorder.find(workspace, message_id=message_id, since_us=since_us)
            untold = [one for one in own if one.trace != trace]  # a handling that sent nothing may not know its trace
            return sorted([*found, *untold], key=lambda one: one.ended_us) if untold else found

        def look() -> tuple[Tree, bool, int | None, int | None]:
            """Runs in a thread: this may take a tenth of a second."""
            records = read(since_us)
            some = newest(records, MAX_RECORDS, errors=wanted.errors)
            tree = grow(
                some, live, now_us=now_us, limit=limit, agent=wanted.agent, errors=wanted.errors, family_of=message_id
            )
            last_us = max((one.ended_us for one in read(0)), default=None) if not records and since_us else None
            if records:
                last_us = records[-1].ended_us
            return tree, len(some) < len(records), last_us, self._recorder.oldest_us()

        tree, was_cut, last_us, recorded_since = await asyncio.to_thread(look)
        if last_us is None and not live:
            kept = await self._kept(workspace, conversation_id)
            if not kept:
                raise _unknown(wanted, now_us, recorded_since)
            last_us = kept[-1].sent_us
            tree = grow(
                (), (), [one for one in kept if one.sent_us >= since_us], now_us=now_us, limit=limit,
                agent=wanted.agent, errors=wanted.errors,
            )  # fmt: skip
        said = await asyncio.to_thread(self._fill, workspace, tree.spans) if wanted.bodies else None
        return TraceView(
            conversation_id=conversation_id, message_id=message_id, now=now_us, since=since_us or None,
            recorded_since=recorded_since, last_us=last_us, total=tree.total,
            cut=tree.cut or was_cut or len(live) == MAX_LIVE, at_least=was_cut or len(live) == MAX_LIVE, said=said,
            spans=tree.spans, events=tree.events,
        )  # fmt: skip

    def _fill(self, workspace: str, spans: list[TraceSpan]) -> str:
        """Put what was said into `spans`, by whole conversations; returns of how many. Runs in a thread."""
        bodies, room = self._bus.flight.bodies, MAX_CONTENT_BYTES
        conversations = list(dict.fromkeys(one.conversation_id for one in spans if one.conversation_id))
        told = 0
        for conversation in conversations[:MAX_CONVERSATIONS]:
            kept = None
            if bodies is not None:
                records = self._recorder.find(workspace, conversation_id=conversation)
                with suppress(OSError):  # its file was removed or is damaged
                    kept = bodies.whole(workspace, conversation, records)
            size = sum(map(len, kept.values())) if kept else 0
            if not kept or size > room:
                continue
            told, room = told + 1, room - size
            by_id = dict(map(_said, (body for _, body in sorted(kept.items()))))
            for one in spans:
                if one.conversation_id == conversation and one.message_id in by_id:
                    one.content = by_id[one.message_id]
        if not told:
            return "none"
        return "whole" if told == len(conversations) else "partly"

    async def _trace_of(self, workspace: str, message_id: str) -> str:
        """What all that was caused by the same thing as this message has in common; empty if it is not known.

        What is not over is asked first: what ends meanwhile is recorded then.
        """
        known: Sequence[Live | Record] = await self._live(workspace, lambda one: one.message_id == message_id)
        if not known:
            known = await asyncio.to_thread(self._recorder.find, workspace, message_id=message_id)
        return next((one.trace for one in known if one.trace), "")

    async def _kept(self, workspace: WorkspaceName, conversation_id: str | None) -> list[Live]:
        """What the journal and the memory have of a conversation that is not in the flight recorder."""
        if conversation_id is None:
            return []
        bodies = await self._messages.conversation(workspace, conversation_id, limit=MAX_KEPT)
        return [sent_message(number, body) for number, body in enumerate(bodies, start=1)]

    # --- what is not over ------------------------------------------------------------------------------------

    async def _live(self, workspace: str, is_meant: Callable[[Envelope], bool]) -> list[Live]:
        """What waits or is in hand. Agents without mail cost next to nothing; the others have their turns between."""
        found: list[Live] = []
        until = perf_counter() + LOOK_S
        for receiver in [*self._bus.names.directory(workspace).receivers.values()]:
            if receiver.messages:
                found += islice(self._of(receiver, is_meant), MAX_LIVE - len(found))
                if len(found) == MAX_LIVE:
                    break
            if perf_counter() > until:
                await asyncio.sleep(0)
                until = perf_counter() + LOOK_S
        return found

    def _of(self, receiver: Receiver, is_meant: Callable[[Envelope], bool]) -> Iterator[Live]:
        reason = self._reason(receiver)
        for before, envelope in _meant(receiver.held, is_meant):
            yield _live(envelope, before=before, reason=reason)
        for box in receiver.mailboxes:
            turn = box.turn
            if box.busy and turn is not None and turn.envelope is not None and is_meant(turn.envelope):
                yield _live(turn.envelope, handed_us=turn.now_us)
            yield from _waiting(box, is_meant, reason)

    def _reason(self, receiver: Receiver) -> str:
        """Why nothing is handed over to it now, if that is so."""
        if receiver.is_vacant:
            return "no agent has this name"
        phase = self._agents.state(receiver.workspace, receiver.name)
        if phase not in (None, "running"):
            return f"it is {phase}"
        if receiver.is_held:
            return "its circuit is open"
        if receiver.mailboxes and not any(box.is_open for box in receiver.mailboxes):
            return "it is being started again"
        return ""


def _waiting(box: Mailbox, is_meant: Callable[[Envelope], bool], reason: str) -> Iterator[Live]:
    """What waits in a mailbox, each with those before it."""
    inbox = box.inbox
    behind = {DEFAULT_PRIORITY: inbox.lane, **inbox.others}
    earlier = 0
    for priority in sorted(behind, reverse=True):
        for before, envelope in _meant(behind[priority], is_meant):
            yield _live(envelope, before=earlier + before, reason=reason)
        earlier += len(behind[priority])
    for queue in inbox.paused.values():
        for before, envelope in _meant(queue, is_meant):
            if before == 0:
                yield _live(envelope, again_us=envelope.again_us)
            else:
                yield _live(envelope, before=before, reason="one of its sender's is repeated first")


def _meant(queue: Iterable[Envelope], is_meant: Callable[[Envelope], bool]) -> list[tuple[int, Envelope]]:
    """Those that are meant and not over, with their places in the queue."""
    return [(n, one) for n, one in enumerate(queue) if is_meant(one) and not one.settled_us and one.timer_id < 0]


def _live(envelope: Envelope, *, handed_us: int = 0, before: int = 0, again_us: int = 0, reason: str = "") -> Live:
    if envelope.is_suspect:
        reason = "it was in hand when the server ended, and is handled alone"
    return Live(
        seq=envelope.seq, sender=envelope.sender, receiver=envelope.receiver, message_id=envelope.message_id,
        conversation_id=envelope.conversation_id, performative=_act(envelope.body), trace=trace_of(envelope),
        attempt=envelope.attempt, sent_us=_sent_us(envelope), taken_us=envelope.accepted_us, size=len(envelope.body),
        handed_us=handed_us, before=before, again_us=again_us, reason=reason,
    )  # fmt: skip


def _in_family(message_id: str, trace: str) -> Callable[[Envelope], bool]:
    """Whether an envelope has this id, or is of this trace if there is one.

    What was loaded from the journal says its trace in its body alone. A million of them may wait, so no more than the
    end of it is looked at before it is sure.
    """
    if not trace:
        return lambda one: one.message_id == message_id
    needle = trace.encode()

    def is_meant(one: Envelope) -> bool:
        if one.trace:
            return one.trace == trace or one.message_id == message_id
        return (needle in one.body[-_TAIL_BYTES:] and trace_of(one) == trace) or one.message_id == message_id

    return is_meant


def _sent_us(envelope: Envelope) -> int:
    """When it was sent; what was loaded from the journal was accepted again, and says it itself."""
    tail = b"" if envelope.trace else envelope.body[-_TAIL_BYTES:]
    _, found, rest = tail.rpartition(b'"timestamp":')
    said = rest.partition(b",")[0].rstrip(b"}")
    return int(said) if found and said.isdigit() else envelope.accepted_us


def _said(body: bytes) -> tuple[str, Any]:
    """The id of a message, and what it says: any JSON."""
    message = decode_message(body, max_bytes=ANY_SIZE)
    return message.message_id, msgspec.json.decode(message.content) if message.content else None


def _act(body: bytes) -> str:
    return body[ACT_AT:ACT_END].partition(b'"')[0].decode("utf-8", "replace")


def _unknown(wanted: TraceFilter, now_us: int, recorded_since: int | None) -> CaxtonError:
    reach_s = None if recorded_since is None else max(now_us - recorded_since, 0) / 1e6
    if wanted.message_id is not None:
        return MessageNotFound(wanted.message_id, reach_s)
    return ConversationNotRecorded(wanted.conversation_id or "", reach_s)
