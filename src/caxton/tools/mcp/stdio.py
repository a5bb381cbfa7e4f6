"""An MCP server that is a program of this machine, spoken with over standard input and output."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caxton.core.redact import redact_text
from caxton.tools.mcp.supervised import SupervisedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AsyncExitStack

    from caxton.core.clock import Clock
    from caxton.tools.mcp.session import Session
    from caxton.tools.mcp.supervised import Care, Life


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run."""

    name: str
    """A path, or a name that is looked up in `PATH`: that of `env`, else the node's own."""
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """All of its environment: nothing of the node's own is added."""
    cwd: str | None = None
    """None: the node's own."""

    def program(self) -> str:
        """The file to run. Raises `FileNotFoundError`."""
        if "/" in self.name:
            return str(Path(self.cwd or ".").resolve() / self.name)
        found = shutil.which(self.name, path=self.env.get("PATH") or os.environ.get("PATH"))
        if found is None:
            raise FileNotFoundError(ENOENT, "command not found", self.name)
        return found

    def shown(self) -> list[str]:
        """As it may be shown: without values that look like secrets, or stand in `env`."""
        secrets = [value for value in self.env.values() if value]
        return [redact_text(word, secrets) for word in (self.name, *self.arguments)]


class StdioSource(SupervisedSource):
    """A `tools.source.Source`."""

    kind = "stdio"
    modules = ("caxton.tools.mcp.session", "caxton.tools.mcp.pipes")

    def __init__(
        self,
        name: str,
        command: Command,
        clock: Clock,
        care: Care | None = None,
        *,
        tell: Callable[[str, str], None] | None = None,
        **more: Any,
    ) -> None:
        """See `SupervisedSource`."""
        if tell is not None:
            more["tell"] = tell
        super().__init__(name, clock, care, **more)
        self._command = command

    async def connect(self, stack: AsyncExitStack, life: Life) -> Session:
        """Start the program and shake hands."""
        from caxton.tools.mcp.pipes import Pipes
        from caxton.tools.mcp.session import open_session

        pipes = Pipes(
            self._command,
            noise=self.noise,
            clock=self._clock,
            most_bytes=self.care.most_bytes,
            noticed=self.changes.noticed,
            on_start=life.started,
            on_end=life.end,
        )
        return await stack.enter_async_context(
            open_session(
                pipes,
                mode=self.care.mode,
                start_s=self.care.start_s,
                noise=self.noise,
                noticed=self.changes.noticed,
                on_gone=life.end,
            )
        )

    def described(self) -> dict[str, Any]:
        """Command, directory, and the names of its environment."""
        command = self._command
        return {"command": command.shown(), "cwd": command.cwd, "environment": sorted(command.env)}
