"""The checker finds every kind of violation in histories that were doctored, and nothing in one that was not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias

import apsw
import msgspec
import pytest

from tests.faults.checker import Disk, check, look
from tests.faults.history import (
    FAILED,
    FSYNC,
    REPLY,
    Ack,
    Attempt,
    Deliver,
    Exit,
    History,
    Pen,
    Ready,
    Send,
    digest,
    read,
)  # fmt: skip
from tests.faults.load import ROOT, copy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Doctor: TypeAlias = "Callable[[History, Disk], None]"

D = digest(b"content")


def attempt(at: int, n: int, **changes: Any) -> Attempt:
    content = {"t": f"t{n}", "fate": "ok"} | changes.pop("content", {})
    fields: dict[str, Any] = {"client": "c", "n": n, "message_id": f"m{n}", "receiver": "a", "priority": 4, "digest": D}
    return Attempt(at=at, content=content, **{**fields, **changes})


def deliver(at: int, n: int, **changes: Any) -> Deliver:
    fields: dict[str, Any] = {
        "run": 1, "agent": "a", "sender": "client:admin", "message_id": f"m{n}", "seq": n, "attempt": 1,
        "replayed": False, "priority": 4, "token": f"t{n}", "digest": D,
    }  # fmt: skip
    return Deliver(at=at, **{**fields, **changes})


KID = {"agent": "b", "sender": "a", "message_id": "x9", "token": "t1.0"}


def story() -> tuple[History, Disk]:
    """m1 was handled and sent on to b, m2 failed for good, m3 waits, m4 was asked and answered, m5 set a timer."""
    history, disk = History(("a", "b")), Disk()
    history.readies, history.exits = [Ready(1, 1)], [Exit(100, 1, -9)]
    history.attempts = [
        attempt(10, 1, content={"kids": 1, "to": "b"}), attempt(20, 2, content={"fate": "fail"}), attempt(30, 3),
        attempt(40, 4), attempt(50, 5, content={"fate": "timer"}),
    ]  # fmt: skip
    history.acks = [Ack(12, "m1", FSYNC), Ack(22, "m2", FAILED), Ack(32, "m3", FSYNC), Ack(42, "m4", REPLY)]
    history.delivers = [
        deliver(11, 1), deliver(14, 9, **KID), deliver(21, 2),
        deliver(23, 2, attempt=2), deliver(41, 4), deliver(51, 5),
    ]  # fmt: skip
    history.sends = [Send(13, 1, "a", "b", "t1.0", D)]
    disk.handled = dict.fromkeys([("a", "t1"), ("b", "t1.0"), ("a", "t4"), ("a", "t5")], 1)
    disk.dead["a", "t2"] = disk.pending["a", "t3"] = disk.timers["a", "t5"] = 1
    disk.settled["a", "t1"] = 1
    return history, disk


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert check(*story()) == []


def lose(history: History, disk: Disk) -> None:
    del disk.pending["a", "t3"]


def lose_a_copy(history: History, disk: Disk) -> None:
    history.attempts[2] = attempt(30, 3, receiver="topic://news/s1")


def early_reply(history: History, disk: Disk) -> None:
    del disk.handled["a", "t4"]


def no_letter(history: History, disk: Disk) -> None:
    del disk.dead["a", "t2"]


def two_places(history: History, disk: Disk) -> None:
    disk.pending["a", "t1"] = 1


def two_copies(history: History, disk: Disk) -> None:
    disk.pending["a", "t3"] = 2


def twice(history: History, disk: Disk) -> None:
    disk.handled["a", "t1"] = 2


def half_a_handler(history: History, disk: Disk) -> None:
    del disk.handled["b", "t1.0"]


def no_effect(history: History, disk: Disk) -> None:
    disk.settled["a", "t7"] = 1


def no_timer(history: History, disk: Disk) -> None:
    del disk.timers["a", "t5"]


def timer_fired_twice(history: History, disk: Disk) -> None:
    disk.fired["a", "t5"] = 1


def timer_of_nobody(history: History, disk: Disk) -> None:
    disk.fired["a", "t3"] = 1


def unposted(history: History, disk: Disk) -> None:
    history.delivers.append(deliver(60, 6))


def too_early(history: History, disk: Disk) -> None:
    history.delivers[0] = deliver(9, 1)


def altered(history: History, disk: Disk) -> None:
    history.delivers[4] = deliver(41, 4, digest="other")


def astray(history: History, disk: Disk) -> None:
    history.delivers[4] = deliver(41, 4, agent="b")


def unsent_by_agent(history: History, disk: Disk) -> None:
    history.sends.clear()


def acked_from_nowhere(history: History, disk: Disk) -> None:
    history.acks.append(Ack(70, "m7", FSYNC))


def overtaken(history: History, disk: Disk) -> None:
    history.delivers[4:5] = [deliver(41, 4), deliver(43, 3)]


def overtaken_over_a_crash(history: History, disk: Disk) -> None:
    history.delivers[4:5] = [deliver(41, 4, seq=1), deliver(43, 3, run=2)]


def unmarked_repetition(history: History, disk: Disk) -> None:
    history.delivers[3] = deliver(23, 2)


def unmarked_repetition_over_a_crash(history: History, disk: Disk) -> None:
    history.delivers[3] = deliver(23, 2, run=2)


def crashed(history: History, disk: Disk) -> None:
    history.exits[0] = Exit(100, 1, 1)


def never_came_up(history: History, disk: Disk) -> None:
    history.exits.append(Exit(110, 2, -9))


def rotten(history: History, disk: Disk) -> None:
    disk.problems.append("a row is not what was written")


VIOLATIONS: dict[Doctor, str] = {
    lose: "I1", lose_a_copy: "I1", early_reply: "I1", no_letter: "I1", two_places: "I1", two_copies: "I1",
    twice: "I1", half_a_handler: "I1", no_effect: "I1", no_timer: "I1", timer_fired_twice: "I1",
    timer_of_nobody: "I1", unposted: "I2", too_early: "I2", altered: "I2", astray: "I2", unsent_by_agent: "I2",
    acked_from_nowhere: "I2", overtaken: "I3", overtaken_over_a_crash: "I3", unmarked_repetition: "I3",
    unmarked_repetition_over_a_crash: "I3", crashed: "I4", never_came_up: "I4", rotten: "I10",
}  # fmt: skip


@pytest.mark.parametrize("doctor", VIOLATIONS, ids=[doctor.__name__ for doctor in VIOLATIONS])
def test_violation_is_found_and_named(doctor: Doctor) -> None:
    history, disk = story()
    doctor(history, disk)
    assert VIOLATIONS[doctor] in [violation.split()[0] for violation in check(history, disk)]


def test_what_a_crash_made_vanish_before_anybody_was_told_may_be_posted_again() -> None:
    history, disk = story()
    history.attempts += [attempt(80, 6), attempt(90, 6)]
    history.delivers += [deliver(81, 6), deliver(91, 6, run=2, seq=2)]
    history.acks += [Ack(92, "m6", FSYNC)]
    disk.handled["a", "t6"] = 1
    assert check(history, disk) == []
    history.acks.insert(0, Ack(80, "m6", FSYNC))
    assert any(violation.startswith("I3") for violation in check(history, disk))


def test_line_that_was_cut_off_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "agents.json").write_bytes(msgspec.json.encode(["a"]))
    pen = Pen(tmp_path / "client-c.lines")
    pen.write("ack", "m1", FSYNC)
    pen.write("ack", "m2", FSYNC)
    pen.close()
    path = tmp_path / "client-c.lines"
    path.write_bytes(path.read_bytes()[:-3])
    assert [ack.message_id for ack in read(tmp_path).acks] == ["m1"]


def run(place: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.faults.checker", str(place)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_program_looks_at_a_directory_and_finds_what_is_lost_on_its_disk(tmp_path: Path, template: Path) -> None:
    place = copy(template, tmp_path / "place")
    pen = Pen(place / "client-c.lines")
    pen.write("attempt", "c", 0, "m0", "w0", 4, {"t": "t0", "fate": "ok"}, D)
    assert run(place).returncode == 0
    pen.write("ack", "m0", FSYNC)
    pen.close()
    found = run(place)
    assert found.returncode == 1
    assert "I1 t0 to w0 was acknowledged and is lost" in found.stdout


def test_flipped_bit_in_a_row_is_found(tmp_path: Path, template: Path) -> None:
    journal = tmp_path / "journal.db"
    shutil.copy(template / "data" / "journal.db", journal)
    connection: Any = apsw.Connection(str(journal))
    with closing(connection):
        connection.execute(
            "INSERT INTO kv (workspace, agent, key, value, checksum) VALUES ('default', 'w0', x'61', x'31', 7)"
        )
    assert len(look(journal).problems) == 1
