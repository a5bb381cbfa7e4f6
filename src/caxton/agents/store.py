"""The agents' rows in the journal's database."""

from __future__ import annotations

import hashlib
import logging
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from caxton.core.ids import RESERVED_NAMES
from caxton.core.views.agents import AgentSpec
from caxton.storage.checksum import kv_checksum, message_checksum
from caxton.storage.verify import is_good_kv, is_good_message

if TYPE_CHECKING:
    from caxton.bus.journal import Journal
    from caxton.storage.database import Database
    from caxton.storage.lookup import Lookup


logger = logging.getLogger(__name__)

_WAITING = (
    "SELECT seq, workspace, sender, receiver, message_id, conversation_id, body, priority, expires_us, kept, checksum "
    "FROM messages NOT INDEXED WHERE settled_us IS NULL AND workspace = ? AND receiver = ?"
)


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


def free_reserved_names(database: Database) -> None:
    """Rename agents that an earlier version let have a name which is now the node's own; before the writer starts.

    `df` becomes `df-1`, with its state, timers, subscriptions and the mail that waits for it, in one transaction.
    """
    names = {(workspace, name) for workspace, name in database.query("SELECT workspace, name FROM names")}
    for row in load_agents(database):
        if row.name not in RESERVED_NAMES:
            continue
        new = next(name for n in count(1) if (row.workspace, name := f"{row.name}-{n}") not in names)
        names.add((row.workspace, new))
        _rename(database, row, new)
        facts = {"action": "agents.renamed", "workspace": row.workspace, "before": row.name, "agent": new}
        logger.warning("an agent had a reserved name and got another", extra=facts)


def _rename(database: Database, row: AgentRow, new: str) -> None:
    workspace, _ = owner = row.workspace, row.name
    spec = msgspec.json.encode(msgspec.structs.replace(row.spec, name=new))
    database.query("BEGIN IMMEDIATE")
    try:
        database.query("UPDATE agents SET name = ?, spec = ? WHERE workspace = ? AND name = ?", (new, spec, *owner))
        database.query("INSERT INTO names (workspace, name) VALUES (?, ?)", (workspace, new))
        for table in ("timers", "subscriptions"):
            database.query(f"UPDATE {table} SET agent = ? WHERE workspace = ? AND agent = ?", (new, *owner))  # noqa: S608
        _rename_state(database, owner, new)
        _rename_mail(database, owner, new)
        database.query("COMMIT")
    except BaseException:
        database.query("ROLLBACK")
        raise


def _rename_state(database: Database, owner: tuple[str, str], new: str) -> None:
    """A row that is damaged stays so: it is found when it is loaded. The same for mail."""
    for key, value, checksum in database.query(
        "SELECT key, value, checksum FROM kv WHERE workspace = ? AND agent = ?", owner
    ):
        if is_good_kv(*owner, key, value, checksum):
            checksum = kv_checksum(owner[0], new, key, value)
        database.query(
            "UPDATE kv SET agent = ?, checksum = ? WHERE workspace = ? AND agent = ? AND key = ?",
            (new, checksum, *owner, key),
        )


def _rename_mail(database: Database, owner: tuple[str, str], new: str) -> None:
    for *columns, checksum in database.query(_WAITING, owner):
        if is_good_message(columns, checksum):
            columns[3] = new
            checksum = message_checksum(*columns)
        database.query("UPDATE messages SET receiver = ?, checksum = ? WHERE seq = ?", (new, checksum, columns[0]))


def load_module(database: Database | Lookup, sha256: str) -> bytes | None:
    """The module, unless it is not there or no longer what was deployed."""
    rows = database.query("SELECT bytes FROM modules WHERE sha256 = ?", (sha256,))
    if not rows or hashlib.sha256(rows[0][0]).hexdigest() != sha256:
        facts = {"action": "storage.module_damaged", "sha256": sha256}
        logger.error("a module in the journal is not what was deployed", extra=facts)
        return None
    return rows[0][0]
