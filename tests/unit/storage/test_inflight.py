"""What was in hand is known after the process has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.storage.inflight import SLOTS, InFlight, timer_key

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_noted_is_found_by_the_next_run_and_only_by_it(tmp_path: Path) -> None:
    first = InFlight(tmp_path / "file")
    first.note(7)
    first.note(9)
    second = InFlight(tmp_path / "file")
    assert (first.found, second.found) == (frozenset(), {7, 9})
    second.turn()
    second.committed()
    assert InFlight(tmp_path / "file").found == frozenset()


def test_run_that_ends_before_its_first_commit_passes_on_what_it_found(tmp_path: Path) -> None:
    InFlight(tmp_path / "file").note(7)
    InFlight(tmp_path / "file").note(8)
    third = InFlight(tmp_path / "file")
    third.turn()
    assert InFlight(tmp_path / "file").found == {7, 8}


def test_what_is_committed_is_not_in_flight_any_more(tmp_path: Path) -> None:
    one = InFlight(tmp_path / "file")
    one.note(1)
    one.turn()
    one.note(2)
    one.committed()
    assert InFlight(tmp_path / "file").found == {2}


def test_what_waits_for_its_commit_is_still_in_flight(tmp_path: Path) -> None:
    one = InFlight(tmp_path / "file")
    one.note(1)
    one.turn()
    one.note(2)
    assert InFlight(tmp_path / "file").found == {1, 2}


def test_message_that_goes_on_after_a_commit_has_begun_is_noted_again(tmp_path: Path) -> None:
    one = InFlight(tmp_path / "file")
    one.note(1)
    one.turn()
    one.note(1)
    one.committed()
    assert InFlight(tmp_path / "file").found == {1}


def test_newest_stay_when_there_are_too_many(tmp_path: Path) -> None:
    one = InFlight(tmp_path / "file")
    for key in range(SLOTS + 10):
        one.note(key)
    assert InFlight(tmp_path / "file").found == set(range(10, SLOTS + 10))


def test_message_that_is_resumed_again_and_again_takes_one_place(tmp_path: Path) -> None:
    one = InFlight(tmp_path / "file")
    one.note(1)
    for _ in range(2 * SLOTS):
        one.note(2)
    assert InFlight(tmp_path / "file").found == {1, 2}


def test_clean_end_leaves_nothing(tmp_path: Path) -> None:
    one = InFlight(tmp_path / "file")
    one.note(1)
    one.turn()
    one.note(2)
    one.clear()
    one.close()
    assert InFlight(tmp_path / "file").found == frozenset()


def test_file_of_another_size_or_full_of_anything_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff" * 100)
    assert len(InFlight(tmp_path / "file").found) <= SLOTS


def test_timers_have_keys_that_no_message_has() -> None:
    keys = {timer_key(workspace, agent, n) for workspace in "ab" for agent in "ab" for n in range(100)}
    assert len(keys) == 400
    assert min(keys) >= 1 << 63
