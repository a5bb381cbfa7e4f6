"""`caxton storage …` against the real API on a real socket; what stands behind the API is in memory."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw

from caxton.core.views.storage import VerifyFinding, VerifyReport
from caxton.storage.database import Database
from tests.cli_runner import caxton
from tests.integration.cli_node import node
from tests.integration.fake_node import VIEWER_PROOF, RunningNode

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner

__all__ = ["caxton", "node"]

STORAGE = 74


def test_status_tells_room_rows_and_state(caxton: CliRunner, node: RunningNode) -> None:
    outcome = caxton("storage", "status")
    assert outcome.code == 0
    assert "✓ Journal is writable" in outcome.out
    assert "1.0 MiB of 8.0 GiB" in outcome.out
    assert "messages to be handled" in outcome.out

    def fill(fakes: FakeNode) -> None:
        fakes.storage.is_full = True

    node.do(fill)
    outcome = caxton("storage", "status")
    assert "⚠ Journal is read-only (disk-full)" in outcome.out
    assert "given up" in outcome.out
    assert caxton("storage", "status", "-o", "json").json()["causes"] == ["disk-full"]


def test_damage_is_listed_and_is_the_exit_code(caxton: CliRunner, node: RunningNode) -> None:
    assert caxton("storage", "verify").out == "✓ Journal is sound: 3 messages\n"
    findings = [VerifyFinding(table="messages", row="7", problem="its checksum does not fit")]

    def spoil(fakes: FakeNode) -> None:
        fakes.storage.report = VerifyReport(ok=False, rows={"messages": 3}, unchecked=2, findings=findings)

    node.do(spoil)
    outcome = caxton("storage", "verify")
    assert outcome.code == STORAGE
    assert "✗ Journal is damaged: 1 findings" in outcome.out
    assert "its checksum does not fit" in outcome.out
    assert "2 rows have no checksum" in outcome.err


def test_compacting_tells_sizes_before_and_after(caxton: CliRunner, node: RunningNode) -> None:
    assert caxton("storage", "compact").out == "✓ Journal has 1.0 MiB, before 2.0 MiB; 1 settled messages let go\n"


def test_who_may_only_look_may_not_compact(caxton: CliRunner, node: RunningNode) -> None:
    assert caxton("storage", "status", "--token", VIEWER_PROOF).code == 0
    assert caxton("storage", "compact", "--token", VIEWER_PROOF).code == 6


def test_directory_without_a_server_is_verified_here(caxton: CliRunner, tmp_path: Path) -> None:
    missing = caxton("storage", "verify", "--data-dir", tmp_path / "nowhere", "-o", "json")
    assert (missing.code, missing.problem()["code"]) == (3, "FILE_NOT_FOUND")
    assert not (tmp_path / "nowhere").exists()
    home = tmp_path / "node"
    home.mkdir(mode=0o700)
    with closing(Database(home / "journal.db")) as database:
        database.query(
            "INSERT INTO kv (workspace, agent, key, value, checksum) VALUES ('default', 'a', x'01', x'02', 3)"
        )
    damaged = caxton("storage", "verify", "--data-dir", home)
    assert damaged.code == STORAGE
    assert "default/a/01" in damaged.out
    connection: Any = apsw.Connection(str(home / "journal.db"))
    with closing(connection):
        connection.execute("DELETE FROM kv")
    assert caxton("storage", "verify", "--data-dir", home).code == 0
    (home / "journal.db").write_bytes(b"dear diary, " * 500)
    unreadable = caxton("storage", "verify", "--data-dir", home, "-o", "json")
    assert (unreadable.code, unreadable.problem()["code"]) == (STORAGE, "JOURNAL_DAMAGED")
