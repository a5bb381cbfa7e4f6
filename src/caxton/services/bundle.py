"""What a server knows about itself, as files for a bug report; secrets are taken out of each.

Bodies of messages, the agents' state and their memory are not among it.
"""

from __future__ import annotations

import asyncio
import platform
import sys
import threading
import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from caxton.core.errors import CaxtonError
from caxton.core.redact import redact, redact_text
from caxton.core.views.debugging import BundleView
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from caxton.agents.service import AgentService
    from caxton.bus.upkeep import Upkeep
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.server import Reason, ServerView
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


class BundleService:
    """`view`, `reasons` and `metrics` are what the server says of itself."""

    def __init__(
        self, *, agents: AgentService, log: LogBook, recorder: Recorder, upkeep: Upkeep, data_dir: Path,
        view: Callable[[], ServerView], reasons: Callable[[], list[Reason]], metrics: Callable[[], Awaitable[bytes]],
    ) -> None:  # fmt: skip
        self._agents, self._log, self._recorder, self._upkeep, self._data_dir = agents, log, recorder, upkeep, data_dir
        self._view, self._reasons, self._metrics = view, reasons, metrics
        self.settings: dict[str, Any] = {}
        """Those that the server was started with."""

    async def collect(self, workspace: WorkspaceName) -> BundleView:
        """All files. A part that cannot be had says why instead."""
        agents = self._agents.list(workspace)[:MAX_AGENTS]
        lines = self._log.tail(workspace, None, limit=MAX_LOG_LINES)
        files: dict[str, Callable[[], str]] = {
            "versions.json": lambda: _json(versions()),
            "settings.json": lambda: _json(self.settings),
            "server.json": lambda: _json({"server": self._view(), "reasons": self._reasons()}),
            "agents.json": lambda: _json(agents),
            "logs.jsonl": lambda: _lines(lines),
            "threads.txt": stacks,
        }
        texts = {name: _said(make) for name, make in files.items()}
        texts["metrics.txt"] = (await self._metrics()).decode()
        try:
            texts["storage.json"] = _json(await self._upkeep.view())
        except CaxtonError as exc:
            texts["storage.json"] = str(exc)
        return BundleView(files=await asyncio.to_thread(self._finish, texts))

    def _finish(self, texts: dict[str, str]) -> dict[str, str]:
        """In a thread: what takes long."""
        texts["records.jsonl"] = _said(self._records)
        texts["server.log"] = _said(self._server_log)
        known = known_secrets(self._data_dir)
        return {name: redact_text(text[-MAX_FILE_BYTES:], known) for name, text in sorted(texts.items())}

    def _records(self) -> str:
        return _lines(_without_body(record) for record in self._recorder.recent(limit=MAX_RECORDS))

    def _server_log(self) -> str:
        with (self._data_dir / "server.log").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - MAX_SERVER_LOG_BYTES, 0))
            return file.read(MAX_SERVER_LOG_BYTES).decode("utf-8", "replace")


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


def _lines(values: Iterable[object]) -> str:
    return "".join(f"{msgspec.json.encode(redact(msgspec.to_builtins(value))).decode()}\n" for value in values)


def _said(make: Callable[[], str]) -> str:
    """One part that fails must not cost the others."""
    try:
        return make()
    except Exception as exc:
        return f"this could not be had: {type(exc).__name__}: {exc}"
