"""What was recorded is found again, and recording never costs what it is recorded of."""

from __future__ import annotations

import asyncio
import errno
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from caxton.recorder import recorder as recorder_module
from caxton.recorder.record import FAILED, KINDS, SETTLED, Record
from caxton.recorder.recorder import (
    MAX_FOUND,
    MAX_NEEDLES,
    RECENT_RECORDS,
    RECORDS_PER_BLOCK,
    Recorder,
    open_recorder,
)

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def entry(n: int, *, workspace: str = "default", conversation: str | None = "c", **changed: Any) -> tuple[Any, ...]:
    fields: dict[str, Any] = {
        "kind": SETTLED, "seq": n, "workspace": workspace, "sender": "a", "receiver": "b", "message_id": f"m-{n}",
        "conversation_id": conversation, "act": b'accept-proposal","con', "trace": "", "attempt": 1, "sent_us": n,
        "handed_us": n + 1, "ended_us": n + 2, "size": 100, "detail": None,
    }  # fmt: skip
    assert tuple(fields) == Record.__struct_fields__
    return tuple((fields | changed).values())


def filled(path: Path, count: int, **kwargs: Any) -> Recorder:
    recorder = open_recorder(path, 2 * MIB)
    for n in range(count):
        recorder.add(entry(n, **kwargs))
    recorder.flush()
    return recorder


def test_records_are_found_by_conversation_message_and_time(tmp_path: Path) -> None:
    with closing(filled(tmp_path, 3)) as recorder:
        recorder.add(entry(7, conversation="c-2", kind=FAILED, detail="it returned 5"))
        recorder.add(entry(8, workspace="other"))
        recorder.flush()
        assert [record.seq for record in recorder.find("default", conversation_id="c")] == [0, 1, 2]
        (failed,) = recorder.find("default", conversation_id="c-2")
        assert (KINDS[failed.kind], failed.performative, failed.detail) == (
            "failed", "accept-proposal", "it returned 5",
        )  # fmt: skip
        assert [record.seq for record in recorder.find("other", conversation_id="c")] == [8]
        assert [record.seq for record in recorder.find("default", message_id="m-1")] == [1]
        assert [record.seq for record in recorder.find("default", conversation_id="c", since_us=3)] == [1, 2]
        assert recorder.find("default", conversation_id="nobody") == []
        assert [record.seq for record in recorder.recent(since_us=4)] == [2, 7, 8]
        assert [record.seq for record in recorder.recent(limit=2)] == [7, 8]


def test_trace_is_found_behind_any_number_of_other_records(tmp_path: Path) -> None:
    trace = f"00-{'7' * 32}-"
    with closing(filled(tmp_path, 2, trace=trace)) as recorder:
        recorder.add(entry(2, trace=trace, workspace="other"))
        for n in range(MAX_FOUND // 50):
            recorder.add(entry(10 + n, conversation=f"c-{n}", trace=f"00-{n:032x}-"))
        recorder.flush()
        assert [record.seq for record in recorder.find("default", trace=trace)] == [0, 1]
        assert [record.seq for record in recorder.find("default", trace=trace, message_id="m-1")] == [1]


@pytest.mark.parametrize("others", [0, MAX_NEEDLES])
def test_records_of_traces_are_found_among_the_last_as_they_were_recorded(tmp_path: Path, others: int) -> None:
    first, second = f"00-{'7' * 32}-", f"00-{'8' * 32}-"
    sought = {first, second} | {f"00-{'9' * 30}{n:02}-" for n in range(others)}
    with closing(open_recorder(tmp_path, 8 * MIB)) as recorder:
        kept = [entry(1, trace=first), entry(2, trace=second, kind=FAILED, detail="it returned 5")]
        recorder.add(entry(0, trace=first))
        recorder.flush()
        for n in range(RECENT_RECORDS // RECORDS_PER_BLOCK):
            if n == 1:
                recorder.add(kept[0])
            for _ in range(RECORDS_PER_BLOCK - (n == 1)):
                recorder.add(entry(10 + n, trace=f"00-{n:032x}-"))
            recorder.flush()
        recorder.add(kept[1])
        recorder.flush()
        assert recorder.of_traces(sought) == kept
    assert Recorder().of_traces(sought) == []


def test_who_is_told_of_records_may_fail_and_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(open_recorder(tmp_path, 2 * MIB)) as recorder:
        recorder.on_batch.append(lambda _: raise_(ZeroDivisionError()))
        for n in range(2):
            recorder.add(entry(n))
            recorder.flush()
        assert [record.seq for record in recorder.recent()] == [0, 1]
        assert recorder.lost == 0
    assert "records could not be told" in caplog.text


def raise_(error: Exception) -> None:
    raise error


def test_records_survive_a_process_that_never_closed_the_file(tmp_path: Path) -> None:
    left = filled(tmp_path, 5)
    with closing(open_recorder(tmp_path, 2 * MIB)) as again:
        assert [record.seq for record in again.recent()] == [0, 1, 2, 3, 4]
    left.close()


def test_last_number_is_known_after_a_new_start(tmp_path: Path) -> None:
    with closing(open_recorder(tmp_path, 2 * MIB)) as recorder:
        assert recorder.last_seq() == 0
        for n in (7, 9, 8):
            recorder.add(entry(n))
    with closing(open_recorder(tmp_path, 2 * MIB)) as again:
        assert again.last_seq() == 9


def test_a_million_conversation_ids_cost_no_memory_and_the_last_are_found(tmp_path: Path) -> None:
    with closing(open_recorder(tmp_path, 2 * MIB)) as recorder:
        for n in range(50_000):
            recorder.add(entry(n, conversation=f"conversation-{n}"))
            if n % 1000 == 999:
                recorder.flush()
        assert recorder.recorded == 50_000
        assert [record.seq for record in recorder.find("default", conversation_id="conversation-49999")] == [49_999]
        assert recorder.find("default", conversation_id="conversation-0") == []
        assert (tmp_path / "facts.ring").stat().st_size <= 2 * MIB + 4096


async def test_what_went_wrong_outlasts_a_flood_of_what_went_well(tmp_path: Path) -> None:
    with closing(open_recorder(tmp_path, 2 * MIB)) as recorder:
        recorder.note(entry(1, conversation="bad", kind=FAILED, detail="its handler returned 1"))
        recorder.add(entry(2, conversation="bad"))
        for n in range(50_000):
            recorder.add(entry(n, conversation="flood"))
            if n % 1000 == 999:
                recorder.flush()
        assert [record.kind for record in recorder.find("default", conversation_id="bad")] == [FAILED]
    with closing(open_recorder(tmp_path, 2 * MIB)) as again:
        assert [record.detail for record in again.find("default", conversation_id="bad")] == ["its handler returned 1"]


async def test_what_went_wrong_is_told_once_while_both_rings_have_it(tmp_path: Path) -> None:
    with closing(open_recorder(tmp_path, 2 * MIB)) as recorder:
        recorder.add(entry(1))
        recorder.note(entry(2, kind=FAILED))
        recorder.flush()
        assert [record.seq for record in recorder.find("default", conversation_id="c")] == [1, 2]


def test_ring_that_has_turned_over_says_since_when_it_is_whole_also_after_a_restart(tmp_path: Path) -> None:
    with closing(filled(tmp_path, 3)) as recorder:
        assert (recorder.oldest_us(), recorder.whole_since_us()) == (2, None)
        for n in range(3, 40_000):
            recorder.add(entry(n))
        recorder.flush()
        since_us = recorder.whole_since_us()
        assert since_us == recorder.recent()[0].ended_us > 2
    with closing(open_recorder(tmp_path, 2 * MIB)) as again:
        assert again.whole_since_us() == since_us
    assert Recorder().whole_since_us() is None


def test_records_that_are_large_are_divided_among_blocks(tmp_path: Path) -> None:
    with closing(open_recorder(tmp_path, 4 * MIB)) as recorder:
        for n in range(500):
            recorder.add(entry(n, detail="x" * 4000))
        recorder.flush()
        assert [record.seq for record in recorder.recent()] == list(range(500))


def test_record_that_cannot_be_encoded_is_counted_and_harms_nobody(tmp_path: Path) -> None:
    with closing(open_recorder(tmp_path, 2 * MIB)) as recorder:
        recorder.add(entry(1, message_id="\ud800"))
        recorder.flush()
        recorder.add(entry(2))
        recorder.flush()
        assert (recorder.lost, [record.seq for record in recorder.recent()]) == (1, [2])


def test_file_of_another_version_is_put_aside_and_a_new_one_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, 3).close()
    before = (tmp_path / "facts.ring").read_bytes()
    monkeypatch.setattr(recorder_module, "VERSION", 2)
    with closing(open_recorder(tmp_path, 2 * MIB)) as recorder:
        assert recorder.is_on
        assert recorder.recent() == []
    assert (tmp_path / "facts.old").read_bytes() == before


def test_file_that_cannot_be_made_costs_only_the_records(tmp_path: Path) -> None:
    (tmp_path / "recorder").write_bytes(b"a file where the directory should be")
    with closing(open_recorder(tmp_path / "recorder", 2 * MIB)) as recorder:
        assert not recorder.is_on
        assert recorder.find("default", conversation_id="c") == recorder.recent() == []


def test_disk_that_is_full_costs_only_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_recorder(tmp_path, 2 * MIB)) as recorder:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no space left")

        monkeypatch.setattr("caxton.recorder.ring.os.posix_fallocate", full)
        recorder.add(entry(1))
        recorder.flush()
        assert recorder.lost == 1


def test_recorder_of_no_size_keeps_nothing_and_makes_no_file(tmp_path: Path) -> None:
    with closing(open_recorder(tmp_path / "recorder", 0)) as recorder:
        assert not recorder.is_on
        assert not (tmp_path / "recorder").exists()


async def test_what_happens_outside_of_the_pump_is_kept_in_the_next_turn_of_the_loop(tmp_path: Path) -> None:
    with closing(open_recorder(tmp_path, 2 * MIB)) as recorder:
        heard: list[int] = []
        recorder.on_batch.append(lambda batch: heard.extend(record[1] for record in batch))
        recorder.note(entry(1))
        recorder.note(entry(2))
        await asyncio.sleep(0)
        assert heard == [1, 2]
        assert [record.seq for record in recorder.recent()] == [1, 2]
