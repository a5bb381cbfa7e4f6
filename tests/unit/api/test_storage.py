"""The routes about the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.core.errors.storage import JournalDamaged
from caxton.core.views.storage import VerifyFinding, VerifyReport

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PATHS = (("GET", "/api/v1/storage"), ("POST", "/api/v1/storage/verify"), ("POST", "/api/v1/storage/compact"))


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_nobody_is_told_without_a_token(api: Api, method: str, path: str) -> None:
    assert (await api(method, path, token=None)).status == 401


async def test_damage_is_an_answer_and_not_an_error(api: Api) -> None:
    findings = [VerifyFinding(table="messages", row="7", problem="its checksum does not fit")]
    api.node.storage.report = VerifyReport(ok=False, rows={"messages": 1}, unchecked=0, findings=findings)
    answer = await api("POST", "/api/v1/storage/verify")
    assert (answer.status, answer.json["ok"]) == (200, False)
    assert answer.json["findings"] == [{"table": "messages", "row": "7", "problem": "its checksum does not fit"}]


async def test_journal_that_cannot_be_read_is_an_error_that_names_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails() -> VerifyReport:
        raise JournalDamaged("/data/journal.db", "malformed")

    monkeypatch.setattr(api.node.storage, "verify", fails)
    answer = await api("POST", "/api/v1/storage/verify")
    assert (answer.status, answer.code, answer.json["details"]["path"]) == (500, "JOURNAL_DAMAGED", "/data/journal.db")


async def test_sizes_limits_and_state_are_told(api: Api) -> None:
    api.node.storage.is_full = True
    answer = (await api("GET", "/api/v1/storage")).json
    assert (answer["status"], answer["causes"], answer["ballast_bytes"]) == ("read-only", ["disk-full"], 0)
    assert (await api("POST", "/api/v1/storage/compact")).json == {
        "pruned": 1, "before_bytes": 2 << 20, "after_bytes": 1 << 20,
    }  # fmt: skip
