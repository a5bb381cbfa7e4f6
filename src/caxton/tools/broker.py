"""Stands between agents and tools: what may be called, how often, for how long, and what of it is kept.

A call is checked in this order, and the first rule that it breaks is its answer: the tool is known, granted to the
agent, not called too deep, approved, its arguments are as its schema asks for, within the rates, within the budget,
allowed by a person where one has to. Then it waits for its source to have room. What a source answers is bounded and
checked as well. An answer that is there at once is returned at once; nothing here waits on the way to it.

Whatever a source may have changed in the meantime is asked anew before the next call, and before a result of a call
that was under way reaches the agent.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from caxton.sandbox.codes import (
    BUDGET_SPENT,
    INVALID,
    NOT_APPROVED,
    NOT_FOUND,
    NOT_PERMITTED,
    RATE_LIMITED,
    TIMED_OUT,
    TOO_DEEP,
    TOO_LARGE,
    UNAVAILABLE,
    WOULD_BLOCK,
)
from caxton.tools.answer import CODES, HEALTH, REPEATABLE, WORDS, answer, parsed
from caxton.tools.audit import CallRecord
from caxton.tools.grants import Grant
from caxton.tools.job import Job
from caxton.tools.limits import MAX_DEPTH, Budgets, Caller
from caxton.tools.listing import Listing
from caxton.tools.source import Call, Failure, Result
from caxton.tools.wanted import Pending

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from caxton.core.clock import Clock
    from caxton.tools.approvals import Approvals, Decision
    from caxton.tools.audit import CallWriter
    from caxton.tools.catalogue import Catalogue, Entry, Tool
    from caxton.tools.settings import ToolSettings
    from caxton.tools.source import Outcome, Source
    from caxton.tools.store import ToolStore
    from caxton.tools.wanted import Wanted

logger = logging.getLogger(__name__)

MAX_ARGUMENT_BYTES = 256 << 10

MAX_ARGUMENT_DEPTH = 64

MAX_REFUSED_PER_S = 100
"""Calls of the whole node that no tool was asked for, and that are recorded: an agent in a loop makes thousands."""


class Broker:
    """See the module. All methods run on the event loop's thread."""

    def __init__(
        self, catalogue: Catalogue, approvals: Approvals, store: ToolStore, clock: Clock,
        writer: CallWriter | None = None,
    ) -> None:  # fmt: skip
        """`writer` keeps the records of calls on disk."""
        self.catalogue, self.approvals = catalogue, approvals
        self._store, self._clock, self.writer = store, clock, writer
        self.listing = Listing(catalogue, clock)
        self._callers: dict[tuple[str, str], Caller] = {}
        self._budgets = Budgets(store.sources)
        self._allowed = store.allowed()
        self._jobs: set[Job] = set()
        """Calls that wait for something."""
        self._second = self._refused = 0
        self.unrecorded = 0
        """Refusals that left no record, since there were too many in their second."""
        self._is_closed = False
        self.on_refused: Callable[[Wanted, str, str], None] = lambda _wanted, _outcome, _detail: None
        """Told of each call that got a code instead of a result, with its outcome and why, for the agent's log."""

    # --- who and what ----------------------------------------------------------------------------------------

    def add(self, workspace: str, settings: ToolSettings, source: Source) -> None:
        """A further source; it is asked for its tools when somebody wants one. Raises `ToolSourceAlreadyExists`."""
        entry = self.catalogue.add(workspace, settings, source)
        source.on_change(partial(self.listing.changed, entry))

    async def remove(self, workspace: str, name: str) -> None:
        """The source is gone: closed, and what waits for it is refused. Raises `ToolSourceNotFound`."""
        entry = self.catalogue.remove(workspace, name)
        for job in [job for job in self._jobs if job.tool.source is entry]:
            self._end(job, UNAVAILABLE, "its source was removed", has_succeeded=None)
        await entry.source.close()

    def grant(self, workspace: str, agent: str, grant: Grant) -> None:
        """What an agent may call from now on; what it has used up stays."""
        caller = self._callers.get((workspace, agent))
        if caller is not None:
            caller.configure(grant)
            return
        caller = self._callers[workspace, agent] = Caller(grant)
        caller.calls, caller.cost = self._store.budget(workspace, agent)

    def forget(self, workspace: str, agent: str) -> None:
        """The agent is removed: its grant, its budget and what it was allowed. What it waits for is stopped."""
        self._callers.pop((workspace, agent), None)
        self._budgets.forget(workspace, agent)
        for key in [key for key in self._allowed if key[:2] == (workspace, agent)]:
            del self._allowed[key]
        self._store.forget(workspace, agent)
        for job in [job for job in self._jobs if (job.wanted.workspace, job.wanted.agent) == (workspace, agent)]:
            self._end(job, NOT_PERMITTED, "the agent was removed", has_succeeded=None)

    async def aclose(self) -> None:
        """Whatever waits is refused, and all sources end."""
        self._is_closed = True
        for job in list(self._jobs):
            self._end(job, UNAVAILABLE, "the server is stopping", has_succeeded=None)
        self.approvals.close()
        self.listing.close()
        entries = list(self.catalogue.entries.values())
        await asyncio.gather(*(entry.source.close() for entry in entries), return_exceptions=True)
        if self.writer is not None:
            await asyncio.to_thread(self.writer.close)

    def waiting(self) -> list[Job]:
        """Calls that wait for a person, for room or for their answer."""
        return list(self._jobs)

    # --- calls -----------------------------------------------------------------------------------------------

    def call(self, wanted: Wanted) -> bytes | int | Pending:
        """Call a tool: JSON `{"content": […], "structuredContent": {…}, "isError": true}` (the last two only where
        there is something to say), a code of `sandbox.codes` below 0, or what to wait for.
        """
        tool = self.catalogue.tools.get((wanted.workspace, wanted.tool))
        if tool is None or tool.source.is_stale:
            return self._after_listing(wanted)
        caller = self._callers.get((wanted.workspace, wanted.agent))
        if caller is None or not caller.may(tool.full):
            return self._refuse(wanted, NOT_PERMITTED, "no pattern in its tools.required names it", tool)
        return self._checked(wanted, tool, caller)

    def test(self, wanted: Wanted) -> bytes | int | Pending:
        """As `call`, for a person, whom grants, budgets and approvals do not concern. The tool must be listed."""
        tool = self.catalogue.tools.get((wanted.workspace, wanted.tool))
        if tool is None:
            return self._refuse(wanted, NOT_FOUND, "there is no such tool")
        return self._checked(wanted, tool, None)

    def _after_listing(self, wanted: Wanted) -> bytes | int | Pending:
        """Its source may have other tools than are known: ask it first, if this agent may call it at all."""
        entry = self.catalogue.entries.get((wanted.workspace, wanted.tool.partition(".")[0]))
        caller = self._callers.get((wanted.workspace, wanted.agent))
        if entry is None or self._is_closed:
            return self._refuse(wanted, NOT_FOUND, "there is no such source")
        if caller is None or not caller.grant.allows(wanted.tool):
            return self._refuse(wanted, NOT_PERMITTED, "no pattern in its tools.required names it")
        if not entry.is_stale:
            return self._refuse(wanted, NOT_FOUND, "its source has no such tool")
        if entry.gate.is_shut:
            return self._refuse(wanted, UNAVAILABLE, f"its source failed: {entry.last_error}")
        pending = Pending()
        if not self.listing.ask(entry, partial(self._listed, wanted, pending)):
            return self._refuse(wanted, WOULD_BLOCK, "too many calls wait for its source")
        return pending

    def _listed(self, wanted: Wanted, pending: Pending, error: str | None) -> None:
        """Its source said what it has, or could not."""
        if pending.is_cancelled:
            return
        if error is not None:
            pending.settle(self._refuse(wanted, UNAVAILABLE, error))
            return
        tool = self.catalogue.tools.get((wanted.workspace, wanted.tool))
        caller = self._callers.get((wanted.workspace, wanted.agent))
        if tool is None:
            pending.settle(self._refuse(wanted, NOT_FOUND, "its source has no such tool"))
        elif caller is None or not caller.may(tool.full):
            pending.settle(self._refuse(wanted, NOT_PERMITTED, "no pattern in its tools.required names it", tool))
        else:
            result = self._checked(wanted, tool, caller, pending)
            if not isinstance(result, Pending):
                pending.settle(result)

    def _checked(
        self, wanted: Wanted, tool: Tool, caller: Caller | None, pending: Pending | None = None
    ) -> bytes | int | Pending:
        if wanted.depth > MAX_DEPTH:
            detail = f"{wanted.depth} calls of agents as tools stand on each other, and {MAX_DEPTH} may"
            return self._refuse(wanted, TOO_DEEP, detail, tool)
        if tool.status != "approved":
            return self._refuse(wanted, NOT_APPROVED, tool.reason or tool.status, tool)
        size = len(wanted.arguments)
        if size > MAX_ARGUMENT_BYTES:
            detail = f"its arguments have {size} bytes, and {MAX_ARGUMENT_BYTES} are allowed"
            return self._refuse(wanted, TOO_LARGE, detail, tool)
        arguments = parsed(wanted.arguments, MAX_ARGUMENT_DEPTH)
        if arguments is None:
            detail = f"its arguments are not a JSON object of at most {MAX_ARGUMENT_DEPTH} levels"
            return self._refuse(wanted, INVALID, detail, tool)
        checker = tool.arguments
        assert checker is not None  # noqa: S101 - else the tool would be unusable
        if not checker.has_time(size):
            return self._refuse(wanted, TOO_LARGE, f"{size} bytes are too much to check against its schema", tool)
        if not checker.is_good(arguments):
            return self._refuse(wanted, INVALID, f"its arguments: {checker.complaint(arguments)}", tool)
        now = self._clock.monotonic()
        if caller is None:
            caller = _PERSON
        elif (detail := _over_a_rate(caller, tool, now)) is not None:
            return self._refuse(wanted, RATE_LIMITED, detail, tool)
        elif not caller.can_pay(tool.cost):
            return self._refuse(wanted, BUDGET_SPENT, _spent(caller), tool)
        job = Job(wanted, tool, caller, arguments, now, self._clock.wall_us())
        job.pending = pending
        if caller is not _PERSON and tool.source.settings.approval != "never" and not self._is_allowed(job):
            return self._asked(job)
        return self._begin(job)

    # --- a person has to allow it ------------------------------------------------------------------------------

    def _is_allowed(self, job: Job) -> bool:
        tool, wanted = job.tool, job.wanted
        if tool.source.settings.approval != "first-use" or tool.pin is None:
            return False
        return self._allowed.get((wanted.workspace, wanted.agent, tool.full)) == tool.pin.seen_sha256

    def _asked(self, job: Job) -> bytes | int | Pending:
        tool, wanted = job.tool, job.wanted
        question = self.approvals.ask(
            workspace=wanted.workspace, agent=wanted.agent, tool=tool.full,
            sha256=tool.pin.seen_sha256 if tool.pin else "", arguments=job.arguments,
            timeout_s=tool.source.settings.approval_timeout_s, answer=partial(self._answered, job),
        )  # fmt: skip
        if question is None:
            return self._refuse(wanted, WOULD_BLOCK, "too many calls wait for a person", tool)
        job.question = question
        return self._wait(job)

    def _answered(self, job: Job, decision: Decision, by: str) -> None:
        job.question = None
        if decision != "granted":
            detail = f"denied by {by}" if decision == "denied" else "nobody answered in time"
            self._end(job, NOT_APPROVED, detail, has_succeeded=None)
            return
        tool, wanted = job.tool, job.wanted
        if tool.source.settings.approval == "first-use" and tool.pin is not None:
            sha256 = tool.pin.seen_sha256
            self._allowed[wanted.workspace, wanted.agent, tool.full] = sha256
            self._store.allow(wanted.workspace, wanted.agent, tool.full, sha256, by, self._clock.wall_us())
        self._begin(job)

    # --- its source has to have room ----------------------------------------------------------------------------

    def _begin(self, job: Job) -> bytes | int | Pending:
        job.until = self._clock.monotonic() + job.tool.source.settings.timeout_s
        return self._enter(job)

    def _enter(self, job: Job) -> bytes | int | Pending:
        gate = job.tool.source.gate
        if (code := self._is_still_good(job)) is not None:
            return self._end(job, code, "it changed while the call waited", has_succeeded=None)
        if not job.caller.can_pay(job.tool.cost):
            return self._end(job, BUDGET_SPENT, _spent(job.caller), has_succeeded=None)
        ticket = gate.enter()
        if ticket == "open":
            detail = f"its source failed: {job.tool.source.last_error}"
            return self._end(job, UNAVAILABLE, detail, has_succeeded=None)
        if ticket == "full":
            if not gate.line.add(job):
                return self._end(job, WOULD_BLOCK, "too many calls wait for its source", has_succeeded=None)
            return self._wait(job)
        job.ticket = ticket
        if job.caller is not _PERSON:
            job.caller.pay(job.tool.cost)
            self._budgets.changed(job.wanted.workspace, job.wanted.agent, job.caller)
        return self._run(job)

    def _is_still_good(self, job: Job) -> int | None:
        """The code for a call whose tool is not what it was when the call was checked; None if it is."""
        if job.pending is None:
            return None
        now = self.catalogue.tools.get((job.wanted.workspace, job.wanted.tool))
        if now is None:
            return NOT_FOUND
        return None if now is job.tool and now.status == "approved" else NOT_APPROVED

    def _let_in(self, entry: Entry) -> None:
        """A call is over: those that wait may begin, or are refused if the source is left alone now."""
        gate = entry.gate
        if entry.is_letting_in or self._is_closed:
            return  # what is let in now may end at once, again and again: one loop does for all
        entry.is_letting_in = True
        try:
            while (job := gate.line.first()) is not None and (gate.has_room or gate.is_shut):
                gate.line.remove(job)
                self._enter(job)
        finally:
            entry.is_letting_in = False

    # --- the call itself ---------------------------------------------------------------------------------------

    def _run(self, job: Job) -> bytes | int | Pending:
        wanted = job.wanted
        job.call = Call(
            tool=job.tool.name, arguments=job.arguments, workspace=wanted.workspace, agent=wanted.agent,
            key=wanted.key, until=job.until, traceparent=wanted.traceparent, depth=wanted.depth,
        )  # fmt: skip
        return self._follow(job, self._ask(job))

    def _follow(self, job: Job, outcome: Outcome | Awaitable[Outcome]) -> bytes | int | Pending:
        while isinstance(outcome, Failure) and self._may_repeat(job, outcome):
            outcome = self._ask(job)
        if isinstance(outcome, Result | Failure):
            return self._done(job, outcome)
        job.task = asyncio.ensure_future(outcome)
        job.task.add_done_callback(partial(self._arrived, job))
        return self._wait(job)

    def _arrived(self, job: Job, task: asyncio.Future[Outcome]) -> None:
        error = None if task.cancelled() else task.exception()
        if job.is_over:
            return
        job.task = None
        if task.cancelled():
            outcome = Failure("unavailable", "its source gave the call up")
        elif error is not None:
            outcome = _broken(job, error)
        else:
            outcome = task.result()
        self._follow(job, outcome)

    def _ask(self, job: Job) -> Outcome | Awaitable[Outcome]:
        assert job.call is not None  # noqa: S101 - `_run` made it
        job.attempts += 1
        try:
            return job.tool.source.source.call(job.call)
        except Exception as exc:
            return _broken(job, exc)

    def _may_repeat(self, job: Job, failure: Failure) -> bool:
        tool = job.tool
        return (
            tool.is_idempotent and job.attempts <= tool.source.settings.retries and failure.trouble in REPEATABLE
            and self._clock.monotonic() < job.until
        )  # fmt: skip

    def _wait(self, job: Job) -> Pending:
        """Whoever called has to wait; its deadline holds from now on, unless a person is waited for."""
        if job.pending is None:
            job.pending = Pending()
        job.pending.on_cancel = partial(self._given_up, job)
        self._jobs.add(job)
        if job.timer is None and job.until:
            left_s = max(0.0, job.until - self._clock.monotonic())
            job.timer = asyncio.get_running_loop().call_later(left_s, self._expired, job)
        return job.pending

    def _expired(self, job: Job) -> None:
        within = job.ticket is not None
        detail = f"no answer within {job.tool.source.settings.timeout_s:g} s" if within else "its source had no room"
        self._end(job, TIMED_OUT, detail, has_succeeded=False if within else None)

    def _given_up(self, job: Job) -> None:
        """Whoever called is gone."""
        if not job.is_over:
            self._leave(job, has_succeeded=None)
            self._record(job, "cancelled", "whoever called is gone", 0)
            self._let_in(job.tool.source)

    def _done(self, job: Job, outcome: Outcome) -> bytes | int | Pending:
        """There is an answer, whatever it is."""
        result = answer(job.tool, outcome)
        if isinstance(result, Failure):
            job.tool.source.last_error = result.detail
            code = CODES[result.trouble]
            return self._end(job, code, result.detail, has_succeeded=HEALTH[result.trouble])
        entry = job.tool.source
        if entry.marks != job.marks and entry.is_stale:
            return self._held_back(job, result, is_error=isinstance(outcome, Result) and outcome.is_error)
        self._leave(job, has_succeeded=True)
        return self._deliver(job, result, is_error=isinstance(outcome, Result) and outcome.is_error)

    def _deliver(self, job: Job, result: bytes, *, is_error: bool) -> bytes:
        self._record(job, "error" if is_error else "ok", "", len(result))
        if job.pending is not None:
            job.pending.settle(result)
        if job.tool.source.gate.line:
            self._let_in(job.tool.source)
        return result

    def _held_back(self, job: Job, result: bytes, *, is_error: bool) -> bytes | int | Pending:
        """The tool may have become another while it was called: see whether that is so before anybody reads it."""
        pending = self._wait(job)

        def listed(error: str | None) -> None:
            if job.is_over:
                return
            code = UNAVAILABLE if error is not None else self._is_still_good(job)
            if code is not None:
                self._end(job, code, error or "it changed while it was called", has_succeeded=None)
                return
            self._leave(job, has_succeeded=True)
            self._deliver(job, result, is_error=is_error)

        if not self.listing.ask(job.tool.source, listed):
            return self._end(job, WOULD_BLOCK, "too many calls wait for its source", has_succeeded=None)
        return pending

    # --- ends --------------------------------------------------------------------------------------------------

    def _end(self, job: Job, code: int, detail: str, *, has_succeeded: bool | None) -> int:
        """It gets no result."""
        if job.is_over:
            return code
        self._leave(job, has_succeeded=has_succeeded)
        self._record(job, WORDS[code], detail, 0)
        self.on_refused(job.wanted, WORDS[code], detail)
        if job.pending is not None:
            job.pending.settle(code)
        self._let_in(job.tool.source)
        return code

    def _leave(self, job: Job, *, has_succeeded: bool | None) -> None:
        job.stop()
        self._jobs.discard(job)
        if job.question is not None:
            self.approvals.withdraw(job.question)
            job.question = None
        gate = job.tool.source.gate
        if job.ticket is not None:
            gate.leave(job.ticket, has_succeeded=has_succeeded)
            job.ticket = None
        else:
            gate.line.remove(job)

    def _record(self, job: Job, outcome: str, detail: str, result_bytes: int) -> None:
        wanted, tool, entry = job.wanted, job.tool, job.tool.source
        took_us = int((self._clock.monotonic() - job.began) * 1e6)
        record = CallRecord(
            job.at_us, wanted.workspace, wanted.agent, tool.full, wanted.key, outcome, took_us, job.attempts,
            len(wanted.arguments), result_bytes, detail, wanted.traceparent,
        )  # fmt: skip
        entry.outcomes[outcome] += 1
        if job.attempts:
            entry.took_us[took_us.bit_length()] += 1
            tool.calls += 1
            tool.failed += outcome not in ("ok", "error", "cancelled")
        tool.records.append(record)
        if self.writer is not None:
            self.writer.put(record)

    def _refuse(self, wanted: Wanted, code: int, detail: str, tool: Tool | None = None) -> int:
        """A call that breaks a rule before anything is done for it."""
        outcome = WORDS[code]
        if tool is not None:
            tool.source.outcomes[outcome] += 1
        at_us = self._clock.wall_us()
        if self._may_tell(at_us // 1_000_000):
            size = len(wanted.arguments)
            full = tool.full if tool is not None else wanted.tool
            record = CallRecord(
                at_us, wanted.workspace, wanted.agent, full, wanted.key, outcome, 0, 0, size, 0, detail,
                wanted.traceparent,
            )  # fmt: skip
            if tool is not None:
                tool.records.append(record)
            if self.writer is not None:
                self.writer.put(record)
            self.on_refused(wanted, outcome, detail)
        return code

    def _may_tell(self, second: int) -> bool:
        if second != self._second:
            self._second, self._refused = second, 0
        self._refused += 1
        if self._refused > MAX_REFUSED_PER_S:
            self.unrecorded += 1
            return False
        return True


def _broken(job: Job, exc: BaseException) -> Failure:
    """A source that raises, which none should: our fault."""
    facts = {"action": "tools.source_failed", "source": job.tool.source.settings.name, "tool": job.tool.name}
    logger.error("a source of tools raised", exc_info=exc, extra=facts)
    return Failure("failed", "its source failed within; the server's log has more")


def _over_a_rate(caller: Caller, tool: Tool, now: float) -> str | None:
    """Take a token of both, or say which of them has none."""
    if caller.bucket.wait_s(now):
        return f"the agent may make {caller.grant.calls_per_s:g} calls in a second"
    if tool.bucket is not None:
        if tool.bucket.wait_s(now):
            return f"the tool may be called {tool.bucket.per_s:g} times in a second"
        tool.bucket.take(now)
    caller.bucket.take(now)
    return None


def _spent(caller: Caller) -> str:
    grant = caller.grant
    return (
        f"the agent has made {caller.calls} calls that cost {caller.cost:g}, and may make "
        f"{'any number' if grant.max_calls is None else grant.max_calls} that cost "
        f"{'anything' if grant.max_cost is None else f'{grant.max_cost:g}'}"
    )


_PERSON = Caller(Grant())
"""Stands for somebody whom no grant concerns."""
