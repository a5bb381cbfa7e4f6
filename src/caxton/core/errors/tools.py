"""Tools: those that are not there, that changed, whose source is down, and calls that wait for a person."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


class ToolNotFound(CaxtonError):
    """There is no such tool in this workspace, as far as its source has said."""

    code = "TOOL_NOT_FOUND"

    def __init__(self, tool: str, *, nearest: str | None = None) -> None:
        hint = f"did you mean {quoted(nearest)}?" if nearest else "'caxton tools list' shows those that there are"
        super().__init__(f"there is no tool {quoted(tool)}; {hint}")
        self.tool, self.nearest = tool, nearest


class ToolSourceNotFound(CaxtonError):
    """Nothing of that name is configured to have tools."""

    code = "TOOL_SOURCE_NOT_FOUND"

    def __init__(self, source: str, *, nearest: str | None = None) -> None:
        hint = f"did you mean {quoted(nearest)}?" if nearest else "each is a table [tools.NAME] of the configuration"
        super().__init__(f"no source of tools has the name {quoted(source)}; {hint}")
        self.source, self.nearest = source, nearest


class ToolSourceAlreadyExists(CaxtonError):
    """Two sources of tools would have one name, and so their tools."""

    code = "TOOL_SOURCE_ALREADY_EXISTS"

    def __init__(self, source: str) -> None:
        super().__init__(f"a source of tools has the name {source!r} already; give each a name of its own")
        self.source = source


class ToolSourceDown(CaxtonError):
    """What has the tools does not answer."""

    code = "TOOL_SOURCE_DOWN"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(
            f"the source of tools {source!r} does not answer: {quoted(reason)}; 'caxton tools logs {source}' has more"
        )
        self.source, self.reason = source, reason


class ToolChanged(CaxtonError):
    """What was to be approved is not what the tool is now."""

    code = "TOOL_CHANGED"

    def __init__(self, tool: str, asked: str, found: str) -> None:
        super().__init__(
            f"tool {tool!r} is {found[:12]} now and not {quoted(asked[:12])}; look at it again "
            f"('caxton tools show {tool}') before approving it"
        )
        self.tool, self.asked, self.found = tool, asked, found


class ToolUnusable(CaxtonError):
    """The tool's definition breaks a rule, which no approval changes."""

    code = "TOOL_UNUSABLE"

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(f"tool {tool!r} cannot be used: {reason}; its source has to describe it otherwise")
        self.tool, self.reason = tool, reason


class ApprovalNotFound(CaxtonError):
    """No call waits for an answer under this id."""

    code = "APPROVAL_NOT_FOUND"

    def __init__(self, approval: str) -> None:
        super().__init__(
            f"no call waits under {quoted(approval)}: it was answered, or waited too long; 'caxton approvals list' "
            "shows those that wait"
        )
        self.approval = approval
