"""What people do about tools: look, call, decide. A decision is on disk before it is told."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

import msgspec

from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.tools import ToolSourceDown, ToolSourceNotFound
from caxton.core.suggest import nearest
from caxton.core.views.tools import ToolTest
from caxton.services.workspaces import check_workspace
from caxton.tools.answer import WORDS
from caxton.tools.wanted import Pending, Wanted

if TYPE_CHECKING:
    from caxton.bus.journal import Journal
    from caxton.core.clock import Clock
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.tools import ApprovalView, ToolCallView, ToolDetail, ToolSourceView, ToolView
    from caxton.security.principal import Principal
    from caxton.tools.desk import ToolDesk

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""How long a list waits for sources that have not said what they have: one that hangs must not hide the others."""


class ToolService:
    """See `api.services`."""

    def __init__(self, desk: ToolDesk, journal: Journal, clock: Clock, *, patience_s: float = PATIENCE_S) -> None:
        self.desk = desk
        self._journal, self._clock, self._patience_s = journal, clock, patience_s
        self._is_open = True

    def refuse(self) -> None:
        """The node is stopping: nothing is called or decided any more."""
        self._is_open = False

    async def list(self, workspace: WorkspaceName, *, source: str | None = None) -> list[ToolView]:
        """All tools, or those of one source, by name. Raises `ToolSourceNotFound`."""
        check_workspace(workspace)
        names = {one.name for one in self.desk.sources(workspace)}
        if source is not None and source not in names:
            raise ToolSourceNotFound(source, nearest=nearest(source, names))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                await self.desk.ask_all(workspace)
        return [view for view in self.desk.tools(workspace) if source in (None, view.source)]

    async def get(self, workspace: WorkspaceName, name: str) -> ToolDetail:
        """One tool with all that its source says of it. Raises `ToolNotFound`, `ToolSourceDown`."""
        check_workspace(workspace)
        try:
            await self._look(workspace, name)
        except ToolSourceDown:
            if not self._is_known(workspace, name):
                raise
        return self.desk.show(workspace, name)

    async def test(self, workspace: WorkspaceName, principal: Principal, name: str, arguments: bytes) -> ToolTest:
        """Call a tool; a call that fails is an answer too. Raises `ToolNotFound`, `ToolSourceDown`, `ShuttingDown`."""
        self._check(workspace)
        await self._look(workspace, name)
        self.desk.show(workspace, name)
        agent, key, began = f"client:{principal.name}", f"test-{token_hex(8)}", self._clock.monotonic()
        wanted = Wanted(workspace=workspace, agent=agent, tool=name, arguments=arguments, key=key)
        result = await _result(self.desk.test(wanted))
        took_ms = (self._clock.monotonic() - began) * 1000
        recorded = next((one for one in reversed(self.desk.calls(workspace, name)) if one.key == key), None)
        outcome = recorded.outcome if recorded is not None else WORDS[result] if isinstance(result, int) else "ok"
        self._log("a tool was tested", "tools.tested", workspace, principal, tool=name, outcome=outcome)
        return ToolTest(
            tool=name, outcome=outcome, detail=recorded.detail if recorded is not None else "", took_ms=took_ms,
            result=None if isinstance(result, int) else msgspec.json.decode(result),
        )  # fmt: skip

    async def approve(
        self, workspace: WorkspaceName, principal: Principal, name: str, *, sha256: str | None = None
    ) -> ToolView:
        """It may be called as it is now, if that is `sha256`. Raises `ToolNotFound`, `ToolChanged`, …"""
        self._check(workspace)
        await self._look(workspace, name)
        view = self.desk.approve(workspace, name, principal.name, sha256)
        self._log("a tool was approved", "tools.approved", workspace, principal, tool=name, sha256=view.sha256)
        await self._journal.commit()
        return view

    async def quarantine(self, workspace: WorkspaceName, principal: Principal, name: str) -> ToolView:
        """It may not be called until somebody approves it; a source that is down need not be asked for that."""
        self._check(workspace)
        if not self._is_known(workspace, name):
            await self._look(workspace, name)
        view = self.desk.quarantine(workspace, name, principal.name)
        self._log("a tool was put in quarantine", "tools.held", workspace, principal, tool=name, sha256=view.sha256)
        await self._journal.commit()
        return view

    async def calls(self, workspace: WorkspaceName, name: str, *, limit: int) -> list[ToolCallView]:
        """The last calls of a tool, or of all tools of a source, oldest first. Raises `ToolNotFound`."""
        check_workspace(workspace)
        return self.desk.calls(workspace, name, limit)

    def sources(self, workspace: WorkspaceName) -> list[ToolSourceView]:
        """What has tools, by name."""
        check_workspace(workspace)
        return self.desk.sources(workspace)

    def approvals(self, workspace: WorkspaceName) -> list[ApprovalView]:
        """Calls that wait for a person, oldest first."""
        check_workspace(workspace)
        return self.desk.approvals(workspace)

    async def answer(
        self, workspace: WorkspaceName, principal: Principal, approval: str, *, is_granted: bool
    ) -> ApprovalView:
        """Let a call go on, or not. Raises `ApprovalNotFound`, `ShuttingDown`."""
        self._check(workspace)
        view = self.desk.answer(workspace, approval, principal.name, is_granted=is_granted)
        text, action = ("granted", "tools.call_granted") if is_granted else ("denied", "tools.call_denied")
        facts = {"tool": view.tool, "agent": view.agent, "approval": view.id, "sha256": view.sha256}
        self._log(f"a call of a tool was {text}", action, workspace, principal, **facts)
        await self._journal.commit()
        return view

    # --- what all of them need -------------------------------------------------------------------------------

    def _check(self, workspace: WorkspaceName) -> None:
        check_workspace(workspace)
        if not self._is_open:
            raise ShuttingDown

    def _is_known(self, workspace: str, name: str) -> bool:
        return any(view.name == name and view.status != "gone" for view in self.desk.tools(workspace))

    async def _look(self, workspace: str, name: str) -> None:
        """See that a tool's source is known as it is now. Raises `ToolSourceDown`; of no source is nothing known."""
        source = name.partition(".")[0]
        if any(one.name == source and not one.is_listed for one in self.desk.sources(workspace)):
            await self.desk.ask(workspace, source)

    def _log(self, text: str, action: str, workspace: str, principal: Principal, **facts: str) -> None:
        logger.info(text, extra={"action": action, "principal": principal.name, "workspace": workspace, **facts})


async def _result(asked: bytes | int | Pending) -> bytes | int:
    """What came of a call; whoever gives up waiting gives up the call."""
    if not isinstance(asked, Pending):
        return asked
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def told() -> None:
        if not done.done():
            done.set_result(None)

    asked.when_done(told)
    try:
        await done
    finally:
        asked.cancel()
    assert asked.result is not None  # noqa: S101 - it is done
    return asked.result
