"""Looks into one agent: its figures, its mail, its state, its memory, where it is, where its time goes.

Looking changes nothing. What waits and what is in hand is asked of the bus, what has ended of the flight recorder, and
where a guest is of the guest itself, at the end of a slice of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING

from caxton.core.errors.agents import AgentIsNative, AgentStateConflict
from caxton.core.errors.debugging import OutsideMemory, ProfileRunning
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.values import InvalidValue
from caxton.core.views.debugging import (
    AgentDebug,
    FrameView,
    InHandView,
    KvDebug,
    KvEntry,
    MailboxDebug,
    MemoryDebug,
    RateView,
    ReplicaView,
    StackDebug,
    StackView,
    WaitingView,
)
from caxton.sandbox.profiler import Profiler
from caxton.sandbox.source_lines import SourceLines
from caxton.services.figures import per_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from caxton.agents.service import AgentService
    from caxton.agents.supervisor import Supervisor
    from caxton.bus.envelope import Envelope
    from caxton.bus.mailbox import Mailbox, Receiver
    from caxton.core.clock import Clock
    from caxton.core.ids import AgentName, WorkspaceName
    from caxton.core.views.stats import TimesView, WindowView
    from caxton.sandbox.guest import Guest
    from caxton.sandbox.trap import Frame
    from caxton.services.stats import StatsService

MAX_VALUE_SHOWN_BYTES = 1024
"""Of a value in the state; 'caxton debug agent --kv' is for looking, not for copying."""

STACK_WAIT_S = 2.0
"""A busy guest gets its next slice within milliseconds; longer means that it gets none, as on a full disk."""

_LOOK_AGAIN_S = 0.02

_ACT_BEGIN = b'{"performative":"'
_LONGEST_ACT = 40


class DebugService:
    """See the module.

    Args:
        agents: with the instances.
        stats: which knows what has ended.
        clock: for how long something has been.
        module_of: gives the WebAssembly of a SHA-256, None if it is not there.
        natives: the server's own agents of a workspace, by name.
    """

    def __init__(
        self, agents: AgentService, stats: StatsService, clock: Clock, module_of: Callable[[str], bytes | None],
        natives: Callable[[str], Mapping[str, Receiver]],
    ) -> None:  # fmt: skip
        self._agents, self._stats, self._clock, self._module_of = agents, stats, clock, module_of
        self._natives = natives
        self._profiled: set[tuple[str, str]] = set()
        self._stopping = asyncio.Event()

    def refuse(self) -> None:
        """The node stops: profiles under way end now, with what they have."""
        self._stopping.set()

    # --- figures ---------------------------------------------------------------------------------------------

    async def figures(self, workspace: WorkspaceName, name: AgentName, *, window_s: float) -> AgentDebug:
        """What an agent uses now and did in the last `window_s` seconds. Raises `AgentNotFound`."""
        receiver, _ = self._find(workspace, name)
        window, figures, ended = await self._stats.ended(workspace, name, window_s=window_s)
        return AgentDebug(
            name=name, type=figures.type, status=figures.status, reason=figures.reason,
            memory_bytes=figures.memory_bytes, memory_limit_bytes=figures.memory_limit_bytes,
            mailbox_messages=receiver.messages, mailbox_bytes=receiver.bytes,
            window_s=window.covered_s, is_cut=window.is_cut, is_recorded=window.is_recorded,
            tool_calls=_rate(ended.tools, ended.tool, window), handlings=_rate(ended.count, ended.handling, window),
            waits=_rate(ended.waited, ended.waiting, window), failed=ended.failed,
            replicas=self._replicas(*self._find(workspace, name)),
        )  # fmt: skip

    def _find(self, workspace: WorkspaceName, name: AgentName) -> tuple[Receiver, Mapping[int, Guest]]:
        """Its mail, and its instances; of the server's own agents there are none. Raises `AgentNotFound`."""
        own = self._natives(workspace).get(name)
        if own is not None:
            return own, {}
        supervisor = self._agents.supervisor(workspace, name)
        return supervisor.receiver, supervisor.guests

    def _supervisor(self, workspace: WorkspaceName, name: AgentName) -> Supervisor:
        """Who has its instances. Raises `AgentNotFound`, `AgentIsNative`."""
        if name in self._natives(workspace):
            raise AgentIsNative(name)
        return self._agents.supervisor(workspace, name)

    def _replicas(self, receiver: Receiver, guests: Mapping[int, Guest]) -> list[ReplicaView]:
        is_native = receiver.name in self._natives(receiver.workspace)
        return [
            ReplicaView(
                replica=box.replica, is_up=box.replica in guests or is_native,
                memory_bytes=guests[box.replica].memory_now() if box.replica in guests else 0,
                waiting=_length(box), handled=box.handled,
                in_hand=self._in_hand(box),
            )
            for box in receiver.mailboxes
        ]  # fmt: skip

    def _in_hand(self, box: Mailbox) -> InHandView | None:
        turn = box.turn
        envelope = turn.envelope if box.busy and turn is not None else None
        if turn is None or envelope is None:
            return None
        is_timer = envelope.timer_id >= 0
        return InHandView(
            message_id=None if is_timer else envelope.message_id, timer_id=envelope.timer_id if is_timer else None,
            sender=envelope.sender, performative=performative_of(envelope.body),
            conversation_id=envelope.conversation_id, attempt=envelope.attempt, size=len(envelope.body),
            priority=envelope.priority, handed_at=_iso(turn.now_us), for_s=self._since(turn.now_us),
        )  # fmt: skip

    # --- mail and state --------------------------------------------------------------------------------------

    def mailbox(self, workspace: WorkspaceName, name: AgentName, *, limit: int) -> MailboxDebug:
        """What waits, those that come first, and what is in hand. Raises `AgentNotFound`."""
        receiver, guests = self._find(workspace, name)
        first = nsmallest(limit, _first_of_each(receiver, limit), key=_turn_of)
        waiting = sum(map(_length, receiver.mailboxes)) + len(receiver.held) - receiver.tombstones
        return MailboxDebug(
            name=name, waiting=waiting, in_hand=[one for one in self._replicas(receiver, guests) if one.in_hand],
            messages=[self._waits(envelope, state, replica) for state, envelope, replica in first],
            left_out=max(waiting - len(first), 0),
        )  # fmt: skip

    def _waits(self, envelope: Envelope, state: str, replica: int | None) -> WaitingView:
        return WaitingView(
            replica=replica, state=state, message_id=envelope.message_id, sender=envelope.sender,
            performative="timer" if envelope.timer_id >= 0 else performative_of(envelope.body),
            conversation_id=envelope.conversation_id, accepted_at=_iso(envelope.accepted_us),
            age_s=self._since(envelope.accepted_us), attempt=envelope.attempt, size=len(envelope.body),
            priority=envelope.priority,
        )  # fmt: skip

    async def state(self, workspace: WorkspaceName, name: AgentName, *, prefix: bytes, limit: int) -> KvDebug:
        """Its keys that begin with `prefix`, in order. Raises `AgentNotFound`, `AgentIsNative`."""
        receiver = self._supervisor(workspace, name).receiver
        kv = dict(receiver.kv)  # as it is now: a quarter of a million keys take too long to look through here

        def choose() -> tuple[int, list[bytes]]:
            keys = [key for key in kv if key.startswith(prefix)]
            return len(keys), nsmallest(limit, keys)

        total, first = await asyncio.to_thread(choose)
        return KvDebug(
            name=name, total=total, bytes=receiver.kv_bytes, left_out=total - len(first),
            entries=[_entry(key, kv[key]) for key in first],
        )  # fmt: skip

    # --- inside the guest ------------------------------------------------------------------------------------

    def memory(
        self, workspace: WorkspaceName, name: AgentName, *, replica: int, offset: int, length: int
    ) -> MemoryDebug:
        """Bytes of a guest's memory.

        Raises `AgentNotFound`, `AgentIsNative`, `AgentStateConflict`, `InvalidValue`, `OutsideMemory`.
        """
        supervisor = self._supervisor(workspace, name)
        guest = self._guest(supervisor, replica)
        size = guest.memory_now()
        data = guest.read(offset, length) if offset + length <= size else None
        if data is None:
            raise OutsideMemory(name, offset, length, size)
        return MemoryDebug(name=name, replica=replica, offset=offset, length=length, memory_bytes=size, data=data.hex())

    def _guest(self, supervisor: Supervisor, replica: int) -> Guest:
        guests = supervisor.guests
        if not guests:
            raise AgentStateConflict(supervisor.name, supervisor.state.phase, "it has no instance to look into")
        if replica not in guests:
            if replica < supervisor.definition.replicas:
                raise AgentStateConflict(supervisor.name, "restarting", f"replica {replica} has no instance just now")
            raise InvalidValue("replica", replica, f"agent {supervisor.name!r} has {supervisor.definition.replicas}")
        return guests[replica]

    async def stack(self, workspace: WorkspaceName, name: AgentName) -> StackDebug:
        """Where each replica is: the functions that it is in the middle of. Raises `AgentNotFound`, `AgentIsNative`."""
        supervisor = self._supervisor(workspace, name)
        sha256 = self._agents.get(workspace, name).module_sha256
        found = await asyncio.gather(*(self._stack_of(supervisor, box) for box in supervisor.receiver.mailboxes))
        lines: SourceLines | None = None
        if any(frames for _, frames in found) and (wasm := self._module_of(sha256)) is not None:
            lines = await asyncio.to_thread(SourceLines, wasm)
        for view, frames in found:
            view.frames = [
                FrameView(
                    function=frame.function, offset=frame.offset,
                    source=None if lines is None else lines.find(_called_from(frame, is_innermost=n == 0)),
                )
                for n, frame in enumerate(frames)
            ]  # fmt: skip
        return StackDebug(name=name, replicas=[view for view, _ in found], has_source_lines=bool(lines))

    async def _stack_of(self, supervisor: Supervisor, box: Mailbox) -> tuple[StackView, list[Frame]]:
        guest = supervisor.guests.get(box.replica)
        in_hand = self._in_hand(box)
        view = StackView(replica=box.replica, state="running", note=None, in_hand=in_hand, frames=[])
        if guest is None:
            view.state, view.note = "no instance", f"the agent is {supervisor.state.phase}; this replica is not up"
            return view, []
        if not box.busy:
            view.state, view.note = "not running", "it has nothing in hand"
            return view, []
        frames = await self._frames(guest, box)
        if not frames:
            view.state = "not running"
            view.note = "it got no slice within 2 s" if box.busy else "what it had in hand ended just now"
        return view, frames

    async def _frames(self, guest: Guest, box: Mailbox) -> list[Frame]:
        frames: list[Frame] = []
        seen = asyncio.Event()

        def look() -> None:
            if not frames:
                frames.extend(guest.where())
                seen.set()

        guest.watch(look)
        try:
            for _ in range(round(STACK_WAIT_S / _LOOK_AGAIN_S)):
                try:
                    await asyncio.wait_for(seen.wait(), _LOOK_AGAIN_S)
                except TimeoutError:
                    if not box.busy:
                        break
                else:
                    break
        finally:
            guest.unwatch(look)
        return frames

    async def profile(self, workspace: WorkspaceName, name: AgentName, *, duration_s: float) -> bytes:
        """Sample all instances of an agent for so long; the profile as JSON that the Firefox profiler opens.

        Raises `AgentNotFound`, `AgentIsNative`, `AgentStateConflict`, `ProfileRunning`, `ProfilerUnavailable`,
        `ShuttingDown`.
        """
        supervisor = self._supervisor(workspace, name)
        if self._stopping.is_set():
            raise ShuttingDown
        if not supervisor.guests:
            raise AgentStateConflict(name, supervisor.state.phase, "it has no instance to profile")
        if (workspace, name) in self._profiled:
            raise ProfileRunning(name)
        profiler = Profiler(supervisor.module, name)
        self._profiled.add((workspace, name))
        try:
            for guest in supervisor.guests.values():
                profiler.watch(guest)
            supervisor.on_instance = profiler.watch
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), duration_s)
            supervisor.on_instance = None
            profiler.stop()
            return await asyncio.to_thread(profiler.finish)
        finally:
            supervisor.on_instance = None
            profiler.close()
            self._profiled.discard((workspace, name))

    def _since(self, then_us: int) -> float:
        return round(max(self._clock.wall_us() - then_us, 0) / 1e6, 3)


def _rate(count: int, times: TimesView | None, window: WindowView) -> RateView:
    """In seconds, as people think of tools."""
    return RateView(
        count=count, per_s=per_s(count, window),
        p50_s=None if times is None else times.p50_ms / 1000, p99_s=None if times is None else times.p99_ms / 1000,
    )  # fmt: skip


def performative_of(body: bytes) -> str:
    """The act of an encoded message; empty for what is none."""
    if not body.startswith(_ACT_BEGIN):
        return ""
    begin = len(_ACT_BEGIN)
    return body[begin : begin + _LONGEST_ACT].partition(b'"')[0].decode("utf-8", "replace")


def shown(data: bytes) -> tuple[str, str]:
    """`data` as text if it can be printed, else in hex; and which of both."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data.hex(), "hex"
    if all(c.isprintable() or c in "\n\t" for c in text):
        return text, "text"
    return data.hex(), "hex"


def _entry(key: bytes, value: bytes) -> KvEntry:
    name, name_encoding = shown(key)
    part = value[:MAX_VALUE_SHOWN_BYTES]
    if len(part) < len(value):  # a character may have been cut in two
        part = part.decode("utf-8", "ignore").encode() if _is_text(part) else part
    text, encoding = shown(part)
    return KvEntry(
        key=name, key_encoding=name_encoding, value=text, value_encoding=encoding, value_bytes=len(value),
        is_cut=len(value) > MAX_VALUE_SHOWN_BYTES,
    )  # fmt: skip


def _is_text(part: bytes) -> bool:
    """Whether it is UTF-8 but for a character that was cut at its end."""
    try:
        part.decode()
    except UnicodeDecodeError as exc:
        return exc.start >= len(part) - 3
    return True


def _length(box: Mailbox) -> int:
    """How much is in its queues. They may hold a million messages: none is looked at."""
    inbox = box.inbox
    return len(inbox.lane) + sum(map(len, inbox.others.values())) + sum(map(len, inbox.paused.values()))


def _first_of_each(receiver: Receiver, limit: int) -> Iterator[tuple[str, Envelope, int | None]]:
    """How, what, and for which replica: the beginning of each queue, which is in order by itself."""
    for box in receiver.mailboxes:
        inbox = box.inbox
        for queue in (inbox.lane, *inbox.others.values()):
            for envelope in _unsettled(queue, limit):
                yield ("paused" if envelope.sender in inbox.paused else "waiting"), envelope, box.replica
        for queue in inbox.paused.values():
            for envelope in _unsettled(queue, limit):
                yield "paused", envelope, box.replica
    for envelope in _unsettled(receiver.held, limit):
        yield "held", envelope, None


def _unsettled(queue: Iterable[Envelope], limit: int) -> Iterator[Envelope]:
    return islice((envelope for envelope in queue if not envelope.settled_us), limit)


def _turn_of(one: tuple[str, Envelope, int | None]) -> tuple[bool, int, int]:
    """Those that can be handed over first, the highest priority first, then in order of acceptance."""
    state, envelope, _ = one
    return state == "paused", -envelope.priority, envelope.seq


def _called_from(frame: Frame, *, is_innermost: bool) -> int:
    """A caller's offset is that of the instruction behind the call, which may stand on the next line."""
    return frame.offset if is_innermost else max(frame.offset - 1, 0)


def _iso(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds")
