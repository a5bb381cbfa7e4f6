"""What people ask of tools: which there are, what became of calls, what may be called from now on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from caxton.core.errors.tools import ToolSourceDown
from caxton.core.views.stats import TimesView
from caxton.core.views.tools import ToolCallView, ToolDetail, ToolSourceView, ToolView
from caxton.tools.approvals import when
from caxton.tools.catalogue import KEPT_CALLS, as_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.core.views.tools import ApprovalView
    from caxton.tools.audit import CallRecord
    from caxton.tools.broker import Broker
    from caxton.tools.catalogue import Catalogue, Entry, Tool
    from caxton.tools.wanted import Pending, Wanted


class ToolDesk:
    """See the module. What it changes is on disk with the journal's next commit: wait for that before you say so."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._catalogue = broker, broker.catalogue

    async def ask_all(self, workspace: str) -> None:
        """See that the tools of all sources are known as they are now, but of those that do not answer."""
        stale = [entry for entry in self._catalogue.of(workspace) if entry.is_stale and not entry.gate.is_shut]
        await asyncio.gather(*map(self._listed, stale))

    async def ask(self, workspace: str, source: str) -> None:
        """Ask a source for its tools anew. Raises `ToolSourceNotFound`, `ToolSourceDown`."""
        error = await self._listed(self._catalogue.entry(workspace, source))
        if error is not None:
            raise ToolSourceDown(source, error)

    async def _listed(self, entry: Entry) -> str | None:
        done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        def told(error: str | None) -> None:
            if not done.done():
                done.set_result(error)

        if not self._broker.listing.ask(entry, told):
            return "too many wait for it"
        return await done

    def tools(self, workspace: str) -> list[ToolView]:
        """All tools, those that may not be called and those that are gone too, by name."""
        views = [view_of(tool) for entry in self._catalogue.of(workspace) for tool in entry.tools.values()]
        views += [gone for entry in self._catalogue.of(workspace) for gone in _gone(entry)]
        return sorted(views, key=lambda view: view.name)

    def show(self, workspace: str, full: str) -> ToolDetail:
        """Raises `ToolNotFound`."""
        tool = self._catalogue.tool(workspace, full)
        pin = tool.pin
        is_other = pin is not None and pin.approved_sha256 not in ("", pin.seen_sha256)
        return ToolDetail(
            tool=view_of(tool), input_schema=tool.info.input_schema, output_schema=tool.info.output_schema,
            approved=as_dict(pin.approved) if pin is not None and is_other else None,
            decided_at=when(pin.decided_us) if pin is not None and pin.decided_us else None,
            decided_by=(pin.decided_by or None) if pin is not None else None,
            approval=tool.source.settings.approval, cost=tool.cost,
        )  # fmt: skip

    def test(self, wanted: Wanted) -> bytes | int | Pending:
        """See `Broker.test`."""
        return self._broker.test(wanted)

    @property
    def catalogue(self) -> Catalogue:
        """All sources and tools, for the metrics."""
        return self._catalogue

    @property
    def approvals_waiting(self) -> int:
        """Calls that wait for a person, in all workspaces."""
        return len(self._broker.approvals)

    @property
    def unrecorded(self) -> int:
        """Calls of which no record is on disk."""
        writer = self._broker.writer
        return self._broker.unrecorded + (0 if writer is None else writer.unwritten)

    def approve(self, workspace: str, full: str, by: str, sha256: str | None = None) -> ToolView:
        """See `Catalogue.approve`."""
        return view_of(self._catalogue.approve(workspace, full, by, sha256))

    def quarantine(self, workspace: str, full: str, by: str) -> ToolView:
        """See `Catalogue.quarantine`. Calls that are under way end as they do."""
        return view_of(self._catalogue.quarantine(workspace, full, by))

    def calls(self, workspace: str, name: str, last: int = KEPT_CALLS) -> list[ToolCallView]:
        """The last calls of a tool, or of all tools of a source, oldest first. Raises `ToolNotFound`."""
        entry = self._catalogue.entries.get((workspace, name))
        tools = entry.tools.values() if entry is not None else [self._catalogue.tool(workspace, name)]
        records = sorted((record for tool in tools for record in tool.records), key=lambda record: record.at_us)
        return [_call_view(record) for record in records[-max(1, last) :]]

    def sources(self, workspace: str) -> list[ToolSourceView]:
        """By name."""
        return sorted((_source_view(entry) for entry in self._catalogue.of(workspace)), key=lambda view: view.name)

    def approvals(self, workspace: str) -> list[ApprovalView]:
        """Calls that wait for a person, oldest first."""
        return self._broker.approvals.list(workspace)

    def answer(self, workspace: str, approval: str, by: str, *, is_granted: bool) -> ApprovalView:
        """Let a call go on, or not. Raises `ApprovalNotFound`."""
        approvals = self._broker.approvals
        return (approvals.grant if is_granted else approvals.deny)(workspace, approval, by)

    def of_agent(self, workspace: str, agent: str) -> list[ToolCallView]:
        """The last calls of one agent, oldest first."""
        records = [
            record
            for (of, _), tool in self._catalogue.tools.items()
            if of == workspace
            for record in tool.records
            if record.agent == agent
        ]
        return [_call_view(record) for record in sorted(records, key=lambda record: record.at_us)]


def view_of(tool: Tool) -> ToolView:
    """For people."""
    return ToolView(
        name=tool.full, source=tool.source.settings.name, description=tool.info.description, status=tool.status,
        reason=tool.reason, sha256=tool.pin.seen_sha256 if tool.pin is not None else "",
        is_idempotent=tool.is_idempotent, calls=tool.calls, failures=tool.failed, times=_times(tool.records),
    )  # fmt: skip


def _gone(entry: Entry) -> list[ToolView]:
    """Tools that the source had once. As long as it was not asked, they may be there still."""
    reason = "its source was not asked yet" if entry.is_stale and not entry.tools else "its source does not have it now"
    return [
        ToolView(
            name=f"{entry.settings.name}.{name}", source=entry.settings.name,
            description=str((as_dict(pin.seen) or {}).get("description", "")), status="gone", reason=reason,
            sha256=pin.seen_sha256, is_idempotent=False, calls=0, failures=0, times=None,
        )
        for name, pin in entry.pins.items()
        if name and name not in entry.tools
    ]  # fmt: skip


def _times(records: Sequence[CallRecord]) -> TimesView | None:
    took = sorted(record.took_us for record in records if record.attempts)
    if not took:
        return None
    p50, p99 = (took[-(-len(took) * percent // 100) - 1] for percent in (50, 99))
    return TimesView(p50_ms=p50 / 1000, p99_ms=p99 / 1000, max_ms=took[-1] / 1000)


def _source_view(entry: Entry) -> ToolSourceView:
    settings, gate = entry.settings, entry.gate
    tools = list(entry.tools.values())
    callable_ = sum(tool.status == "approved" for tool in tools)
    details: dict[str, Any] = dict(entry.source.view())
    return ToolSourceView(
        name=settings.name, type=settings.kind, tools=callable_, withheld=len(tools) - callable_,
        is_listed=not entry.is_stale, circuit=gate.phase, under_way=gate.under_way, queued=len(gate.line),
        concurrency=settings.concurrency, calls=sum(tool.calls for tool in tools),
        failures=sum(tool.failed for tool in tools), last_error=entry.last_error, details=details,
    )  # fmt: skip


def _call_view(record: CallRecord) -> ToolCallView:
    return ToolCallView(
        at=when(record.at_us), agent=record.agent, tool=record.tool, outcome=record.outcome, detail=record.detail,
        took_ms=record.took_us / 1000, attempts=record.attempts, argument_bytes=record.argument_bytes,
        result_bytes=record.result_bytes, key=record.key,
    )  # fmt: skip
