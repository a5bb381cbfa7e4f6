"""The recordings of a node: one file a life in a directory of their own, and the modules that were recorded.

All together take at most `max_bytes`: the oldest lives go first, each as a whole, since half of one cannot be replayed.
One life may have a quarter of that; then its recording ends. Everything is called on the event loop's thread, but for
`search`, which reads files in another one.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caxton.core.errors import RecordingDamaged, RecordingNotFound, RecordingTooNew
from caxton.replay import file
from caxton.replay.record import End

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caxton.replay.record import Handling, Life, State

logger = logging.getLogger(__name__)

DEFAULT_BYTES = 256 << 20
MAX_SHARE = 4
"""A life may take so many-th of all."""

MIN_LIFE_BYTES = 4096
"""What the smallest counts, so that an agent that crashes all the time does not leave a million files."""

MAX_OPEN_FILES = 32
"""Files that stay open for the next frame; others are opened for it."""

_SUFFIX = ".life"
_HEAD_BYTES = 4096
"""The first frame is within them: names and numbers only."""


@dataclass(slots=True, eq=False)
class Entry:
    """One life as the store knows it."""

    life: Life
    path: Path
    size: int
    """Of the file, whole frames only if this run wrote it."""
    writer: Writer | None = None
    """It goes on."""


class Writer:
    """Adds to one life. Once `is_open` is False nothing is added any more."""

    def __init__(self, store: Store, entry: Entry, checksum: int) -> None:
        self._store, self._entry, self._checksum = store, entry, checksum
        self.is_open = True
        self.on_end: Callable[[str], None] = lambda _why: None
        """Told why, when the recording ends and it was not `end` that ended it."""

    def add(self, handling: Handling) -> None:
        """Add one handling; it survives the end of the process from here on."""
        self._add(file.HANDLING, handling)

    def end(self, why: str) -> None:
        """The life is over."""
        if self.is_open:
            now_us = self._store.now_us()
            self._add(file.END, End(now_us, why))
            self.is_open = False
            self._store.ended(self._entry)

    def stop(self, why: str) -> None:
        """The life goes on, its recording does not."""
        if self.is_open:
            self.end(why)
            self.on_end(why)

    def _add(self, kind: bytes, record: object) -> None:
        if not self.is_open:
            return
        data, checksum = file.frame(kind, record, self._checksum)
        if kind == file.HANDLING and self._entry.size + len(data) > self._store.max_life_bytes:
            self.stop(f"it is full: one instance may take {self._store.max_life_bytes >> 10} KiB")
            return
        try:
            self._store.append(self._entry, data)
        except OSError as exc:
            self.is_open = False
            self._store.ended(self._entry)
            self.on_end(f"it cannot be written: {exc.strerror or exc}")
            return
        self._checksum = checksum
        self._store.prune()


class Store:
    """See the module."""

    def __init__(self, directory: Path, now_us: Callable[[], int], max_bytes: int = DEFAULT_BYTES) -> None:
        """`directory` is made when there is something to record. What is in it that cannot be read stays as it is."""
        self.now_us = now_us
        self.max_bytes = max_bytes
        self.max_life_bytes = max_bytes // MAX_SHARE
        self.lost = 0
        """Lives of this run that were let go of, or not recorded to their end."""
        self._directory, self._modules_directory = directory, directory / "modules"
        self._entries: dict[str, Entry] = {}
        self._modules: dict[str, int] = {}
        self._kept = set[str]()
        """Modules that were wanted in this run: a life may be about to begin that needs one."""
        self.unreadable: dict[str, str] = {}
        """Files that are no recordings of this format: name → why."""
        self._open: OrderedDict[Path, int] = OrderedDict()
        self._used = 0
        self._load()

    # --- writing ---------------------------------------------------------------------------------------------

    def keep_module(self, sha256: str, wasm: bytes) -> None:
        """Have the module at hand for replays, however long its agent keeps it. Raises OSError."""
        self._kept.add(sha256)
        if sha256 in self._modules:
            return
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._modules_directory.mkdir(mode=0o700, exist_ok=True)
        path = self._module_path(sha256)
        temporary = path.with_suffix(".new")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            opened.write(wasm)
        temporary.replace(path)
        self._modules[sha256] = len(wasm)
        self._used += len(wasm)

    def begin(self, life: Life, state: State) -> Writer:
        """A life begins. Raises OSError."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{life.id}{_SUFFIX}"
        data, checksum = file.begin(life, state)
        entry = Entry(life, path, 0)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            self.append(entry, data)
        except OSError:
            self._close(path)
            path.unlink(missing_ok=True)
            raise
        self._entries[life.id] = entry
        entry.writer = Writer(self, entry, checksum)
        self.prune()
        return entry.writer

    def append(self, entry: Entry, data: bytes) -> None:
        """Add to the file of a life, all or nothing. Raises OSError."""
        handle = self._file(entry.path)
        try:
            written = os.write(handle, data)
            if written < len(data):
                raise OSError(28, "no space left on device")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, entry.size)
            raise
        before = _counted(entry.size) if entry.size else 0
        entry.size += len(data)
        self._used += _counted(entry.size) - before

    def ended(self, entry: Entry) -> None:
        """Nothing more comes."""
        entry.writer = None
        self._close(entry.path)

    def prune(self) -> None:
        """Let go of the oldest lives as long as there is too much."""
        while self._used > self.max_bytes and self._entries:
            entry = self._entries[min(self._entries)]
            if entry.writer is not None:
                if len(self._entries) == 1:
                    return  # it has its own limit
                writer = entry.writer
                self._forget(entry)
                writer.is_open = False
                writer.on_end("it was the oldest of too much, and was let go of")
            else:
                self._forget(entry)
            self.lost += 1

    def close(self) -> None:
        """Close all files."""
        for path in list(self._open):
            self._close(path)

    # --- reading ---------------------------------------------------------------------------------------------

    @property
    def used_bytes(self) -> int:
        """What all recordings take, the modules too."""
        return self._used

    @property
    def lives(self) -> int:
        """How many there are, of all workspaces."""
        return len(self._entries)

    def entries(self, workspace: str) -> list[Entry]:
        """All lives of a workspace, the oldest first."""
        return [entry for _, entry in sorted(self._entries.items()) if entry.life.workspace == workspace]

    def entry(self, workspace: str, life_id: str) -> Entry:
        """One of them. Raises `RecordingNotFound`; `RecordingTooNew` or `RecordingDamaged` if its file is such."""
        entry = self._entries.get(life_id)
        if entry is not None and entry.life.workspace == workspace:
            return entry
        if f"{life_id}{_SUFFIX}" in self.unreadable:
            path = self._directory / f"{life_id}{_SUFFIX}"
            file.read_life(_beginning(path), path.name)
        raise RecordingNotFound(life_id)

    def module(self, sha256: str) -> bytes:
        """A module that was recorded. Raises `RecordingNotFound`, `RecordingDamaged`."""
        if sha256 not in self._modules:
            raise RecordingNotFound(sha256)
        try:
            wasm = self._module_path(sha256).read_bytes()
        except OSError as exc:
            raise RecordingDamaged(f"{sha256}.wasm", exc.strerror or str(exc)) from exc
        if hashlib.sha256(wasm).hexdigest() != sha256:
            raise RecordingDamaged(f"{sha256}.wasm", "it is not what was recorded")
        return wasm

    # --- inside ----------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Take up what is there. Modules that no life needs are let go of."""
        try:
            names = sorted(os.listdir(self._directory))
        except OSError:
            return
        for name in names:
            if name.endswith(_SUFFIX):
                self._look(self._directory / name)
        needed = {entry.life.module_sha256 for entry in self._entries.values()}
        with contextlib.suppress(OSError):
            for name in os.listdir(self._modules_directory):
                path = self._modules_directory / name
                if path.stem in needed and path.suffix == ".wasm":
                    self._modules[path.stem] = path.stat().st_size
                elif not self.unreadable:  # those of another format may need it
                    path.unlink(missing_ok=True)
        self._used = sum(self._modules.values()) + sum(_counted(entry.size) for entry in self._entries.values())

    def _look(self, path: Path) -> None:
        try:
            life = file.read_life(_beginning(path), path.name)
            if f"{life.id}{_SUFFIX}" != path.name:
                raise RecordingDamaged(path.name, "it is that of another life")
            self._entries[life.id] = Entry(life, path, path.stat().st_size)
        except (RecordingTooNew, RecordingDamaged, OSError) as exc:
            self.unreadable[path.name] = str(exc)
            facts = {"action": "replay.unreadable", "file": str(path), "error": str(exc)}
            logger.warning("a recording cannot be read and is left as it is", extra=facts)

    def _forget(self, entry: Entry) -> None:
        self._close(entry.path)
        entry.writer = None
        del self._entries[entry.life.id]
        self._used -= _counted(entry.size)
        with contextlib.suppress(OSError):
            entry.path.unlink(missing_ok=True)
        sha256 = entry.life.module_sha256
        if sha256 in self._kept or sha256 not in self._modules:
            return
        if not any(other.life.module_sha256 == sha256 for other in self._entries.values()):
            self._used -= self._modules.pop(sha256)
            with contextlib.suppress(OSError):
                self._module_path(sha256).unlink(missing_ok=True)

    def _file(self, path: Path) -> int:
        handle = self._open.get(path)
        if handle is None:
            handle = self._open[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            if len(self._open) > MAX_OPEN_FILES:
                self._close(next(iter(self._open)))
        else:
            self._open.move_to_end(path)
        return handle

    def _close(self, path: Path) -> None:
        handle = self._open.pop(path, None)
        if handle is not None:
            os.close(handle)

    def _module_path(self, sha256: str) -> Path:
        return self._modules_directory / f"{sha256}.wasm"


def _beginning(path: Path) -> bytes:
    with path.open("rb") as opened:
        return opened.read(_HEAD_BYTES)


def _counted(size: int) -> int:
    return max(size, MIN_LIFE_BYTES)
