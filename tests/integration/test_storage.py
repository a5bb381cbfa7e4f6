"""Looking after the journal of a node that works."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from caxton.bus import retention
from caxton.core.errors.storage import StorageFull
from caxton.testing.guests import example, guest
from caxton.testing.rooms import open_node

if TYPE_CHECKING:
    from pathlib import Path


async def test_what_is_stored_is_counted_while_the_node_works(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        await node.deploy("counter", example("counter"))
        await node.deploy("sink", guest("sink"))
        await node.stop("sink")
        for _ in range(3):
            await node.post("sink", 1)
        await node.ask("counter", {"add": 1})
        await node.rooms.journal.commit()
        view = await node.rooms.upkeep.view()
        assert (view.status, view.causes) == ("writable", [])
        assert view.rows["pending"] == 3
        assert view.rows["kept"] == 2  # the question and its answer
        assert (view.rows["agents"], view.rows["state"]) == (2, 1)
        assert set(view.oldest) == {"pending", "kept"}
        assert view.journal_bytes <= view.file_bytes
        assert view.ballast_bytes > 0
        assert view.failures == {"full": 0, "io": 0, "other": 0}
        report = await node.rooms.upkeep.verify()
        assert (report.ok, report.rows["messages"]) == (True, 5)


async def test_compacting_prunes_and_gives_room_back_while_messages_go_on(
    tmp_path: Path, compiled_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caxton.bus.upkeep.VACUUM_PAGES", 20)
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        await node.deploy("sink", guest("sink"))
        for _ in range(60):
            await node.post("sink", "x" * 50_000)
        await node.wait_for_quiet()
        monkeypatch.setattr(retention, "KEEP_SETTLED_ROWS", 0)
        compacting = asyncio.ensure_future(node.rooms.upkeep.compact())
        await node.post("sink", "in between")
        report = await compacting
        assert report.pruned >= 59
        assert report.before_bytes > 3_000_000
        assert report.after_bytes < 500_000
        await node.post("sink", "afterwards")
        await node.wait_for_quiet()
        assert (await node.rooms.upkeep.verify()).ok


async def test_journal_from_before_incremental_vacuum_is_compacted_as_a_whole(
    tmp_path: Path, compiled_dir: Path
) -> None:
    (tmp_path / "node").mkdir()
    made: Any = apsw.Connection(str(tmp_path / "node" / "journal.db"))
    made.execute("CREATE TABLE of_old (x)")
    made.executemany("INSERT INTO of_old VALUES (?)", [(bytes(4000),)] * 100)
    made.execute("DELETE FROM of_old")
    made.close()
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        assert await node.rows("PRAGMA auto_vacuum") == [(0,)]
        await node.deploy("sink", guest("sink"))
        report = await node.rooms.upkeep.compact()
        assert report.before_bytes - report.after_bytes > 200_000
        assert await node.rows("PRAGMA auto_vacuum") == [(2,)]
        assert await node.rows("PRAGMA freelist_count") == [(0,)]


async def test_full_disk_is_the_nodes_status_and_keeps_deployments_out(
    tmp_path: Path, compiled_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        await node.deploy("sink", guest("sink"))
        monkeypatch.setattr("caxton.storage.ballast.Ballast.free_bytes", lambda _self: 5 << 20)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        node.rooms.disk.look()
        status = node.rooms.status
        assert (status.view().status, status.ready()) == ("read-only", False)
        assert b'caxton_intake_closed{cause="disk-full"} 1\n' in await status.metrics()
        for refused in (node.post("sink", 1), node.deploy("b", guest("sink")), node.replace("sink", None)):
            with pytest.raises(StorageFull, match="5 MiB left"):
                await refused
        monkeypatch.undo()
        node.rooms.disk.look()
        assert (status.view().status, status.ready()) == ("ready", True)
        await node.post("sink", 1)
