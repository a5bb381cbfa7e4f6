"""The recordings of a node: one file a life in a directory of their own, and the modules that were recorded.

All together take at most `max_bytes`. When it is more, whole lives go, since half of one cannot be replayed: the oldest
of the agent that takes most (`replay.shares`). One life may have a quarter of all; then its recording ends. What the
event loop's thread does for that is bounded: letting go of a life costs it no look at others, files are deleted in a
thread of the store's own, and `load`, `write_beginning`, `write_module`, `entries`, `mentions` and `module` may be
called in any thread.
`Writer.add` writes at once: what it wrote survives the process before anybody hears of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caxton.core.errors.recordings import RecordingDamaged, RecordingNotFound, RecordingTooLarge, RecordingTooNew
from caxton.replay import file, search
from caxton.replay.record import End
from caxton.replay.shares import MIN_LIFE_BYTES, Entry, Shares

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from caxton.core.views.recordings import RecordingFilter
    from caxton.replay.record import Handling, Life

logger = logging.getLogger(__name__)

DEFAULT_BYTES = 256 << 20
MAX_SHARE = 4
"""A life may take so many-th of all."""

MAX_OPEN_FILES = 32
"""Files that stay open for the next frame; others are opened for it."""

MAX_GONE_AT_ONCE = 64
"""Lives that are let go of at once when one begins: a fraction of a millisecond. The rest follows in further turns."""

_SUFFIX = ".life"
_HEAD_BYTES = 4096
"""The first frame is within them: names and numbers only."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The file of a life that begins; the store does not know it yet."""

    entry: Entry
    checksum: int


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
        self._store.prune(len(data) // MIN_LIFE_BYTES + 1)  # as many as make up for it


class Store:
    """See the module."""

    def __init__(self, directory: Path, now_us: Callable[[], int], max_bytes: int = DEFAULT_BYTES) -> None:
        """`directory` is made when there is something to record. What is in it already is known after `load`."""
        self.now_us = now_us
        self.max_bytes = max_bytes
        self.max_life_bytes = max_bytes // MAX_SHARE
        self.lost = 0
        """Lives of this run that were let go of, or not recorded to their end."""
        self._directory, self._modules_directory = directory, directory / "modules"
        self._entries: dict[str, Entry] = {}
        self._shares = Shares()
        self._modules: dict[str, int] = {}
        self._needs = Counter[str]()
        """How many lives need which module."""
        self._kept = set[str]()
        """Modules that were wanted in this run: a life may be about to begin that needs one."""
        self.unreadable: dict[str, str] = {}
        """Files that are no recordings of this format: name → why."""
        self._open: OrderedDict[Path, int] = OrderedDict()
        self._module_bytes = 0
        self._deleting = ThreadPoolExecutor(1, "caxton-recordings")

    def load(self) -> None:
        """Take up what is there; what cannot be read stays as it is. Modules that no life needs are let go of.

        To be called before anything is recorded, and in a thread: it reads the beginning of each life, 25 µs for one.
        """
        try:
            names = sorted(os.listdir(self._directory))
        except OSError:
            return
        for name in names:
            if name.endswith(_SUFFIX):
                self._look(self._directory / name)
        with contextlib.suppress(OSError):
            for name in os.listdir(self._modules_directory):
                path = self._modules_directory / name
                if path.stem in self._needs and path.suffix == ".wasm":
                    self._modules[path.stem] = path.stat().st_size
                elif not self.unreadable:  # those of another format may need it
                    path.unlink(missing_ok=True)
        self._module_bytes = sum(self._modules.values())

    # --- writing ---------------------------------------------------------------------------------------------

    def wants_module(self, sha256: str) -> bool:
        """Have the module at hand for replays from now on, however long its agent keeps it.

        Whether it is still to be written: then `write_module` in a thread, then `keep_module`.
        """
        self._kept.add(sha256)
        return sha256 not in self._modules

    def write_module(self, sha256: str, wasm: bytes) -> None:
        """Write the file of a module, whole or not at all, in any thread. Raises OSError."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._modules_directory.mkdir(mode=0o700, exist_ok=True)
        path = self._module_path(sha256)
        temporary = path.with_suffix(f".{os.urandom(4).hex()}")  # two agents may have it written at once
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                opened.write(wasm)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def keep_module(self, sha256: str, size: int) -> None:
        """A module has been written. Once more changes nothing."""
        if sha256 not in self._modules:
            self._modules[sha256] = size
            self._module_bytes += size

    def write_beginning(self, life: Life, kv: Mapping[bytes, bytes], next_timer_id: int) -> Beginning:
        """Write the file of a life that begins, in any thread; `kv` must not change meanwhile.

        Raises `RecordingTooLarge`, OSError; then there is no file.
        """
        parts, checksum = file.begin(life, kv, next_timer_id)
        size = sum(map(len, parts))
        if size > self.max_life_bytes:
            raise RecordingTooLarge(size, self.max_life_bytes)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{life.id}{_SUFFIX}"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if os.writev(handle, parts) < size:
                raise OSError(28, "no space left on device")
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        return Beginning(Entry(life, path, size), checksum)

    def begin(self, beginning: Beginning) -> Writer:
        """The life goes on from here. Call `prune` until it says that there is no more to do."""
        entry = beginning.entry
        entry.writer = Writer(self, entry, beginning.checksum)
        self._add(entry)
        return entry.writer

    def discard(self, beginning: Beginning) -> None:
        """The life does not go on: its file goes."""
        self._delete([beginning.entry.path])

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
        self._shares.grow(entry, len(data))

    def ended(self, entry: Entry) -> None:
        """Nothing more comes."""
        entry.writer = None
        self._close(entry.path)
        if entry.life.id in self._entries:
            self._shares.end(entry)

    def prune(self, at_most: int | None = None) -> bool:
        """Let go of lives as long as there is too much, and of no more than `at_most`. Whether there is more to do."""
        if self.used_bytes <= self.max_bytes:
            return False
        gone: list[Path] = []
        for entry in self._shares.in_their_turn():
            is_last = entry.writer is not None and len(self._entries) == 1  # it has its own limit
            if self.used_bytes <= self.max_bytes or is_last or len(gone) == at_most:
                break
            gone.append(entry.path)
            self._forget(entry)
        if gone:
            self._delete(gone)
        return len(gone) == at_most

    def settle(self) -> None:
        """Wait until no file is left of what was let go of."""
        self._deleting.submit(int).result()

    def close(self) -> None:
        """Close all files, and wait for those that are to be deleted."""
        for path in list(self._open):
            self._close(path)
        self._deleting.shutdown()

    # --- reading ---------------------------------------------------------------------------------------------

    @property
    def used_bytes(self) -> int:
        """What all recordings take, the modules too."""
        return self._shares.taken + self._module_bytes

    @property
    def lives(self) -> int:
        """How many there are, of all workspaces."""
        return len(self._entries)

    def entries(self, workspace: str) -> list[Entry]:
        """All lives of a workspace, the oldest first. In any thread: there may be many."""
        entries = list(self._entries.values())  # at once, whatever other threads do
        return sorted((one for one in entries if one.life.workspace == workspace), key=lambda one: one.life.id)

    def entry(self, workspace: str, life_id: str) -> Entry:
        """One of them. Raises `RecordingNotFound`; `RecordingTooNew` or `RecordingDamaged` if its file is such."""
        entry = self._entries.get(life_id)
        if entry is not None and entry.life.workspace == workspace:
            return entry
        if f"{life_id}{_SUFFIX}" in self.unreadable:
            path = self._directory / f"{life_id}{_SUFFIX}"
            file.read_life(_beginning(path), path.name)
        raise RecordingNotFound(life_id)

    def mentions(self, name: str, wanted: RecordingFilter) -> bool:
        """Whether an unreadable file may hold what is asked for. In any thread. Raises OSError."""
        return search.mentions(
            self._directory / name,
            agent=wanted.agent, conversation_id=wanted.conversation_id, message_id=wanted.message_id,
        )  # fmt: skip

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

    def _look(self, path: Path) -> None:
        try:
            life = file.read_life(_beginning(path), path.name)
            if f"{life.id}{_SUFFIX}" != path.name:
                raise RecordingDamaged(path.name, "it is that of another life")
            self._add(Entry(life, path, path.stat().st_size))
        except (RecordingTooNew, RecordingDamaged, OSError) as exc:
            self.unreadable[path.name] = str(exc)
            facts = {"action": "replay.unreadable", "file": str(path), "error": str(exc)}
            logger.warning("a recording cannot be read and is left as it is", extra=facts)

    def _add(self, entry: Entry) -> None:
        self._entries[entry.life.id] = entry
        self._shares.add(entry)
        self._needs[entry.life.module_sha256] += 1

    def _forget(self, entry: Entry) -> None:
        self._close(entry.path)
        del self._entries[entry.life.id]
        self._shares.remove(entry)
        self._let_go_of_module(entry.life.module_sha256)
        self.lost += 1
        writer, entry.writer = entry.writer, None
        if writer is not None:
            writer.is_open = False
            writer.on_end("there was too much of all, and it was let go of")

    def _let_go_of_module(self, sha256: str) -> None:
        """One life less needs it."""
        self._needs[sha256] -= 1
        if self._needs[sha256] > 0:
            return
        del self._needs[sha256]
        if sha256 in self._modules and sha256 not in self._kept:
            self._module_bytes -= self._modules.pop(sha256)
            with contextlib.suppress(OSError):  # here and now: it may be wanted again in a moment
                self._module_path(sha256).unlink(missing_ok=True)

    def _delete(self, paths: Sequence[Path]) -> None:
        try:
            self._deleting.submit(_unlink, paths)
        except RuntimeError:  # it is closed
            _unlink(paths)

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


def _unlink(paths: Sequence[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
