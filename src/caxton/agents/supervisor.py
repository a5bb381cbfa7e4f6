"""Carries out what the lifecycle machine decides for one agent: boots, opens, drains and closes its replicas."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from caxton.agents import lifecycle as life
from caxton.agents.circuit import Circuit
from caxton.agents.counts import BOOT_FAILED, CRASHED
from caxton.agents.log_context import context_of
from caxton.agents.recording import RecordingRunner
from caxton.agents.wasm_runner import WasmRunner
from caxton.bus.handler import failure_text
from caxton.bus.mailbox import Mailbox
from caxton.bus.turn import Turn
from caxton.core.ids import DEFAULT_CAPABILITY_PRIORITY
from caxton.sandbox.trap import Trap

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterable

    from caxton.agents.counts import AgentCounts
    from caxton.agents.definition import Definition
    from caxton.agents.tools import ToolDoor
    from caxton.bus.bus import Bus
    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.bus.mailbox import Receiver
    from caxton.core.clock import Clock
    from caxton.logs.book import LogBook
    from caxton.logs.line import Context
    from caxton.replay.store import Store
    from caxton.sandbox.guest import Guest
    from caxton.sandbox.module import Module

logger = logging.getLogger(__name__)

T = TypeVar("T")

SHUTDOWN_S = 1.0
"""What all `agent_shutdown` of one agent together may take."""


class BootError(Exception):
    """A replica did not come up."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Supervisor:
    """Owns the instances of one agent. Its receiver's mailboxes are theirs, by replica number."""

    def __init__(
        self, receiver_of: Callable[[Supervisor], Receiver], bus: Bus, log: LogBook, clock: Clock,
        definition: Definition, module: Module | None, on_change: Callable[[Supervisor], None], counts: AgentCounts,
        tools: ToolDoor, recordings: Store | None = None,
    ) -> None:  # fmt: skip
        self.definition = definition
        self._module = module
        self.state = life.State()
        self.restarts = 0
        self.running_since: float | None = None
        self.receiver = receiver_of(self)
        self._bus, self._log, self._clock, self._on_change = bus, log, clock, on_change
        self._counts = counts
        self.circuit = Circuit(self.receiver, bus.queues, clock, definition, counts.circuits, self._say)
        self._recordings = recordings
        self._tools = tools
        self._before_effects: Callable[[], None] | None = None
        self._runners: dict[int, WasmRunner] = {}
        self.on_instance: Callable[[Guest], None] | None = None
        """Told of each instance that comes up from now on."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._settled = asyncio.Event()

    @property
    def module(self) -> Module:
        """The compiled module; a recovered agent gets it before it starts."""
        assert self._module is not None  # noqa: S101
        return self._module

    @module.setter
    def module(self, module: Module) -> None:
        self._module = module

    @property
    def has_module(self) -> bool:
        """Not so when it could not be loaded at the start of the node."""
        return self._module is not None

    @property
    def name(self) -> str:
        return self.receiver.name

    @property
    def healthy(self) -> int:
        """Instances that are up."""
        return len(self._runners) if self.state.phase in ("running", "draining") else 0

    @property
    def memory_bytes(self) -> int:
        return sum(runner.guest.memory_now() for runner in self._runners.values())

    @property
    def guests(self) -> dict[int, Guest]:
        """The instances that are up, by replica."""
        return {replica: runner.guest for replica, runner in self._runners.items()}

    # --- asked from outside ----------------------------------------------------------------------------------

    async def start(self, before_effects: Callable[[], None] | None = None) -> None:
        """Start it and wait until it runs. Raises `BootError`; the agent has then failed.

        Args:
            before_effects: called once every instance is up, just before what they did while starting happens.
        """
        if self._module is None:
            raise BootError(self.state.reason or "its module is missing")
        self._before_effects = before_effects
        self._event(life.StartAsked())
        await self._wait_while("loaded")
        if self.state.phase != "running":
            raise BootError(self.state.reason or f"it is {self.state.phase}")

    async def stop(self, *, force: bool) -> None:
        """Stop it and wait until it has stopped. Mail in hand is finished first, unless `force`."""
        self._event(life.StopAsked(force))
        await self._wait_while("draining")

    async def replace(self, definition: Definition, module: Module) -> None:
        """Swap module and settings: new instances come up first, then take over between two messages.

        Raises `BootError`, and then nothing has changed. An agent that does not run only remembers the new ones.
        """
        runners: dict[int, WasmRunner] = {}
        if self.state.phase == "running":
            runners = await self._boot_runners(definition, module, range(definition.replicas))
            try:
                await self._finish(list(self.receiver.mailboxes))
            except BaseException:  # nobody waits for it any more
                _discard(runners)
                self._open_all()
                raise
        self.definition, self.module = definition, module
        self.circuit.configure(definition)
        if self.state.phase != "running":  # or not any more: it has failed meanwhile, or was stopped by force
            _discard(runners)
            self.receiver.offer(deployed=definition.capabilities)
            return
        self._close_runners()
        self._bus.queues.set_mailboxes(self.receiver, definition.replicas)
        self.circuit.renew()
        self._adopt(runners)
        self._open_all()

    async def scale(self, definition: Definition) -> None:
        """Have as many replicas as `definition` says. Raises `BootError`, and then nothing has changed.

        Mail is dealt out anew only while no message is in hand, or a later one could overtake it at another replica.
        """
        old_count, count = len(self.receiver.mailboxes), definition.replicas
        if self.state.phase != "running":
            self.definition = definition
            return
        runners = await self._boot_runners(definition, self.module, range(old_count, count))
        try:
            await self._finish(list(self.receiver.mailboxes))
        except BaseException:  # nobody waits for it any more
            _discard(runners)
            self._open_all()
            raise
        self.definition = definition
        if self.state.phase != "running":
            _discard(runners)
            return
        surplus = self.receiver.mailboxes[count:]
        self._bus.queues.set_mailboxes(self.receiver, count)
        for box in surplus:
            self._drop(box)
        self._adopt(runners)
        self._open_all()

    def configure(self, definition: Definition) -> None:
        """Take up those settings that need no new instance: all that differ from the present ones must be such."""
        self.definition = definition
        self.circuit.configure(definition)
        if not definition.record:
            for runner in self._runners.values():
                runner.stop_recording("it was switched off")

    async def say_goodbye(self) -> None:
        """The node stops: tell the guests, who may still store and send. No message may be in hand."""
        if "agent_shutdown" in self.module.exports:
            await self._shut_down(list(self._runners.values()))

    def restore(self, phase: str, reason: str | None) -> None:
        """Take up the phase in which the node last left it; only for an agent that was not started."""
        self.state = life.State("failed" if phase == "failed" else "stopped", reason=reason)

    def close(self) -> None:
        """Free everything at once, without a word to the guests."""
        for task in self._tasks:
            task.cancel()
        self.circuit.close()
        self._close_runners()

    # --- told by the bus (bus.handler.Supervisor) ------------------------------------------------------------

    def crashed(self, mailbox: Mailbox, crash: Crash) -> None:
        runner = self._runners.pop(mailbox.replica, None)
        if runner is not None:
            runner.close()
            where = f" in {' < '.join(crash.functions[:8])}" if crash.functions else ""
            runner.tell_dropped()
            runner.say(4, f"crashed ({crash.kind}): {crash.reason}{where}")
        self._counts.traps[crash.kind] += 1
        self.circuit.ended(mailbox, has_succeeded=False)
        self._lost(CRASHED, mailbox.replica, crash.reason)

    def failed(self, mailbox: Mailbox, status: int) -> None:
        runner = self._runners.get(mailbox.replica)
        if runner is not None:
            runner.say(3, failure_text(status))
        self.circuit.ended(mailbox, has_succeeded=False)

    def succeeded(self, mailbox: Mailbox) -> None:
        self.circuit.ended(mailbox, has_succeeded=True)

    def began(self, mailbox: Mailbox) -> None:
        self.circuit.began(mailbox)

    def found_no_room(self, mailbox: Mailbox) -> None:
        self.circuit.ended(mailbox, has_succeeded=None)

    def gave_up(self, mailbox: Mailbox, envelope: Envelope) -> None:
        if envelope.timer_id < 0 and envelope.max_attempts == 1:
            return  # somebody waits for the reply and is told
        what = f"timer {envelope.timer_id}" if envelope.timer_id >= 0 else f"message {envelope.message_id}"
        fate = "it is dropped" if envelope.timer_id >= 0 else "it is a dead letter"
        self._say(4, f"{what} failed {envelope.attempt} times: {fate}", mailbox.replica, context_of(envelope))

    def _lost(self, why: str, replica: int, reason: str) -> None:
        """An instance is gone; the machine decides whether it gets another one."""
        restarts = self.restarts
        self._event(life.Crashed(replica, self._clock.monotonic(), reason))
        self._counts.restarts[why] += self.restarts - restarts

    # --- the machine's instructions --------------------------------------------------------------------------

    def _event(self, event: life.Event) -> None:
        before = self.state.phase
        self.state, instructions = life.on_event(self.state, event)
        if self.state.phase != before:
            self._phase_changed(before)
        for instruction in instructions:
            self._carry_out(instruction)

    def _phase_changed(self, before: life.Phase) -> None:
        phase = self.state.phase
        self.receiver.is_running = phase == "running"
        self.running_since = self._clock.monotonic() if phase == "running" else None
        if phase == "failed" and before == "running":
            self._counts.escalations += 1
            self._say(4, f"failed: {self.state.reason}; its mail waits, 'caxton agent start {self.name}' revives it")
        logger.info(
            "agent phase changed",
            extra={"action": "agents.phase", "agent": self.name, "before": before, "phase": phase},
        )
        self._on_change(self)
        self._settled.set()
        self._settled = asyncio.Event()

    def _carry_out(self, instruction: life.Instruction) -> None:
        match instruction:
            case life.BootAll():
                self._spawn(self._boot_all())
            case life.OpenAll():
                self._open_all()
            case life.Reboot(replica, delay_s):
                self.restarts += 1
                self._spawn(self._reboot(replica, delay_s))
            case life.Open(replica):
                self._open(replica)
            case life.Drain():
                self._spawn(self._drain())
            case life.CloseAll(politely):
                self._spawn(self._close_all(politely=politely))

    async def _boot_all(self) -> None:
        try:
            runners = await self._boot_runners(self.definition, self.module, range(self.definition.replicas))
        except BootError as exc:
            self._event(life.BootFailed(exc.reason))
            return
        if self.state.phase != "loaded":  # stopped meanwhile
            _discard(runners)
            return
        self._bus.queues.set_mailboxes(self.receiver, self.definition.replicas)
        if self._before_effects is not None:
            self._before_effects()
        self._adopt(runners)
        self._event(life.AllBooted())

    async def _reboot(self, replica: int, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        if not self._misses(replica):
            return
        try:
            runners = await self._boot_runners(self.definition, self.module, [replica])
        except BootError as exc:
            if self._misses(replica):
                self._lost(BOOT_FAILED, replica, exc.reason)
            return
        if not self._misses(replica):
            _discard(runners)
            return
        self._adopt(runners)
        self._event(life.Rebooted(replica))

    def _misses(self, replica: int) -> bool:
        """Whether an instance is to be made for `replica`: it may have been stopped, replaced or scaled meanwhile."""
        is_one = self.state.phase == "running" and replica < len(self.receiver.mailboxes)
        return is_one and replica not in self._runners

    async def _drain(self) -> None:
        await self._finish(list(self.receiver.mailboxes))
        self._event(life.Drained())

    async def _close_all(self, *, politely: bool) -> None:
        for box in self.receiver.mailboxes:
            self._bus.queues.drop(box)
        self._bus.queues.set_mailboxes(self.receiver, 0)
        self.circuit.renew()
        runners, self._runners = self._runners, {}
        if politely:
            await self._shut_down(list(runners.values()))
        for runner in runners.values():
            runner.close()

    # --- instances -------------------------------------------------------------------------------------------

    async def _boot_runners(
        self, definition: Definition, module: Module, replicas: Iterable[int]
    ) -> dict[int, WasmRunner]:
        """New instances, all or none, their first effects still staged. Raises `BootError`.

        They get their mailboxes when they are up: mail never waits for an instance that may not come.
        """
        runners: dict[int, WasmRunner] = {}
        try:
            for replica in replicas:
                turn = Turn(self._bus, Mailbox(self.receiver, replica))
                runner = runners[replica] = self._make(definition, module, turn)
                await self._boot(runner)
        except BaseException:
            _discard(runners)
            raise
        return runners

    def _make(self, definition: Definition, module: Module, turn: Turn) -> WasmRunner:
        if definition.record and self._recordings is not None:
            return RecordingRunner(
                module, definition.limits, turn, self._log, self._clock, self._tools, self._recordings
            )
        return WasmRunner(module, definition.limits, turn, self._log, self._clock, self._tools)

    async def _boot(self, runner: WasmRunner) -> None:
        await runner.prepare()
        try:
            ended = await in_slices(runner, runner.boot())
        except Exception as exc:
            logger.error("boot failed", exc_info=exc, extra={"action": "agents.error", "agent": self.name})
            raise BootError("internal error; the server log has the details") from exc
        if isinstance(ended, Trap):
            where = f" in {' < '.join(ended.functions[:8])}" if ended.functions else ""
            runner.say(4, f"did not start ({ended.kind}): {ended.reason}{where}")
            self._counts.traps[ended.kind] += 1
            raise BootError(f"{ended.reason}{where}")
        if ended:
            runner.say(4, f"did not start: {ended}")
            raise BootError(ended)

    def _adopt(self, runners: dict[int, WasmRunner]) -> None:
        """The instances are the agent's from now on, and what they did while starting happens."""
        for replica, runner in runners.items():
            self._runners[replica] = runner
            if self.on_instance is not None:
                self.on_instance(runner.guest)
            self._bus.apply(runner.turn)
        offers = dict(self.definition.capabilities)
        for runner in self._runners.values():
            for name in runner.capabilities:
                offers.setdefault(name, DEFAULT_CAPABILITY_PRIORITY)
        self.receiver.offer(deployed=offers)

    def _open_all(self) -> None:
        for replica in self._runners:
            self._open(replica)

    def _open(self, replica: int) -> None:
        self._bus.queues.open(self.receiver.mailboxes[replica], self._runners[replica])

    async def _finish(self, boxes: list[Mailbox]) -> None:
        """Let the messages in hand come to their end; their own time limit bounds the wait."""
        for box in boxes:
            self._bus.queues.shut(box)
        await self._bus.queues.wait_until_free(boxes)

    def _drop(self, box: Mailbox) -> None:
        self._bus.queues.drop(box)
        runner = self._runners.pop(box.replica, None)
        if runner is not None:
            runner.close()

    def _close_runners(self) -> None:
        for box in self.receiver.mailboxes:
            self._bus.queues.drop(box)
        runners, self._runners = self._runners, {}
        for runner in runners.values():
            runner.close()

    async def _shut_down(self, runners: list[WasmRunner]) -> None:
        """Call every `agent_shutdown`; what it stages happens if it ends well and in time."""
        try:
            async with asyncio.timeout(SHUTDOWN_S):
                for runner in runners:
                    ended = await in_slices(runner, runner.shut_down())
                    if isinstance(ended, Trap):
                        runner.say(3, f"agent_shutdown crashed: {ended.reason}")
                        runner.turn.release()
                    else:
                        self._bus.apply(runner.turn)
        except TimeoutError:
            for runner in runners:
                runner.turn.release()
            self._say(3, f"agent_shutdown took longer than {SHUTDOWN_S:g} s and was cut off")

    # --- small things ----------------------------------------------------------------------------------------

    async def _wait_while(self, phase: life.Phase) -> None:
        while self.state.phase == phase:
            await self._settled.wait()
        if self.state.phase in ("stopped", "failed"):
            await asyncio.gather(*self._tasks - {asyncio.current_task()}, return_exceptions=True)  # type: ignore[operator]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("supervision failed", exc_info=error, extra={"action": "agents.error", "agent": self.name})

    def _say(self, level: int, text: str, replica: int = 0, context: Context | None = None) -> None:
        self._log.append(self.receiver.workspace, self.name, replica, level, "host", text, context)


def _discard(runners: dict[int, WasmRunner]) -> None:
    """Free instances that never came to work; what they did while starting does not happen."""
    for runner in runners.values():
        runner.turn.release()
        runner.close()


async def in_slices(runner: WasmRunner, steps: Generator[None, None, T]) -> T:
    """Run a guest's long call to its end, giving way to everybody else after each slice and while it waits."""
    engine = runner.guest.engine
    engine.hold_ticks()
    try:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            if (pending := runner.waits_for) is None:
                await asyncio.sleep(0)
            else:
                done = asyncio.Event()
                pending.when_done(done.set)
                await done.wait()
    finally:
        engine.release_ticks()
