"""Keeps what happened to messages, and finds it again.

Recording is one tuple and one append to a list; the list becomes a block of the ring at the end of each round of the
pump, before anything that happened in it can be acknowledged to somebody outside. So the last block is all that a kill
can cost, and nothing that anybody was told of.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.recorder.record import CRASHED, DEAD, FAILED, LOST, TOOL, Record
from caxton.recorder.ring import MAX_BLOCK_BYTES, OtherFormat, Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

VERSION = 1
"""Of `Record`: a file of another version is put aside and not read."""

DEFAULT_RING_BYTES = 64 << 20
LASTING_SHARE = 8
"""What went wrong has a ring of its own, of this part of the other's size."""
RECORDS_PER_BLOCK = 500
LAST_RECORDS = 20_000
"""Numbers are recorded nearly in their order."""
RECENT_RECORDS = 20_000
"""In which `of_traces` looks."""
MAX_NEEDLES = 8
"""Traces that are sought in the bytes of a block; for more, decoding it is quicker."""
MAX_FOUND = 100_000
"""Records that one question is answered with; those that happened last."""

_ARRAY_16 = 0xDC
"""Head of a msgpack array of 16 to 65,535; a shorter one says its length in the low half of one byte."""

_encode = msgspec.msgpack.Encoder().encode
_decode_raw = msgspec.msgpack.Decoder(list[tuple[Any, ...]]).decode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


class Recorder:
    """See the module. Recording is done on the event loop's thread; `find` and `recent` belong in another one."""

    def __init__(self, ring: Ring | None = None, lasting: Ring | None = None) -> None:
        """Without a ring there is no recorder: nothing is recorded, and nobody told of it.

        `lasting` has what went wrong once more, so that a flood of what went well does not wash it away.
        """
        self._ring, self._lasting = ring, lasting
        self._bad: list[tuple[Any, ...]] = []
        self.is_on = ring is not None
        """Whether there is any use in recording."""
        self._batch: list[tuple[Any, ...]] = []
        self.on_batch: list[Callable[[list[tuple[Any, ...]]], None]] = []
        """Told of the records of each round of the pump, on the event loop's thread: this must be quick, and the list
        is used again."""
        self.add = self._batch.append
        """Record one tuple with the fields of `Record`, within the pump."""
        self.recorded = self.lost = 0
        """Records of this run: kept, and not kept because of an error."""
        self._is_due = False

    def close(self) -> None:
        """Keep what was recorded last."""
        self.flush()
        for ring in (self._ring, self._lasting):
            if ring is not None:
                ring.close()
        self._ring = self._lasting = None

    def note(self, record: tuple[Any, ...]) -> None:
        """Record something that happened outside of the pump, or that is rare."""
        self._batch.append(record)
        if record[0] in _LASTING:
            self._bad.append(record)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Keep what was recorded since the last time."""
        self._is_due = False
        batch = self._batch
        if not batch:
            return
        assert self._ring is not None  # noqa: S101
        for begin in range(0, len(batch), RECORDS_PER_BLOCK):
            self.recorded += self._keep(self._ring, batch[begin : begin + RECORDS_PER_BLOCK])
        if self._bad:
            if self._lasting is not None:
                self._keep(self._lasting, self._bad)
            self._bad.clear()
        try:
            for tell in self.on_batch:
                tell(batch)
        except Exception as exc:  # nor must who is told of it
            logger.exception("records could not be told", exc_info=exc, extra={"action": "recorder.failed"})
        batch.clear()

    def _keep(self, ring: Ring, records: list[tuple[Any, ...]]) -> int:
        """Returns how many are kept."""
        try:
            block = _encode(records)
            if len(block) > MAX_BLOCK_BYTES and len(records) > 1:
                half = len(records) // 2
                return self._keep(ring, records[:half]) + self._keep(ring, records[half:])
            ring.append(block, records[-1][_ENDED_US])
            return len(records)
        except Exception as exc:  # what is recorded must never cost what it is recorded of
            if not self.lost:
                logger.exception("records could not be kept", exc_info=exc, extra={"action": "recorder.failed"})
            self.lost += len(records)
            return 0

    # --- what was recorded -----------------------------------------------------------------------------------

    @property
    def used_bytes(self) -> int:
        return 0 if self._ring is None else self._ring.used_bytes

    def find(
        self, workspace: str, *, conversation_id: str | None = None, message_id: str | None = None,
        trace: str | None = None, since_us: int = 0,
    ) -> list[Record]:  # fmt: skip
        """Records of one conversation, message or trace in the order in which they happened; the last `MAX_FOUND`."""
        needle = (conversation_id or message_id or trace or "").encode()
        found: list[Record] = []
        for record in self._backwards(since_us, needle, self._lasting):
            if (
                record.workspace == workspace
                and (conversation_id is None or record.conversation_id == conversation_id)
                and (message_id is None or record.message_id == message_id)
                and (trace is None or record.trace == trace)
            ):
                found.append(record)
                if len(found) >= MAX_FOUND:
                    break
        found.reverse()
        return found

    def recent(self, *, since_us: int = 0, limit: int = MAX_FOUND) -> list[Record]:
        """The last records of all workspaces, in the order in which they happened."""
        found: list[Record] = []
        for record in self._backwards(since_us, b""):
            found.append(record)
            if len(found) >= limit:
                break
        found.reverse()
        return found

    def of_traces(self, traces: Collection[str]) -> list[tuple[Any, ...]]:
        """Of the last `RECENT_RECORDS` those of these traces, as they were recorded, in the order of that."""
        wanted, needles = frozenset(traces), [trace.encode() for trace in traces]
        found: list[tuple[Any, ...]] = []
        looked = 0
        for block in () if self._ring is None else self._ring.blocks():
            looked += _count_of(block)
            if len(needles) > MAX_NEEDLES or any(needle in block for needle in needles):
                found += [record for record in reversed(_decode_raw(block)) if record[_TRACE] in wanted]
            if looked >= RECENT_RECORDS:
                break
        found.reverse()
        return found

    def last_seq(self) -> int:
        """The largest number of a message in the last records; a node that starts gives none of them out again."""
        return max((record.seq for record in self.recent(limit=LAST_RECORDS)), default=0)

    def whole_since_us(self) -> int | None:
        """What is older may have been overwritten; None if nothing ever was. As `oldest_us`, for another thread."""
        ring = self._ring
        return self.oldest_us() if ring is not None and ring.has_turned_over else None

    def oldest_us(self) -> int | None:
        """How far back the records go: when the first of them ended; None if there are none."""
        block = None if self._ring is None else self._ring.oldest()
        return None if block is None else _decode(block)[0].ended_us

    def _backwards(self, since_us: int, needle: bytes, lasting: Ring | None = None) -> Iterator[Record]:
        """Of the ring, and what `lasting` has from before it."""
        if self._ring is None:
            return
        yield from _records(self._ring, since_us, needle)
        oldest_us = self.oldest_us()
        if lasting is not None and oldest_us is not None:
            for record in _records(lasting, since_us, needle):
                if record.ended_us < oldest_us:
                    yield record


def _records(ring: Ring, since_us: int, needle: bytes) -> Iterator[Record]:
    for block in ring.blocks(since_us=since_us, needle=needle):
        for record in reversed(_decode(block)):
            if record.ended_us >= since_us:
                yield record


_LASTING = frozenset({FAILED, CRASHED, DEAD, TOOL, LOST})
_ENDED_US, _TRACE = Record.__struct_fields__.index("ended_us"), Record.__struct_fields__.index("trace")


def _count_of(block: bytes) -> int:
    """How many records there are in one, from the head of its array."""
    if block[0] == _ARRAY_16:
        return int.from_bytes(block[1:3], "big")
    return block[0] & 0x0F


def open_recorder(directory: Path, size_bytes: int = DEFAULT_RING_BYTES) -> Recorder:
    """The recorder of a node. A ring that cannot be read is put aside; one that cannot be made costs only the records.

    Args:
        directory: made if it is not there.
        size_bytes: of the ring; 0: nothing is kept.
    """
    if size_bytes == 0:
        return Recorder()
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        ring = _open(directory / "facts.ring", size_bytes)
        return Recorder(ring, _open(directory / "errors.ring", size_bytes // LASTING_SHARE))
    except OSError as exc:
        facts = {"action": "recorder.off", "directory": str(directory), "error": str(exc)}
        logger.warning("the flight recorder keeps nothing: its file cannot be made", extra=facts)
        return Recorder()


def _open(path: Path, size_bytes: int) -> Ring:
    try:
        return Ring(path, size_bytes, version=VERSION)
    except OtherFormat:
        aside = path.with_suffix(".old")
        path.replace(aside)
        facts = {"action": "recorder.put_aside", "file": str(aside)}
        logger.warning("the flight recorder's file is of another version or size and was put aside", extra=facts)
        return Ring(path, size_bytes, version=VERSION)
