"""Which conversations are kept: whole or not at all, the notable ones longest."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from caxton.recorder.bodies import BUSY_PER_S, MESSAGES_PER_S, Bodies
from caxton.recorder.choice import MAX_REMEMBERED_IDS, Choice
from caxton.storage.shelf import ROW_BYTES, ROWS_AT_ONCE, Shelf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

BUDGET = 1000


def test_the_one_that_was_quiet_for_longest_goes_first() -> None:
    choice = Choice(BUDGET)
    for conversation in ("a", "b", "c", "d"):
        assert choice.add(conversation, 240) == []
    assert choice.add("a", 5) == []
    assert choice.add("e", 100) == ["b"]
    assert set(choice.plain) == {"a", "c", "d", "e"}


def test_notable_ones_go_only_when_no_other_is_left() -> None:
    choice = Choice(BUDGET)
    choice.add("bad", 250)
    assert choice.mark("bad")
    for n in range(20):
        choice.add(f"c{n}", 200)
    assert choice.is_kept("bad")
    for n in range(4):
        choice.add(f"bad{n}", 250, notable=True)
    assert not choice.is_kept("bad")
    assert set(choice.notable) == {f"bad{n}" for n in range(4)}


def test_conversation_that_takes_too_much_is_given_up_whole() -> None:
    choice = Choice(BUDGET)
    choice.add("other", 100)
    assert choice.add("large", 200) == []
    assert choice.add("large", 60) == ["large"]
    assert (choice.bytes, set(choice.plain)) == (100, {"other"})


def test_a_million_conversation_ids_are_not_remembered_for_ever() -> None:
    choice = Choice(BUDGET)
    for n in range(0, 1_000_000, 1000):
        choice.begin({f"c{m}" for m in range(n, n + 1000)})
    assert choice.is_begun("c999999")
    assert not choice.is_begun("c0")
    assert len(choice._begun) + len(choice._begun_before) <= 2 * MAX_REMEMBERED_IDS + 1000  # pyright: ignore[reportPrivateUsage]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 300), st.booleans()), max_size=60))
def test_budget_is_never_exceeded_and_the_sum_is_right(steps: list[tuple[str, int, bool]]) -> None:
    choice = Choice(BUDGET)
    for conversation, size, notable in steps:
        before = set(choice.plain) | set(choice.notable) | {conversation}
        given_up = choice.add(conversation, size, notable=notable)
        assert choice.bytes <= BUDGET
        assert choice.bytes == sum(kept.bytes for kept in [*choice.plain.values(), *choice.notable.values()])
        assert before - set(given_up) == set(choice.plain) | set(choice.notable)
        assert all(kept.notable for kept in choice.notable.values())


# --- with a file ---------------------------------------------------------------------------------------------------


@dataclass
class One:
    seq: int
    conversation_id: str | None
    body: bytes
    workspace: str = "default"
    attempt: int = 1


class Node:
    """Bodies on a file, with time that stands still."""

    def __init__(self, directory: Path, budget: int = 1 << 20) -> None:
        self.now = 0.0
        self.memory: list[One] = []
        self.shelf = Shelf(directory / "bodies.db")
        self.bodies = Bodies(self.shelf, budget, lambda: self.now, self.remembered)

    def remembered(self, workspace: str, conversation: str) -> Sequence[One]:
        return [one for one in self.memory if (one.workspace, one.conversation_id) == (workspace, conversation)]

    def kept(self, conversation: str) -> list[int]:
        done = Event()
        self.shelf.when_written(done.set)
        assert done.wait(10)
        return sorted(seq for seq, _ in self.bodies.of("default", conversation))

    def close(self) -> None:
        self.bodies.close()


def said(first: int, count: int, conversation: str) -> list[One]:
    return [One(first + n, conversation, b"x" * 50) for n in range(count)]


def test_what_is_kept_is_there_after_a_new_start_and_goes_on(tmp_path: Path) -> None:
    with closing(Node(tmp_path)) as node:
        node.bodies.offer(said(1, 3, "c"))
    with closing(Node(tmp_path)) as node:
        node.bodies.offer(said(4, 1, "c"))
        assert node.kept("c") == [1, 2, 3, 4]
        assert node.bodies.kept_bytes == 4 * (50 + len("c") + ROW_BYTES)


def test_under_load_no_conversation_is_kept_in_part(tmp_path: Path) -> None:
    with closing(Node(tmp_path)) as node:
        node.bodies.offer(said(1, 2, "old"))
        node.bodies.offer(said(3, 2, "loud"))
        flood = [*said(10, 2 * MESSAGES_PER_S, "loud"), *said(5, 1, "old"), *said(6, 1, "begun in it")]
        node.bodies.offer(flood)
        node.now = 10.0
        node.bodies.offer([*said(7, 1, "old"), *said(8, 1, "begun in it"), *said(9, 1, "new"), *said(9000, 1, "loud")])
        kept = [node.kept(one) for one in ("old", "loud", "begun in it", "new")]
        assert kept == [[1, 2, 5, 7], [], [], [9]]


def test_notable_conversation_stays_whole_while_others_flood(tmp_path: Path) -> None:
    with closing(Node(tmp_path)) as node:
        node.bodies.offer(said(1, 2, "bad"))
        node.bodies.notable(One(2, "bad", b"x" * 50))
        for n in range(20):
            node.bodies.offer([*said(100, 3000, f"flood-{n}"), *said(10 + n, 1, "bad")])
        assert node.kept("bad") == [1, 2, *range(10, 30)]


def test_same_conversation_id_in_two_workspaces_is_two_conversations_under_load_too(tmp_path: Path) -> None:
    with closing(Node(tmp_path)) as node:
        node.bodies.offer(said(1, 2, "c"))
        flood = [One(n, "c", b"x", workspace="other") for n in range(2 * MESSAGES_PER_S)]
        node.bodies.offer([*flood, *said(3, 1, "c")])
        assert node.kept("c") == [1, 2, 3]
        assert node.bodies.of("other", "c") == {}


def test_under_load_the_talkative_ones_are_given_up_first(tmp_path: Path) -> None:
    with closing(Node(tmp_path)) as node:
        node.bodies.offer([*said(1, 1, "quiet"), *said(2, 1, "loud")])
        flood = said(1000, MESSAGES_PER_S, "flood")
        node.bodies.offer([*flood, *said(3, BUSY_PER_S, "loud"), *said(900, 1, "quiet")])
        assert (node.kept("quiet"), node.kept("loud")) == ([1, 900], [])


def test_many_bodies_put_at_once_are_all_written(tmp_path: Path) -> None:
    count = 3 * ROWS_AT_ONCE + 7
    with closing(Node(tmp_path)) as node:
        for n in range(count):
            node.bodies.offer([One(n, f"c{n % 2}", b"%d" % n)])
        assert node.kept("c0") == list(range(0, count, 2))
        assert node.bodies.of("default", "c1") == {(n, 1): b"%d" % n for n in range(1, count, 2)}


def test_who_reads_gets_what_was_put_before_without_asking_for_it(tmp_path: Path) -> None:
    with closing(Node(tmp_path)) as node:
        for n in range(5):
            node.bodies.offer([One(n, "c", b"x")])
            assert len(node.bodies.of("default", "c")) == n + 1


def test_conversation_is_notable_after_a_new_start_if_it_became_so_late(tmp_path: Path) -> None:
    with closing(Node(tmp_path)) as node:
        node.bodies.offer(said(1, 2, "bad"))
        node.bodies.notable(One(2, "bad", b"x" * 50))
    with closing(Node(tmp_path)) as node:
        choice = node.bodies._choices["default"]  # pyright: ignore[reportPrivateUsage]
        assert (set(choice.notable), set(choice.plain)) == ({"bad"}, set())


def test_rows_that_nobody_would_drop_are_gone_after_a_new_start(tmp_path: Path) -> None:
    with closing(Node(tmp_path)) as node:
        node.bodies.offer([*said(1, 2, "c"), *said(3, 1, "d")])
    with closing(sqlite3.connect(tmp_path / "bodies.db")) as connection:
        connection.execute("DELETE FROM kept WHERE conversation = 'c'")
        connection.commit()
    with closing(Node(tmp_path)) as node:
        assert (node.kept("c"), node.kept("d")) == ([], [3])


def test_damaged_file_is_put_aside_and_begun_anew(tmp_path: Path) -> None:
    with closing(Node(tmp_path)) as node:
        for n in range(200):
            node.bodies.offer([One(n, f"c{n}", b"x" * 3000)])
            node.now += 1.0
    path = tmp_path / "bodies.db"
    data = bytearray(path.read_bytes())
    data[8192 : len(data) // 2] = bytes(byte ^ 0x5A for byte in data[8192 : len(data) // 2])
    path.write_bytes(data)
    with closing(Node(tmp_path)) as node:
        node.bodies.offer(said(1, 1, "c"))
        assert node.kept("c") == [1]
    assert (tmp_path / "bodies.old").exists()


def test_long_ids_count(tmp_path: Path) -> None:
    with closing(Node(tmp_path, budget=100_000)) as node:
        for n in range(200):
            node.bodies.offer(said(n, 1, f"{n}-" + "x" * 1000))
            node.now += 1.0
        assert sum(bool(node.kept(f"{n}-" + "x" * 1000)) for n in range(200)) <= 100_000 // 1000


def test_conversation_that_becomes_notable_is_taken_from_memory(tmp_path: Path) -> None:
    with closing(Node(tmp_path)) as node:
        node.memory = said(1, MESSAGES_PER_S, "flood") + said(5000, 2, "bad")
        node.bodies.offer(node.memory)
        node.now = 10.0
        node.bodies.notable(One(5001, "bad", b""))
        node.bodies.offer(said(5002, 1, "bad"))
        assert node.kept("bad") == [5000, 5001, 5002]


def test_eviction_takes_whole_conversations_off_the_disk(tmp_path: Path) -> None:
    with closing(Node(tmp_path, budget=3000)) as node:
        for n in range(40):
            node.bodies.offer(said(n * 10, 3, f"c{n}"))
        assert node.kept("c0") == []
        assert node.kept("c39") == [390, 391, 392]
        assert node.bodies.kept_bytes <= 3000


def test_file_that_is_no_database_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "bodies.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with closing(Node(tmp_path)) as node:
        node.bodies.offer(said(1, 1, "c"))
        assert node.kept("c") == [1]
    assert (tmp_path / "bodies.old").read_bytes().startswith(b"not a database")
    assert "put aside" in caplog.text
