"""Calls about the agents' logs: the latest lines, and lines as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.client.stream import Waits
from caxton.client.transport import UNAVAILABLE, ApiProblem, Transport, said
from caxton.core.errors.client import ServerTimeout, ServerUnreachable
from caxton.core.ids import parse_agent_name
from caxton.core.views.logs import LogLine

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence


class _Lines(msgspec.Struct):
    lines: list[LogLine]


class LogCalls(Transport):
    """What can be read of the logs."""

    def logs(
        self,
        agents: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        since: str | None = None,
        level: str | None = None,
        grep: str | None = None,
        conversation_id: str | None = None,
    ) -> list[LogLine]:
        """The latest log lines of these agents (None: of all), oldest first.

        Args:
            agents: names.
            limit: how many lines at most.
            since: only lines of the last while, like `1h`.
            level: the least important level wanted.
            grep: only lines in which this pattern (RE2) is found.
            conversation_id: only lines written while a message of this conversation was in hand.
        """
        query = _query(agents, limit, since, level, grep, conversation_id)
        return self._get("/api/v1/logs", _Lines, query).lines

    def follow_logs(
        self,
        agents: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        since: str | None = None,
        level: str | None = None,
        grep: str | None = None,
        conversation_id: str | None = None,
        after_seq: int | None = None,
        patience_s: float = 30.0,
    ) -> Iterator[LogLine]:
        """Log lines as they are written, for ever; a broken connection is taken up again where it ended.

        Args:
            agents: names; None means all.
            limit: begin with at most so many lines of the past; none of them when `since` is None as well.
            since: begin with the lines of the last while, like `1h`.
            level: the least important level wanted.
            grep: only lines in which this pattern (RE2) is found.
            conversation_id: only lines written while a message of this conversation was in hand.
            after_seq: begin after this line instead; `limit` and `since` do not count then.
            patience_s: how long the server may be away before `ServerUnreachable` is raised.
        """
        waits = Waits(patience_s)
        query = {**_query(agents, limit, since, level, grep, conversation_id), "follow": True}
        while True:
            try:
                for line in self._follow_once(said(query), after_seq, waits):
                    waits.progress()
                    after_seq = line.seq
                    yield line
                waits.next(ServerUnreachable(self.server, "the connection ended"))
            except (ServerUnreachable, ServerTimeout) as exc:
                waits.next(exc)
            except ApiProblem as exc:
                if exc.status != UNAVAILABLE:
                    raise
                waits.next(exc)

    def _follow_once(self, query: dict[str, Any], after_seq: int | None, waits: Waits) -> Generator[LogLine]:
        headers = {} if after_seq is None else {"Last-Event-ID": str(after_seq)}
        with self._events("/api/v1/logs", query, headers) as events:
            waits.connected()
            for event in events:
                if event.name == "log":
                    yield self._parse(event.data.encode(), LogLine)


def _query(
    agents: Sequence[str] | None, limit: int | None, since: str | None, level: str | None, grep: str | None,
    conversation_id: str | None,
) -> dict[str, Any]:  # fmt: skip
    names = None if agents is None else ",".join(parse_agent_name(name) for name in agents)
    return {
        "agents": names, "limit": limit, "since": since, "level": level, "grep": grep, "conversation": conversation_id,
    }  # fmt: skip
