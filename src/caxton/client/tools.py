"""Calls about tools: look, call, decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from caxton.client.transport import Timeout, Transport
from caxton.core.errors.tools import ApprovalNotFound, ToolNotFound
from caxton.core.views.tools import (
    ApprovalList,
    ApprovalView,
    ToolCallList,
    ToolCallView,
    ToolDetail,
    ToolList,
    ToolSourceList,
    ToolSourceView,
    ToolTest,
    ToolView,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH = "/api/v1/tools"
_APPROVALS = "/api/v1/approvals"

TEST_TIMEOUT_S = 900.0
"""A tool has a deadline of its own, which the server keeps; this is for a server that is gone."""

ASK_TIMEOUT_S = 120.0
"""A source may have to be started before anything is known of its tools."""


class ToolCalls(Transport):
    """What can be done with tools, and with calls that wait for a person."""

    def tools(self, source: str | None = None) -> list[ToolView]:
        """All tools, or those of one source, by name; those that may not be called too."""
        return self._get(_PATH, ToolList, {"source": source}).tools

    def tool_sources(self) -> list[ToolSourceView]:
        """What has tools, by name."""
        return self._get(f"{_PATH}/sources", ToolSourceList).sources

    def tool(self, name: str) -> ToolDetail:
        """One tool with its schemas, and what it was when it was approved."""
        if "." not in name:
            raise ToolNotFound(name)  # its path could be another route's
        response = self._request("GET", _tool_path(name), timeout=Timeout(ASK_TIMEOUT_S))
        return self._decode(response, ToolDetail)

    def test_tool(self, name: str, arguments: Mapping[str, Any] | None = None) -> ToolTest:
        """Call a tool. A call that fails is an answer too: see its `outcome`."""
        body = msgspec.json.encode({"arguments": dict(arguments or {})})
        response = self._request("POST", f"{_tool_path(name)}/test", body=body, timeout=Timeout(TEST_TIMEOUT_S))
        return self._decode(response, ToolTest)

    def approve_tool(self, name: str, *, sha256: str | None = None) -> ToolView:
        """Let agents call it as it is now; with `sha256` only if it is what was looked at.

        Raises:
            ApiProblem: TOOL_CHANGED, TOOL_UNUSABLE, TOOL_NOT_FOUND, …
        """
        return self._post(f"{_tool_path(name)}/approve", {"sha256": sha256}, ToolView)

    def quarantine_tool(self, name: str) -> ToolView:
        """Let nobody call it until it is approved."""
        return self._post(f"{_tool_path(name)}/quarantine", None, ToolView)

    def tool_calls(self, name: str, *, limit: int | None = None) -> list[ToolCallView]:
        """The last calls of a tool, or of all tools of a source, oldest first."""
        return self._get(f"{_tool_path(name)}/calls", ToolCallList, {"limit": limit}).calls

    def approvals(self) -> list[ApprovalView]:
        """Calls that wait for a person, oldest first."""
        return self._get(_APPROVALS, ApprovalList).approvals

    def answer_approval(self, approval: str, *, is_granted: bool) -> ApprovalView:
        """Let a call go on, or refuse it; what it was."""
        if not (approval.isascii() and approval.isalnum()):
            raise ApprovalNotFound(approval)  # in a path it could mean another one
        return self._post(f"{_APPROVALS}/{approval}/{'grant' if is_granted else 'deny'}", None, ApprovalView)


def _tool_path(name: str) -> str:
    if not name or "/" in name or name in (".", ".."):
        raise ToolNotFound(name)  # in a path it could mean another one
    return f"{_PATH}/{quote(name, safe='')}"
