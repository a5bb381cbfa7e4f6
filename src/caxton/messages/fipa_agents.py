"""Agents in FIPA's string encoding, `(agent-identifier :name ping@caxton)`, and their names. Pure.

FIPA wants names that are unique in the world, `NAME@PLATFORM`. All servers are the platform `caxton` until they know
each other; names of other platforms stay as they are, and are those of nobody here.

Source: FIPA SC00023 (names), SC00070I (agent-identifier).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.messages.fipa_syntax import word_or_text

if TYPE_CHECKING:
    from caxton.messages.fipa_syntax import Cursor

PLATFORM = "caxton"
"""What stands after the @ in the name of an agent of this server."""

_AGENT = "agent-identifier"


def global_name(name: str) -> str:
    """`ping` as `ping@caxton`; topics, groups and names with a platform as they are."""
    return name if "@" in name or "://" in name else f"{name}@{PLATFORM}"


def local_name(name: str) -> str:
    """`ping@caxton` as `ping`; all else as it is."""
    local, _, platform = name.rpartition("@")
    return local if platform.lower() == PLATFORM and global_name(local) != local else name


def read_agent(cursor: Cursor, what: str) -> str:
    """The name of the agent that comes next; raises `InvalidMessage` if something else does."""
    cursor.expect(b"(", what)
    cursor.keyword(_AGENT)
    return _read_rest(cursor)


def read_agents(cursor: Cursor, what: str) -> str | list[str]:
    """One name, or a list of none or several; from `(set …)`, `(sequence …)` or a single agent-identifier."""
    cursor.expect(b"(", what)
    if cursor.keyword("set", "sequence", _AGENT) == _AGENT:
        return _read_rest(cursor)
    names: list[str] = []
    while not cursor.take(b")"):
        names.append(read_agent(cursor, 'an agent-identifier, or ")"'))
    return names[0] if len(names) == 1 else names


def _read_rest(cursor: Cursor) -> str:
    """The name in an agent-identifier whose first word was read; its addresses and all else are of no use here."""
    name: str | None = None
    while not cursor.take(b")"):
        key = cursor.word('a parameter such as :name, or ")"').lower()
        if not key.startswith(":") or (key == ":name" and name is not None):
            raise cursor.failed("a parameter of the agent-identifier, one :name among them", at=cursor.began)
        value = cursor.value("a value")
        if key == ":name":
            name = value
    if name is None:
        raise cursor.failed("the :name of the agent before this", at=cursor.at - 1)
    return local_name(name)


def agent(name: str) -> bytes:
    """The agent-identifier of an agent."""
    return b"(%b :name %b)" % (_AGENT.encode(), word_or_text(global_name(name)))


def agents(names: str | list[str]) -> bytes:
    """The set of one agent or of several."""
    return b"(set %b)" % b" ".join(map(agent, [names] if isinstance(names, str) else names))
