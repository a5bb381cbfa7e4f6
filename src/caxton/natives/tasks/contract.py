"""The initiator's side of a call for proposals, for one task: what to say to whom, and when. Pure.

`calling` → `awarded` → `done`, `failed` or `expired`; or from `calling` to `no-bids`; or to `cancelled`, as long as it
has not ended. Every bidder that proposes gets one answer and no second: `accept-proposal`, `reject-proposal`, or the
`cancel` that crossed with its proposal. A proposal binds, so a second one of the same bidder changes nothing. Once the
award is made, those who were not chosen are told, and free: when the winner then fails, the task has failed.

Source: FIPA SC00029H; the cancel meta-protocol there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from caxton.natives.tasks.award import rank
from caxton.natives.tasks.bid import BadBid, Figures, Rule, read_bid, read_figures, read_reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.natives.tasks.record import Record

TaskState = Literal["calling", "awarded", "done", "failed", "no-bids", "cancelled", "expired"]
BidderState = Literal[
    "called",
    "proposed",
    "refused",
    "silent",
    "absent",
    "rejected",
    "accepted",
    "done",
    "failed",
    "overdue",
    "cancelled",
]

TASK_STATES: tuple[TaskState, ...] = get_args(TaskState)
OPEN = frozenset[TaskState]({"calling", "awarded"})

MAX_REFERENCE_CHARS = 256
"""Of a proposal's `reply_with`, which is kept until the award. 22 times as long as those that Caxton makes."""

EXPLANATIONS = {
    "outbid": "another proposal was better",
    "late": "the time for proposals was over",
    "cancelled": "the task was cancelled",
    "expired": "the time for the result is over",
}
"""Why a bidder did not get the task, or lost it, for people. `malformed` and `over-budget` have their own words."""


class Bidder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of those who were called."""

    state: BidderState = "called"
    figures: Figures = {}
    """What it promised."""
    score: float | None = None
    """Of its proposal in the award: 0 (best) to 1."""
    reason: str = ""
    """Why it was rejected (a key of `EXPLANATIONS`, `malformed`, `over-budget`), or refused or failed, in its words."""
    explanation: str = ""
    reply_with: str = ""
    """Of its proposal: the answer refers to it."""
    actual: Figures = {}
    """What the result cost and took."""
    answered_us: int = 0
    ended_us: int = 0


class Contract(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task as the initiator sees it. Times are µs since 1970."""

    rule: Rule
    bidders: dict[str, Bidder]
    created_us: int
    due_us: int
    """When the present state ends by itself: the proposals' deadline, then the result's; 0 once it has ended."""
    deadline_us: int
    """For proposals."""
    work_us: int
    """How long the winner may take, from the award."""
    state: TaskState = "calling"
    reason: str = ""
    """Why it has ended otherwise than done."""
    awarded_us: int = 0
    ended_us: int = 0

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


class Heard(msgspec.Struct, frozen=True):
    """A bidder said something."""

    name: str
    act: str
    content: bytes
    reply_with: str
    at_us: int


class Due(msgspec.Struct, frozen=True):
    """`Contract.due_us` has passed."""

    at_us: int


class CancelAsked(msgspec.Struct, frozen=True):
    """Nobody wants the result any more."""

    at_us: int
    reason: str


class ConversationEnded(msgspec.Struct, frozen=True):
    """Nothing can be said any more, and whoever ended it has told the bidders."""

    at_us: int
    reason: str


class Lost(msgspec.Struct, frozen=True):
    """The exchange with a bidder is over without a word of it: nothing can be said to it any more."""

    name: str
    reason: str
    at_us: int


Event = Heard | Due | CancelAsked | ConversationEnded | Lost


class Say(msgspec.Struct, frozen=True):
    """Send this act to a bidder."""

    name: str
    act: str
    reason: str = ""
    explanation: str = ""
    in_reply_to: str = ""


class Keep(msgspec.Struct, frozen=True):
    """Keep the content of the message in hand: it is the result of this bidder."""

    name: str


class Learn(msgspec.Struct, frozen=True):
    """An outcome for the bidder's record."""

    name: str
    promised: Figures
    actual: Figures | None
    at_us: int


Instruction = Say | Keep | Learn


class Outlook(msgspec.Struct, frozen=True):
    """What an award has to know beside the proposals."""

    record_of: Callable[[str], Record]
    is_there: Callable[[str], bool]
    """Whether a message to this bidder can be sent at all."""


def begin(
    names: list[str], rule: Rule, *, now_us: int, call_us: int, work_us: int
) -> tuple[Contract, list[Instruction]]:
    """Call `names` for proposals.

    Args:
        names: whom, each once.
        rule: for the award.
        now_us: µs since 1970.
        call_us: how long they may propose.
        work_us: how long the winner may take.
    """
    deadline_us = now_us + call_us
    contract = Contract(
        rule=rule, bidders={name: Bidder() for name in names}, created_us=now_us, due_us=deadline_us,
        deadline_us=deadline_us, work_us=work_us,
    )  # fmt: skip
    return contract, [Say(name, "cfp") for name in names]


def on_event(contract: Contract, event: Event, outlook: Outlook) -> tuple[Contract, list[Instruction]]:
    """The contract after `event`, and what is to be done in this order; the same contract when nothing follows."""
    match event:
        case Heard():
            return _heard(contract, event, outlook)
        case Lost():
            return _lost(contract, event, outlook)
        case Due(at_us) if contract.state == "calling":
            return _award(contract, at_us, outlook)
        case Due(at_us) if contract.state == "awarded":
            return _expire(contract, at_us)
        case CancelAsked(at_us, reason) if contract.is_open:
            return _cancel(contract, at_us, reason or EXPLANATIONS["cancelled"])
        case ConversationEnded(at_us, reason) if contract.is_open:
            return _cancel(contract, at_us, reason)[0], []
        case _:
            return contract, []


def absent(contract: Contract, name: str, reason: str) -> Contract:
    """`contract` after its call for proposals could not be sent to `name`."""
    return _put(contract, name, state="absent", reason=reason)


def _heard(contract: Contract, event: Heard, outlook: Outlook) -> tuple[Contract, list[Instruction]]:
    bidder = contract.bidders.get(event.name)
    match (bidder.state if bidder else ""), event.act:
        case "called", "propose":
            contract, said = _proposed(contract, event)
        case ("called" | "silent", "refuse" | "failure" | "not-understood") | ("proposed", "not-understood"):
            said = []
            contract = _put(
                contract, event.name, state="refused", answered_us=event.at_us,
                reason=read_reason(event.content) or event.act,
            )  # fmt: skip
        case "silent", "propose":
            return _reject(contract, event.name, event, "late", EXPLANATIONS["late"])
        case "accepted", "inform":
            return _finished(contract, event)
        case "accepted", "failure" | "refuse" | "not-understood":
            return _broke(contract, event.name, read_reason(event.content) or event.act, event.at_us)
        case _:
            return contract, []
    return _look(contract, said, event.at_us, outlook)


def _lost(contract: Contract, event: Lost, outlook: Outlook) -> tuple[Contract, list[Instruction]]:
    bidder = contract.bidders.get(event.name)
    if bidder is not None and bidder.state in ("called", "proposed", "silent"):
        contract = _put(contract, event.name, state="absent", reason=event.reason, ended_us=event.at_us)
        return _look(contract, [], event.at_us, outlook)
    if bidder is not None and bidder.state == "accepted":
        return _broke(contract, event.name, event.reason, event.at_us)
    return contract, []


def _look(
    contract: Contract, said: list[Instruction], at_us: int, outlook: Outlook
) -> tuple[Contract, list[Instruction]]:
    """Make the award as soon as there is nobody left to wait for."""
    if contract.state == "calling" and all(one.state != "called" for one in contract.bidders.values()):
        contract, answers = _award(contract, at_us, outlook)
        return contract, [*said, *answers]
    return contract, said


def _proposed(contract: Contract, event: Heard) -> tuple[Contract, list[Instruction]]:
    try:
        if len(event.reply_with) > MAX_REFERENCE_CHARS:
            raise BadBid("malformed", f"its reply_with is longer than {MAX_REFERENCE_CHARS} characters")
        figures = read_bid(event.content, contract.rule)
    except BadBid as exc:
        contract = _put(contract, event.name, figures=exc.figures)
        return _reject(contract, event.name, event, exc.reason, exc.explanation)
    return (
        _put(
            contract, event.name, state="proposed", figures=figures, reply_with=event.reply_with,
            answered_us=event.at_us,
        ),
        [],
    )  # fmt: skip


def _reject(
    contract: Contract, name: str, event: Heard, reason: str, explanation: str
) -> tuple[Contract, list[Instruction]]:
    """Turn down the proposal in hand at once."""
    after = _put(
        contract, name, state="rejected", reason=reason, explanation=explanation, answered_us=event.at_us,
        ended_us=event.at_us,
    )  # fmt: skip
    reference = event.reply_with if len(event.reply_with) <= MAX_REFERENCE_CHARS else ""
    return after, [Say(name, "reject-proposal", reason, explanation, reference)]


def _award(contract: Contract, at_us: int, outlook: Outlook) -> tuple[Contract, list[Instruction]]:
    said: list[Instruction] = []
    bidders = dict(contract.bidders)
    for name, bidder in bidders.items():
        if bidder.state == "called":
            bidders[name] = _with(bidder, state="silent")
        elif bidder.state == "proposed" and not outlook.is_there(name):
            bidders[name] = _with(bidder, state="absent", reason="the agent is gone", ended_us=at_us)
    bids = {name: bidder.figures for name, bidder in bidders.items() if bidder.state == "proposed"}
    for place, (name, score) in enumerate(rank(contract.rule, bids, outlook.record_of)):
        bidder = bidders[name]
        if place < contract.rule.winners:
            bidders[name] = _with(bidder, state="accepted", score=score)
            said.append(Say(name, "accept-proposal", in_reply_to=bidder.reply_with))
        else:
            why = EXPLANATIONS["outbid"]
            bidders[name] = _with(
                bidder, state="rejected", score=score, reason="outbid", explanation=why, ended_us=at_us
            )
            said.append(Say(name, "reject-proposal", "outbid", why, bidder.reply_with))
    contract = msgspec.structs.replace(contract, bidders=bidders)
    if not bids:
        return _end(contract, "no-bids", _why_no_bids(contract), at_us), said
    due_us = at_us + contract.work_us
    return msgspec.structs.replace(contract, state="awarded", awarded_us=at_us, due_us=due_us), said


def _why_no_bids(contract: Contract) -> str:
    counts: dict[str, int] = {}
    for bidder in contract.bidders.values():
        counts[bidder.state] = counts.get(bidder.state, 0) + 1
    return "nobody made a proposal that can win: " + ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))


def _finished(contract: Contract, event: Heard) -> tuple[Contract, list[Instruction]]:
    bidder = contract.bidders[event.name]
    try:
        told = read_figures(event.content)
    except BadBid:  # a result may be anything
        told = {}
    actual = {name: told[name] for name in ("cost", "tokens") if name in told}
    actual["time_s"] = max(event.at_us - contract.awarded_us, 0) / 1e6
    contract = _put(contract, event.name, state="done", actual=actual, ended_us=event.at_us)
    learn = Learn(event.name, bidder.figures, actual, event.at_us)
    return _settle(contract, event.at_us), [Keep(event.name), learn]


def _broke(contract: Contract, name: str, reason: str, at_us: int) -> tuple[Contract, list[Instruction]]:
    figures = contract.bidders[name].figures
    contract = _put(contract, name, state="failed", reason=reason, ended_us=at_us)
    return _settle(contract, at_us), [Learn(name, figures, None, at_us)]


def _expire(contract: Contract, at_us: int) -> tuple[Contract, list[Instruction]]:
    """Winners that are silent until now: they are told to stop, and it counts against them."""
    why, said = EXPLANATIONS["expired"], list[Instruction]()
    bidders = dict(contract.bidders)
    for name, bidder in bidders.items():
        if bidder.state == "accepted":
            bidders[name] = _with(bidder, state="overdue", reason="expired", explanation=why, ended_us=at_us)
            said += [Say(name, "cancel", "expired", why), Learn(name, bidder.figures, None, at_us)]
    return _settle(msgspec.structs.replace(contract, bidders=bidders), at_us), said


def _cancel(contract: Contract, at_us: int, why: str) -> tuple[Contract, list[Instruction]]:
    said: list[Instruction] = []
    bidders = dict(contract.bidders)
    for name, bidder in bidders.items():
        if bidder.state == "proposed":
            state, act = "rejected", "reject-proposal"
        elif bidder.state in ("called", "accepted"):
            state, act = "cancelled", "cancel"
        else:
            continue
        bidders[name] = _with(bidder, state=state, reason="cancelled", explanation=why, ended_us=at_us)
        said.append(Say(name, act, "cancelled", why, bidder.reply_with if act == "reject-proposal" else ""))
    return _end(msgspec.structs.replace(contract, bidders=bidders), "cancelled", why, at_us), said


def _settle(contract: Contract, at_us: int) -> Contract:
    """The task has ended once no winner is at work: done if one of them brought a result."""
    winners = {bidder.state: bidder for bidder in contract.bidders.values()}
    if "accepted" in winners:
        return contract
    if "done" in winners:
        return _end(contract, "done", "", at_us)
    if (failed := winners.get("failed")) is not None:
        return _end(contract, "failed", failed.reason, at_us)
    return _end(contract, "expired", EXPLANATIONS["expired"], at_us)


def _end(contract: Contract, state: TaskState, reason: str, at_us: int) -> Contract:
    return msgspec.structs.replace(contract, state=state, reason=reason, ended_us=at_us, due_us=0)


def _put(contract: Contract, name: str, **changes: object) -> Contract:
    changed = _with(contract.bidders[name], **changes)
    return msgspec.structs.replace(contract, bidders={**contract.bidders, name: changed})


def _with(bidder: Bidder, **changes: object) -> Bidder:
    return msgspec.structs.replace(bidder, **changes)
