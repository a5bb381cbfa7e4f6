"""Room, replicas and names, without a bus."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from caxton.bus.directory import Directory
from caxton.bus.mailbox import Mailbox, Receiver, entry_bytes
from caxton.testing.handlers import FakeSupervisor


def receiver(name: str = "a", replicas: int = 0) -> Receiver:
    made = Receiver(Directory("default"), name, FakeSupervisor())
    made.mailboxes = [Mailbox(made, replica) for replica in range(replicas)]
    return made


def test_mailbox_is_full_by_number_or_by_bytes() -> None:
    a = receiver()
    a.max_messages, a.max_bytes = 3, 100
    assert not a.is_full(1_000)  # an empty one takes anything
    a.messages, a.bytes = 1, 60
    assert not a.is_full(40)
    assert a.is_full(41)
    a.messages, a.bytes = 3, 0
    assert a.is_full(0)
    a.max_messages = a.messages = 0
    assert a.is_full(0)  # room for none at all


def test_conversation_keeps_its_replica_whatever_else_comes() -> None:
    a = receiver(replicas=4)
    homes = {talk: a.choose(talk) for talk in map(str, range(50))}
    for _ in range(3):
        a.choose(None)
    assert all(a.choose(talk) is home for talk, home in homes.items())
    assert {home.replica for home in homes.values()} == {0, 1, 2, 3}


def test_what_belongs_to_no_conversation_goes_round() -> None:
    a = receiver(replicas=3)
    assert sorted(a.choose(None).replica for _ in range(9)) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@given(st.lists(st.tuples(st.binary(max_size=2), st.none() | st.binary(max_size=5))))
def test_size_of_the_state_is_the_sum_of_its_entries(changes: list[tuple[bytes, bytes | None]]) -> None:
    a = receiver()
    expected: dict[bytes, bytes] = {}
    for key, value in changes:
        a.put(key, value)
        if value is None:
            expected.pop(key, None)
        else:
            expected[key] = value
    assert a.kv == expected
    assert a.kv_bytes == sum(entry_bytes(key, value) for key, value in expected.items())
