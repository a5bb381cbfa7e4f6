"""Tools and their sources as people and programs see them."""

from __future__ import annotations

from typing import Any

import msgspec

from caxton.core.views.stats import TimesView  # noqa: TC001 - msgspec reads it


class ToolView(msgspec.Struct, kw_only=True):
    """One tool."""

    name: str
    """`SOURCE.TOOL`."""
    source: str
    description: str
    status: str
    """`approved`; or `pending` (new), `quarantined` (changed, or put there), `unusable`, `gone`: it is not called."""
    reason: str | None
    """Why it is not called."""
    sha256: str
    """Of its name, description, schemas and hints as they are now."""
    is_idempotent: bool
    """It is called again if it gave no answer, where its source allows a repetition."""
    calls: int
    failures: int
    """Calls that gave no answer, or one that may not be used."""
    times: TimesView | None
    """Of the last calls; None: there was none."""


class ToolDetail(msgspec.Struct, kw_only=True):
    """One tool with all that its source says of it: nothing of that is to be believed."""

    tool: ToolView
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    approved: dict[str, Any] | None
    """What it was when it was approved, if that is something else than now."""
    decided_at: str | None
    """When it was approved or put in quarantine; ISO 8601, UTC."""
    decided_by: str | None
    """Who did: a principal, or `first sight`."""
    approval: str
    """Which calls wait for a person: `never`, `first-use`, `always`."""
    cost: float
    """Of one call."""


class ToolSourceView(msgspec.Struct, kw_only=True):
    """What has tools."""

    name: str
    type: str
    """`stdio`, `http`, `wasm` or `builtin`."""
    tools: int
    """That may be called."""
    withheld: int
    """That may not."""
    is_listed: bool
    """Its tools are known as they are now; else it is asked at the next call."""
    circuit: str
    """`closed`, `open`, `half_open` or `off`."""
    under_way: int
    """Calls."""
    queued: int
    """Calls that wait for others to end."""
    concurrency: int
    """0: any number."""
    calls: int
    failures: int
    last_error: str | None
    details: dict[str, Any]
    """What it says of itself."""


class ToolCallView(msgspec.Struct, kw_only=True):
    """One call, without what was said."""

    at: str
    """When it was asked for; ISO 8601, UTC."""
    agent: str
    tool: str
    outcome: str
    """`ok`, `error` (the tool says so), `cancelled`, or the name of the code that the agent got, in small letters."""
    detail: str
    took_ms: float
    attempts: int
    """How often the tool was asked; 0: it was not."""
    argument_bytes: int
    result_bytes: int
    key: str
    """Idempotency key."""


class ApprovalView(msgspec.Struct, kw_only=True):
    """A call that waits for a person."""

    id: str
    agent: str
    tool: str
    sha256: str
    """Of the tool's definition."""
    arguments: str
    """JSON, without secrets."""
    is_cut: bool
    """There is more of `arguments` than is shown."""
    created_at: str
    expires_at: str
    """When it is refused, unless somebody answers."""


class ToolTest(msgspec.Struct, kw_only=True):
    """What came of a call that a person made."""

    tool: str
    outcome: str
    """As in ToolCallView."""
    detail: str
    """Why there is no result."""
    took_ms: float
    result: dict[str, Any] | None
    """What an agent would get: `content`, `structuredContent`, `isError`."""


class ToolList(msgspec.Struct, kw_only=True):
    """All tools of a workspace, or of one source, by name."""

    tools: list[ToolView]
    total: int


class ToolSourceList(msgspec.Struct, kw_only=True):
    """All sources of tools, by name."""

    sources: list[ToolSourceView]
    total: int


class ToolCallList(msgspec.Struct, kw_only=True):
    """The last calls of a tool or source, oldest first."""

    calls: list[ToolCallView]
    total: int


class ApprovalList(msgspec.Struct, kw_only=True):
    """Calls that wait for a person, oldest first."""

    approvals: list[ApprovalView]
    total: int
