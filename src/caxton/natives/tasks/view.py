"""Tasks as the doors show them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.core.views.tasks import TaskBidder, TaskDetail, TaskResult, TaskView
from caxton.natives.tasks.agent import iso
from caxton.natives.tasks.store import conversation_of

if TYPE_CHECKING:
    from caxton.natives.tasks.contract import Bidder
    from caxton.natives.tasks.store import Result, Task

_CHOSEN = frozenset({"accepted", "done", "failed", "overdue"})


def view_of(task: Task) -> TaskView:
    """A task in a list."""
    return TaskView(**_common(task))


def detail_of(task: Task, content: bytes, results: list[Result]) -> TaskDetail:
    """A task with all that is known of it."""
    contract = task.contract
    rule = contract.rule
    return TaskDetail(
        **_common(task),
        content=msgspec.Raw(content),
        deadline_at=iso(contract.deadline_us),
        result_deadline_at=_time(contract.due_us if contract.state == "awarded" else 0),
        awarded_at=_time(contract.awarded_us),
        weights=rule.weights,
        max_cost=rule.max_cost,
        max_tokens=rule.max_tokens,
        winners=rule.winners,
        bidders=[_bidder(name, bidder) for name, bidder in sorted(contract.bidders.items())],
        results=[
            TaskResult(
                agent=result.name,
                content=msgspec.Raw(result.content),
                unkept=task.unkept.get(result.name),
                cost=result.actual.get("cost"),
                tokens=result.actual.get("tokens"),
                time_s=result.actual.get("time_s"),
            )
            for result in results
        ],
    )


def _common(task: Task) -> dict[str, Any]:
    contract = task.contract
    bidders = contract.bidders
    return {
        "id": task.id,
        "status": contract.state,
        "reason": contract.reason or None,
        "conversation_id": conversation_of(task),
        "created_by": task.created_by,
        "created_at": iso(contract.created_us),
        "ended_at": _time(contract.ended_us),
        "capability": task.capability or None,
        "participants": len(bidders),
        "proposals": sum(bool(bidder.figures) for bidder in bidders.values()),
        "awarded_to": sorted(name for name, bidder in bidders.items() if _is_winner(bidder)),
    }


def _is_winner(bidder: Bidder) -> bool:
    return bidder.state in _CHOSEN or (bidder.state == "cancelled" and bidder.score is not None)


def _bidder(name: str, bidder: Bidder) -> TaskBidder:
    figures = bidder.figures
    return TaskBidder(
        agent=name,
        status=bidder.state,
        cost=figures.get("cost"),
        tokens=figures.get("tokens"),
        time_s=figures.get("time_s"),
        confidence=figures.get("confidence"),
        score=None if bidder.score is None else round(bidder.score, 6),
        reason=bidder.reason or None,
        explanation=bidder.explanation or None,
        answered_at=_time(bidder.answered_us),
        ended_at=_time(bidder.ended_us),
    )


def _time(at_us: int) -> str | None:
    return iso(at_us) if at_us else None
