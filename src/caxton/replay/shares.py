"""Whose recordings take how much of the room for all, and which of them go first. Pure.

What an agent takes is its own affair: one that crashes all the time lets go of its own recordings. Lives that are over
go before those that go on.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from caxton.replay.record import Life
    from caxton.replay.store import Writer

MIN_LIFE_BYTES = 4096
"""What the smallest counts, so that an agent that crashes all the time does not leave a million files."""

ROUNDING = 16
"""Shares that differ by one in so many are the same: who takes most need not be looked for at each life that goes."""

Owner: TypeAlias = tuple[str, str]
"""Workspace and agent."""


@dataclass(slots=True, eq=False)
class Entry:
    """One life as the store knows it."""

    life: Life
    path: Path
    size: int
    """Of the file, whole frames only if this run wrote it."""
    writer: Writer | None = None
    """It goes on."""

    @property
    def owner(self) -> Owner:
        return self.life.workspace, self.life.agent


@dataclass(slots=True)
class _Share:
    taken: int = 0
    over: OrderedDict[str, Entry] = field(default_factory=OrderedDict[str, Entry])
    """Lives that are over, by their id, in the order in which they ended."""
    open: OrderedDict[str, Entry] = field(default_factory=OrderedDict[str, Entry])


class Shares:
    """See the module."""

    def __init__(self) -> None:
        self._shares: dict[Owner, _Share] = {}
        self._some_over: dict[Owner, _Share] = {}
        """Those of them with lives that are over."""
        self.taken = 0
        """By all lives together."""

    def add(self, entry: Entry) -> None:
        """A life is there; it goes on if it has a writer."""
        share = self._shares.setdefault(entry.owner, _Share())
        share.open[entry.life.id] = entry
        if entry.writer is None:
            self.end(entry)
        self._count(share, counted(entry.size))

    def grow(self, entry: Entry, size: int) -> None:
        """A life's file is longer."""
        more = counted(entry.size + size) - counted(entry.size)
        entry.size += size
        self._count(self._shares[entry.owner], more)

    def end(self, entry: Entry) -> None:
        """A life is over. Ending one twice is allowed."""
        share = self._shares[entry.owner]
        if share.open.pop(entry.life.id, None) is not None:
            share.over[entry.life.id] = entry
            self._some_over[entry.owner] = share

    def remove(self, entry: Entry) -> None:
        """A life is let go of."""
        share = self._shares[entry.owner]
        if share.over.pop(entry.life.id, None) is None:
            del share.open[entry.life.id]
        self._count(share, -counted(entry.size))
        if not share.over:
            self._some_over.pop(entry.owner, None)
            if not share.open:
                del self._shares[entry.owner]

    def in_their_turn(self) -> Iterator[Entry]:
        """What goes first, and then what goes next; remove each before asking for another."""
        while self._some_over:
            share, until = _largest(self._some_over.values())
            while share.over and share.taken >= until:
                yield next(iter(share.over.values()))
        while self._shares:
            share, _ = _largest(self._shares.values())
            yield next(iter(share.open.values()))

    def _count(self, share: _Share, more: int) -> None:
        share.taken += more
        self.taken += more


def _largest(shares: Iterable[_Share]) -> tuple[_Share, int]:
    """Who takes most, and what is still as much as the next one takes."""
    most, second = None, 0
    for share in shares:
        if most is None or share.taken > most.taken:
            most, second = share, 0 if most is None else most.taken
        elif share.taken > second:
            second = share.taken
    assert most is not None  # noqa: S101 - it is called with some
    return most, second - second // ROUNDING


def counted(size: int) -> int:
    """What a file of `size` bytes counts."""
    return max(size, MIN_LIFE_BYTES)
