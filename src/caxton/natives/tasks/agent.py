"""The agent `tasks`: carries out what `contract` decides, one transaction for each message and timer.

It is the initiator of every call for proposals that somebody outside asked for. All it knows is in its key-value state,
so that what it knows, what it said and what it waits for are never apart, whenever the node ends.
"""

from __future__ import annotations

from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.conversations.notices import AMS, ENDED, UNDELIVERABLE
from caxton.core.errors.receivers import MailboxFull
from caxton.messages.codec import encode_message
from caxton.messages.message import AclMessage
from caxton.natives.native import answer
from caxton.natives.tasks.bid import MAX_REASON_CHARS
from caxton.natives.tasks.contract import (
    EXPLANATIONS,
    CancelAsked,
    ConversationEnded,
    Due,
    Event,
    Heard,
    Instruction,
    Keep,
    Learn,
    Lost,
    Outlook,
    Say,
    absent,
    begin,
    on_event,
)
from caxton.natives.tasks.record import learned
from caxton.natives.tasks.store import Ledger, Task, conversation_of, task_of
from caxton.sandbox.codes import OK, RATE_LIMITED, UNKNOWN_RECEIVER, WOULD_BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.turn import Turn
    from caxton.natives.tasks.call import Call

PROTOCOL = "fipa-contract-net"

MAX_RESULT_BYTES = 256 << 10
"""A larger result ends the task as any other, but is not kept."""

RETRY_US = 2_000_000
"""How long until what found a mailbox full is sent again. It need not be quick: the bidder has other mail first."""

CANCEL_US = 60_000_000
"""A bidder that has not answered a `cancel` by then is not waited for."""

ASKING = frozenset(
    {"request", "request-when", "request-whenever", "query-if", "query-ref", "cfp", "subscribe", "propose", "proxy"}
)  # fmt: skip
"""Acts that want an answer; what is no answer to a call of ours gets `not-understood`."""

_RETRY_KEY = b"retry"


class TaskAgent:
    """A native agent (`agents.native.NativeAgent`)."""

    name = "tasks"

    def __init__(self) -> None:
        self.on_end: Callable[[str, str], None] = lambda workspace, task_id: None
        """Told when a task is about to end: with the turn in hand, if that succeeds."""

    # --- asked from outside ----------------------------------------------------------------------------------

    def create(self, call: Call, digest: str, turn: Turn) -> Task:
        """Call for proposals. Raises `TasksFull`, `MailboxFull` (there is nobody with room for the call)."""
        contract, said = begin(call.names, call.rule, now_us=turn.now_us, call_us=call.call_us, work_us=call.work_us)
        task = Task(
            id=call.id, contract=contract, created_by=call.created_by, digest=digest, capability=call.capability,
            mark=token_hex(8),
        )  # fmt: skip
        ledger = Ledger(turn)
        ledger.add(task, call.content)
        for one in said:
            if isinstance(one, Say) and (sent := self._send(task, one, ledger, turn)) != OK:
                reason = "there is no agent of this name" if sent == UNKNOWN_RECEIVER else "its mailbox is full"
                contract = absent(contract, one.name, reason)
        if all(bidder.state == "absent" for bidder in contract.bidders.values()):
            target = turn.receiver.directory.find(call.names[0])
            limits = (0, 0) if target is None else (target.max_messages, target.max_bytes)
            raise MailboxFull(", ".join(call.names), *limits)
        task = msgspec.structs.replace(task, contract=contract)
        return self._keep(task, task, [], ledger, turn)

    def cancel(self, task: Task, reason: str, turn: Turn) -> Task:
        """End an open task; those who have something to do with it are told."""
        return self._event(task, CancelAsked(turn.now_us, reason), b"", Ledger(turn), turn)

    # --- on the bus ------------------------------------------------------------------------------------------

    def handle(self, message: AclMessage, turn: Turn) -> int:
        ledger = Ledger(turn)
        task_id = task_of(message.conversation_id)
        task = None if task_id is None else ledger.get(task_id)
        if task is not None and message.conversation_id != conversation_of(task):
            task = None
        if task is not None and message.sender == AMS:
            if (event := _told_by_node(message, turn.now_us)) is not None:
                self._event(task, event, b"", ledger, turn)
            return OK
        if task is None or message.sender not in task.contract.bidders:
            return self._misplaced(message, turn)
        if _answers_other(message, task.id):
            if message.performative == "inform":
                event = Lost(message.sender, "somebody else has cancelled its part", turn.now_us)
                self._event(task, event, b"", ledger, turn)
            return OK
        event = Heard(
            message.sender, message.performative, bytes(message.content), message.reply_with or "", turn.now_us
        )
        self._event(task, event, event.content, ledger, turn)
        return OK

    def fire(self, timer_id: int, turn: Turn) -> int:
        ledger = Ledger(turn)
        if turn.kv_get(_RETRY_KEY) == b"%d" % timer_id:
            turn.kv_delete(_RETRY_KEY)
            self._pay(ledger, turn)
            return OK
        task_id = ledger.task_of_timer(timer_id)
        task = None if task_id is None else ledger.get(task_id)
        if task is not None and task.timer_id == timer_id:
            self._event(task, Due(turn.now_us), b"", ledger, turn)
        return OK

    @staticmethod
    def _misplaced(message: AclMessage, turn: Turn) -> int:
        """Something that no task is about."""
        if message.performative not in ASKING:
            return OK
        if message.performative == "propose" and task_of(message.conversation_id) is not None:
            content = {"reason": "late", "explanation": EXPLANATIONS["late"]}
            return answer(turn, message, "reject-proposal", content)
        content = {"reason": "tasks are created with POST /api/v1/tasks; this agent only hears bidders' answers"}
        return answer(turn, message, "not-understood", content)

    # --- inside ----------------------------------------------------------------------------------------------

    def _event(self, task: Task, event: Event, content: bytes, ledger: Ledger, turn: Turn) -> Task:
        directory = turn.receiver.directory
        outlook = Outlook(ledger.record, lambda name: directory.find(name) is not None)
        contract, instructions = on_event(task.contract, event, outlook)
        if contract is task.contract:
            return task
        before, task = task, msgspec.structs.replace(task, contract=contract)
        unheard = {one.name for one in ledger.owed(task.id) if one.act == "accept-proposal"}
        """Winners that do not know it: they have broken no promise."""
        for instruction in instructions:
            match instruction:
                case Keep(name):
                    task = _with_result(task, name, content, ledger)
                case Learn(name, promised, actual, at_us):
                    if name in unheard:
                        continue
                    ledger.put_record(name, learned(ledger.record(name), promised, actual, at_us))
                case Say():
                    pass
        return self._keep(before, task, instructions, ledger, turn)

    def _keep(self, before: Task, task: Task, said: list[Instruction], ledger: Ledger, turn: Turn) -> Task:
        """Say what is to be said, set the clock for what comes next, and keep the task."""
        owed = ledger.owed(task.id)
        for one in said:
            if isinstance(one, Say):
                owed = self._say(task, one, owed, ledger, turn)
        if owed or said:
            self._owe(task.id, owed, ledger, turn)
        if task.timer_id < 0 or task.contract.due_us != before.contract.due_us:
            task = self._set_clock(task, ledger, turn)
        ledger.put(task)
        if not task.contract.is_open:
            self.on_end(turn.receiver.workspace, task.id)
        return task

    def _set_clock(self, task: Task, ledger: Ledger, turn: Turn) -> Task:
        if task.timer_id >= 0:
            turn.cancel_timer(task.timer_id)
            ledger.set_task_of_timer(task.timer_id, None)
        if not task.contract.due_us:
            return msgspec.structs.replace(task, timer_id=-1)
        timer_id = turn.set_timer(max(task.contract.due_us - turn.now_us, 0))
        if timer_id < 0:
            raise AssertionError("there are more timers than open tasks")
        ledger.set_task_of_timer(timer_id, task.id)
        return msgspec.structs.replace(task, timer_id=timer_id)

    # --- sending ---------------------------------------------------------------------------------------------

    def _say(self, task: Task, said: Say, owed: list[Say], ledger: Ledger, turn: Turn) -> list[Say]:
        """Send it; returns what is owed then."""
        award = next((one for one in owed if one.name == said.name and one.act == "accept-proposal"), None)
        if said.act == "cancel" and award is not None:
            # it never heard that it has won: its one answer is that it has not
            said = Say(said.name, "reject-proposal", said.reason, said.explanation, award.in_reply_to)
            owed = [one for one in owed if one is not award]
        if self._send(task, said, ledger, turn) in (WOULD_BLOCK, RATE_LIMITED):
            return [*owed, said]
        return owed

    def _pay(self, ledger: Ledger, turn: Turn) -> None:
        """Try again to send what is owed."""
        for task_id in ledger.owing():
            task = ledger.get(task_id)
            rest: list[Say] = []
            for said in ledger.owed(task_id) if task is not None else []:
                assert task is not None  # noqa: S101
                rest = self._say(task, said, rest, ledger, turn)
            self._owe(task_id, rest, ledger, turn)

    @staticmethod
    def _owe(task_id: str, owed: list[Say], ledger: Ledger, turn: Turn) -> None:
        ledger.set_owed(task_id, owed)
        if owed and turn.kv_get(_RETRY_KEY) is None:
            turn.kv_set(_RETRY_KEY, b"%d" % turn.set_timer(RETRY_US))

    def _send(self, task: Task, said: Say, ledger: Ledger, turn: Turn) -> int:
        """What `Turn.send` says of it. Nobody is there any more: then there is nobody to be told."""
        contract = task.contract
        message = AclMessage(
            performative=said.act, receiver=said.name, protocol=PROTOCOL, conversation_id=conversation_of(task),
            reply_with=_reference(said.act, task.id, said.name), in_reply_to=said.in_reply_to or None,
        )  # fmt: skip
        content: dict[str, Any]
        if said.act == "cfp":
            message.reply_by = iso(contract.deadline_us)
            content = {"task": msgspec.Raw(ledger.content(task.id))} | budget(task)
        elif said.act == "accept-proposal":
            # To begin after its time would be of no use; but it must not go before the `cancel` that follows it.
            message.ttl_ms = max(contract.due_us - turn.now_us + CANCEL_US, 1000) // 1000
            content = {"task": msgspec.Raw(ledger.content(task.id)), "result_by": iso(contract.due_us)}
            content["bid"] = contract.bidders[said.name].figures
        else:
            if said.act == "cancel":
                message.reply_by = iso(turn.now_us + CANCEL_US)
            content = {"reason": said.reason, "explanation": said.explanation}
        message.content = msgspec.Raw(msgspec.json.encode(content))
        return turn.send(encode_message(message))


def budget(task: Task) -> dict[str, float]:
    """What a proposal may come to at most."""
    rule = task.contract.rule
    limits = {"max_cost": rule.max_cost, "max_tokens": rule.max_tokens}
    return {name: limit for name, limit in limits.items() if limit is not None}


def iso(at_us: int) -> str:
    """Microseconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")


def _reference(act: str, task_id: str, name: str) -> str:
    """What the answer to our `act` refers to."""
    return f"{act}-{task_id}-{name}"


def _answers_other(message: AclMessage, task_id: str) -> bool:
    """Whether this answers something that was said in our name and not by us: the `cancel` of an operator."""
    mine = _reference("", task_id, message.sender)
    return message.performative in ("inform", "failure") and not (message.in_reply_to or mine).endswith(mine)


def _told_by_node(message: AclMessage, now_us: int) -> Event | None:
    """What a notice of the node means for its task; None if nothing."""
    try:
        told = msgspec.json.decode(message.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    if told.get("error") == ENDED:
        return ConversationEnded(now_us, f"its conversation was ended: {told.get('outcome')}")
    if told.get("error") == UNDELIVERABLE:
        reason = f"it cannot be reached ({told.get('reason')}): {told.get('detail')}"
        return Lost(str(told.get("receiver")), reason[:MAX_REASON_CHARS], now_us)
    return None


def _with_result(task: Task, name: str, content: bytes, ledger: Ledger) -> Task:
    if len(content) > MAX_RESULT_BYTES:
        why = f"it has {len(content)} bytes, the limit is {MAX_RESULT_BYTES}"
    elif ledger.keep_result(task.id, name, content or b"null"):
        return task
    else:
        why = "there was no room for it"
    return msgspec.structs.replace(task, unkept={**task.unkept, name: why})
