"""Listeners hear of every message once, in order, after the commit that holds it, and hold nobody up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.bus.dead_letters import EXPIRED, FAILED
from caxton.bus.envelope import Envelope
from caxton.bus.tap import EXCERPT_CHARS, GATHER_S, MAX_LISTENERS, MAX_UNREAD, excerpt
from caxton.core.errors.limits import TooManyListeners
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.messages import Gap, Sighting
from caxton.security.principal import Principal
from caxton.testing.handlers import say
from tests.unit.bus.rig import WORKSPACE, Rig

if TYPE_CHECKING:
    from caxton.bus.tap import Listener
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from caxton.testing.handlers import OnMessage


async def heard(rig: Rig, listener: Listener) -> list[Sighting | Gap]:
    """What a listener is given once all is committed; empty if it would have to wait."""
    rig.clock.advance(GATHER_S)
    await rig.commit()
    return await at_once(rig, listener)


async def at_once(rig: Rig, listener: Listener) -> list[Sighting | Gap]:
    step = asyncio.ensure_future(listener.__anext__())
    await rig.turn_loop()
    if step.done():
        return step.result()
    step.cancel()
    with suppress(asyncio.CancelledError):
        await step
    return []


def arrows(seen: list[Sighting | Gap]) -> list[tuple[str, str, str, str]]:
    return [(one.event, one.sender, one.receiver, one.performative) for one in seen if isinstance(one, Sighting)]


def forward(*receivers: str) -> OnMessage:
    def handle(turn: Turn, _message: AclMessage) -> int:
        for name in receivers:
            assert turn.send(say(name, "on", performative="inform", conversation_id="c-1")) == 0
        return 0

    return handle


# --- not before the commit ---------------------------------------------------------------------------------------


async def test_listener_hears_of_a_message_only_after_the_commit_that_holds_it(rig: Rig) -> None:
    listener = rig.bus.tap.listen(WORKSPACE)
    rig.receiver("b")
    rig.post("b", 1)
    rig.clock.advance(GATHER_S)
    await rig.turn_loop()
    assert len(rig.database.asked) == 1
    assert await at_once(rig, listener) == []
    rig.database.let_go()
    await rig.turn_loop()
    assert rig.pending() == [1]
    assert arrows(await at_once(rig, listener)) == [("sent", "client:admin", "b", "inform")]


async def test_message_that_comes_during_a_commit_waits_for_the_next_one(rig: Rig) -> None:
    listener = rig.bus.tap.listen(WORKSPACE)
    rig.receiver("b")
    rig.post("b", 1)
    rig.clock.advance(GATHER_S)
    await rig.turn_loop()
    rig.post("b", 2)
    rig.database.let_go()
    await rig.turn_loop()
    assert [one.excerpt for one in await at_once(rig, listener) if isinstance(one, Sighting)] == ["1"]
    assert [one.excerpt for one in await heard(rig, listener) if isinstance(one, Sighting)] == ["2"]


async def test_listener_is_never_told_when_the_disk_fails(rig: Rig) -> None:
    listener = rig.bus.tap.listen(WORKSPACE)
    rig.receiver("b")
    rig.post("b", 1)
    rig.database.fails_with = OSError("I/O error")
    assert await heard(rig, listener) == []
    assert rig.journal.failed


async def test_message_that_never_touches_the_disk_is_heard_of_too(rig: Rig) -> None:
    """It is born and settled between two commits, and nobody else asks for one."""
    rig.agent("a", forward("b"))
    rig.agent("b")
    rig.post("a", durable=False)
    rig.pump()
    listener = rig.bus.tap.listen(WORKSPACE)
    rig.post("a", durable=False)
    rig.pump()
    assert arrows(await heard(rig, listener)) == [
        ("sent", "client:admin", "a", "inform"), ("sent", "a", "b", "inform"),
    ]  # fmt: skip
    assert rig.rows("SELECT * FROM messages") == []


# --- what is heard -----------------------------------------------------------------------------------------------


async def test_handler_that_fails_has_said_nothing(rig: Rig) -> None:
    def fail(turn: Turn, _message: AclMessage) -> int:
        assert turn.send(say("b", 1)) == 0
        return 3

    rig.agent("a", fail)
    rig.agent("b")
    listener = rig.bus.tap.listen(WORKSPACE)
    rig.post("a")
    rig.pump()
    assert arrows(await heard(rig, listener)) == [("sent", "client:admin", "a", "inform")]


async def test_each_receiver_has_a_message_of_its_own(rig: Rig) -> None:
    rig.agent("a", lambda turn, _message: turn.send(say(["b", "c", "client:admin"], 1)))
    rig.receiver("b")
    rig.receiver("c")
    listener = rig.bus.tap.listen(WORKSPACE)
    rig.post("a")
    rig.pump()
    assert [arrow[1:3] for arrow in arrows(await heard(rig, listener))] == [
        ("client:admin", "a"), ("a", "b"), ("a", "c"), ("a", "client:admin"),
    ]  # fmt: skip


async def test_sighting_says_what_the_message_said(rig: Rig) -> None:
    rig.receiver("b")
    listener = rig.bus.tap.listen(WORKSPACE)
    posted = rig.post(
        "b", {"size": 3}, performative="request", protocol="fipa-request", conversation_id="c-9", reply_with="r-1",
        in_reply_to="r-0",
    )  # fmt: skip
    assert await heard(rig, listener) == [
        Sighting(
            seq=1, event="sent", timestamp=posted.timestamp, workspace=WORKSPACE, sender="client:admin", receiver="b",
            performative="request", conversation_id="c-9", protocol="fipa-request", message_id=posted.message_id,
            reply_with="r-1", in_reply_to="r-0", attempt=1, size_bytes=10, excerpt='{"size":3}', reason=None,
        )
    ]  # fmt: skip


async def test_dead_letter_is_heard_of_with_its_reason(rig: Rig) -> None:
    rig.receiver("b")
    listener = rig.bus.tap.listen(WORKSPACE)
    rig.post("b", 1, ttl_ms=1000, performative="request")
    await rig.later(2)
    seen = await heard(rig, listener)
    assert arrows(seen) == [("sent", "client:admin", "b", "request"), ("dead", "client:admin", "b", "request")]
    sent, dead = seen
    assert isinstance(sent, Sighting)
    assert isinstance(dead, Sighting)
    assert (sent.reason, dead.reason, dead.message_id) == (None, EXPIRED, sent.message_id)
    assert dead.timestamp - sent.timestamp == 2_000_000


async def test_dead_letter_that_is_replayed_is_sent_once_more(rig: Rig) -> None:
    rig.agent("b", lambda _turn, _message: 1)
    rig.post("b", 1)
    for _ in range(20):
        rig.pump()
        await rig.later(60)
    await rig.commit()
    assert [row[1] for row in rig.dead()] == [FAILED]
    listener = rig.bus.tap.listen(WORKSPACE)
    ((letter_id,),) = rig.rows("SELECT seq FROM dead_letters")
    await rig.answer(rig.letters.replay(DEFAULT_WORKSPACE, Principal("admin", frozenset()), str(letter_id)))
    assert arrows(await heard(rig, listener))[:1] == [("sent", "client:admin", "b", "inform")]


async def test_order_is_that_in_which_things_took_effect(rig: Rig) -> None:
    rig.agent("a", forward("b", "b", "c"))
    rig.agent("b", forward("c"))
    rig.agent("c")
    listener = rig.bus.tap.listen(WORKSPACE)
    rig.post("a")
    rig.pump()
    seen = [one for one in await heard(rig, listener) if isinstance(one, Sighting)]
    assert [one.seq for one in seen] == [1, 2, 3, 4, 5, 6]
    assert arrows([*seen])[:4] == [
        ("sent", "client:admin", "a", "inform"), ("sent", "a", "b", "inform"), ("sent", "a", "b", "inform"),
        ("sent", "a", "c", "inform"),
    ]  # fmt: skip


# --- who hears it ------------------------------------------------------------------------------------------------


async def test_listener_to_agents_hears_what_they_say_and_are_told(rig: Rig) -> None:
    rig.agent("a", forward("b"))
    rig.agent("b", forward("c"))
    rig.agent("c")
    listeners = [rig.bus.tap.listen(WORKSPACE, agents) for agents in (["b"], ["c", "client:admin"], [])]
    rig.post("a")
    rig.pump()
    seen = [[arrow[1:3] for arrow in arrows(await heard(rig, listener))] for listener in listeners]
    assert seen == [[("a", "b"), ("b", "c")], [("client:admin", "a"), ("b", "c")], []]


async def test_listener_to_a_conversation_or_workspace_hears_of_no_other(rig: Rig) -> None:
    rig.receiver("b")
    one = rig.bus.tap.listen(WORKSPACE, None, "c-1")
    elsewhere = rig.bus.tap.listen("elsewhere")
    rig.post("b", 1, conversation_id="c-1")
    rig.post("b", 2, conversation_id="c-2")
    rig.post("b", 3)
    assert [seen.excerpt for seen in await heard(rig, one) if isinstance(seen, Sighting)] == ["1"]
    assert await heard(rig, elsewhere) == []


async def test_listener_hears_nothing_from_before_it_came_and_none_after_it_left(rig: Rig) -> None:
    rig.receiver("b")
    rig.post("b", 1)
    listener = rig.bus.tap.listen(WORKSPACE)
    rig.post("b", 2)
    assert [one.excerpt for one in await heard(rig, listener) if isinstance(one, Sighting)] == ["2"]
    await listener.aclose()
    await listener.aclose()
    assert rig.bus.tap.listeners == []
    rig.post("b", 3)
    assert await heard(rig, listener) == []


async def test_number_of_listeners_is_limited(rig: Rig) -> None:
    listeners = [rig.bus.tap.listen(WORKSPACE) for _ in range(MAX_LISTENERS)]
    with pytest.raises(TooManyListeners) as caught:
        rig.bus.tap.listen(WORKSPACE)
    assert (caught.value.code, caught.value.limit) == ("TOO_MANY_LISTENERS", MAX_LISTENERS)
    await listeners[0].aclose()
    rig.bus.tap.listen(WORKSPACE)


# --- nobody is held up -------------------------------------------------------------------------------------------


async def test_slow_listener_misses_messages_and_is_told_how_many(rig: Rig) -> None:
    rig.receiver("b", max_messages=3 * MAX_UNREAD)
    slow, other = rig.bus.tap.listen(WORKSPACE), rig.bus.tap.listen(WORKSPACE, None, "c-1")
    for n in range(MAX_UNREAD + 7):
        rig.post("b", n)
    rig.post("b", "mine", conversation_id="c-1")
    got = await heard(rig, slow)
    assert [one.excerpt for one in got if isinstance(one, Sighting)] == [str(n) for n in range(MAX_UNREAD)]
    assert got[-1] == Gap(missed=8)
    assert [one.excerpt for one in await heard(rig, other) if isinstance(one, Sighting)] == ['"mine"']
    rig.post("b", "later")
    assert [one.excerpt for one in await heard(rig, slow) if isinstance(one, Sighting)] == ['"later"']


async def test_listener_that_never_reads_holds_so_many_messages_and_one_count(rig: Rig) -> None:
    rig.receiver("b", max_messages=10 * MAX_UNREAD)
    listener = rig.bus.tap.listen(WORKSPACE)
    for _ in range(3):
        for n in range(MAX_UNREAD):
            rig.post("b", n)
        rig.clock.advance(GATHER_S)
        await rig.commit()
    got = await at_once(rig, listener)
    assert len(got) == MAX_UNREAD + 1
    assert got[-1] == Gap(missed=2 * MAX_UNREAD)


async def test_gap_stands_where_the_messages_are_missing(rig: Rig) -> None:
    """Also when those before it wait for a commit, and some after it have room again."""
    rig.receiver("b", max_messages=10 * MAX_UNREAD)
    listener = rig.bus.tap.listen(WORKSPACE)
    for n in range(MAX_UNREAD - 1):
        rig.post("b", n)
    rig.clock.advance(GATHER_S)
    await rig.turn_loop()  # the writer has them
    for text in ("last", "missed"):
        rig.post("b", text)
    rig.database.let_go()
    await rig.turn_loop()
    assert len(await at_once(rig, listener)) == MAX_UNREAD - 1
    rig.post("b", "missed too")
    assert [one if isinstance(one, Gap) else one.excerpt for one in await heard(rig, listener)] == [
        '"last"', Gap(missed=2),
    ]  # fmt: skip
    rig.post("b", "again")
    assert [one.excerpt for one in await heard(rig, listener) if isinstance(one, Sighting)] == ['"again"']


async def test_body_that_cannot_be_read_is_missed_and_undoes_nothing(rig: Rig) -> None:
    listener = rig.bus.tap.listen(WORKSPACE)
    rig.bus.tap.sent([Envelope(1, WORKSPACE, "a", "b", "m", None, b"no message", 0)])
    assert await heard(rig, listener) == [Gap(missed=1)]


async def test_nobody_is_asked_to_show_anything_while_nobody_listens(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def show(*_: object) -> None:
        raise AssertionError("nobody listens")

    for name in ("sent", "buried", "refused"):
        monkeypatch.setattr(rig.bus.tap, name, show)
    rig.agent("a", forward("b", "client:admin"))
    rig.receiver("b")
    rig.post("a")
    rig.post("b", ttl_ms=10)
    rig.pump()
    await rig.later(1)
    await rig.commit()
    assert [row[1] for row in rig.dead()] == [EXPIRED]


async def test_commits_are_asked_for_no_more_often_than_without_listeners(rig: Rig) -> None:
    rig.receiver("b")
    rig.bus.tap.listen(WORKSPACE)
    for _ in range(10):
        rig.post("b")
        rig.clock.advance(GATHER_S / 20)
        await rig.turn_loop()
    assert rig.database.asked == []


@given(st.text(max_size=3 * EXCERPT_CHARS))
def test_excerpt_is_the_beginning_of_the_content(text: str) -> None:
    content = text.encode("utf-8", "replace")
    clean = content.decode()
    wanted = clean if len(clean) <= EXCERPT_CHARS else f"{clean[:EXCERPT_CHARS]}…"
    assert excerpt(content) == wanted
