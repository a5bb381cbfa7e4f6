"""What waits to be exported."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from caxton.telemetry.outbox import BATCH, Outbox

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest

PATIENCE_S = 15.0


class Collector:
    """Takes what it gets, or not, and may be held."""

    def __init__(self) -> None:
        self.got: list[list[int]] = []
        self.is_well = True
        self.fails_once_ended = False
        self.began, self.goes_on = Event(), Event()
        self.goes_on.set()
        self.changes: list[bool] = []
        self.changed = Event()

    def export(self, items: list[int]) -> bool:
        self.began.set()
        assert self.goes_on.wait(PATIENCE_S)
        if self.fails_once_ended:
            raise ValueError("Cannot invoke RPC on closed channel!")
        if items == [-1]:
            raise ValueError("a bad item")
        self.got.append(items)
        return self.is_well

    def abort(self) -> None:
        self.goes_on.set()

    def on_change(self, _signal: str, is_well: bool) -> None:
        self.changes.append(is_well)
        self.changed.set()


@contextmanager
def outbox_of(collector: Collector, *, most: int = 10) -> Generator[Outbox[int]]:
    outbox = Outbox[int]("traces", collector.export, collector.abort, most=most, on_change=collector.on_change)
    outbox.start()
    yield outbox
    outbox.close(time.monotonic() + PATIENCE_S)


def test_what_finds_no_room_is_counted_and_nobody_waits() -> None:
    collector = Collector()
    collector.goes_on.clear()
    with outbox_of(collector) as outbox:
        outbox.put([0])
        assert collector.began.wait(PATIENCE_S)
        outbox.put(range(1, 16))
        assert outbox.dropped == 5
        collector.goes_on.set()
    assert collector.got == [[0], list(range(1, 11))]
    assert (outbox.exported, outbox.dropped) == (11, 5)


def test_what_cannot_be_delivered_is_counted_and_the_change_told_once() -> None:
    collector = Collector()
    collector.is_well = False
    with outbox_of(collector) as outbox:
        outbox.put([1, 2])
        assert collector.changed.wait(PATIENCE_S)
        collector.began.clear()
        outbox.put([3])
        assert collector.began.wait(PATIENCE_S)
        collector.changed.clear()
        collector.is_well = True
        outbox.put([4])
        assert collector.changed.wait(PATIENCE_S)
    assert collector.changes == [False, True]
    assert outbox.exported + outbox.dropped == 4
    assert outbox.dropped in (2, 3)  # the third may have gone with the fourth


def test_bad_item_costs_its_batch_and_not_the_export() -> None:
    collector = Collector()
    with outbox_of(collector) as outbox:
        outbox.put([-1])
        assert collector.changed.wait(PATIENCE_S)
        collector.changed.clear()
        outbox.put([1])
        assert collector.changed.wait(PATIENCE_S)
    assert (collector.got, outbox.dropped, outbox.exported) == ([[1]], 1, 1)


def test_batches_are_bounded() -> None:
    collector = Collector()
    collector.goes_on.clear()
    with outbox_of(collector, most=2 * BATCH) as outbox:
        outbox.put([0])
        assert collector.began.wait(PATIENCE_S)
        outbox.put(range(2 * BATCH))
        collector.goes_on.set()
    assert [len(batch) for batch in collector.got] == [1, BATCH, BATCH]


def test_close_delivers_what_waits_and_takes_nothing_more() -> None:
    collector = Collector()
    with outbox_of(collector) as outbox:
        outbox.put([1])
    outbox.put([2])
    assert (collector.got, outbox.dropped) == ([[1]], 1)


def test_close_waits_no_longer_than_told_for_one_who_never_answers() -> None:
    collector = Collector()
    collector.goes_on.clear()
    with outbox_of(collector) as outbox:
        outbox.put([1])
        assert collector.began.wait(PATIENCE_S)
        outbox.put([2, 3])
        outbox.close(time.monotonic())  # would wait for ever otherwise: only `abort` lets the export go on
    assert outbox.dropped == 2
    assert collector.changes == []  # an end that we made is not told as a failure


def test_export_that_fails_because_it_was_ended_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector()
    collector.fails_once_ended = True
    collector.goes_on.clear()
    with outbox_of(collector) as outbox:
        outbox.put([1])
        assert collector.began.wait(PATIENCE_S)
        outbox.close(time.monotonic())
        outbox.wait_ended(PATIENCE_S)
    assert (outbox.dropped, caplog.records) == (1, [])


def test_close_does_not_try_again_with_one_who_failed() -> None:
    collector = Collector()
    collector.is_well = False
    with outbox_of(collector) as outbox:
        outbox.put([1])
        assert collector.changed.wait(PATIENCE_S)
        collector.goes_on.clear()
        collector.began.clear()
        outbox.begin_close()
        outbox.put([2])
        outbox.close(time.monotonic() + 10 * PATIENCE_S)
    assert (collector.got, outbox.dropped) == ([[1]], 2)
