"""Which spans a record of the flight recorder becomes, and where they hang. Pure.

A message has one span for its sending, whose id is its number, as its `traceparent` says, and one for each handling.
A sending's parent is the handling that sent it; a handling's parent is the sending of what it handles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from caxton.recorder.record import CRASHED, DEAD, FAILED, LOST, REFUSED, REPLIED, SETTLED, TIMER, TOOL, Record
from caxton.telemetry import names
from caxton.telemetry.identity import end_span, handling_span, send_span, trace_id, trace_of_its_own

if TYPE_CHECKING:
    from caxton.telemetry.selection import Kept

CLIENT_PREFIX = "client:"
MAX_REMEMBERED = 10_000
"""Callers' spans, and messages that failed: what is older than so many others is not looked for any more."""

K = TypeVar("K")
V = TypeVar("V")

_ERRORS = {FAILED: names.HANDLER_FAILED, CRASHED: names.HANDLER_CRASHED, LOST: names.NODE_ENDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One span."""

    name: str
    kind: Literal["producer", "consumer", "internal"]
    trace: int
    span: int
    parent: int = 0
    """0: none."""
    link: int = 0
    """To the span in which the message came to be; 0: none."""
    begun_us: int
    ended_us: int
    attributes: dict[str, str | int] = field(default_factory=dict[str, "str | int"])
    error: str | None = None
    """One of few words, if it is one."""
    detail: str | None = None
    """The story of the error."""


class Outliner:
    """See the module. Used by one thread."""

    def __init__(self) -> None:
        self._callers: dict[str, int] = {}
        """By message: the span of the request that brought it."""
        self._sent: dict[int, None] = {}
        """Messages whose sending has its span, of those that may be heard of again."""

    def called(self, message_id: str, span: int) -> None:
        """A client that was within `span` posted the message."""
        _remember(self._callers, message_id, span)

    def outline(self, kept: Kept) -> list[Outline]:
        """The spans of one record."""
        record, why = Record(*kept.record), {names.KEPT_BECAUSE: kept.reason}
        trace = trace_id(record.trace) or trace_of_its_own(record.workspace, record.receiver, record.handed_us)
        if not record.message_id and record.kind in (TIMER, FAILED, CRASHED):
            return [_timer(record, trace, why)]
        if record.kind == TOOL:
            return [_tool(record, trace, why)]
        if record.kind == REFUSED:
            return [self._refused(record, trace, why)]
        sending = [self._sending(record, trace, why)] if self._is_first(record) else []
        if record.kind == REPLIED:
            return sending
        return [*sending, (_end if record.kind == DEAD else _handling)(record, trace, why)]

    def _is_first(self, record: Record) -> bool:
        """Whether nothing was told of the message before, so that its sending has no span yet."""
        if record.attempt > 1 or record.seq in self._sent:
            return False
        if record.kind not in (SETTLED, REPLIED):
            _remember(self._sent, record.seq, None)
        return True

    def _sending(self, record: Record, trace: int, why: dict[str, str]) -> Outline:
        return Outline(
            name=f"{names.SEND} {record.receiver}", kind="producer", trace=trace, span=send_span(record.seq),
            parent=self._cause(record), begun_us=record.sent_us, ended_us=record.sent_us,
            attributes={**_of_message(record, names.SEND, record.sender), **why},
        )  # fmt: skip

    def _refused(self, record: Record, trace: int, why: dict[str, str]) -> Outline:
        span = end_span("refused", record.workspace, f"{record.sender}\0{record.receiver}", record.ended_us)
        return Outline(
            name=f"{names.SEND} {record.receiver}", kind="producer", trace=trace, span=span,
            parent=self._cause(record), begun_us=record.sent_us, ended_us=record.ended_us,
            attributes={**_of_message(record, names.SEND, record.sender), **why},
            error=_word(record), detail=record.detail,
        )  # fmt: skip

    def _cause(self, record: Record) -> int:
        """The span that sent it; 0 if that is nobody we know of."""
        if record.sender.startswith(CLIENT_PREFIX):
            return self._callers.get(record.message_id, 0)
        return handling_span(record.workspace, record.sender, record.sent_us)


def _handling(record: Record, trace: int, why: dict[str, str]) -> Outline:
    begun_us, sending = record.handed_us or record.ended_us, send_span(record.seq)
    return Outline(
        name=f"{names.PROCESS} {record.receiver}", kind="consumer", trace=trace,
        span=handling_span(record.workspace, record.receiver, begun_us), parent=sending, link=sending,
        begun_us=begun_us, ended_us=record.ended_us,
        attributes={
            **_of_message(record, names.PROCESS, record.receiver), names.ATTEMPT: record.attempt, **why,
        },
        error=_ERRORS.get(record.kind), detail=record.detail,
    )  # fmt: skip


def _end(record: Record, trace: int, why: dict[str, str]) -> Outline:
    sending = send_span(record.seq)
    return Outline(
        name=f"{names.SETTLE} {record.receiver}", kind="consumer", trace=trace,
        span=end_span("dead", record.workspace, str(record.seq), record.ended_us), parent=sending, link=sending,
        begun_us=record.ended_us, ended_us=record.ended_us,
        attributes={**_of_message(record, names.SETTLE, record.receiver), names.ATTEMPT: record.attempt, **why},
        error=_word(record), detail=record.detail,
    )  # fmt: skip


def _timer(record: Record, trace: int, why: dict[str, str]) -> Outline:
    return Outline(
        name=f"{names.TIMER} {record.receiver}", kind="internal", trace=trace,
        span=handling_span(record.workspace, record.receiver, record.handed_us),
        begun_us=record.handed_us, ended_us=record.ended_us,
        attributes={**_of_agent(record, record.receiver), names.ATTEMPT: record.attempt, **why},
        error=_ERRORS.get(record.kind), detail=record.detail,
    )  # fmt: skip


def _tool(record: Record, trace: int, why: dict[str, str]) -> Outline:
    tool = record.tool
    attributes = {
        **_of_agent(record, record.receiver),
        names.GEN_AI_OPERATION_NAME: names.EXECUTE_TOOL,
        names.GEN_AI_TOOL_NAME: tool,
        **why,
    }
    return Outline(
        name=f"{names.EXECUTE_TOOL} {tool}", kind="internal", trace=trace,
        span=end_span("tool", record.workspace, f"{record.receiver}\0{tool}", record.handed_us),
        parent=handling_span(record.workspace, record.sender, record.sent_us),
        begun_us=record.handed_us, ended_us=record.ended_us, attributes=attributes,
        error=record.tool_error and record.tool_error.replace(" ", "_"), detail=record.tool_error,
    )  # fmt: skip


def _of_message(record: Record, operation: str, agent: str) -> dict[str, str | int]:
    found: dict[str, str | int] = {
        **_of_agent(record, agent),
        names.MESSAGING_SYSTEM: names.SYSTEM,
        names.MESSAGING_OPERATION_NAME: operation,
        names.MESSAGING_OPERATION_TYPE: operation,
        names.MESSAGING_DESTINATION_NAME: record.receiver,
        names.MESSAGING_MESSAGE_ENVELOPE_SIZE: record.size,
        names.PERFORMATIVE: record.performative,
    }
    if record.message_id:
        found[names.MESSAGING_MESSAGE_ID] = record.message_id
    if record.conversation_id is not None:
        found[names.MESSAGING_MESSAGE_CONVERSATION_ID] = record.conversation_id
        found[names.GEN_AI_CONVERSATION_ID] = record.conversation_id
    return found


def _of_agent(record: Record, agent: str) -> dict[str, str | int]:
    found: dict[str, str | int] = {names.WORKSPACE: record.workspace}
    if not agent.startswith(CLIENT_PREFIX):
        found[names.GEN_AI_AGENT_NAME] = agent
    return found


def _word(record: Record) -> str:
    """The reason of a dead letter, or the code of a refusal."""
    return (record.detail or "_OTHER").partition(":")[0]


def _remember(known: dict[K, V], key: K, value: V) -> None:
    known.pop(key, None)
    known[key] = value
    while len(known) > MAX_REMEMBERED:
        del known[next(iter(known))]
