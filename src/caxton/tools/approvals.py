"""Calls that wait for a person, and first uses that one has allowed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from caxton.core.errors.tools import ApprovalNotFound
from caxton.core.redact import redact, redact_text
from caxton.core.views.tools import ApprovalView

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.core.clock import Clock

MAX_WAITING_APPROVALS = 1_000
"""Calls that may wait for a person: nobody reads more."""

MAX_SHOWN_CHARS = 16 << 10
"""Of a call's arguments."""

Decision: TypeAlias = Literal["granted", "denied", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person is asked."""

    id: str
    workspace: str
    agent: str
    tool: str
    sha256: str
    arguments: str
    """JSON without secrets, cut to `MAX_SHOWN_CHARS`."""
    is_cut: bool
    created_us: int
    expires_us: int
    answer: Callable[[Decision, str], None]
    """Called once, with who answered."""
    timer: asyncio.TimerHandle


class Approvals:
    """The questions that are open. All methods run on the event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, Question] = {}

    def __len__(self) -> int:
        return len(self._open)

    def ask(
        self, *, workspace: str, agent: str, tool: str, sha256: str, arguments: dict[str, Any], timeout_s: float,
        answer: Callable[[Decision, str], None],
    ) -> str | None:  # fmt: skip
        """Ask; `answer` is called later, never now. The question's id, or None if too many are open."""
        if len(self._open) >= MAX_WAITING_APPROVALS:
            return None
        name = token_hex(6)
        shown, is_cut = shown_arguments(arguments)
        now_us = self._clock.wall_us()
        timer = asyncio.get_running_loop().call_later(timeout_s, self._expired, name)
        self._open[name] = Question(
            id=name, workspace=workspace, agent=agent, tool=tool, sha256=sha256, arguments=shown, is_cut=is_cut,
            created_us=now_us, expires_us=now_us + int(timeout_s * 1e6), answer=answer, timer=timer,
        )  # fmt: skip
        return name

    def grant(self, workspace: str, name: str, by: str) -> ApprovalView:
        """The call goes on; what was allowed. Raises `ApprovalNotFound`."""
        return self._answered(workspace, name, "granted", by)

    def deny(self, workspace: str, name: str, by: str) -> ApprovalView:
        """The call is refused; what was. Raises `ApprovalNotFound`."""
        return self._answered(workspace, name, "denied", by)

    def withdraw(self, name: str) -> None:
        """Nobody waits for an answer any more."""
        question = self._open.pop(name, None)
        if question is not None:
            question.timer.cancel()

    def list(self, workspace: str) -> list[ApprovalView]:
        """The open ones, oldest first."""
        return [_view(question) for question in self._open.values() if question.workspace == workspace]

    def close(self) -> None:
        """All are refused."""
        for name in list(self._open):
            self._expired(name)

    def _answered(self, workspace: str, name: str, decision: Decision, by: str) -> ApprovalView:
        question = self._open.get(name)
        if question is None or question.workspace != workspace:
            raise ApprovalNotFound(name)
        self.withdraw(name)
        question.answer(decision, by)
        return _view(question)

    def _expired(self, name: str) -> None:
        question = self._open.get(name)
        if question is not None:
            self.withdraw(name)
            question.answer("expired", "")


def shown_arguments(arguments: dict[str, Any]) -> tuple[str, bool]:
    """Arguments as JSON for a person, without secrets, and whether there is more. Pure."""
    text = msgspec.json.encode(redact(arguments)).decode()
    shown = redact_text(text[:MAX_SHOWN_CHARS])
    return shown, len(text) > MAX_SHOWN_CHARS


def _view(question: Question) -> ApprovalView:
    return ApprovalView(
        id=question.id, agent=question.agent, tool=question.tool, sha256=question.sha256,
        arguments=question.arguments, is_cut=question.is_cut, created_at=when(question.created_us),
        expires_at=when(question.expires_us),
    )  # fmt: skip


def when(at_us: int) -> str:
    """ISO 8601, UTC."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")
