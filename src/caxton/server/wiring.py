"""Who gets what: the only place that builds the rooms of a node."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from caxton.agents.log_context import facts_of, warn
from caxton.agents.service import AgentService
from caxton.agents.store import load_module
from caxton.agents.wasm_runner import WasmRunner
from caxton.api.meter import Meter
from caxton.bus.bus import Bus
from caxton.bus.dead_letters import MAX_BYTES as MAX_DEAD_LETTER_BYTES
from caxton.bus.disk import MAX_JOURNAL_BYTES, DiskGuard
from caxton.bus.journal import Journal
from caxton.bus.postbox import Postbox
from caxton.bus.receipts import Receipts
from caxton.bus.recovery import last_seq
from caxton.bus.upkeep import Upkeep
from caxton.conversations.room import Conversations
from caxton.core.errors.server import DataDirUnusable
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.logs.book import LogBook
from caxton.logs.files import LogFiles
from caxton.logs.pages import MAX_TOTAL_BYTES as MAX_LOG_BYTES
from caxton.logs.writer import LogWriter
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
from caxton.server.rooms import Rooms
from caxton.server.sources import Workshop, make_source
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
from caxton.services.stats import Sources, StatsService
from caxton.services.tools import ToolService
from caxton.services.tracing import TraceService
from caxton.services.workspaces import WorkspaceService
from caxton.storage.ballast import BALLAST_BYTES, LOW_BYTES, Ballast
from caxton.storage.database import Database
from caxton.storage.inflight import InFlight
from caxton.storage.lookup import Lookup
from caxton.telemetry.room import open_telemetry
from caxton.tools.approvals import Approvals
from caxton.tools.audit import CallFiles, CallWriter
from caxton.tools.broker import Broker
from caxton.tools.catalogue import Catalogue
from caxton.tools.desk import ToolDesk
from caxton.tools.store import ToolStore
from caxton.tools.wasm.slices import Slices

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
    from caxton.tools.settings import ToolSettings


def build(
    data_dir: Path, *, cache_key: bytes, max_instances: int, on_storage_failure: Callable[[Exception], None],
    clock: Clock | None = None, max_dead_letter_bytes: int = MAX_DEAD_LETTER_BYTES,
    max_journal_bytes: int = MAX_JOURNAL_BYTES, ballast_bytes: int = BALLAST_BYTES,
    max_log_bytes: int = MAX_LOG_BYTES,
    conversations: ConversationSettings | None = None, recorder_bytes: int = DEFAULT_RING_BYTES,
    body_bytes: int = DEFAULT_BODY_BYTES, max_recording_bytes: int = MAX_RECORDING_BYTES,
    natives: Sequence[NativeAgent] = (), tools: Tools | None = None, telemetry: TelemetrySettings | None = None,
    sources: Sequence[ToolSettings] = (),
) -> Rooms:  # fmt: skip
    """Build a node on `data_dir`, which must exist. Raises `DataDirUnusable`, `JournalTooNew`, `SandboxUnavailable`.

    `natives` are agents beside those that every node has; `sources` have the tools that guests may call, `tools` is
    what they call instead of all that. Raises `InvalidConfig` if a source cannot be made.
    """
    ground = _lay_ground(
        data_dir, SystemClock() if clock is None else clock, on_storage_failure, ballast_bytes, max_log_bytes
    )
    mail = _set_up_mail(ground, recorder_bytes, body_bytes)
    mail.bus.letters.max_bytes = max_dead_letter_bytes
    house = _house_agents(
        ground, mail.bus, conversations, Store(data_dir / "recordings", ground.clock.wall_us, max_recording_bytes),
        compiler=Compiler(data_dir / "compiled", cache_key), max_instances=max_instances, tools=tools,
        sources=sources,
    )  # fmt: skip
    disk = _guard_disk(ground, mail.bus, max_journal_bytes)
    rooms = _furnish(ground, mail, house, disk, natives)
    rooms.telemetry = _telemetry(telemetry, mail.bus, mail.postbox, ground.log, rooms.status)
    return rooms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What all rooms stand on."""

    data_dir: Path
    clock: Clock
    ballast: Ballast
    database: Database
    lookups: tuple[Lookup, Lookup]
    engine: Engine
    pump: Pump
    journal: Journal
    log: LogBook
    log_files: LogFiles


def _lay_ground(
    data_dir: Path, clock: Clock, on_storage_failure: Callable[[Exception], None], ballast_bytes: int,
    max_log_bytes: int,
) -> _Ground:  # fmt: skip
    ballast = Ballast(data_dir, size_bytes=ballast_bytes)
    if ballast.free_bytes() < LOW_BYTES:
        ballast.release()  # opening the journal needs a little room
    path = data_dir / "journal.db"
    database = Database(path)
    engine = Engine()
    engine.facts = partial(_facts_of_guest, engine)
    try:
        in_flight = InFlight(data_dir / "in-flight")
    except OSError as exc:
        raise DataDirUnusable(str(data_dir), exc.strerror or str(exc)) from exc
    log = LogBook(clock, max_bytes=max_log_bytes)
    return _Ground(
        data_dir=data_dir, clock=clock, ballast=ballast, database=database, lookups=(Lookup(path), Lookup(path)),
        engine=engine, pump=Pump(engine), journal=Journal(database, clock, on_storage_failure, in_flight), log=log,
        log_files=LogFiles(data_dir / "logs", max_log_bytes, ballast.free_bytes, log.pages.keeps),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mail:
    """How messages come in and go round, and what is kept of them."""

    bus: Bus
    recorder: Recorder
    receipts: Receipts
    postbox: Postbox


def _set_up_mail(ground: _Ground, recorder_bytes: int, body_bytes: int) -> _Mail:
    clock, journal, pump = ground.clock, ground.journal, ground.pump
    directory = ground.data_dir / "recorder"
    recorder = open_recorder(directory, recorder_bytes)
    first_seq = max(last_seq(ground.database), recorder.last_seq()) + 1
    bus = Bus(journal, clock, pump.wake, first_seq=first_seq, recorder=recorder)
    if recorder.is_on and body_bytes and (shelf := open_shelf(directory)) is not None:
        bus.flight.bodies = Bodies(shelf, body_bytes, clock.monotonic, bus.history.envelopes)
    pump.attach(bus)
    receipts = Receipts(journal, clock)
    return _Mail(bus=bus, recorder=recorder, receipts=receipts, postbox=Postbox(bus, journal, receipts, pump.wake))


@dataclass(frozen=True, slots=True, kw_only=True)
class _House:
    """Where agents live, and what is known of them."""

    compiler: Compiler
    recordings: Store
    conversations: Conversations
    agents: AgentService
    facilitator: Facilitator
    broker: Broker


def _house_agents(
    ground: _Ground, bus: Bus, conversations: ConversationSettings | None, recordings: Store, *, compiler: Compiler,
    max_instances: int, tools: Tools | None, sources: Sequence[ToolSettings],
) -> _House:  # fmt: skip
    clock, journal, log, lookups = ground.clock, ground.journal, ground.log, ground.lookups
    room = Conversations(bus, journal, clock, lookups[0].query, partial(warn, log), conversations)
    broker = _broker(ground, compiler, sources)
    agents = AgentService(
        engine=ground.engine, compiler=compiler, bus=bus, journal=journal, log=log, clock=clock,
        max_instances=max_instances, recordings=recordings, stored_module=partial(load_module, lookups[1]),
        tools=broker if tools is None else tools,
    )  # fmt: skip
    facilitator = Facilitator(bus)

    def forget(workspace: str, name: str) -> None:
        facilitator.forget(name)
        broker.forget(workspace, name)
        room.referee.forget(workspace, name)

    agents.on_removed = forget
    agents.on_granted = broker.grant
    return _House(
        compiler=compiler, recordings=recordings, conversations=room, agents=agents, facilitator=facilitator,
        broker=broker,
    )  # fmt: skip


def _broker(ground: _Ground, compiler: Compiler, sources: Sequence[ToolSettings]) -> Broker:
    """With a source for each of `sources`, in the workspace that there is."""
    clock, book = ground.clock, ground.log
    store = ToolStore(ground.journal, ground.lookups[0].query)
    writer = CallWriter(CallFiles(ground.data_dir / "tools"))
    broker = Broker(Catalogue(store, clock), Approvals(clock), store, clock, writer)
    broker.on_refused = lambda wanted, _outcome, detail: book.warn(
        wanted.workspace, wanted.agent, f"call_tool {wanted.tool}: {detail}", None
    )
    workshop = Workshop(data_dir=ground.data_dir, clock=clock, compiler=compiler, slices=Slices(ground.engine))
    for settings in sources:
        broker.add(DEFAULT_WORKSPACE, settings, make_source(settings, workshop))
    return broker


def _guard_disk(ground: _Ground, bus: Bus, max_journal_bytes: int) -> DiskGuard:
    return DiskGuard(
        intake=bus.intake, journal=ground.journal, database=ground.database, ballast=ground.ballast,
        pause=ground.pump.pause, resume=ground.pump.resume, max_journal_bytes=max_journal_bytes,
    )  # fmt: skip


def _furnish(ground: _Ground, mail: _Mail, house: _House, disk: DiskGuard, natives: Sequence[NativeAgent]) -> Rooms:
    """All rooms, with what is asked of them."""
    clock, journal, database, lookups = ground.clock, ground.journal, ground.database, ground.lookups
    bus, postbox, recorder = mail.bus, mail.postbox, mail.recorder
    agents, room, facilitator = house.agents, house.conversations, house.facilitator
    status = NodeStatus(clock, ground.data_dir)
    upkeep = Upkeep(journal=journal, database=database, ballast=ground.ballast, intake=bus.intake, guard=disk)
    messages = MessageService(bus, postbox, journal, database, agents)
    tasks, exposure = TaskAgent(), Exposure(journal)
    sources = Sources(
        bus=bus, agents=agents, postbox=postbox, journal=journal, database=database, disk=disk, conversations=room,
        recorder=recorder, state=lambda: status.state,
    )  # fmt: skip
    stats = StatsService(sources, clock)
    find_module, own = partial(_find_module, lookups[0]), partial(_native_receivers, status)
    status.rooms = Rooms(
        data_dir=ground.data_dir, clock=clock, database=database, journal=journal, engine=ground.engine,
        pump=ground.pump, bus=bus, recorder=recorder, compiler=house.compiler, meter=Meter(), lag=LoopLag(),
        lookups=lookups, conversation_room=room,
        conversations=ConversationService(room, bus, journal, clock, lookups[1], agents, messages),
        workspaces=WorkspaceService(room, journal, exposure), exposure=exposure,
        postbox=postbox, receipts=mail.receipts,
        log=ground.log, log_files=ground.log_files, log_writer=LogWriter(ground.log_files),
        agents=agents, broker=house.broker, facilitator=facilitator,
        capabilities=CapabilityService(bus, facilitator.properties),
        natives=[Management(bus, agents.state), facilitator, tasks, *natives], tasks=TaskService(bus, journal, tasks),
        messages=messages, dead_letters=DeadLetterService(bus, postbox, journal, database, clock),
        sniff=SniffService(bus, journal, database), traces=TraceService(bus, clock, agents, messages), disk=disk,
        upkeep=upkeep, stats=stats, tools=ToolService(ToolDesk(house.broker), journal, clock),
        debugging=DebugService(agents, stats, clock, find_module, own),
        bundle=BundleService(
            agents=agents, log=ground.log, recorder=recorder, upkeep=upkeep, data_dir=ground.data_dir,
            view=status.view, reasons=status.reasons, metrics=status.metrics,
        ),
        recordings=house.recordings, recording_service=RecordingService(house.recordings, messages, recorder),
        status=status,
    )  # fmt: skip
    return status.rooms


def _find_module(lookup: Lookup, sha256: str) -> bytes | None:
    found = lookup.query("SELECT bytes FROM modules WHERE sha256 = ?", (sha256,))
    return found[0][0] if found else None


def _native_receivers(status: NodeStatus, workspace: str) -> dict[str, Receiver]:
    """The node's own agents, by name; those that every node has are known once it starts."""
    rooms = status.rooms
    return {} if rooms is None else {one.name: one for one in rooms.native_receivers if one.workspace == workspace}


def _telemetry(
    settings: TelemetrySettings | None, bus: Bus, postbox: Postbox, log: LogBook, status: NodeStatus
) -> Telemetry | None:
    found = open_telemetry(settings, INSTANCE_ID, status.figures, bus.recorder.of_traces)
    if found is not None:
        bus.recorder.on_batch.append(found.on_batch)
        postbox.on_traced = found.on_traced
        if found.lines is not None:
            log.on_record.append(found.lines.of_agent)
    return found


def _facts_of_guest(engine: Engine) -> dict[str, Any]:
    host = getattr(engine.current, "host", None)
    return facts_of(host.turn) if isinstance(host, WasmRunner) else {}
