"""What a workspace exposes to MCP clients: which agents and capabilities, under which names; kept in the journal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from caxton.core.errors.values import InvalidName, InvalidValue
from caxton.core.ids import parse_agent_name, parse_capability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from caxton.bus.journal import Journal
    from caxton.storage.database import Row

SETTING = "mcp.expose"

OWN_TOOLS = ("message_send", "conversation_trace", "agent_list")
"""Names of the tools that every workspace has."""

MAX_EXPOSED = 200
"""A client shows all tools to its model, which chooses badly long before there are so many."""

_READ = "SELECT workspace, names FROM mcp_exposed"
_WRITE = "INSERT OR REPLACE INTO mcp_exposed (workspace, names) VALUES (?, ?)"


class Exposed(NamedTuple):
    """One thing that is a tool."""

    kind: Literal["agent", "capability"]
    name: str
    """Also the tool's."""


class Exposure:
    """What each workspace exposes; loaded at start, written with the next commit."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._entries: dict[str, tuple[str, ...]] = {}

    def load(self, query: Callable[[str, Row], list[Row]]) -> None:
        """Take up what an earlier run left."""
        for workspace, names in query(_READ, ()):
            self._entries[str(workspace)] = tuple(cast("list[str]", json.loads(str(names))))

    def of(self, workspace: str) -> tuple[str, ...]:
        """What `workspace` exposes, as it was written."""
        return self._entries.get(workspace, ())

    def set(self, workspace: str, entries: Sequence[str]) -> None:
        """Expose these from now on, which `parse_exposed` has read."""
        self._entries[workspace] = tuple(entries)
        self._journal.add(_WRITE, workspace, json.dumps(list(entries)))


def parse_exposed(entries: Sequence[str]) -> list[Exposed]:
    """Read `agent:NAME` and `capability:NAME`.

    Raises:
        InvalidValue: one is neither, there are too many, or two tools would have the same name.
    """
    if len(entries) > MAX_EXPOSED:
        raise InvalidValue(SETTING, len(entries), f"a workspace exposes up to {MAX_EXPOSED}")
    found: list[Exposed] = []
    taken: dict[str, str] = dict.fromkeys(OWN_TOOLS, "a tool of the server's own")
    for entry in entries:
        exposed = _parse(entry)
        if exposed.name in taken:
            raise InvalidValue(SETTING, entry, f"{taken[exposed.name]} has that name; a tool's name is its own")
        taken[exposed.name] = f"'{entry}'"
        found.append(exposed)
    return found


def _parse(entry: str) -> Exposed:
    kind, _, name = entry.partition(":")
    try:
        if kind == "agent":
            return Exposed("agent", parse_agent_name(name))
        if kind == "capability":
            return Exposed("capability", parse_capability(name))
    except InvalidName as exc:
        raise InvalidValue(SETTING, entry, str(exc)) from exc
    raise InvalidValue(SETTING, entry, "write agent:NAME or capability:NAME")
