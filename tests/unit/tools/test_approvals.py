from __future__ import annotations

from typing import Any

import pytest

from caxton.core.errors.tools import ApprovalNotFound
from caxton.core.redact import REMOVED
from caxton.tools.approvals import MAX_SHOWN_CHARS, MAX_WAITING_APPROVALS, Approvals, shown_arguments
from tests.unit.tools.fakes import HandClock


def ask(approvals: Approvals, answers: list[Any]) -> str | None:
    return approvals.ask(
        workspace="default", agent="a", tool="web.x", sha256="1", arguments={}, timeout_s=60.0,
        answer=lambda decision, by: answers.append((decision, by)),
    )  # fmt: skip


async def test_question_is_answered_once() -> None:
    approvals, answers = Approvals(HandClock()), list[Any]()
    name = ask(approvals, answers)
    assert name is not None
    assert approvals.grant("default", name, "ann").tool == "web.x"
    for again in (approvals.grant, approvals.deny):
        with pytest.raises(ApprovalNotFound):
            again("default", name, "ben")
    assert answers == [("granted", "ann")]


async def test_question_of_another_workspace_is_neither_seen_nor_answered() -> None:
    approvals, answers = Approvals(HandClock()), list[Any]()
    name = ask(approvals, answers) or ""
    assert approvals.list("other") == []
    with pytest.raises(ApprovalNotFound):
        approvals.grant("other", name, "ann")
    approvals.close()
    assert answers == [("expired", "")]


async def test_too_many_questions_are_not_asked() -> None:
    approvals = Approvals(HandClock())
    assert None not in [ask(approvals, []) for _ in range(MAX_WAITING_APPROVALS)]
    assert ask(approvals, []) is None
    approvals.close()
    assert len(approvals) == 0


def test_person_is_shown_arguments_without_secrets() -> None:
    text, is_cut = shown_arguments({"q": "x", "password": "hunter2hunter2", "note": "Bearer abcdefghijkl"})
    assert not is_cut
    assert '"q":"x"' in text
    assert text.count(REMOVED) == 2
    assert "hunter2" not in text


def test_long_arguments_are_cut_and_that_is_said() -> None:
    text, is_cut = shown_arguments({"q": "x" * MAX_SHOWN_CHARS})
    assert (len(text), is_cut) == (MAX_SHOWN_CHARS, True)
