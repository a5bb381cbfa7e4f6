"""Journals as a long life leaves them: many agents, much mail, written through the product's own rooms."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

from node import BATCH, EXAMPLES

from caxton.agents.store import AgentRow, put_agent, put_module
from caxton.bus.envelope import Envelope
from caxton.bus.journal import Journal
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.agents import AgentSpec, Resources
from caxton.messages.codec import encode_message
from caxton.messages.message import AclMessage
from caxton.observe.time import SystemClock
from caxton.storage.database import Database

if TYPE_CHECKING:
    from pathlib import Path

    import msgspec

PER_COMMIT = 20 * BATCH


async def write_backlog(
    data_dir: Path, *, agents: int, messages_each: int, content: msgspec.Raw, phase: str, example: str = "echo"
) -> int:
    """Agents `agent-0`, … in `phase` with mail from outside that nobody has handled; returns how many messages.

    What a server would have after accepting them; only the way through HTTP is saved.
    """
    database = Database(data_dir / "journal.db")
    database.start()
    clock = SystemClock()
    journal = Journal(database, clock, _give_up)
    wasm = (EXAMPLES / f"{example}.wasm").read_bytes()
    sha256 = hashlib.sha256(wasm).hexdigest()
    put_module(journal, sha256, wasm)
    seq = 0
    for n in range(agents):
        name = f"agent-{n}"
        resources = Resources(messages_per_s=10_000_000)
        put_agent(
            journal,
            AgentRow(
                workspace=DEFAULT_WORKSPACE, name=name, id=str(uuid.uuid4()), revision=1,
                spec=AgentSpec(name=name, resources=resources), module_sha256=sha256, phase=phase, reason=None,
                deployed_us=clock.wall_us(),
            ),
        )  # fmt: skip
        for _ in range(messages_each):
            seq += 1
            journal.born[seq] = _mail(seq, name, content, clock.wall_us())
        if len(journal.born) >= PER_COMMIT or n % BATCH == 0:
            await journal.commit()
    await journal.aclose()
    database.close()
    return seq


def _mail(seq: int, receiver: str, content: msgspec.Raw, now_us: int) -> Envelope:
    message_id = f"0123456789ab-{seq:x}"
    message = AclMessage(
        performative="inform", sender="client:bench", receiver=receiver, content=content, message_id=message_id,
        conversation_id=f"conversation-{message_id}", reply_with=message_id, timestamp=now_us,
        traceparent=f"00-{seq:032x}-{seq:016x}-01",
    )  # fmt: skip
    return Envelope(
        seq, DEFAULT_WORKSPACE, message.sender, receiver, message_id, message.conversation_id, encode_message(message),
        now_us, kept=True,
    )  # fmt: skip


def _give_up(error: Exception) -> None:
    raise SystemExit(f"the journal failed: {error}")
