"""Records of talks that never were, for tests: what a node would have written down, and what it would have in hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from caxton.core.views.traces import TraceView
from caxton.recorder.record import CRASHED, DEAD, FAILED, REFUSED, SETTLED, TOOL, Record
from caxton.services.trace_tree import Live, Tree, grow

START_US = 1_800_000_000_000_000
TRACE = f"00-{'ab' * 16}-"
AGENTS = ("a", "b", "c", "d")


def record(
    kind: int, seq: int, sender: str, receiver: str, *, sent: int, handed: int = 0, ended: int, act: str = "inform",
    message_id: str | None = None, conversation_id: str | None = "c-1", attempt: int = 1, detail: str | None = None,
    trace: str = TRACE,
) -> Record:  # fmt: skip
    """One, with times in µs since `START_US`; `handed` 0: it was not."""
    return Record(
        kind, seq, "default", sender, receiver, f"m-{seq}" if message_id is None else message_id, conversation_id,
        act.encode(), trace, attempt, START_US + sent, START_US + handed if handed else 0, START_US + ended, 100,
        detail,
    )  # fmt: skip


def live(seq: int, sender: str, receiver: str, *, sent: int, handed: int = 0, **facts: Any) -> Live:
    """A message that is not over."""
    known: dict[str, Any] = {
        "message_id": f"m-{seq}", "conversation_id": "c-1", "performative": "inform", "trace": TRACE, "attempt": 1,
        "size": 100,
    }  # fmt: skip
    return Live(
        seq=seq, sender=sender, receiver=receiver, sent_us=START_US + sent,
        handed_us=START_US + handed if handed else 0, **known | facts,
    )  # fmt: skip


def view(tree: Tree, *, now: int) -> TraceView:
    """As an answer has it."""
    return TraceView(
        conversation_id="c-1", message_id=None, now=START_US + now, since=None, recorded_since=START_US, last_us=None,
        total=tree.total, cut=tree.cut, spans=tree.spans, events=tree.events,
    )  # fmt: skip


def grown(records: list[Record], waiting: list[Live] | None = None, *, now: int, **options: Any) -> TraceView:
    """A trace of these."""
    options.setdefault("limit", 1000)
    return view(grow(records, waiting or [], now_us=START_US + now, **options), now=now)


@dataclass
class Talk:
    """What happened, and the truth about it."""

    records: list[Record] = field(default_factory=list[Record])
    live: list[Live] = field(default_factory=list[Live])
    causes: dict[int, int] = field(default_factory=dict[int, int])
    """Number of a message → number of the one in whose handling it was sent."""
    bad: set[int] = field(default_factory=set[int])
    """Numbers of messages with which something went wrong."""
    now: int = 1

    @property
    def seqs(self) -> set[int]:
        """Numbers of all messages."""
        return {one.seq for one in (*self.records, *self.live) if one.seq}


@dataclass
class _Message:
    seq: int
    sender: str
    receiver: str
    sent: int
    attempt: int = 1


@st.composite
def talks(draw: st.DrawFn, *, min_step: int = 0) -> Talk:
    """A node at work: messages are handled, fail, die, call tools, send others, or wait. `min_step`: of the clock."""
    talk, waiting, numbers = Talk(), list[_Message](), iter(range(1, 1000))

    def later() -> int:
        talk.now += draw(st.integers(min_step, 3))
        return talk.now

    def send(sender: str, at: int) -> None:
        waiting.append(_Message(next(numbers), sender, draw(st.sampled_from(AGENTS)), at))

    for _ in range(draw(st.integers(1, 3))):
        send("client:ada", later())
    for _ in range(draw(st.integers(0, 25))):
        if not waiting:
            break
        message = waiting.pop(draw(st.integers(0, len(waiting) - 1)))
        _handle(draw, talk, message, waiting, later, send)
    talk.live = [
        live(one.seq, one.sender, one.receiver, sent=one.sent, attempt=one.attempt) for one in waiting
    ]  # fmt: skip
    later()
    return talk


def _handle(draw: st.DrawFn, talk: Talk, message: _Message, waiting: list[_Message], later: Any, send: Any) -> None:
    began = later()
    facts: dict[str, Any] = {"sent": message.sent, "handed": began, "attempt": message.attempt}
    me = message.receiver
    if draw(st.booleans()):
        detail = draw(st.sampled_from(["db", "db: tool timeout"]))
        talk.records.append(
            record(TOOL, 0, me, me, sent=began, handed=later(), ended=later(), detail=detail, act="",
                   message_id=f"m-{message.seq}")
        )  # fmt: skip
        if detail != "db":
            talk.bad.add(message.seq)
    outcome = draw(st.sampled_from(["settled", "settled", "failed", "crashed", "dead"]))
    if outcome == "settled":
        first = len(waiting)
        for _ in range(draw(st.integers(0, 3))):
            send(me, began)
        talk.causes |= {one.seq: message.seq for one in waiting[first:]}
        talk.records.append(record(SETTLED, message.seq, message.sender, me, ended=later(), **facts))
        return
    talk.bad.add(message.seq)
    if draw(st.booleans()):
        at = later()
        talk.records.append(
            record(REFUSED, 0, me, "nobody", sent=at, ended=at, detail="UNKNOWN_RECEIVER", message_id="")
        )
    kind = CRASHED if outcome == "crashed" else FAILED
    talk.records.append(record(kind, message.seq, message.sender, me, ended=later(), detail="no", **facts))
    if outcome == "dead":
        facts["handed"] = 0
        talk.records.append(record(DEAD, message.seq, message.sender, me, ended=later(), detail="failed: no", **facts))
    else:
        message.attempt += 1
        waiting.append(message)
