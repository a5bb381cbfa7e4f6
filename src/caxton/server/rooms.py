"""Everything of a node but its doors, and in which order it begins and ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from caxton.agents.store import free_reserved_names
from caxton.bus.recovery import load_kept, load_mail, load_names, load_timers, load_topics
from caxton.core.crash import crash_point
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.storage import JournalDamaged
from caxton.natives import native

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from caxton.agents.service import AgentService
    from caxton.api.meter import Meter
    from caxton.bus.bus import Bus
    from caxton.bus.disk import DiskGuard
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Receiver
    from caxton.bus.postbox import Postbox
    from caxton.bus.receipts import Receipts
    from caxton.bus.upkeep import Upkeep
    from caxton.conversations.room import Conversations
    from caxton.core.clock import Clock
    from caxton.logs.book import LogBook
    from caxton.logs.files import LogFiles
    from caxton.logs.writer import LogWriter
    from caxton.natives.facilitator import Facilitator
    from caxton.natives.native import NativeAgent
    from caxton.natives.tasks.service import TaskService
    from caxton.recorder.recorder import Recorder
    from caxton.replay.store import Store
    from caxton.sandbox.compile import Compiler
    from caxton.sandbox.engine import Engine
    from caxton.server.lag import LoopLag
    from caxton.server.pump import Pump
    from caxton.server.status import NodeStatus
    from caxton.services.bundle import BundleService
    from caxton.services.capabilities import CapabilityService
    from caxton.services.conversations import ConversationService
    from caxton.services.dead_letters import DeadLetterService
    from caxton.services.debugging import DebugService
    from caxton.services.mcp import Exposure
    from caxton.services.messaging import MessageService
    from caxton.services.recordings import RecordingService
    from caxton.services.sniffing import SniffService
    from caxton.services.stats import StatsService
    from caxton.services.tools import ToolService
    from caxton.services.tracing import TraceService
    from caxton.services.workspaces import WorkspaceService
    from caxton.storage.database import Database
    from caxton.storage.lookup import Lookup
    from caxton.telemetry.room import Telemetry
    from caxton.tools.broker import Broker


@dataclass(slots=True, kw_only=True)
class Rooms:
    """Built by `server.wiring.build`. `start` reads the journal back; `drain`, then `close`, end it in order."""

    data_dir: Path
    clock: Clock
    database: Database
    journal: Journal
    engine: Engine
    pump: Pump
    bus: Bus
    recorder: Recorder
    compiler: Compiler
    meter: Meter
    lag: LoopLag
    lookups: tuple[Lookup, ...]
    conversation_room: Conversations
    conversations: ConversationService
    workspaces: WorkspaceService
    exposure: Exposure
    postbox: Postbox
    receipts: Receipts
    log: LogBook
    log_files: LogFiles
    log_writer: LogWriter
    agents: AgentService
    broker: Broker
    capabilities: CapabilityService
    natives: Sequence[NativeAgent]
    facilitator: Facilitator
    tasks: TaskService
    messages: MessageService
    dead_letters: DeadLetterService
    sniff: SniffService
    traces: TraceService
    disk: DiskGuard
    upkeep: Upkeep
    debugging: DebugService
    bundle: BundleService
    status: NodeStatus
    recordings: Store
    recording_service: RecordingService
    stats: StatsService
    tools: ToolService
    telemetry: Telemetry | None = None
    """None if nothing is exported."""
    native_receivers: list[Receiver] = field(default_factory=list["Receiver"])

    async def start(self) -> None:
        """Take up the work where the node left it. Ready when this returns."""
        try:
            modules = self._load()
        except CaxtonError:
            raise
        except Exception as exc:
            raise JournalDamaged(str(self.database.path), f"{type(exc).__name__}: {exc}") from exc
        self.database.start()
        self.disk.start()
        self.lag.start()
        self.dead_letters.start()
        self.conversation_room.start()
        await asyncio.to_thread(self.recordings.load)  # before an instance records: there may be many
        crash_point("start.loaded")
        await self.agents.start_recovered(modules)
        native.start(self.bus, self.native_receivers)
        crash_point("start.started")
        if self.telemetry is not None:
            self.telemetry.start()
        self.status.state = "ready"

    def _load(self) -> dict[str, bytes]:
        """All that the journal holds; returns the modules that the agents need."""
        self.log.restore(self.log_files.load())
        self.log.sink = self.log_writer
        free_reserved_names(self.database)
        load_names(self.database, self.bus)
        self.native_receivers = native.recover(self.bus, self.database, self.natives, self.log)
        modules = self.agents.recover(self.database)
        self.facilitator.restore()
        in_flight = self.journal.in_flight.found
        load_topics(self.database, self.bus)
        load_timers(self.database, self.bus, in_flight)
        self.receipts.load(self.database)
        self.bus.letters.load(self.database)
        self.conversation_room.load(self.database.query)
        self.exposure.load(self.database.query)
        load_mail(self.database, self.bus, in_flight)
        load_kept(self.database, self.journal)
        return modules

    async def drain(self) -> None:
        """Refuse new messages, let those in hand come to their end, commit, and answer those who wait for replies."""
        self.refuse()
        self.bus.is_draining = True
        await self.agents.drain()
        await self.broker.aclose()
        crash_point("stop.drained")
        self.bus.write_down()
        self.receipts.write_down()
        await self.journal.aclose()
        crash_point("stop.committed")
        self.journal.in_flight.clear()
        self.messages.interrupt()

    def refuse(self) -> None:
        """Take no new messages."""
        self.status.state = "stopping"
        self.messages.refuse()
        self.tasks.refuse()
        self.dead_letters.refuse()
        self.conversations.refuse()
        self.workspaces.refuse()
        self.debugging.refuse()
        self.tools.refuse()

    def close(self) -> None:
        """Free everything. What was not committed is lost, as in a crash: `drain` first."""
        if self.telemetry is not None:
            self.telemetry.close()
        self.pump.close()
        self.lag.close()
        self.dead_letters.close()
        self.conversation_room.close()
        self.bus.close()
        self.recorder.close()
        if self.bus.flight.bodies is not None:
            self.bus.flight.bodies.close()
        self.disk.close()
        self.agents.close()
        self.log_writer.close()
        self.recordings.close()
        self.journal.close()
        for lookup in self.lookups:
            lookup.close()
        self.database.close()
        self.engine.close()
