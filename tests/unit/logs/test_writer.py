"""The thread that writes log lines down: nobody waits for it, and nothing that it meets ends it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from caxton.logs import writer as module
from caxton.logs.line import Record
from caxton.logs.writer import LogWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

PATIENCE_S = 10.0


def record(seq: int) -> Record:
    return Record(seq, 0, "default", "a", 0, 2, "guest", "said", None)


class Disk:
    """Takes what is written; may hang or fail."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.asked = threading.Event()
        self.done = threading.Semaphore(0)
        self.fails = False

    def write(self, records: Sequence[Record]) -> None:
        self.asked.set()
        assert self.goes_on.wait(PATIENCE_S)
        fails = self.fails
        if not fails:
            self.written += [one.seq for one in records]
        self.done.release()
        if fails:
            raise OSError("no room")


def test_what_was_put_before_the_end_is_written_in_order() -> None:
    disk = Disk()
    writer = LogWriter(disk)
    for seq in range(500):
        writer.put(record(seq))
    writer.close()
    assert disk.written == list(range(500))
    assert writer.unwritten == 0


def test_writer_that_never_got_a_line_has_no_thread() -> None:
    before = threading.active_count()
    writer = LogWriter(Disk())
    assert threading.active_count() == before
    writer.close()


def test_lines_gather_while_the_disk_is_slow_and_too_many_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 0.0)
    monkeypatch.setattr(module, "MAX_UNWRITTEN", 10)
    disk = Disk()
    disk.goes_on.clear()
    writer = LogWriter(disk)
    writer.put(record(0))
    assert disk.asked.wait(PATIENCE_S)
    for seq in range(1, 31):
        writer.put(record(seq))
    disk.goes_on.set()
    writer.close()
    assert disk.written == list(range(11))
    assert writer.unwritten == 20


def test_failing_disk_is_told_once_and_so_is_its_recovery(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "GATHER_S", 0.0)
    caplog.set_level("INFO")
    disk = Disk()
    writer = LogWriter(disk)
    for seq, fails in enumerate([True, True, False, False, True]):
        disk.fails = fails
        writer.put(record(seq))
        assert disk.done.acquire(timeout=PATIENCE_S)
    writer.close()
    assert [vars(one)["action"] for one in caplog.records] == ["logs.not_written", "logs.written", "logs.not_written"]
    assert disk.written == [2, 3]
    assert writer.unwritten == 3


def test_disk_that_hangs_does_not_keep_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 0.0)
    monkeypatch.setattr(module, "CLOSE_S", 0.0)
    disk = Disk()
    disk.goes_on.clear()
    writer = LogWriter(disk)
    writer.put(record(0))
    assert disk.asked.wait(PATIENCE_S)
    writer.close()
    writer.put(record(1))
    assert disk.written == []
    assert writer.unwritten == 1
    disk.goes_on.set()
