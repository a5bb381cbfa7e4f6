"""What every store of the tool `state` does: SQLite, Redis and PostgreSQL, each the real one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from caxton.tools.builtin.source import CannotCall
from caxton.tools.builtin.state import Room, StoreFull
from caxton.tools.builtin.state_postgres import PostgresStore
from caxton.tools.builtin.state_redis import RedisStore
from caxton.tools.builtin.state_sqlite import SqliteStore
from tests.databases import FETCH_S, postgres_url, redis_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

    from caxton.tools.builtin.state import Store

pytestmark = pytest.mark.timeout(FETCH_S + 60)

ROOM = Room(entries=1000, size=1 << 20)
S = "default/state"


@pytest.fixture(scope="module", params=["sqlite", "redis", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[[], Store]]:
    """Opens the same store each time."""
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("state") / "sub" / "x.state.db"
        yield lambda: SqliteStore(path)
    elif request.param == "redis":
        with redis_url() as url:
            yield lambda: RedisStore(url)
    else:
        with postgres_url() as url:
            yield lambda: PostgresStore(url)


@pytest.fixture
async def store(make: Callable[[], Store]) -> AsyncGenerator[Store]:
    store = make()
    for space in (S, f"{S}/a", "other/state"):
        for key in await store.keys(space, b"", b"", 1000):
            await store.delete(space, key)
    yield store
    await store.close()


async def test_what_was_never_set_is_not_there(store: Store) -> None:
    assert await store.get(S, b"k") is None
    assert await store.delete(S, b"k") is False
    assert await store.keys(S, b"", b"", 10) == []


async def test_what_was_set_is_there_and_the_last_value_counts(store: Store) -> None:
    await store.set(S, b"k", b"1", ROOM)
    await store.set(S, b"k", b"\x00\xff", ROOM)
    assert await store.get(S, b"k") == b"\x00\xff"


async def test_what_was_deleted_is_gone(store: Store) -> None:
    await store.set(S, b"k", b"1", ROOM)
    assert await store.delete(S, b"k") is True
    assert await store.get(S, b"k") is None
    assert await store.keys(S, b"", b"", 10) == []


async def test_spaces_do_not_see_each_other(store: Store) -> None:
    await store.set(S, b"k", b"1", ROOM)
    await store.set(f"{S}/a", b"k", b"2", ROOM)
    assert await store.get("other/state", b"k") is None
    assert await store.get(S, b"k") == b"1"
    assert await store.delete(f"{S}/a", b"k") is True
    assert await store.keys(S, b"", b"", 10) == [b"k"]


async def test_keys_come_in_the_order_of_their_bytes_and_only_those_with_the_prefix(store: Store) -> None:
    names = ["a", "a/1", "a/10", "a/2", "a/Z", "a/ä", "a/\U0001f600", "b", "A", "a\x00b", "\x00"]
    for name in names:
        await store.set(S, name.encode(), b"1", ROOM)
    assert await store.keys(S, b"", b"", 100) == sorted(name.encode() for name in names)
    assert await store.keys(S, b"a/", b"", 100) == sorted(name.encode() for name in names if name.startswith("a/"))
    assert await store.keys(S, "a/\U0001f600".encode(), b"", 100) == ["a/\U0001f600".encode()]
    assert await store.keys(S, b"c", b"", 100) == []


async def test_keys_are_paged(store: Store) -> None:
    for number in range(10):
        await store.set(S, b"k%d" % number, b"1", ROOM)
    await store.set(S, b"z", b"1", ROOM)
    assert await store.keys(S, b"k", b"", 3) == [b"k0", b"k1", b"k2"]
    assert await store.keys(S, b"k", b"k2", 3) == [b"k3", b"k4", b"k5"]
    assert await store.keys(S, b"k", b"k8", 3) == [b"k9"]
    assert await store.keys(S, b"k", b"a", 1) == [b"k0"]
    assert await store.keys(S, b"k", b"x", 3) == []


async def test_compare_and_set_changes_only_what_is_as_expected(store: Store) -> None:
    assert await store.compare_and_set(S, b"k", b"1", b"2", "c1", ROOM) is False
    assert await store.compare_and_set(S, b"k", None, b"1", "c2", ROOM) is True
    assert await store.compare_and_set(S, b"k", None, b"x", "c3", ROOM) is False
    assert await store.compare_and_set(S, b"k", b"0", b"x", "c4", ROOM) is False
    assert await store.compare_and_set(S, b"k", b"1", b"2", "c5", ROOM) is True
    assert await store.get(S, b"k") == b"2"


async def test_of_many_at_once_one_wins(store: Store) -> None:
    won = await asyncio.gather(*(store.compare_and_set(S, b"k", None, b"%d" % n, f"c{n}", ROOM) for n in range(20)))
    assert won.count(True) == 1
    assert await store.get(S, b"k") == b"%d" % won.index(True)


async def test_compare_and_set_that_is_repeated_is_told_that_it_was_done(store: Store) -> None:
    assert await store.compare_and_set(S, b"k", None, b"1", "c1", ROOM) is True
    assert await store.compare_and_set(S, b"k", None, b"1", "c1", ROOM) is True
    await store.set(S, b"k", b"2", ROOM)
    assert await store.compare_and_set(S, b"k", None, b"1", "c1", ROOM) is False
    assert await store.get(S, b"k") == b"2"


async def test_compare_and_set_without_a_call_is_never_a_repetition(store: Store) -> None:
    assert await store.compare_and_set(S, b"k", None, b"1", "", ROOM) is True
    assert await store.compare_and_set(S, b"k", None, b"1", "", ROOM) is False


async def test_space_takes_so_many_entries_and_no_more(store: Store) -> None:
    room = Room(entries=2, size=1000)
    await store.set(S, b"a", b"1", room)
    await store.set(S, b"b", b"1", room)
    with pytest.raises(StoreFull):
        await store.set(S, b"c", b"1", room)
    with pytest.raises(StoreFull):
        await store.compare_and_set(S, b"c", None, b"1", "c1", room)
    await store.set(S, b"a", b"22", room)
    assert await store.keys(S, b"", b"", 10) == [b"a", b"b"]
    await store.set("other/state", b"c", b"1", room)
    await store.delete(S, b"b")
    await store.set(S, b"c", b"1", room)


async def test_space_takes_so_many_bytes_of_keys_and_values_and_no_more(store: Store) -> None:
    room = Room(entries=100, size=10)
    await store.set(S, b"ab", b"12345678", room)
    with pytest.raises(StoreFull):
        await store.set(S, b"ab", b"123456789", room)
    with pytest.raises(StoreFull):
        await store.set(S, b"c", b"", room)
    assert await store.get(S, b"ab") == b"12345678"
    await store.set(S, b"ab", b"1", room)
    await store.set(S, b"c", b"123456", room)
    with pytest.raises(StoreFull):
        await store.set(S, b"c", b"1234567", room)
    await store.delete(S, b"ab")
    await store.delete(S, b"c")
    await store.set(S, b"ab", b"12345678", room)


async def test_full_space_can_still_be_made_smaller(store: Store) -> None:
    await store.set(S, b"k", b"x" * 100, ROOM)
    await store.set(S, b"k", b"x" * 50, Room(entries=1, size=10))
    assert await store.get(S, b"k") == b"x" * 50


async def test_it_is_there_again_when_the_store_is_opened_again(make: Callable[[], Store], store: Store) -> None:
    await store.compare_and_set(S, b"k", None, b"1", "c1", ROOM)
    again = make()
    try:
        assert await again.get(S, b"k") == b"1"
        assert await again.compare_and_set(S, b"k", None, b"1", "c1", ROOM) is True
    finally:
        await again.close()


async def test_what_is_cancelled_holds_up_nothing(store: Store) -> None:
    tasks = [asyncio.ensure_future(store.set(S, b"k%d" % n, b"1", ROOM)) for n in range(30)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.set(S, b"z", b"1", ROOM)
    found = await store.keys(S, b"", b"", 100)
    assert {b"k%d" % n for n in range(1, 30, 2)} | {b"z"} <= set(found)


async def test_hundred_callers_at_once_all_get_their_answer(store: Store) -> None:
    await asyncio.gather(*(store.set(S, b"k%d" % n, b"%d" % n, ROOM) for n in range(100)))
    found = await asyncio.gather(*(store.get(S, b"k%d" % n) for n in range(100)))
    assert found == [b"%d" % n for n in range(100)]


async def test_store_that_was_never_used_can_be_closed(make: Callable[[], Store]) -> None:
    store = make()
    await store.close()


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
async def test_store_that_cannot_be_reached_is_unavailable_and_says_why_only_to_the_operator(
    kind: str, tmp_path: Path
) -> None:
    (tmp_path / "x.db").write_bytes(b"this is no database" * 100)
    nowhere = tmp_path / "nowhere"
    store: Store = {
        "sqlite": lambda: SqliteStore(tmp_path / "x.db"),
        "redis": lambda: RedisStore(f"unix://:pass-word@{nowhere}"),
        "postgres": lambda: PostgresStore(f"host={nowhere} user=x password=pass-word"),
    }[kind]()
    with pytest.raises(CannotCall) as caught:
        await store.get(S, b"k")
    assert caught.value.trouble == "unavailable"
    assert caught.value.cause
    assert "pass-word" not in caught.value.cause + caught.value.detail
    assert str(nowhere) not in caught.value.detail
    await store.close()
