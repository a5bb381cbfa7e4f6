from __future__ import annotations

import msgspec
import pytest

from caxton.conversations.facts import (
    ConversationFacts,
    Exchange,
    detail,
    message_facts,
    summary,
    waits_for_answers,
    waits_in,
)
from caxton.conversations.waits import Ask
from caxton.core.views.conversations import ParticipantView
from caxton.messages.message import AclMessage
from caxton.protocols.machine import INITIATOR, PARTICIPANT, Role

S = 1_000_000


def exchange(
    name: str, state: str, turn: Role | None, *, over: bool = False, deadline_s: int | None = None
) -> Exchange:
    deadline_us = None if deadline_s is None else deadline_s * S
    return Exchange(
        participant=name, state=state, turn=turn, is_over=over, since_us=10 * S, deadline_us=deadline_us
    )  # fmt: skip


def conversation(*exchanges: Exchange) -> ConversationFacts:
    return ConversationFacts(
        id="x", workspace="default", protocol="fipa-contract-net", initiator="m", exchanges=exchanges, begun_us=S,
        changed_us=10 * S, parent="w", children=("y",),
    )  # fmt: skip


CALLED = exchange("b2", "called", PARTICIPANT, deadline_s=40)
PROPOSED = exchange("b1", "proposed", INITIATOR, deadline_s=90)
REFUSED = exchange("b3", "refused", None, over=True, deadline_s=5)
CANCELLING = exchange("b4", "cancelling:called", PARTICIPANT)


def test_side_that_need_not_speak_waits_for_the_one_that_must() -> None:
    waits = [*waits_in(conversation(CALLED, PROPOSED, REFUSED))]
    assert [(wait.waiter, wait.waited, wait.state) for wait in waits] == [
        ("m", "b2", "called"),
        ("b1", "m", "proposed"),
    ]
    assert {(wait.conversation_id, wait.protocol) for wait in waits} == {("x", "fipa-contract-net")}


def test_nobody_waits_in_an_exchange_that_is_over() -> None:
    over = conversation(exchange("b5", "expired", PARTICIPANT, over=True), REFUSED)
    assert [*waits_in(over)] == []
    assert summary(over).waiting == 0


def test_free_message_is_a_wait_for_each_who_has_not_answered() -> None:
    waits = [*waits_for_answers(Ask("a", "r1", "x", S, 9 * S, {"c", "b"}))]
    assert [(wait.waiter, wait.waited, wait.state, wait.protocol) for wait in waits] == [
        ("a", "b", "asked", None),
        ("a", "c", "asked", None),
    ]
    assert {(wait.since_us, wait.deadline_us, wait.conversation_id) for wait in waits} == {(S, 9 * S, "x")}


@pytest.mark.parametrize(
    ("exchanges", "status"),
    [
        ((CALLED, REFUSED), "open"),
        ((CALLED, CANCELLING), "cancelling"),
        ((REFUSED,), "ended"),
        ((REFUSED, CANCELLING), "cancelling"),
    ],
)
def test_conversation_has_ended_when_every_exchange_has(exchanges: tuple[Exchange, ...], status: str) -> None:
    assert summary(conversation(*exchanges)).status == status


def test_summary_counts_and_has_the_next_deadline() -> None:
    view = summary(conversation(CALLED, PROPOSED, REFUSED))
    assert (view.participants, view.waiting, view.deadline) == (3, 2, "1970-01-01T00:00:40.000+00:00")
    assert (view.begun_at, view.changed_at) == ("1970-01-01T00:00:01.000+00:00", "1970-01-01T00:00:10.000+00:00")


def test_detail_has_the_exchanges_by_name_and_for_how_long_was_waited() -> None:
    view = detail(conversation(CALLED, PROPOSED, REFUSED), 12_500_000)
    assert [one.name for one in view.exchanges] == ["b1", "b2", "b3"]
    assert view.exchanges[1] == ParticipantView(
        name="b2", state="called", waiter="m", waits_for="b2", since="1970-01-01T00:00:10.000+00:00", waited_s=2.5,
        deadline="1970-01-01T00:00:40.000+00:00",
    )  # fmt: skip
    assert (view.exchanges[2].waiter, view.exchanges[2].waited_s, view.exchanges[2].deadline) == (None, None, None)
    assert (view.parent, view.children) == ("w", ["y"])


def said(content: bytes, *, sender: str = "ams", act: str = "failure") -> AclMessage:
    return AclMessage(
        performative=act, sender=sender, receiver=["m", "n"], content=msgspec.Raw(content), message_id="m-1",
        timestamp=7,
    )  # fmt: skip


def test_node_names_those_who_were_silent() -> None:
    facts = message_facts(said(b'{"error":"DEADLINE_PASSED","silent":["b1","b2"]}'))
    assert (facts.silent, facts.receivers, facts.at_us, facts.message_id) == (("b1", "b2"), ("m", "n"), 7, "m-1")


@pytest.mark.parametrize(
    "content", [b"", b"null", b"7", b"[", b'{"silent":7}', b'{"silent":[7]}', b"{}", b"\xff", b'{"silent":["\xff"]}']
)
def test_node_that_names_nobody_is_no_error(content: bytes) -> None:
    assert message_facts(said(content)).silent == ()


@pytest.mark.parametrize(("sender", "act"), [("b1", "failure"), ("ams", "inform")])
def test_only_a_failure_of_the_node_speaks_for_others(sender: str, act: str) -> None:
    assert message_facts(said(b'{"silent":["b1"]}', sender=sender, act=act)).silent == ()


def test_message_to_a_capability_has_no_receiver() -> None:
    assert message_facts(AclMessage(performative="request", sender="a", capability="sorting")).receivers == ()
