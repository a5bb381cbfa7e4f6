"""The tools' rows in the journal's database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from caxton.tools.pins import Pin

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.journal import Source as Rows
    from caxton.storage.database import Row

Read: TypeAlias = "Callable[[str, Row], list[Row]]"
"""Asks the database as of its last commit."""

_PIN = (
    "INSERT OR REPLACE INTO tool_pins (workspace, source, tool, approved_sha256, approved, seen_sha256, seen, is_held, "
    "decided_us, decided_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PINS = (
    "SELECT tool, approved_sha256, approved, seen_sha256, seen, is_held, decided_us, decided_by FROM tool_pins "
    "WHERE workspace = ? AND source = ?"
)
_ALLOW = (
    "INSERT OR REPLACE INTO tool_approvals (workspace, agent, tool, sha256, decided_us, decided_by) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)


class Writer(Protocol):
    """What this needs of the journal."""

    sources: list[Rows]

    def add(self, sql: str, *row: object) -> None:
        """A statement for the next commit."""
        ...

    def touch(self) -> None:
        """See that it comes."""
        ...


class ToolStore:
    """Reads and writes the rows; whoever answers somebody outside waits for the journal's commit first."""

    def __init__(self, journal: Writer, read: Read) -> None:
        self._journal, self._read = journal, read
        self.sources = journal.sources

    def pins(self, workspace: str, source: str) -> dict[str, Pin]:
        """All pins of a source by tool; an empty name says that it was seen."""
        return {
            row[0]: Pin(
                tool=row[0], approved_sha256=row[1], approved=row[2], seen_sha256=row[3], seen=row[4],
                is_held=bool(row[5]), decided_us=row[6], decided_by=row[7],
            )
            for row in self._read(_PINS, (workspace, source))
        }  # fmt: skip

    def put_pin(self, workspace: str, source: str, pin: Pin) -> None:
        self._journal.add(
            _PIN, workspace, source, pin.tool, pin.approved_sha256, pin.approved, pin.seen_sha256, pin.seen,
            int(pin.is_held), pin.decided_us, pin.decided_by,
        )  # fmt: skip
        self._journal.touch()

    def allowed(self) -> dict[tuple[str, str, str], str]:
        """First uses that were allowed: (workspace, agent, tool) → hash of the tool's definition."""
        rows = self._read("SELECT workspace, agent, tool, sha256 FROM tool_approvals", ())
        return {(row[0], row[1], row[2]): row[3] for row in rows}

    def allow(self, workspace: str, agent: str, tool: str, sha256: str, by: str, now_us: int) -> None:
        self._journal.add(_ALLOW, workspace, agent, tool, sha256, now_us, by)
        self._journal.touch()

    def budget(self, workspace: str, agent: str) -> tuple[int, float]:
        """Calls and cost that the agent has used up."""
        rows = self._read("SELECT calls, cost FROM tool_budgets WHERE workspace = ? AND agent = ?", (workspace, agent))
        return (rows[0][0], rows[0][1]) if rows else (0, 0.0)

    def touch(self) -> None:
        """Budgets changed."""
        self._journal.touch()

    def forget(self, workspace: str, agent: str) -> None:
        """The agent is removed."""
        for table in ("tool_approvals", "tool_budgets"):
            self._journal.add(f"DELETE FROM {table} WHERE workspace = ? AND agent = ?", workspace, agent)  # noqa: S608
        self._journal.touch()
