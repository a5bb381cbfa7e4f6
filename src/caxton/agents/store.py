"""The agents' rows in the journal's database."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

import msgspec

from caxton.core.views import AgentSpec

if TYPE_CHECKING:
    from caxton.bus.journal import Journal
    from caxton.storage.database import Database


logger = logging.getLogger(__name__)


class AgentRow(msgspec.Struct, kw_only=True):
    """One deployed agent as it is kept."""

    workspace: str
    name: str
    id: str
    revision: int
    spec: AgentSpec
    module_sha256: str
    phase: str
    reason: str | None
    deployed_us: int


def put_agent(journal: Journal, row: AgentRow) -> None:
    journal.add(
        "INSERT OR REPLACE INTO agents (workspace, name, id, revision, spec, module_sha256, phase, reason, "
        "deployed_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row.workspace, row.name, row.id, row.revision, msgspec.json.encode(row.spec), row.module_sha256, row.phase,
        row.reason, row.deployed_us,
    )  # fmt: skip


def put_module(journal: Journal, sha256: str, wasm: bytes) -> None:
    journal.add("INSERT OR IGNORE INTO modules (sha256, bytes) VALUES (?, ?)", sha256, wasm)


def delete_agent(journal: Journal, workspace: str, name: str) -> None:
    journal.add("DELETE FROM agents WHERE workspace = ? AND name = ?", workspace, name)


def delete_unused_modules(journal: Journal) -> None:
    journal.add("DELETE FROM modules WHERE sha256 NOT IN (SELECT module_sha256 FROM agents)")


def load_agents(database: Database) -> list[AgentRow]:
    rows = database.query(
        "SELECT workspace, name, id, revision, spec, module_sha256, phase, reason, deployed_us FROM agents "
        "ORDER BY workspace, name"
    )
    return [
        AgentRow(
            workspace=r[0], name=r[1], id=r[2], revision=r[3], spec=msgspec.json.decode(r[4], type=AgentSpec),
            module_sha256=r[5], phase=r[6], reason=r[7], deployed_us=r[8],
        )
        for r in rows
    ]  # fmt: skip


def load_module(database: Database, sha256: str) -> bytes | None:
    """The module, unless it is not there or no longer what was deployed."""
    rows = database.query("SELECT bytes FROM modules WHERE sha256 = ?", (sha256,))
    if not rows or hashlib.sha256(rows[0][0]).hexdigest() != sha256:
        facts = {"action": "storage.module_damaged", "sha256": sha256}
        logger.error("a module in the journal is not what was deployed", extra=facts)
        return None
    return rows[0][0]
