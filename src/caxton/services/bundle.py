"""What a server knows about itself, as files for a bug report; secrets are taken out of each.

Bodies of messages, the agents' state and their memory are not among it.
"""

from __future__ import annotations

import asyncio
import platform
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypeVar

import apsw
import msgspec

from caxton.core.errors.agents import AgentNotFound
from caxton.core.errors.error import CaxtonError
from caxton.core.ids import AgentName
from caxton.core.redact import redact, redact_pieces
from caxton.core.views.debugging import BundleView
from caxton.logs.filter import LogFilter
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from caxton.agents.service import AgentService
    from caxton.bus.upkeep import Upkeep
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.agents import AgentView
    from caxton.core.views.logs import LogLine
    from caxton.core.views.server import Reason, ServerView
    from caxton.core.views.storage import StorageView
    from caxton.logs.book import LogBook
    from caxton.recorder.record import Record
    from caxton.recorder.recorder import Recorder

MAX_RECORDS = 5000
MAX_LOG_LINES = 5000
MAX_AGENTS = 1000
MAX_SERVER_LOG_BYTES = 512 << 10
MAX_FILE_BYTES = 8 << 20
"""Of each file, so that the whole stays something that can be sent."""

LIBRARIES = ("apsw", "cffi", "granian", "litestar", "msgspec", "structlog", "uvloop", "wasmtime")

_KEYS = ("admin.token", "keys/*")
"""Files of the data directory that hold nothing but secrets."""


AGENTS_AT_ONCE = 100
"""Looked at before others have their turn on the event loop: about a millisecond."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What only the event loop's thread can say; a text instead of a part says why it cannot be had."""

    server: dict[str, Any]
    agents: list[AgentView]
    metrics: str
    storage: StorageView | str
    lines: list[LogLine] | str


class BundleService:
    """`view`, `reasons` and `metrics` are what the server says of itself."""

    def __init__(
        self, *, agents: AgentService, log: LogBook, recorder: Recorder, upkeep: Upkeep, data_dir: Path,
        view: Callable[[], ServerView], reasons: Callable[[], list[Reason]], metrics: Callable[[], Awaitable[bytes]],
    ) -> None:  # fmt: skip
        self._agents, self._log, self._recorder, self._upkeep, self._data_dir = agents, log, recorder, upkeep, data_dir
        self._view, self._reasons, self._metrics = view, reasons, metrics
        self.settings: dict[str, Any] = {}
        """Those that the server was started with, secret ones left out."""
        self.secrets: set[str] = set()
        """What the left out ones say."""

    async def collect(self, workspace: WorkspaceName) -> BundleView:
        """All files. A part that cannot be had says why instead."""
        known = _Known(
            server={"server": self._view(), "reasons": self._reasons()}, agents=await self._look(workspace),
            metrics=(await self._metrics()).decode(), storage=await _had(self._upkeep.view()),
            lines=await _had(self._log.find(workspace, LogFilter(), limit=MAX_LOG_LINES)),
        )  # fmt: skip
        return BundleView(files=await asyncio.to_thread(self._write, known))

    async def _look(self, workspace: WorkspaceName) -> list[AgentView]:
        """The first `MAX_AGENTS` by name, in portions between which the event loop goes on."""
        found: list[AgentView] = []
        for n, name in enumerate(sorted(self._agents.supervisors(workspace))[:MAX_AGENTS], 1):
            with suppress(AgentNotFound):  # it was removed meanwhile
                found.append(self._agents.get(workspace, AgentName(name)))
            if not n % AGENTS_AT_ONCE:
                await asyncio.sleep(0)
        return found

    def _write(self, known: _Known) -> dict[str, str]:
        """In a thread, and there one small thing after the other: each holds up the event loop while it is done."""
        files: dict[str, Callable[[], str]] = {
            "versions.json": lambda: _json(versions()),
            "settings.json": lambda: _json(self.settings),
            "server.json": lambda: _json(known.server),
            "agents.json": lambda: _list(known.agents),
            "storage.json": lambda: known.storage if isinstance(known.storage, str) else _json(known.storage),
            "logs.jsonl": lambda: known.lines if isinstance(known.lines, str) else _lines(known.lines),
            "metrics.txt": lambda: known.metrics,
            "records.jsonl": self._records,
            "server.log": self._server_log,
            "threads.txt": stacks,
        }
        secrets = known_secrets(self._data_dir) | self.secrets
        return {name: _clean(_said(make), secrets) for name, make in files.items()}

    def _records(self) -> str:
        return _lines([_without_body(record) for record in self._recorder.recent(limit=MAX_RECORDS)])

    def _server_log(self) -> str:
        with (self._data_dir / "server.log").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - MAX_SERVER_LOG_BYTES - 1, 0))
            return _end(file.read(MAX_SERVER_LOG_BYTES + 1).decode("utf-8", "replace"), MAX_SERVER_LOG_BYTES)


def versions() -> dict[str, Any]:
    """Of all that matters to a bug."""
    found: dict[str, Any] = {
        "caxton": VERSION,
        "python": sys.version,
        "platform": platform.platform(),
        "sqlite": apsw.sqlite_lib_version(),
    }
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def stacks() -> str:
    """Where each thread of this process is."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts: list[str] = []
    for ident, frame in sys._current_frames().items():  # pyright: ignore[reportPrivateUsage]
        parts.append(f"--- {names.get(ident, ident)}\n{''.join(traceback.format_stack(frame))}")
    return "\n".join(parts)


def known_secrets(data_dir: Path) -> set[str]:
    """What the server's own key files hold, in the ways in which it might be written."""
    found: set[str] = set()
    for pattern in _KEYS:
        for path in data_dir.glob(pattern):
            try:
                data = path.read_bytes()
            except OSError:
                continue
            found |= {data.hex(), data.decode("utf-8", "ignore").strip()}
    return found


def _without_body(record: Record) -> dict[str, Any]:
    """A record begins with the beginning of the body; of that only the act is told."""
    facts = msgspec.structs.asdict(record)
    return {**facts, "act": record.performative}


def _json(value: object) -> str:
    plain = redact(msgspec.to_builtins(value, enc_hook=str))
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()


def _list(values: Iterable[object]) -> str:
    """One after the other: all at once take long."""
    parts = ",\n".join(_json(value) for value in values)
    return f"[\n{parts}\n]"


def _lines(values: Sequence[object]) -> str:
    """One a line, those at the end for which there is room."""
    made: list[str] = []
    room = MAX_FILE_BYTES
    for value in reversed(values):
        line = f"{msgspec.json.encode(redact(msgspec.to_builtins(value))).decode()}\n"
        room -= len(line)
        if room < 0:
            break
        made.append(line)
    return "".join(reversed(made))


def _clean(text: str, secrets: set[str]) -> str:
    return "".join(redact_pieces(_end(text, MAX_FILE_BYTES), secrets))


def _end(text: str, most: int) -> str:
    """The last whole lines: of one that is cut a secret might be left, without the name that tells that it is one."""
    return text if len(text) <= most else text[-most:].partition("\n")[2]


async def _had(work: Awaitable[T]) -> T | str:
    """What `work` gives, or why it does not."""
    try:
        return await work
    except CaxtonError as exc:
        return str(exc)


def _said(make: Callable[[], str]) -> str:
    """One part that fails must not cost the others."""
    try:
        return make()
    except Exception as exc:
        return f"this could not be had: {type(exc).__name__}: {exc}"
