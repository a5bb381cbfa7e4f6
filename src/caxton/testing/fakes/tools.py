"""`caxton.api.services.ToolService` in memory: tools that echo, and a person's decisions about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.core.errors.tools import (
    ApprovalNotFound,
    ToolChanged,
    ToolNotFound,
    ToolSourceDown,
    ToolSourceNotFound,
    ToolUnusable,
)
from caxton.core.suggest import nearest
from caxton.core.views.tools import (
    ApprovalView,
    ToolCallView,
    ToolDetail,
    ToolSourceView,
    ToolTest,
    ToolView,
)
from caxton.services.workspaces import check_workspace

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName
    from caxton.security.principal import Principal

AT = "2027-01-15T08:00:00.000+00:00"

SOURCE = ToolSourceView(
    name="web", type="http", tools=0, withheld=0, is_listed=True, circuit="closed", under_way=0, queued=0,
    concurrency=10, calls=0, failures=0, last_error=None, details={"state": "running"},
)  # fmt: skip


class FakeTools:
    """One source `web`, whose tools answer with what they are given.

    Attributes:
        details: the tools by name.
        down: why sources do not answer, by name.
        asked: calls that wait for a person, by id.
        decisions: what was decided: (what, of what, by whom).
        called: calls that were made, oldest first.
    """

    def __init__(self) -> None:
        self.details: dict[str, ToolDetail] = {}
        self.down: dict[str, str] = {}
        self.asked: dict[str, ApprovalView] = {}
        self.decisions: list[tuple[str, str, str]] = []
        self.called: list[ToolCallView] = []

    def put(
        self, name: str, *, status: str = "approved", sha256: str = "0" * 64, description: str = "Gives it back.",
        approved: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """There is a tool of `web` by this name (without the source's)."""
        reason = None if status == "approved" else "a test says so"
        view = ToolView(
            name=f"web.{name}", source="web", description=description, status=status, reason=reason, sha256=sha256,
            is_idempotent=False, calls=0, failures=0, times=None,
        )  # fmt: skip
        self.details[view.name] = ToolDetail(
            tool=view, input_schema={"type": "object"}, output_schema=None, approved=approved, decided_at=None,
            decided_by=None, approval="never", cost=0.0,
        )  # fmt: skip

    def ask(self, approval: str, *, agent: str = "ping", tool: str = "web.echo", arguments: str = "{}") -> None:
        """A call waits for a person."""
        self.asked[approval] = ApprovalView(
            id=approval, agent=agent, tool=tool, sha256="0" * 64, arguments=arguments, is_cut=False, created_at=AT,
            expires_at=AT,
        )  # fmt: skip

    async def list(self, workspace: WorkspaceName, *, source: str | None = None) -> list[ToolView]:
        """See the protocol."""
        check_workspace(workspace)
        if source not in (None, "web"):
            raise ToolSourceNotFound(source, nearest=nearest(source, ["web"]))
        return [self.details[name].tool for name in sorted(self.details)]

    async def get(self, workspace: WorkspaceName, name: str) -> ToolDetail:
        """See the protocol."""
        check_workspace(workspace)
        if name in self.details:
            return self.details[name]
        self._look(name)
        raise ToolNotFound(name, nearest=nearest(name, self.details))

    async def test(self, workspace: WorkspaceName, principal: Principal, name: str, arguments: bytes) -> ToolTest:
        """It gives back what it is given."""
        check_workspace(workspace)
        self._look(name)
        status = (await self.get(workspace, name)).tool.status
        is_good = status == "approved"
        outcome, detail = ("ok", "") if is_good else ("not_approved", "a test says so")
        result = {"content": [{"type": "text", "text": arguments.decode()}]} if is_good else None
        call = ToolCallView(
            at=AT, agent=f"client:{principal.name}", tool=name, outcome=outcome, detail=detail, took_ms=1.0,
            attempts=int(is_good), argument_bytes=len(arguments), result_bytes=len(msgspec.json.encode(result)),
            key=f"test-{len(self.called)}",
        )  # fmt: skip
        self.called.append(call)
        return ToolTest(tool=name, outcome=outcome, detail=detail, took_ms=1.0, result=result)

    async def approve(
        self, workspace: WorkspaceName, principal: Principal, name: str, *, sha256: str | None = None
    ) -> ToolView:
        """See the protocol."""
        check_workspace(workspace)
        self._look(name)
        view = await self._decidable(workspace, name)
        if sha256 is not None and not (sha256 and view.sha256.startswith(sha256)):
            raise ToolChanged(name, sha256, view.sha256)
        return self._decided("approved", name, principal, "approved", None)

    async def quarantine(self, workspace: WorkspaceName, principal: Principal, name: str) -> ToolView:
        """See the protocol."""
        check_workspace(workspace)
        await self._decidable(workspace, name)
        return self._decided("quarantined", name, principal, "quarantined", f"{principal.name} put it in quarantine")

    async def calls(self, workspace: WorkspaceName, name: str, *, limit: int) -> list[ToolCallView]:
        """See the protocol."""
        check_workspace(workspace)
        if name != "web" and name not in self.details:
            raise ToolNotFound(name, nearest=nearest(name, self.details))
        return [call for call in self.called if name in ("web", call.tool)][-limit:]

    def sources(self, workspace: WorkspaceName) -> list[ToolSourceView]:
        """See the protocol."""
        check_workspace(workspace)
        good = sum(detail.tool.status == "approved" for detail in self.details.values())
        return [
            msgspec.structs.replace(
                SOURCE, tools=good, withheld=len(self.details) - good, is_listed="web" not in self.down,
                last_error=self.down.get("web"),
            )
        ]  # fmt: skip

    def approvals(self, workspace: WorkspaceName) -> list[ApprovalView]:
        """See the protocol."""
        check_workspace(workspace)
        return list(self.asked.values())

    async def answer(
        self, workspace: WorkspaceName, principal: Principal, approval: str, *, is_granted: bool
    ) -> ApprovalView:
        """See the protocol."""
        check_workspace(workspace)
        view = self.asked.pop(approval, None)
        if view is None:
            raise ApprovalNotFound(approval)
        self.decisions.append(("granted" if is_granted else "denied", approval, principal.name))
        return view

    def _look(self, name: str) -> None:
        source = name.partition(".")[0]
        if source in self.down:
            raise ToolSourceDown(source, self.down[source])

    async def _decidable(self, workspace: WorkspaceName, name: str) -> ToolView:
        view = (await self.get(workspace, name)).tool
        if view.status == "unusable":
            raise ToolUnusable(name, view.reason or "")
        return view

    def _decided(self, what: str, name: str, principal: Principal, status: str, reason: str | None) -> ToolView:
        self.decisions.append((what, name, principal.name))
        detail = self.details[name]
        view = msgspec.structs.replace(detail.tool, status=status, reason=reason)
        self.details[name] = msgspec.structs.replace(
            detail, tool=view, decided_at=AT, decided_by=principal.name,
            approved=None if status == "approved" else detail.approved,
        )  # fmt: skip
        return view
