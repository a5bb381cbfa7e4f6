"""The 22 acts: read leniently, written as FIPA spells them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.core.errors.messages import InvalidMessage
from caxton.messages.codec import decode_message
from caxton.messages.performative import PERFORMATIVES, parse_performative


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("infrom", "inform"), ("requets", "request"), ("accept proposal", "accept-proposal"), ("QUERY_FI", "query-if")],
)
def test_mistyped_act_is_refused_with_the_nearest(wrong: str, meant: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse_performative(wrong)
    assert caught.value.field == "performative"
    assert f"did you mean {meant!r}?" in str(caught.value)


@pytest.mark.parametrize("wrong", ["", " ", "tell", "inform ", "inform\0", "\u0131nform", "x" * 1_000_000, "\ud800"])
def test_what_is_no_act_is_refused_shortly(wrong: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse_performative(wrong)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("short", "act"), [("accept", "accept-proposal"), ("reject", "reject-proposal"), ("query", "query-ref")]
)
def test_alias_is_read_as_the_act(short: str, act: str) -> None:
    assert parse_performative(short) == parse_performative(short.upper()) == act


def test_there_are_the_22_acts_of_the_standard() -> None:
    assert len(set(PERFORMATIVES)) == 22


@given(st.sampled_from(PERFORMATIVES), st.lists(st.booleans(), min_size=20, max_size=20))
def test_case_and_underscores_do_not_count(act: str, switches: list[bool]) -> None:
    written = "".join(
        (letter.upper() if letter != "-" else "_") if other else letter
        for letter, other in zip(act, switches, strict=False)
    )
    assert parse_performative(written + act[len(written) :]) == act


def test_message_carries_the_act_as_fipa_spells_it() -> None:
    data = json.dumps({"performative": "Accept_Proposal"}).encode()
    assert decode_message(data).performative == "accept-proposal"
