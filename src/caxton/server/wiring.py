"""Who gets what: the only place that builds the rooms of a node."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from caxton.agents.log_context import facts_of, warn
from caxton.agents.service import AgentService
from caxton.agents.store import free_reserved_names, load_module
from caxton.agents.wasm_runner import WasmRunner
from caxton.api.meter import Meter
from caxton.bus.bus import Bus
from caxton.bus.dead_letters import MAX_BYTES as MAX_DEAD_LETTER_BYTES
from caxton.bus.disk import MAX_JOURNAL_BYTES, DiskGuard
from caxton.bus.journal import Journal
from caxton.bus.postbox import Postbox
from caxton.bus.receipts import Receipts
from caxton.bus.recovery import last_seq, load_kept, load_mail, load_names, load_timers, load_topics
from caxton.bus.upkeep import Upkeep
from caxton.conversations.room import Conversations
from caxton.core.crash import crash_point
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.server import DataDirUnusable
from caxton.core.errors.storage import JournalDamaged
from caxton.logs.book import LogBook
from caxton.logs.files import LogFiles
from caxton.logs.pages import MAX_TOTAL_BYTES as MAX_LOG_BYTES
from caxton.logs.writer import LogWriter
from caxton.natives import native
from caxton.natives.facilitator import Facilitator
from caxton.natives.management import Management
from caxton.natives.tasks.agent import TaskAgent
from caxton.natives.tasks.service import TaskService
from caxton.observe.log import INSTANCE_ID
from caxton.observe.time import SystemClock
from caxton.recorder.bodies import DEFAULT_BODY_BYTES, Bodies, open_shelf
from caxton.recorder.recorder import DEFAULT_RING_BYTES, open_recorder
from caxton.replay.store import DEFAULT_BYTES as MAX_RECORDING_BYTES
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
from caxton.services.messaging import MessageService
from caxton.services.recordings import RecordingService
from caxton.services.sniffing import SniffService
from caxton.services.stats import Sources, StatsService
from caxton.services.tracing import TraceService
from caxton.services.workspaces import WorkspaceService
from caxton.storage.ballast import BALLAST_BYTES, LOW_BYTES, Ballast
from caxton.storage.database import Database
from caxton.storage.inflight import InFlight
from caxton.storage.lookup import Lookup
from caxton.telemetry.room import open_telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from caxton.agents.tools import Tools
    from caxton.bus.mailbox import Receiver
    from caxton.conversations.settings import ConversationSettings
    from caxton.core.clock import Clock
    from caxton.natives.native import NativeAgent
    from caxton.recorder.recorder import Recorder
    from caxton.telemetry.room import Telemetry
    from caxton.telemetry.settings import TelemetrySettings


@dataclass(slots=True, kw_only=True)
class Rooms:
    """Everything of a node but its doors. `start` reads the journal back; `aclose` ends it in order."""

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
    postbox: Postbox
    receipts: Receipts
    log: LogBook
    log_files: LogFiles
    log_writer: LogWriter
    agents: AgentService
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
    telemetry: Telemetry | None
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
        load_mail(self.database, self.bus, in_flight)
        load_kept(self.database, self.journal)
        return modules

    async def drain(self) -> None:
        """Refuse new messages, let those in hand come to their end, commit, and answer those who wait for replies."""
        self.refuse()
        self.bus.is_draining = True
        await self.agents.drain()
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


def build(
    data_dir: Path, *, cache_key: bytes, max_instances: int, on_storage_failure: Callable[[Exception], None],
    clock: Clock | None = None, max_dead_letter_bytes: int = MAX_DEAD_LETTER_BYTES,
    max_journal_bytes: int = MAX_JOURNAL_BYTES, ballast_bytes: int = BALLAST_BYTES,
    max_log_bytes: int = MAX_LOG_BYTES,
    conversations: ConversationSettings | None = None, recorder_bytes: int = DEFAULT_RING_BYTES,
    body_bytes: int = DEFAULT_BODY_BYTES, max_recording_bytes: int = MAX_RECORDING_BYTES,
    natives: Sequence[NativeAgent] = (), tools: Tools | None = None, telemetry: TelemetrySettings | None = None,
) -> Rooms:  # fmt: skip
    """Build a node on `data_dir`, which must exist. Raises `DataDirUnusable`, `JournalTooNew`, `SandboxUnavailable`.

    `natives` are agents beside those that every node has; `tools` are what guests may call, if there are any.
    """
    clock = SystemClock() if clock is None else clock
    ballast = Ballast(data_dir, size_bytes=ballast_bytes)
    if ballast.free_bytes() < LOW_BYTES:
        ballast.release()  # opening the journal needs a little room
    database = Database(data_dir / "journal.db")
    engine = Engine()
    pump = Pump(engine)
    try:
        in_flight = InFlight(data_dir / "in-flight")
    except OSError as exc:
        raise DataDirUnusable(str(data_dir), exc.strerror or str(exc)) from exc
    journal = Journal(database, clock, on_storage_failure, in_flight)
    recorder = open_recorder(data_dir / "recorder", recorder_bytes)
    first_seq = max(last_seq(database), recorder.last_seq()) + 1
    bus = Bus(journal, clock, pump.wake, first_seq=first_seq, recorder=recorder)
    if recorder.is_on and body_bytes and (shelf := open_shelf(data_dir / "recorder")) is not None:
        bus.flight.bodies = Bodies(shelf, body_bytes, clock.monotonic, bus.history.envelopes)
    bus.letters.max_bytes = max_dead_letter_bytes
    pump.attach(bus)
    receipts = Receipts(journal, clock)
    postbox = Postbox(bus, journal, receipts, pump.wake)
    log = LogBook(clock, max_bytes=max_log_bytes)
    log_files = LogFiles(data_dir / "logs", max_log_bytes, ballast.free_bytes, log.pages.keeps)
    lookups = Lookup(data_dir / "journal.db"), Lookup(data_dir / "journal.db")
    room = Conversations(bus, journal, clock, lookups[0].query, partial(warn, log), conversations)
    compiler = Compiler(data_dir / "compiled", cache_key)
    recordings = Store(data_dir / "recordings", clock.wall_us, max_recording_bytes)
    agents = AgentService(
        engine=engine, compiler=compiler, bus=bus, journal=journal, log=log,
        clock=clock, max_instances=max_instances, recordings=recordings,
        stored_module=lambda sha256: load_module(lookups[1], sha256),
        tools=tools,
    )  # fmt: skip
    facilitator = Facilitator(bus)
    engine.facts = lambda: _facts_of_guest(engine)

    def forget(workspace: str, name: str) -> None:
        facilitator.forget(name)
        room.referee.forget(workspace, name)

    agents.on_removed = forget
    disk = DiskGuard(
        intake=bus.intake, journal=journal, database=database, ballast=ballast, pause=pump.pause, resume=pump.resume,
        max_journal_bytes=max_journal_bytes,
    )  # fmt: skip
    upkeep = Upkeep(journal=journal, database=database, ballast=ballast, intake=bus.intake, guard=disk)

    def module_of(sha256: str) -> bytes | None:
        found = lookups[0].query("SELECT bytes FROM modules WHERE sha256 = ?", (sha256,))
        return found[0][0] if found else None

    messages = MessageService(bus, postbox, journal, database, agents)
    tasks = TaskAgent()
    status = NodeStatus(clock, data_dir)

    def own(workspace: str) -> dict[str, Receiver]:
        rooms = status.rooms
        return {} if rooms is None else {one.name: one for one in rooms.native_receivers if one.workspace == workspace}

    sources = Sources(
        bus=bus, agents=agents, postbox=postbox, journal=journal, database=database, disk=disk, conversations=room,
        recorder=recorder, state=lambda: status.state,
    )  # fmt: skip
    stats = StatsService(sources, clock)
    status.rooms = Rooms(
        data_dir=data_dir, clock=clock, database=database, journal=journal, engine=engine, pump=pump, bus=bus,
        recorder=recorder, compiler=compiler, meter=Meter(), lag=LoopLag(),
        lookups=lookups, conversation_room=room,
        conversations=ConversationService(room, bus, journal, clock, lookups[1], agents, messages),
        workspaces=WorkspaceService(room, journal),
        postbox=postbox, receipts=receipts, log=log, log_files=log_files, log_writer=LogWriter(log_files),
        agents=agents,
        capabilities=CapabilityService(bus, facilitator.properties), facilitator=facilitator,
        natives=[Management(bus, agents.state), facilitator, tasks, *natives], tasks=TaskService(bus, journal, tasks),
        messages=messages,
        dead_letters=DeadLetterService(bus, postbox, journal, database, clock),
        sniff=SniffService(bus, journal, database), traces=TraceService(bus, clock, agents, messages), disk=disk,
        stats=stats,
        upkeep=upkeep, debugging=DebugService(agents, stats, clock, module_of, own),
        bundle=BundleService(
            agents=agents, log=log, recorder=recorder, upkeep=upkeep, data_dir=data_dir, view=status.view,
            reasons=status.reasons, metrics=status.metrics,
        ),
        status=status,
        recordings=recordings, recording_service=RecordingService(recordings, messages, recorder),
        telemetry=_telemetry(telemetry, bus, postbox, log, status),
    )  # fmt: skip
    return status.rooms


def _telemetry(
    settings: TelemetrySettings | None, bus: Bus, postbox: Postbox, log: LogBook, status: NodeStatus
) -> Telemetry | None:
    found = open_telemetry(settings, INSTANCE_ID, status.figures)
    if found is not None:
        bus.recorder.on_batch.append(found.on_batch)
        postbox.on_traced = found.on_traced
        if found.lines is not None:
            log.on_record.append(found.lines.of_agent)
    return found


def _facts_of_guest(engine: Engine) -> dict[str, Any]:
    host = getattr(engine.current, "host", None)
    return facts_of(host.turn) if isinstance(host, WasmRunner) else {}
