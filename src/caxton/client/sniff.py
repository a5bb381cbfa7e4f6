"""Calls about who says what to whom: live, and what is remembered of a conversation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.client.stream import Waits
from caxton.client.transport import UNAVAILABLE, ApiProblem, Transport, said
from caxton.core.errors.client import ServerTimeout, ServerUnreachable
from caxton.core.views.messages import Gap, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

_PATH = "/api/v1/sniff"


class _Sightings(msgspec.Struct):
    sightings: list[Sighting]


class _End(Exception):
    """The stream has lasted as long as it should."""


class SniffCalls(Transport):
    """What can be seen of the traffic."""

    def sniffed(self, conversation: str, *, limit: int | None = None) -> list[Sighting]:
        """What is remembered of a conversation, oldest first; its dead letters stand among it."""
        return self._get(f"{_PATH}/past", _Sightings, {"conversation": conversation, "limit": limit}).sightings

    def sniff(
        self,
        agents: Sequence[str] | None = None,
        conversation: str | None = None,
        *,
        for_s: float | None = None,
        on_open: Callable[[], None] | None = None,
        patience_s: float = 30.0,
    ) -> Iterator[Sighting | Gap]:
        """Every message when it has taken effect. A broken connection is taken up again, and a `Gap` marks the place.

        Args:
            agents: only what these say or are told; None means all.
            conversation: only what belongs to this conversation.
            for_s: end after so many seconds, in which nothing may be said; None: never.
            on_open: called whenever the server has begun to listen.
            patience_s: how long the server may be away before `ServerUnreachable` is raised.

        Raises: ApiProblem: AGENT_NOT_FOUND, TOO_MANY_LISTENERS, …
        """
        waits, until = Waits(patience_s), None if for_s is None else time.monotonic() + for_s
        query: dict[str, Any] = {"agents": None if agents is None else ",".join(agents), "conversation": conversation}
        was_open = False

        def opened() -> bool:
            nonlocal was_open
            was_open, before = True, was_open
            waits.connected()
            if on_open is not None:
                on_open()
            return before

        while True:
            try:
                for seen in self._sniff_once(query, until, opened):
                    if isinstance(seen, Sighting):
                        waits.progress()
                    yield seen
                raise ServerUnreachable(self.server, "the connection ended")
            except _End:
                return
            except (ServerUnreachable, ServerTimeout, ApiProblem) as exc:
                if isinstance(exc, ApiProblem) and exc.status != UNAVAILABLE:
                    raise
                if until is not None and time.monotonic() >= until:
                    if was_open:
                        return
                    raise
                waits.next(exc)

    def _sniff_once(
        self, query: dict[str, Any], until: float | None, opened: Callable[[], bool]
    ) -> Generator[Sighting | Gap]:
        left_s = None if until is None else max(until - time.monotonic(), 0.001)
        with self._events(_PATH, said({**query, "for": None if left_s is None else f"{left_s:.3f}s"})) as events:
            if opened():
                yield Gap(missed=None)
            for event in events:
                if event.name == "sighting":
                    yield self._parse(event.data.encode(), Sighting)
                elif event.name == "gap":
                    yield self._parse(event.data.encode(), Gap)
                elif event.name == "end":
                    raise _End
