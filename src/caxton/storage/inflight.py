"""What was handled since the last commit, so that after a crash it is known what may have caused it.

A small file mapped into memory: writing to it costs a fraction of a microsecond and survives the end of the process,
though not a power cut, which no message causes. Two halves take turns: one gathers, the other waits for its commit.
"""

from __future__ import annotations

import mmap
import os
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SLOTS = (1 << 15) - 1
"""Keys in each half; the newest overwrite the oldest. Commits come at least every 50 ms while something changes."""

_HALF = SLOTS + 1
_BYTES = 2 * _HALF * 8


class InFlight:
    """Keys of what is being handled: the sequence of a message, or `timer_key`. One thread."""

    def __init__(self, path: Path | None = None) -> None:
        """Map `path`, which is made if absent; without a path nothing outlives the process. Raises OSError."""
        if path is None:
            self._map = mmap.mmap(-1, _BYTES)
        else:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(file, 0, _BYTES)  # a hole would be a SIGBUS once the disk is full
                self._map = mmap.mmap(file, _BYTES)
            finally:
                os.close(file)
        self._slots = memoryview(self._map).cast("Q")
        self.found = self._read()
        """What the run before left: in flight when it ended, unless it ended cleanly."""
        self._half, self._last = 0, -1
        self.clear()
        for key in self.found:  # until a commit says what became of them
            self.note(key)

    def note(self, key: int) -> None:
        """`key` is about to be handled."""
        if key == self._last:
            return
        self._last = key
        slots, half = self._slots, self._half
        count = slots[half]
        slots[half + 1 + count % SLOTS] = key
        slots[half] = count + 1

    def turn(self) -> None:
        """What was noted so far belongs to the commit that begins now."""
        self._half = _HALF - self._half
        self._slots[self._half] = 0
        self._last = -1

    def committed(self) -> None:
        """The commit that began with the last `turn` is on disk."""
        self._slots[_HALF - self._half] = 0

    def clear(self) -> None:
        """Nothing is in flight: the node starts, or stops cleanly."""
        self._slots[0] = self._slots[_HALF] = 0

    def close(self) -> None:
        """Give the memory back; the file stays as it is. Closing twice is allowed."""
        self._slots.release()
        self._map.close()

    def _read(self) -> frozenset[int]:
        found: set[int] = set()
        for half in (0, _HALF):
            count = min(self._slots[half], SLOTS)
            found.update(self._slots[half + 1 : half + 1 + count])
        return frozenset(found)


def timer_key(workspace: str, agent: str, timer_id: int) -> int:
    """The key of a timer: 64 bits, of which the highest is set, as it is in no sequence."""
    digest = blake2b(f"{workspace}\0{agent}\0{timer_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") | 1 << 63
