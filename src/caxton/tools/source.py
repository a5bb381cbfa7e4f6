"""The port of whatever has tools: an MCP server, a sandboxed module, something built in.

One source is one entry `[tools.NAME]` of a configuration; its tools are called `NAME.tool` everywhere outside of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping


class ToolInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as its source describes it: nothing of this is to be believed, only pinned."""

    name: str
    """Without the source's."""
    description: str = ""
    input_schema: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object"})
    """JSON Schema, dialect 2020-12 unless it says otherwise."""
    output_schema: dict[str, Any] | None = None
    """Of `Result.structured`."""
    is_idempotent: bool = False
    """It says that a second call with the same arguments does nothing more."""
    is_read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one tool, allowed and checked."""

    tool: str
    """Without the source's name."""
    arguments: dict[str, Any]
    workspace: str
    agent: str
    """Who calls."""
    key: str
    """Idempotency key: the same for every repetition of this call, after a crash too."""
    until: float
    """Deadline, monotonic seconds: the source may stop then, whoever waits does not wait longer."""
    traceparent: str = ""
    """W3C; empty if there is none."""
    depth: int = 0
    """How many calls of agents as tools it stands on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a tool answered."""

    content: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Content blocks of MCP: `{"type": "text", "text": …}` and others."""
    structured: dict[str, Any] | None = None
    is_error: bool = False
    """The tool itself says that it failed; who called gets `content` all the same."""


Trouble: TypeAlias = Literal["timeout", "too_large", "unavailable", "not_found", "invalid", "refused", "failed"]
"""timeout: no answer until the deadline. too_large: more than the cap. unavailable: the source does not run, or broke
the connection. not_found: it has no such tool. invalid: it will not take these arguments. refused: a rule of ours
forbids it. failed: anything else, also an answer that breaks the protocol."""


@dataclass(frozen=True, slots=True)
class Failure:
    """There is no answer."""

    trouble: Trouble
    detail: str
    """For people; without secrets and without anything that the tool made up."""


Outcome: TypeAlias = "Result | Failure"


class Source(Protocol):
    """See the module. Methods are called on the event loop's thread, and none raises but as it says."""

    name: str

    async def list_tools(self) -> list[ToolInfo]:
        """All its tools, asked anew. Raises `SourceDown`."""
        ...

    def call(self, call: Call) -> Outcome | Awaitable[Outcome]:
        """Call a tool: its outcome at once if that needs no waiting, else what to await, which may be cancelled."""
        ...

    def view(self) -> Mapping[str, Any]:
        """What people want to know of it: state, process id, restarts, last error, …; JSON, without secrets."""
        ...

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever its tools may have changed; many changes at once are one."""
        ...

    async def close(self) -> None:
        """End it and whatever it started. May be called twice."""
        ...


class SourceDown(Exception):
    """A source cannot be asked. Its text is for people."""
