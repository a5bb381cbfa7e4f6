"""One node from start to stop: settings, data directory, rooms, doors, signals, drain."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from typing import TYPE_CHECKING

import uvloop

from caxton.conversations.settings import ConversationSettings
from caxton.core.errors.storage import StorageFailed
from caxton.observe.log import set_up_logging
from caxton.security.keys import load_or_create_key
from caxton.security.tokens import TokenVerifier, ensure_admin_token, ensure_monitor_token
from caxton.server.config.secrets import public, secrets_of
from caxton.server.config.settings import Settings, load
from caxton.server.datadir import DataDir
from caxton.server.http import HttpServer, http_door
from caxton.server.tuning import tune_process
from caxton.server.wiring import build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from caxton.server.rooms import Rooms

logger = logging.getLogger(__name__)

EXIT_STORAGE = 74
"""sysexits' EX_IOERR: the journal could not be written; the messages that were acknowledged are safe."""

COMMIT_TIMEOUT_S = 10.0
"""For the last commit of a server that stops."""


def serve(overrides: Mapping[str, object], *, on_ready: Callable[[str, Path, str], None] | None = None) -> int:
    """Run a node until SIGTERM or SIGINT; returns the exit code.

    Args:
        overrides: settings given by flags; see `server.config.settings.load`.
        on_ready: called once the node serves, with its URL, data directory and admin token.

    Raises:
        CaxtonError: it could not start: InvalidConfig, DataDirUnusable, DataDirInUse, PortInUse, JournalTooNew, …
    """
    settings = load(overrides)
    set_up_logging(settings.log_level)
    tune_process()
    with DataDir(settings.data_dir) as data_dir:
        return uvloop.run(Node(settings, data_dir).run(on_ready))


class Node:
    """See `serve`."""

    def __init__(self, settings: Settings, data_dir: DataDir) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._stop = asyncio.Event()
        self._storage_error: Exception | None = None

    async def run(self, on_ready: Callable[[str, Path, str], None] | None) -> int:
        """Serve until told to stop. The loop's signal handlers are set while it runs."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        rooms = build(
            self._settings.data_dir,
            cache_key=self._data_dir.secret("cache.key"),
            max_instances=self._settings.max_instances,
            max_dead_letter_bytes=self._settings.max_dead_letter_bytes,
            max_journal_bytes=self._settings.max_journal_bytes,
            max_log_bytes=self._settings.max_log_bytes,
            max_recording_bytes=self._settings.max_recording_bytes,
            recorder_bytes=self._settings.recorder_bytes,
            body_bytes=self._settings.body_bytes,
            conversations=ConversationSettings(
                mode=self._settings.conversation_mode,
                idle_us=round(self._settings.conversation_idle_s * 1e6),
                max_age_us=round(self._settings.conversation_max_age_s * 1e6),
            ),
            on_storage_failure=self._storage_failed,
            telemetry=self._settings.telemetry,
            sources=self._settings.tools,
        )
        rooms.bundle.settings = public(self._settings.effective)
        rooms.bundle.secrets = secrets_of(self._settings.effective)
        try:
            return await self._serve(rooms, on_ready)
        finally:
            rooms.close()

    async def _serve(self, rooms: Rooms, on_ready: Callable[[str, Path, str], None] | None) -> int:
        settings = self._settings
        key = load_or_create_key(settings.data_dir)
        token = ensure_admin_token(settings.data_dir, key, rooms.clock)
        ensure_monitor_token(settings.data_dir, key, rooms.clock)
        http = http_door(settings, rooms, TokenVerifier([key], rooms.clock))
        await http.start()
        try:
            await rooms.start()
        except BaseException:
            await http.stop(drain_s=0)
            raise
        gc.collect()
        gc.freeze()
        http.open()
        logger.info("node ready", extra={"action": "server.ready", "url": http.url})
        self._data_dir.tell(http.url, rooms.status.started_at)
        if on_ready is not None:
            on_ready(http.url, settings.data_dir, token)
        await self._stop.wait()
        await self._shut_down(rooms, http)
        return EXIT_STORAGE if self._storage_error is not None else 0

    async def _shut_down(self, rooms: Rooms, http: HttpServer) -> None:
        logger.info("node stopping", extra={"action": "server.stopping"})
        http.refuse()
        if self._storage_error is None:
            try:
                async with asyncio.timeout(self._settings.drain_timeout_s):
                    await rooms.drain()
            except TimeoutError:
                logger.warning("drain timed out", extra={"action": "server.drain_timeout"})
                await self._commit_the_rest(rooms)
        await rooms.broker.aclose()
        rooms.messages.interrupt()
        await http.stop()
        logger.info("node stopped", extra={"action": "server.stopped"})
        if rooms.telemetry is not None:
            await rooms.telemetry.aclose()

    async def _commit_the_rest(self, rooms: Rooms) -> None:
        """A full disk must not keep the process for ever: who was not told that it is safe will send again."""
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await rooms.journal.aclose()
        except TimeoutError as exc:
            self._storage_error = exc
            logger.error("there is no room for the last commit", extra={"action": "server.storage_failed"})

    def _storage_failed(self, error: Exception) -> None:
        """Nothing can be acknowledged any more: stop, so that a restart can recover what is on disk."""
        self._storage_error = error
        logger.critical(str(StorageFailed.of(error)), extra={"action": "server.storage_failed"})
        self._stop.set()
