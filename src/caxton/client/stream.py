"""Server-sent events: taken apart as they come, and taken up again when a connection breaks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from caxton.core.errors.client import UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from caxton.core.errors.error import CaxtonError

MAX_EVENT_BYTES = 4 << 20
"""Longest line of an event stream that is kept; a log line has far less. Guards against a mad server."""

_RETRY_FIRST_S, _RETRY_MOST_S = 0.1, 5.0


class ServerEvent(msgspec.Struct):
    """One event of a `text/event-stream`."""

    name: str = "message"
    data: str = ""
    id: str | None = None


def read_events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events in a stream of bytes; comments and half an event at the end are left out.

    Source: WHATWG HTML, server-sent events. Lines end at CR, LF or both, never at Unicode's other separators:
    a log line may contain those.
    """
    event, data = ServerEvent(), list[str]()
    for line in _lines(chunks):
        if not line:
            if data:
                event.data = "\n".join(data)
                yield event
            event, data = ServerEvent(), []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            event.name = value
        elif field == "id":
            event.id = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        rest += chunk
        # A CR at the very end may be half of a CR LF: it waits for the next chunk.
        held = b"\r" if rest.endswith(b"\r") else b""
        *lines, rest = rest[: len(rest) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest += held
        if len(rest) > MAX_EVENT_BYTES:
            raise UnexpectedAnswer("the event stream", f"a line has more than {MAX_EVENT_BYTES} bytes")
        yield from (line.decode("utf-8", "replace") for line in lines)


class Waits:
    """Pauses between attempts to reconnect: none at first, then ever longer, until patience ends."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._pause_s = 0.0
        self._gone_since: float | None = None

    def connected(self) -> None:
        """The server answers. The pause stays, for one that answers only to hang up."""
        self._gone_since = None

    def progress(self) -> None:
        """The connection is of use: the next attempt may come at once."""
        self._pause_s = 0.0

    def next(self, cause: CaxtonError) -> None:
        """Wait before the next attempt, or raise `cause` when the server has been away for too long."""
        self._gone_since = self._gone_since or time.monotonic()
        if time.monotonic() + self._pause_s > self._gone_since + self._patience_s:
            raise cause
        time.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2 or _RETRY_FIRST_S, _RETRY_MOST_S)
